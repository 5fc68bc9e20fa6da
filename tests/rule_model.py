"""A model whose reasons are known: what it says of a text is decided by a function, so that a "why?" has one answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from pipeline.metrics import softmax
from pipeline.predictor import Prediction, Predictor


class RuleModel(Predictor):
    """Stands where a Predictor does; `positive` tells the probability of "positive"."""

    def __init__(self, positive: Callable[[str], float]) -> None:
        self.label_names = ["negative", "positive"]
        self.positive = positive

    def cleaned(self, texts: Iterable[str]) -> list[str]:
        return list(texts)

    def logits(self, texts: list[str], max_length: int | None = None) -> tuple[np.ndarray, None]:    # type: ignore
        positive = np.array([self.positive(text) for text in texts])
        return np.log(np.stack([1 - positive, positive], axis=1)), None

    def predict(self, texts: Iterable[str], max_length: int | None = None) -> list[Prediction]:
        texts = list(texts)
        probs = softmax(self.logits(texts)[0])
        return [
            Prediction(text, self.label_names[int(row.argmax())], int(row.argmax()),
                       dict(zip(self.label_names, row.tolist(), strict=True)), False, len(text.split()))
            for text, row in zip(texts, probs, strict=True)
        ]
