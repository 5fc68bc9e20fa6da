"""How good are predictions? Accuracy, F1, per label, calibration: one dict with the same names everywhere."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

ECE_BINS = 15


def softmax(logits: np.ndarray) -> np.ndarray:
    """(N, C) logits to probabilities, in float64 so that rows sum to 1."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    exponentials = np.exp(shifted)
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def example_losses(logits: np.ndarray, gold_ids: np.ndarray) -> np.ndarray:
    """Cross-entropy of each example in nats, (N,)."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(gold_ids)), gold_ids]


def expected_calibration_error(probs: np.ndarray, gold_ids: np.ndarray) -> float:
    """Mean gap between confidence and accuracy over 15 equal-width bins, weighted by their size.

    Source: Guo et al. 2017, https://arxiv.org/abs/1706.04599, section 2.
    """
    confidence = probs.max(axis=1)
    correct = probs.argmax(axis=1) == gold_ids
    bins = np.clip(np.ceil(confidence * ECE_BINS).astype(int) - 1, 0, ECE_BINS - 1)
    gap = np.bincount(bins, weights=correct - confidence, minlength=ECE_BINS)
    return float(np.abs(gap).sum() / len(gold_ids))


def compute_metrics(logits: np.ndarray, gold_ids: np.ndarray, label_names: list[str]) -> dict[str, Any]:
    """All metrics of design.md for N examples and C labels, as plain numbers.

    `precision` and `recall` are of the positive class (label id 1) for two labels, else macro averages; `f1` is there
    for two labels only. A label that was never predicted has precision 0.
    """
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    ids = np.arange(len(label_names))
    predicted_ids = logits.argmax(axis=1)
    probs = softmax(logits)
    precision, recall, f1, support = precision_recall_fscore_support(
        gold_ids, predicted_ids, labels=ids, zero_division=0
    )
    binary = len(label_names) == 2
    metrics = {
        "loss": float(example_losses(logits, gold_ids).mean()),
        "accuracy": float((predicted_ids == gold_ids).mean()),
        "macro_f1": float(f1.mean()),
        "weighted_f1": float(np.average(f1, weights=support)),
        "precision": float(precision[1] if binary else precision.mean()),
        "recall": float(recall[1] if binary else recall.mean()),
        "ece": expected_calibration_error(probs, gold_ids),
        "per_label": {
            name: {"precision": float(p), "recall": float(r), "f1": float(f), "support": int(s)}
            for name, p, r, f, s in zip(label_names, precision, recall, f1, support, strict=True)
        },
        # rows gold, columns predicted
        "confusion_matrix": confusion_matrix(gold_ids, predicted_ids, labels=ids).tolist(),
    }
    return metrics | ({"f1": float(f1[1])} if binary else {})


def is_better(metric: str, value: float, best: float | None) -> bool:
    """Is `value` of this metric strictly better? Loss falls, everything else rises; NaN is never better."""
    if math.isnan(value):
        return False
    return best is None or (value < best if metric == "loss" else value > best)
