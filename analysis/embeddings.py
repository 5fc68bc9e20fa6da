"""What does a text look like to a model? Embeddings of an encoder that has not seen the labels."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from pipeline.config_parts import ModelConfig
from pipeline.encoding import Encoded, encode, micro_batches
from pipeline.exceptions import ModelError
from pipeline.models import choose_device, load_base_model, max_positions
from pipeline.predictor import Predictor, tokens_per_batch
from pipeline.runs import Run
from pipeline.sources import find_model

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

STAND_IN = "all-MiniLM-L6-v2"


@dataclass(frozen=True)
class Encoder:
    """A model without its head, in eval mode."""

    name: str                   # by which load_encoder finds it again
    model: Any
    tokenizer: PreTrainedTokenizerBase
    max_length: int
    seen_labels: bool           # a run's own: texts with the same label are alike to it because it learnt so


def impartial_encoder(run: Run) -> Encoder:
    """The run's base model; all-MiniLM-L6-v2 where that is a run, too, or is not to be had; at last the run's own."""
    for name in (run.config.model.base, STAND_IN):
        with suppress(ModelError):
            if not (encoder := load_encoder(name)).seen_labels:
                return encoder
    return load_encoder(run.name)


def load_encoder(name: str) -> Encoder:
    """The encoder of a run, or of a base model; the last base model stays loaded. Raises: ModelError."""
    if find_model(name).kind not in ("run", "bundled"):
        return _base_encoder(name)
    predictor = Predictor.load(name)
    return Encoder(name, predictor.model.base_model, predictor.tokenizer, predictor.max_length, seen_labels=True)


@lru_cache(maxsize=1)
def _base_encoder(name: str) -> Encoder:
    model, tokenizer = load_base_model(ModelConfig(base=name), ["its head", "is not used"], choose_device())
    max_length = max_positions(model, tokenizer)
    return Encoder(name, model.base_model.eval().requires_grad_(False), tokenizer, max_length, seen_labels=False)


def sentence_embeddings(
    encoder: Encoder, texts: pa.ChunkedArray | list[str], max_length: int | None = None
) -> np.ndarray:
    """The mean of the last hidden states over a text's pieces, of length 1: (N, H) float32. A product is a cosine.

    Source: Reimers and Gurevych 2019, https://arxiv.org/abs/1908.10084.
    """
    from torch.nn.functional import normalize

    def mean(batch: dict[str, torch.Tensor]) -> torch.Tensor:
        hidden = encoder.model(**batch).last_hidden_state           # (B, T, H)
        return normalize((hidden * batch["attention_mask"][..., None]).sum(dim=1), dim=1)

    encoded = encode(texts, encoder.tokenizer, min(max_length or encoder.max_length, encoder.max_length))
    return in_batches(encoded, encoder.model.device, mean)


def in_batches(
    encoded: Encoded, device: torch.device, forward: Callable[[dict[str, torch.Tensor]], torch.Tensor]
) -> np.ndarray:
    """What `forward` makes of each of N > 0 texts, (N, ...) float32 in the order given."""
    import torch

    batches = list(micro_batches(np.arange(len(encoded)), encoded.lengths, tokens_per_batch(device)))
    with torch.no_grad():
        parts = [forward(encoded.batch(rows, device)).float().cpu().numpy() for rows in batches]
    return np.concatenate(parts)[np.argsort(np.concatenate(batches))]
