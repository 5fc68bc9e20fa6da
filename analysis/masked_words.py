"""Which other words would the base model itself put there? Substitutes by masked-language modelling, where it can."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import lru_cache
from typing import Any

from analysis.edits import WORD, Edit
from pipeline.exceptions import ModelError
from pipeline.models import choose_device, load_masked_lm
from pipeline.runs import Run
from pipeline.sources import find_model, is_at_hand

WORDS_EACH = 3              # substitutes of a word
MAX_PIECES = 128


def masked_words(run: Run) -> Callable[[str], Iterator[Edit]] | None:
    """What makes the substitutes of a text; None where the run's base model has no such head, or is not to be had.

    Source: Garg and Ramakrishnan 2020, https://arxiv.org/abs/2004.01970 (BAE), section 3: each word in turn is hidden
    behind [MASK], and the likeliest other words take its place.
    """
    loaded = _loaded(run.config.model.base)
    if loaded is None:
        return None
    model, tokenizer = loaded
    return lambda text: _substitutes(model, tokenizer, text)


@lru_cache(maxsize=1)
def _loaded(base: str) -> tuple[Any, Any] | None:
    with suppress(ModelError):
        if is_at_hand(find_model(base)):        # to look at a sentence is no wish to fetch half a gigabyte
            return load_masked_lm(base, choose_device())
    return None


def _substitutes(model: Any, tokenizer: Any, text: str) -> Iterator[Edit]:
    import torch

    words = list(WORD.finditer(text))
    if not words:
        return
    masked = [text[: word.start()] + tokenizer.mask_token + text[word.end() :] for word in words]
    batch = tokenizer(masked, padding=True, truncation=True, max_length=MAX_PIECES, return_tensors="pt")
    batch = batch.to(model.device)
    with torch.no_grad():
        logits = model(**batch).logits                                  # (W, T, V)
    for word, ids, scores in zip(words, batch["input_ids"], logits, strict=True):
        for place in (ids == tokenizer.mask_token_id).nonzero()[:1, 0].tolist():       # none where it was truncated
            likeliest = tokenizer.convert_ids_to_tokens(scores[place].topk(2 * WORDS_EACH).indices.tolist())
            others = [other for other in likeliest if other.isalpha() and other.lower() != word.group().lower()]
            for other in others[:WORDS_EACH]:
                yield Edit(f"'{other}' for '{word.group()}'", text[: word.start()] + other + text[word.end() :])
