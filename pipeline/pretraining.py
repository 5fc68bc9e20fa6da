"""What does a model learn from texts without labels? To fill in pieces that are hidden from it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from pipeline.config import RunConfig
from pipeline.config_parts import LossConfig
from pipeline.encoding import TEXTS_PER_CALL, Encoded, micro_batches
from pipeline.exceptions import DataError
from pipeline.models import has_masked_lm_head
from pipeline.objectives import Objective
from pipeline.predictor import tokens_per_batch

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

NO_GUESS = -100             # the gold id of a piece that is not to be guessed, as in torch's cross_entropy
VALIDATION_SEED = 42        # not the run's: runs with other seeds are compared on the same guesses
PLACES_MULTIPLE = 128       # of the number of pieces that are guessed at once
MAX_VALIDATED = 1_000       # inputs of validation: tens of thousands of guesses from long texts


@dataclass(frozen=True)
class Masked:
    """Texts with pieces to be guessed."""

    encoded: Encoded        # N inputs, as the model sees them
    gold: Encoded           # the true piece where one is to be guessed, else NO_GUESS

    @property
    def num_targets(self) -> int:
        return int((self.gold.input_ids != NO_GUESS).sum())

    def take(self, rows: np.ndarray) -> Masked:
        return Masked(self.encoded.take(rows), self.gold.take(rows))

    def batch(self, rows: np.ndarray, device: torch.device) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """Inputs (B, T), among them the places to be guessed, and the M true pieces of these places, (M,)."""
        gold = self.gold.batch(rows, device)["input_ids"]
        places = gold != NO_GUESS
        return {**self.encoded.batch(rows, device), "places": places}, gold[places]

    def logits(self, model: PreTrainedModel, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """At the places alone, (M, V): of all places they would take more memory and time than the encoder does.

        They are filled up to a few sizes: oneDNN keeps what it prepared for each size it ever met, several GB of it
        in ten minutes of steps that each have another M.
        """
        from torch.nn.functional import pad

        inputs = dict(inputs)
        places = inputs.pop("places")

        def at_places(module: Any, hidden: Any) -> Any:
            if hidden[0].shape[:2] != places.shape:
                return None
            chosen = hidden[0][places]
            return pad(chosen, (0, 0, 0, -len(chosen) % PLACES_MULTIPLE))

        decoder: Any = model.get_output_embeddings()
        hook = decoder.register_forward_pre_hook(at_places) if decoder is not None else None
        try:
            logits: torch.Tensor = model(**inputs).logits
        finally:
            if hook is not None:
                hook.remove()
        # Some families decode without their decoder.
        return logits[: int(places.sum())] if logits.ndim == 2 else logits[places]

    def evaluate(self, model: PreTrainedModel) -> tuple[dict[str, Any], None]:
        """Mean loss of a guess in nats, its exponential (perplexity), and the share of right guesses. Nothing is kept
        of single texts. The model must be in eval mode."""
        import torch
        from torch.nn.functional import cross_entropy

        loss, right = 0.0, 0
        max_tokens = tokens_per_batch(model.device)
        with torch.no_grad():
            for rows in micro_batches(np.arange(len(self.encoded)), self.encoded.lengths, max_tokens):
                inputs, gold = self.batch(rows, model.device)
                logits = self.logits(model, inputs).float()
                loss += cross_entropy(logits, gold, reduction="sum").item()
                right += int((logits.argmax(dim=1) == gold).sum())
        n = self.num_targets
        metrics = {"loss": loss / n, "perplexity": float(np.exp(loss / n)), "masked_accuracy": right / n, "masked": n}
        return metrics, None


@dataclass(frozen=True)
class MaskedTexts:
    """Texts of which other pieces are to be guessed at each step.

    Of the pieces chosen 80% are hidden behind [MASK], 10% replaced by a random piece and 10% left as they are.
    Source: Devlin et al. 2019, https://arxiv.org/abs/1810.04805, section 3.1; anew at each step: Liu et al. 2019,
    https://arxiv.org/abs/1907.11692, section 4.1.
    """

    encoded: Encoded        # N inputs
    begins: Encoded         # its input_ids: whether a word begins there; where words are not heeded, each piece is one
    tokenizer: PreTrainedTokenizerBase
    ratio: float
    seed: int

    @classmethod
    def of(
        cls, texts: pa.ChunkedArray, tokenizer: PreTrainedTokenizerBase, max_length: int, config: RunConfig, seed: int
    ) -> MaskedTexts:
        encoded, begins = encode_whole(texts, tokenizer, max_length)
        if not config.mask.whole_words:
            begins = np.ones_like(begins)
        return cls(encoded, replace(encoded, input_ids=begins), tokenizer, config.mask.ratio, seed)

    def objective(self, config: LossConfig, label_names: list[str]) -> Objective:
        return Objective(config, ())

    def of_step(self, rows: np.ndarray, step: int) -> Masked:
        """Of these rows; seed and step alone decide what is to be guessed, not how a step is cut."""
        encoded, random = self.encoded.take(rows), np.random.default_rng([self.seed, step])
        ids = encoded.input_ids
        words = np.cumsum(self.begins.take(rows).input_ids) - 1       # number of each piece's word
        chosen = (random.random(words[-1] + 1) < self.ratio)[words] & ~np.isin(ids, self.tokenizer.all_special_ids)
        gold = replace(encoded, input_ids=np.where(chosen, ids, NO_GUESS), pad_token_id=NO_GUESS)
        fate = random.random(len(ids))
        seen = np.where(chosen & (fate < 0.8), self.tokenizer.mask_token_id, ids)
        seen = np.where(chosen & (fate >= 0.9), random.integers(len(self.tokenizer), size=len(ids)), seen)
        return Masked(replace(encoded, input_ids=seen), gold)


def encode_whole(
    texts: pa.ChunkedArray, tokenizer: PreTrainedTokenizerBase, max_length: int
) -> tuple[Encoded, np.ndarray]:
    """Tokenise texts to their ends: a long one becomes several inputs of at most `max_length` pieces each.

    Returns: The inputs, and for each of their pieces whether a word (or a special piece) begins there.
    """
    ids, begins = [], []
    for start in range(0, len(texts), TEXTS_PER_CALL):
        chunk = texts[start : start + TEXTS_PER_CALL].to_pylist()
        encoded = tokenizer(chunk, truncation=True, max_length=max_length, return_overflowing_tokens=True)
        for encoding in encoded.encodings or []:
            words = encoding.word_ids
            ids.append(np.array(encoding.ids, np.int32))
            begins.append(np.array([word is None or word != before
                                    for before, word in zip([None, *words], words, strict=False)]))
    starts = np.concatenate([[0], np.cumsum([len(each) for each in ids], dtype=np.int64)])
    whole = Encoded(np.concatenate(ids), starts, np.zeros(len(ids), bool), int(tokenizer.pad_token_id))
    return whole, np.concatenate(begins)


def masked_examples(
    train: pa.ChunkedArray, validation: pa.ChunkedArray, tokenizer: Any, max_length: int, config: RunConfig
) -> tuple[MaskedTexts, Masked]:
    """Texts to learn from, and what is to be guessed of validation: always the same, of its first 1,000 inputs.

    Raises: DataError when validation is too short for a guess.
    """
    held_out = MaskedTexts.of(validation, tokenizer, max_length, config, VALIDATION_SEED)
    guessed = held_out.of_step(np.arange(min(MAX_VALIDATED, len(held_out.encoded))), 0)
    if not guessed.num_targets:
        raise DataError("Validation is too short: not one of its pieces is to be guessed. Give more or longer texts.")
    return MaskedTexts.of(train, tokenizer, max_length, config, config.seed), guessed


def about_head(config: RunConfig) -> str:
    """What should be told of a run that begins without a trained head; else nothing. Raises: ModelError."""
    if config.task != "mlm" or has_masked_lm_head(config.model.base):
        return ""
    return (
        f"'{config.model.base}' has no head for masked-language modelling: one was made of its embeddings and a new "
        "layer, and is trained here. The figures before the first step are those of an untrained head."
    )
