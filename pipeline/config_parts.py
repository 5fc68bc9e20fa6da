"""What can be chosen of a run? Each group of choices with its defaults, bounds and meanings."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field, field_validator

FROZEN = r"(none|embeddings|half|encoder|top-\d+|\d+|head)"
RATE_OF_GROUP = r"(embeddings|lower|upper|encoder|head|layer\.\d+) *= *([1-9](\.\d+)?e-\d\d?|0?\.\d*[1-9]\d*)"


class Part(BaseModel, frozen=True, extra="forbid", allow_inf_nan=False):
    """A group of fields; unknown ones are refused, and so are infinity and NaN, which JSON cannot hold."""


class CleanConfig(Part):
    """Cleaning before anything else reads the text. All off by default: see `punctuation`."""

    html: bool = Field(False, description="Replace HTML tags by a space and decode entities such as &amp;.")
    punctuation: bool = Field(
        False, description="Delete punctuation. Caution: this glues \"don't\" to \"dont\", which hides negations."
    )
    lowercase: bool = Field(False, description="Lowercase every letter.")
    spaces: bool = Field(False, description="Collapse runs of white space to one space and trim the ends.")


class DataConfig(Part):
    """Which texts, and how they are split and cleaned."""

    source: str = Field(
        "starter", min_length=1,
        description="starter, sst2, imdb, ag_news, a CSV, TSV, JSONL or Parquet file (or a folder with one file "
        "per split), or a Hub data set owner/name.",
    )
    text_column: str | None = Field(None, description="Column with the text; found by itself when empty.")
    label_column: str | None = Field(None, description="Column with the label; found by itself when empty.")
    encoding: str = Field(
        "utf-8", description="Encoding of a text file. Never guessed; a UTF-8 byte-order mark is read."
    )
    split: Literal["disjoint", "random", "merge"] = Field(
        "disjoint",
        description="How validation (and a missing test split) is drawn. disjoint: from train's longer texts, at most "
        "1,000, leaving out training texts that lie inside them; random: stratified; merge: train and validation "
        "together, then split anew with seed 42, as the classic report does (it leaks).",
    )
    validation_ratio: float = Field(0.1, gt=0, lt=0.5, description="Share held out for validation.")
    test_ratio: float = Field(
        0.1, gt=0, lt=0.5, description="Share held out for test where the source has no labelled test split."
    )
    limit: int | None = Field(None, ge=10, description="Take only the first n rows, before anything is split off.")
    extra: str | None = Field(
        None,
        description="More examples to train on: a run, whose fix list is taken, or a file or data set with the same "
        "labels. None that stands in validation or test is used.",
    )
    avoid: str = Field(
        "",
        description="For the task mlm: data that later runs will be tested on, with commas between. What a run on them "
        "holds out is left out here; of the source itself, its validation and test files always are.",
    )
    max_length: int = Field(
        128, ge=8, le=8192,
        description="Longest input in pieces; longer texts are truncated, or for the task mlm cut into several.",
    )
    clean: CleanConfig = CleanConfig()


AUGMENT_STEPS = (
    "delete", "swap", "insert", "synonym", "characters", "sentences", "typos", "back_translation",
    "antonym", "contrast",
)  # fmt: skip


class AugmentConfig(Part):
    """More examples to train on, made of those of train."""

    steps: str = Field(
        "",
        description="Ways to change a copy of a training example, with commas between: delete, swap, insert, synonym, "
        "characters, sentences, typos, back_translation; and, for the labels negative and positive alone, with new "
        "labels: antonym (praise and blame by their opposites) and contrast (short texts joined by but or although, or "
        "with a not put in, where that makes a sentence). For English texts. Empty: no copies.",
    )
    share: float = Field(
        0.5, gt=0, le=1,
        description="Share of training examples of which a changed copy is added, each by one of the steps.",
    )
    rate: float = Field(0.1, gt=0, le=1, description="Share of a text's words that are changed, at least one.")
    seed: int | None = Field(None, ge=0, lt=2**31, description="Decides what is changed; the run's seed when empty.")
    translators: str = Field(
        "Helsinki-NLP/opus-mt-en-de, Helsinki-NLP/opus-mt-de-en",
        description="For back_translation: the models that translate there and back, with a comma between.",
    )

    @field_validator("steps")
    @classmethod
    def _steps_are_known(cls, steps: str) -> str:
        if unknown := [name for name in split_names(steps) if name not in AUGMENT_STEPS]:
            known = ", ".join(AUGMENT_STEPS)
            raise ValueError(f"there is no augmentation step '{unknown[0]}'; choose from: {known}")
        return steps


TRACKERS = ("trackio", "swanlab", "wandb", "tensorboard")


def split_names(names: str) -> list[str]:
    """"a, b" to its names."""
    return [name.strip() for name in names.split(",") if name.strip()]


class ModelConfig(Part):
    """Where the weights start, and which of them train."""

    base: str = Field(
        "all-MiniLM-L6-v2", min_length=1,
        description="A short name, a Hub model owner/name, a model folder, or a run to continue from.",
    )
    dropout: float | None = Field(
        None, ge=0, lt=1, description="Dropout everywhere in the model; empty keeps the model's own."
    )
    head: Literal["own", "linear", "mean", "mlp", "mlp-batchnorm"] = Field(
        "own",
        description="What makes labels of the encoder's output. own: as the model's family has it; linear: one layer "
        "on the first piece, [CLS]; mean: one layer on the mean of all pieces; mlp: layers of 512, 256 and the labels "
        "on [CLS]; mlp-batchnorm: the same, with batch normalisation over each micro-batch.",
    )
    freeze: str = Field(
        "none", pattern=rf"^{FROZEN}( *, *{FROZEN})*$",
        description="What never trains: none, embeddings, half (embeddings and the lower half of the layers), encoder, "
        "top-3 (all but the top 3 layers and the head), or a list such as embeddings,0,1,11 (0 is the bottom layer).",
    )
    unfreeze_each_epoch: int = Field(
        0, ge=0,
        description="Gradual unfreezing: the first epoch trains the head alone, each later one so many more layers "
        "from the top, the embeddings last; 0: all from the start.",
    )


class OptimConfig(Part):
    """How the weights move."""

    learning_rate: float = Field(
        5e-5, gt=0, le=1, description="Peak learning rate of AdamW, reached at the end of warm-up."
    )
    batch_size: int = Field(32, ge=1, le=4096, description="Examples of one optimizer step, exactly.")
    epochs: int = Field(3, ge=1, le=1000, description="Passes over the training examples.")
    weight_decay: float = Field(0.01, ge=0, le=1, description="Decay of the weights; biases and norms never decay.")
    schedule: Literal["linear", "cosine", "constant", "polynomial"] = Field(
        "linear",
        description="Learning rate after warm-up: straight down to 0, half a cosine down to 0, constant, or down to 0 "
        "with the square of the steps that are left (polynomial).",
    )
    warmup_ratio: float = Field(0.06, ge=0, lt=1, description="Share of all steps spent warming up.")
    warmup_steps: int | None = Field(None, ge=0, description="Warm-up in steps; when given, it replaces the share.")
    max_grad_norm: float = Field(1.0, gt=0, description="Gradients are scaled down to this L2 norm.")
    head_multiplier: float = Field(1.0, gt=0, le=1000, description="The head learns at so many times the rate.")
    layer_decay: float = Field(
        1.0, gt=0, le=1,
        description="Each layer's learning rate is that of the layer above it times this; embeddings come last.",
    )
    groups: str = Field(
        "", pattern=rf"^(({RATE_OF_GROUP})(, *{RATE_OF_GROUP})*)?$",
        description="Learning rates of their own, such as embeddings=2e-5, lower=2e-5, upper=3e-5, head=5e-5 (lower "
        "and upper: halves of the layers; or layer.3, 0 is the bottom one). They are neither multiplied nor decayed; "
        "of two for the same layer the later one holds.",
    )
    ema_decay: float = Field(
        0.0, ge=0, lt=1,
        description="How much of a moving average of the weights each step keeps, such as 0.999; less in the first "
        "steps. The averaged weights are evaluated and saved. 0: no average.",
    )


class LossConfig(Part):
    """What is made small. However a step is cut, it is the mean over the step's examples."""

    name: Literal["cross_entropy", "binary", "weighted", "focal"] = Field(
        "cross_entropy",
        description="binary: for two labels, on the difference of their logits (the same as cross_entropy, rounding "
        "aside); weighted: cross-entropy times a weight of the label; focal: less weight for what is learnt already.",
    )
    class_weights: str = Field(
        "",
        description="Weights of the labels for 'weighted': in their order (1, 2.5) or by name (spam=5; others 1). "
        "Empty: inverse to their frequency in train, 1 on average.",
    )
    focal_alpha: str = Field(
        "", coerce_numbers_to_str=True,
        description="Weights of the labels for 'focal': one for all, in their order or by name (spam=5; others 1). "
        "Empty: 1.",
    )
    focal_gamma: float = Field(
        2.0, ge=0, le=10, description="For 'focal': how strongly sure predictions are spared; 0 is cross-entropy."
    )
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="Share of the target that is spread evenly over all labels."
    )
    r_drop: float = Field(
        0.0, ge=0, le=100,
        description="Weight of R-Drop: how far two passes with other dropout may disagree. 0: one pass; else a step "
        "takes twice the time.",
    )


class AdversarialConfig(Part):
    """Learning also from embeddings moved, per example, to where the loss is higher. No weight is moved for it."""

    name: Literal["none", "fgm", "pgd"] = Field(
        "none", description="fgm: one move of length epsilon, twice the time; pgd: several, each costs a pass."
    )
    epsilon: float = Field(
        1.0, gt=0, le=100,
        description="How far an example's embeddings may move, as an L2 norm. A recipe that moves a whole batch of n "
        "means about epsilon / sqrt(n): all-MiniLM-L6-v2 learns with 0.1 to 0.3, and not with 1.",
    )
    steps: int = Field(3, ge=1, le=20, description="For 'pgd': number of moves.")
    alpha: float = Field(0.3, gt=0, le=100, description="For 'pgd': length of each move, as an L2 norm.")


class MaskConfig(Part):
    """For the task mlm: what is hidden from the model, which learns to fill it in."""

    ratio: float = Field(
        0.15, gt=0, lt=1,
        description="Share of pieces to be guessed: of these 80% are hidden behind [MASK], 10% replaced by a random "
        "piece, and 10% left as they are.",
    )
    whole_words: bool = Field(False, description="All pieces of a word are to be guessed, or none.")


class StopConfig(Part):
    """When a run is evaluated, what counts as better, and when it ends early."""

    metric: Literal["macro_f1", "accuracy", "weighted_f1", "loss", "macro_f1+loss", "accuracy+loss"] = Field(
        "macro_f1",
        description="Validation metric that picks the best weights. With '+loss', a better loss also resets patience. "
        "The task mlm has the loss alone.",
    )
    patience: int = Field(
        0, ge=0, description="Evaluations without improvement before the run ends; 0 never ends early."
    )
    evaluate_every: int = Field(
        0, ge=0, description="Evaluate every n steps beside the end of each epoch; 0: at the end only."
    )


class HardwareConfig(Part):
    """On what the run computes. None of these changes what is learnt, rounding aside."""

    device: str = Field("auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$", description="auto, cpu, cuda, cuda:1 or mps.")
    processes: int = Field(
        1, ge=0, le=64,
        description="Processes that share the examples of each step: on a GPU each, or all on the CPU. 0: one for each "
        "GPU.",
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto", description="auto: bf16 where the device computes it, else fp32. Weights are always kept in fp32."
    )
    micro_batch_tokens: int = Field(
        8192, ge=8,
        description="A step is cut into pieces of at most this many tokens, padding counted, to fit memory. "
        "Halved during a run that runs out of memory."
    )
    gradient_checkpointing: bool = Field(
        False, description="Compute layers twice rather than keep what they gave: less memory, a third more time."
    )
    deterministic: bool = Field(True, description="Only kernels that repeat bit for bit on the same machine.")
