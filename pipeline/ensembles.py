"""How do several models answer as one? The mean of their probabilities, each reading the text in its own way."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.config_parts import CleanConfig
from pipeline.encoding import Encoded
from pipeline.exceptions import ModelError
from pipeline.metrics import softmax
from pipeline.predictor import Predictor


class EnsemblePredictor(Predictor):
    """Predictors of the same labels that answer together; loaded by `Predictor.load` like any other.

    Raises: ModelError when the members know other labels, or the same in another order.
    Source: Lakshminarayanan et al. 2017, https://arxiv.org/abs/1612.01474, section 2.4.
    """

    def __init__(self, members: Sequence[Predictor], cleaning: CleanConfig, temperature: float) -> None:
        check_same_labels([member.label_names for member in members])
        shortest = min(member.max_length for member in members)
        super().__init__(joint_model(members), members[0].tokenizer, shortest, cleaning, temperature)
        self.members = members

    def logits(self, texts: pa.ChunkedArray | list[str], max_length: int | None = None) -> tuple[np.ndarray, Encoded]:
        """The log of the mean probabilities, (N, C) float32, and the pieces that the first member read."""
        answers = [member.logits(texts, max_length) for member in self.members]
        mean = np.mean([softmax(logits) for logits, _ in answers], axis=0)
        return (np.log(mean) / self.temperature).astype(np.float32), answers[0][1]


def check_same_labels(label_names: Sequence[list[str]]) -> None:
    """Raises: ModelError."""
    for names in label_names:
        if names != label_names[0]:
            raise ModelError(
                "Models are put together only where they know the same labels in the same order; found: "
                f"{', '.join(label_names[0])} beside {', '.join(names)}. Leave one of them out."
            )


def joint_model(members: Sequence[Predictor]) -> Any:
    """The members as one model of the same pieces, for what needs gradients: its softmax is that of the ensemble.

    An embedding is those of all members end to end, (B, T, H1 + H2 + ...). It raises ModelError when it is asked while
    its members cut texts into other pieces.
    """
    import torch

    alike = all(_reads_like(members[0], member) for member in members)

    class Joint(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.models = torch.nn.ModuleList(member.model for member in members)
            self.config, self.device = members[0].model.config, members[0].model.device

        @property
        def base_model(self) -> Any:
            return members[0].model.base_model

        def tables(self) -> list[Any]:
            if not alike:
                raise ModelError(
                    "The models of this ensemble cut a text into pieces in different ways, so its words cannot be "
                    "weighed for all of them together. Look at one of its members instead."
                )
            return [member.model.get_input_embeddings() for member in members]

        def get_input_embeddings(self) -> Any:
            tables = self.tables()
            return lambda ids: torch.cat([table(ids) for table in tables], dim=-1)

        def forward(self, input_ids: Any = None, attention_mask: Any = None, inputs_embeds: Any = None) -> Any:
            tables = self.tables()
            parts: Any = [None] * len(tables)
            if inputs_embeds is not None:
                parts = inputs_embeds.split([table.embedding_dim for table in tables], dim=-1)
            logits = [
                model(input_ids=input_ids, attention_mask=attention_mask, inputs_embeds=part).logits.float()
                for model, part in zip(self.models, parts, strict=True)
            ]
            return SimpleNamespace(logits=torch.stack(logits).log_softmax(-1).logsumexp(0))    # (K, B, C) to (B, C)

    return Joint().eval()


def _reads_like(one: Predictor, other: Predictor) -> bool:
    return one.max_length == other.max_length and one.tokenizer.get_vocab() == other.tokenizer.get_vocab()
