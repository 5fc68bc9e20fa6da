"""What decides a run? RunConfig: every choice, its default, its bounds and its meaning, in one frozen object."""

from __future__ import annotations

import json
from collections.abc import Iterable
from difflib import get_close_matches
from operator import attrgetter
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, Field, StringConstraints, ValidationError, field_validator, model_validator

from pipeline.exceptions import ConfigError

SCHEMA_VERSION: Literal[1] = 1
PRESETS_DIR = Path(__file__).parent / "presets"
RUN_NAME_RULE = (
    "A run name has 1 to 64 letters, digits, '.', '_' or '-', and does not start with '.' or '_'"
)
RUN_NAME_PATTERN = r"^[A-Za-z0-9-][A-Za-z0-9._-]{0,63}$"  # in Rust's regex `$` is the very end, newline excluded
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
    max_length: int = Field(128, ge=8, le=8192, description="Longest input in pieces; longer texts are truncated.")
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
        "characters, sentences, typos, back_translation; and, for the labels negative and positive alone, antonym and "
        "contrast, which make new labels. For English texts. Empty: no copies.",
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


class StopConfig(Part):
    """When a run is evaluated, what counts as better, and when it ends early."""

    metric: Literal["macro_f1", "accuracy", "weighted_f1", "loss", "macro_f1+loss", "accuracy+loss"] = Field(
        "macro_f1",
        description="Validation metric that picks the best weights. With '+loss', a better loss also resets patience.",
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


class RunConfig(Part):
    """Every choice that decides a run. What you read back is what you wrote."""

    schema_version: Literal[1] = Field(SCHEMA_VERSION, description="Version of the format of this config.")
    name: Annotated[str, StringConstraints(pattern=RUN_NAME_PATTERN)] = Field(description=RUN_NAME_RULE + ".")
    note: str = Field("", max_length=10_000, description="What this run is for, in your words.")
    seed: int = Field(42, ge=0, lt=2**31, description="Decides the order of examples, dropout and new weights.")
    data: DataConfig = DataConfig()
    augment: AugmentConfig = AugmentConfig()
    model: ModelConfig = ModelConfig()
    optim: OptimConfig = OptimConfig()
    loss: LossConfig = LossConfig()
    adversarial: AdversarialConfig = AdversarialConfig()
    stop: StopConfig = StopConfig()
    hardware: HardwareConfig = HardwareConfig()

    @model_validator(mode="after")
    def _names_have_no_nul(self) -> RunConfig:
        if "\0" in self.data.source + self.model.base:
            raise ValueError("a source or base contains a NUL character; take it out")
        return self


def make_config(values: dict[str, Any]) -> RunConfig:
    """Check nested values (as in run_config.json) and build the config.

    Raises: ConfigError, one sentence naming the first bad field, what it expects and what it found.
    """
    try:
        return RunConfig.model_validate(values)
    except ValidationError as exception:
        raise _refusal(exception) from None


def read_config(path: Path) -> RunConfig:
    """Read a `run_config.json`. Raises: ConfigError when it is not there, not JSON, or has a bad field."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as exception:
        reason = exception.strerror
        raise ConfigError(f"{path} cannot be read ({reason}). Give the path of a run_config.json.") from None
    except ValueError as exception:
        raise ConfigError(f"{path} is not JSON ({exception}). Mend it, or give that of another run.") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds a {type(values).__name__}; a run config is a JSON object of named fields.")
    return make_config(values)


def preset_names() -> list[str]:
    return sorted(path.stem for path in PRESETS_DIR.glob("*.json"))


def read_preset(name: str) -> dict[str, Any]:
    """The values of a preset: a RunConfig without its name; `note` says what it reproduces and what to expect.

    Raises: ConfigError naming the presets there are.
    """
    if name not in preset_names():
        raise ConfigError(f"There is no preset '{name}'. Choose one of: {', '.join(preset_names())}.")
    values: dict[str, Any] = json.loads((PRESETS_DIR / f"{name}.json").read_text(encoding="utf-8"))
    return values


def set_field(values: dict[str, Any], dotted_name: str, value: Any) -> None:
    """Set `values["optim"]["learning_rate"]` from "optim.learning_rate"; an empty text means "not given" (null).

    Raises: ConfigError for a name that is no field, with the nearest one that is.
    """
    if dotted_name not in FIELDS:
        near = get_close_matches(dotted_name, FIELDS, n=1, cutoff=0.5)
        hint = f"Did you mean '{near[0]}'?" if near else f"Fields are: {', '.join(FIELDS)}."
        raise ConfigError(f"There is no field '{dotted_name}'. {hint}")
    *groups, leaf = dotted_name.split(".")
    for group in groups:
        values = values.setdefault(group, {})
    values[leaf] = None if value == "" and FIELDS[dotted_name].optional else value


def differing_fields(config: RunConfig, other: RunConfig) -> list[str]:
    """Dotted names of the fields in which two configs differ."""
    return [name for name in FIELDS if field_value(config, name) != field_value(other, name)]


def field_value(config: RunConfig, dotted_name: str) -> Any:
    return attrgetter(dotted_name)(config)


class FieldHelp(BaseModel, frozen=True):
    """What a form, the command line and a message need to know of one leaf of RunConfig."""

    name: str                                       # dotted: "optim.learning_rate"
    kind: Literal["text", "integer", "number", "switch", "choice"]
    default: Any
    description: str
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    optional: bool = False                          # None means "not given"


def _fields_of(model: type[BaseModel], prefix: str = "") -> Iterable[FieldHelp]:
    for name, info in model.model_fields.items():
        annotation: Any = info.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from _fields_of(annotation, f"{prefix}{name}.")
            continue
        optional = get_origin(annotation) in (Union, UnionType) and type(None) in get_args(annotation)
        if optional:
            annotation = next(arg for arg in get_args(annotation) if arg is not type(None))
        choices = tuple(map(str, get_args(annotation))) if get_origin(annotation) is Literal else ()
        kinds: dict[Any, Any] = {bool: "switch", int: "integer", float: "number"}
        limits = ("gt", "ge", "lt", "le")
        bounds = {key: getattr(item, key) for item in info.metadata for key in limits if hasattr(item, key)}
        yield FieldHelp(
            name=prefix + name,
            kind="choice" if choices else kinds.get(annotation, "text"),
            default=None if info.is_required() else info.default,
            description=info.description or "",
            choices=choices,
            minimum=bounds.get("ge", bounds.get("gt")),
            maximum=bounds.get("le", bounds.get("lt")),
            optional=optional,
        )


FIELDS: dict[str, FieldHelp] = {field.name: field for field in _fields_of(RunConfig)}


def _refusal(exception: ValidationError) -> ConfigError:
    """The first problem alone: mended, the next one shows."""
    error: Any = exception.errors()[0]
    words = {word for name in FIELDS for word in name.split(".")}
    name = ".".join(part for part in map(str, error["loc"]) if part in words)
    return ConfigError(_problem(name or "run config", error), name if name in FIELDS else "")


def _problem(name: str, error: dict[str, Any]) -> str:
    if name == "name":
        found = "none was given" if error["type"] == "missing" else f"found {_shown(error['input'])}"
        return f"{RUN_NAME_RULE}; {found}. Choose another name."
    if error["type"] == "extra_forbidden":
        unknown = ".".join(map(str, error["loc"]))
        near = get_close_matches(unknown, FIELDS, n=1, cutoff=0.5)
        return f"There is no field '{unknown}'. " + (f"Did you mean '{near[0]}'?" if near else "Take it out.")
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])[:1].upper() + str(error["ctx"]["error"])[1:] + "."
    if name == "schema_version":
        found = _shown(error["input"])
        return f"schema_version is {found}; this Volta reads {SCHEMA_VERSION}. Update Volta, or write the config anew."
    if error["type"] == "string_pattern_mismatch" and name in FIELDS:      # a description says more than a pattern
        return f"{name} cannot be {_shown(error['input'])}. {FIELDS[name].description}"
    expected = error["msg"].removeprefix("Input ").removeprefix("String ")      # "should be ...", "should match ..."
    description = FIELDS[name].description if name in FIELDS else ""
    return f"{name} {expected}; found {_shown(error['input'])}. {description}".strip()


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
