"""What does a model learn from texts with labels? To tell the label."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.config_parts import LossConfig
from pipeline.encoding import Encoded, encode
from pipeline.metrics import compute_metrics
from pipeline.models import label_names_of
from pipeline.objectives import Objective, make_objective
from pipeline.predictor import predict_logits

if TYPE_CHECKING:
    import pyarrow as pa
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class Labelled:
    """Tokenised texts with their gold labels."""

    encoded: Encoded  # N texts
    gold_ids: np.ndarray  # (N,) int64

    @classmethod
    def of(cls, examples: pa.Table, tokenizer: PreTrainedTokenizerBase, max_length: int) -> Labelled:
        """Tokenise a split."""
        return cls(encode(examples["text"], tokenizer, max_length), examples["label_id"].to_numpy())

    @property
    def num_targets(self) -> int:
        return len(self.gold_ids)

    def objective(self, config: LossConfig, label_names: list[str]) -> Objective:
        """What is made small on these. Raises: ConfigError."""
        return make_objective(config, label_names, self.gold_ids)

    def of_step(self, rows: np.ndarray, step: int) -> Labelled:
        """These rows, the same at every step."""
        return self.take(rows)

    def take(self, rows: np.ndarray) -> Labelled:
        return Labelled(self.encoded.take(rows), self.gold_ids[rows])

    def batch(self, rows: np.ndarray, device: torch.device) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """Inputs (B, T) and gold ids (B,)."""
        import torch

        return self.encoded.batch(rows, device), torch.from_numpy(self.gold_ids[rows]).to(device)

    def logits(self, model: PreTrainedModel, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """(B, C)."""
        logits: torch.Tensor = model(**inputs).logits
        return logits

    def evaluate(self, model: PreTrainedModel) -> tuple[dict[str, Any], np.ndarray]:
        """Metrics, and logits (N, C); the loss alone, NaN, where a logit is no number. The model is in eval mode."""
        logits = predict_logits(model, self.encoded)
        if not np.isfinite(logits).all():
            return {"loss": math.nan}, logits
        return compute_metrics(logits, self.gold_ids, label_names_of(model.config)), logits
