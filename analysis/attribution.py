"""Which words made the model say so? One score per word for a label, by any of four methods."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from analysis.text_spans import TextPieces, text_pieces
from pipeline.exceptions import ModelError
from pipeline.jobs import is_taken
from pipeline.predictor import Predictor

if TYPE_CHECKING:
    import torch

SMALLEST_WHOLE = 0.1        # nats; a share of next to nothing would tell nothing
REST = 5                    # times as long as an explanation took
NICENESS = 10               # of 19: predictions of the same app, and runs of the same session, go first
KEPT = 2000                 # explanations of a model

METHODS = ("integrated_gradients", "gradient_x_input", "occlusion", "kernel_shap")      # as they are offered
DEFAULT_METHOD = METHODS[0]


@dataclass(frozen=True)
class Question:
    """What speaks for a label of this text: against one other, or against all the others together."""

    predictor: Predictor
    pieces: TextPieces
    label_id: int
    against_id: int | None = None

    def input_ids(self) -> torch.Tensor:
        """(1, T)"""
        import torch

        return torch.tensor([self.pieces.input_ids], device=self.predictor.model.device)

    def log_odds(self, logits: torch.Tensor) -> torch.Tensor:
        """Log p / (1 - p) of the label, or log p / q against a label of probability q: (B, C) to (B,), in nats."""
        import torch

        others = [other for other in range(logits.shape[1]) if other != self.label_id]
        against = logits[:, others if self.against_id is None else [self.against_id]]
        return logits[:, self.label_id] - torch.logsumexp(against, dim=1)

    def by_word(self, by_piece: np.ndarray) -> np.ndarray:
        """(T,) to (N,): a word has what its pieces have together."""
        return np.array([by_piece[list(word.pieces)].sum() for word in self.pieces.words])

    def answer(
        self, method: str, scores: np.ndarray, log_odds: float, baseline: float | None, num_points: int
    ) -> Attribution:
        """What a method found, with the names of the labels."""
        names = self.predictor.label_names
        against = None if self.against_id is None else names[self.against_id]
        return Attribution(
            method, names[self.label_id], against, self.pieces, scores, log_odds, baseline, num_points
        )

@dataclass(frozen=True)
class Attribution:
    """What each of N words adds to the log-odds of a label, in nats: positive is evidence for it."""

    method: str
    label: str
    against: str | None         # None: all other labels
    pieces: TextPieces
    scores: np.ndarray          # (N,)
    log_odds: float             # of the label for this text
    baseline_log_odds: float | None     # for the text with nothing in the place of its words, where scores add up to it
    num_points: int             # how often the model was asked

    @property
    def delta(self) -> float | None:
        """How far the scores miss the difference that they should add up to, as a share of it; None: they need not."""
        if self.baseline_log_odds is None:
            return None
        whole = self.log_odds - self.baseline_log_odds
        return abs(float(self.scores.sum()) - whole) / max(abs(whole), SMALLEST_WHOLE)

    @property
    def words(self) -> list[str]:
        return [word for _, word in self.pieces.split()[0]]


def attribute(
    predictor: Predictor,
    text: str,
    label: str | None = None,
    against: str | None = None,
    method: str = DEFAULT_METHOD,
) -> Attribution:
    """The scores of a label's words, of the predicted label unless another is named; kept for the next who asks.

    Raises: ModelError for a label or method that is not known.
    """
    kept = _kept.setdefault(predictor, {})
    key = (text, label, against, method)
    if key not in kept:
        if len(kept) >= KEPT:
            kept.pop(next(iter(kept)), None)        # the oldest
        kept[key] = _behind_others(predictor, *key)
    return kept[key]


def _method(name: str) -> Callable[[Question], Attribution]:
    from analysis.captum_methods import gradient_x_input, kernel_shap, occlusion
    from analysis.integrated_gradients import integrated_gradients

    if name not in METHODS:
        raise ModelError(f"There is no method '{name[:80]}' of attribution. There are: {', '.join(METHODS)}.")
    return dict(zip(METHODS, (integrated_gradients, gradient_x_input, occlusion, kernel_shap), strict=True))[name]


def rank_agreement(one: Attribution, other: Attribution) -> float:
    """Spearman's rank correlation of two methods' scores of the same words: 1 the same order, 0 none, -1 reversed.

    NaN where there is nothing to order.
    """
    from scipy.stats import spearmanr

    if len(one.scores) < 2 or np.ptp(one.scores) == 0 or np.ptp(other.scores) == 0:
        return float("nan")
    return float(spearmanr(one.scores, other.scores).statistic)


def _attribute(predictor: Predictor, text: str, label: str | None, against: str | None, method: str) -> Attribution:
    compute = _method(method)
    [text] = predictor.cleaned([text])
    pieces = text_pieces(text, predictor.tokenizer, predictor.max_length)
    label_id = _label_id(predictor, label or predictor.predict([text])[0].label)
    against_id = None if against is None else _label_id(predictor, against)
    if against_id == label_id:
        raise ModelError(f"'{against}' cannot be explained against itself. Choose two labels that differ.")
    return compute(Question(predictor, pieces, label_id, against_id))


def _label_id(predictor: Predictor, label: str) -> int:
    if label not in predictor.label_names:
        known = ", ".join(predictor.label_names)
        raise ModelError(f"The model does not know the label '{label[:80]}'. It knows: {known}.")
    return predictor.label_names.index(label)


_kept: WeakKeyDictionary[Predictor, dict[tuple, Attribution]] = WeakKeyDictionary()


# A CPU explains one text at a time, and lets others go first.

def _step_back() -> None:
    if sys.platform == "linux":     # where a thread has a priority of its own
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


_BEHIND_OTHERS = ThreadPoolExecutor(1, "explaining", _step_back)
_rests_until = 0.0      # of time.monotonic()


def _behind_others(
    predictor: Predictor, text: str, label: str | None, against: str | None, method: str
) -> Attribution:
    if predictor.model.device.type == "cpu":
        return _BEHIND_OTHERS.submit(_with_rests, predictor, text, label, against, method).result()
    return _attribute(predictor, text, label, against, method)


def _with_rests(*question: object) -> Attribution:
    """Explain; where a run trains on the same cores only after a rest, since no priority keeps the two apart."""
    global _rests_until
    if is_taken("cpu"):
        time.sleep(max(0.0, _rests_until - time.monotonic()))
    began = time.monotonic()
    try:
        return _attribute(*question)        # type: ignore[arg-type]
    finally:
        ended = time.monotonic()
        _rests_until = ended + REST * (ended - began)
