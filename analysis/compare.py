"""Which of two runs is better, and how sure is that? Their predictions on the same examples, pair by pair."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pipeline.exceptions import RunError
from pipeline.predictions import Predictions

NUM_RESAMPLES = 2_000
NUM_TEST_RESAMPLES = 20_000     # for a p-value, which several comparisons make larger
CONFIDENCE = 0.95
TAILS = [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95% interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """What another model does with the N examples of a first one."""

    n: int
    fixed: int              # examples that the first has wrong and the other right
    broken: int             # the other way round
    p_value: float          # of as uneven a split of fixed and broken, were the two equally good
    differences: dict[str, Estimate]    # other minus first, by metric


def accuracy_estimate(num_correct: int, n: int) -> Estimate:
    """With Wilson's interval (Wilson 1927, https://doi.org/10.1080/01621459.1927.10502953)."""
    from scipy.stats import binomtest

    interval = binomtest(num_correct, n).proportion_ci(CONFIDENCE, method="wilson")
    return Estimate(num_correct / n, float(interval.low), float(interval.high))


def macro_f1_estimate(predictions: Predictions) -> Estimate:
    """With the interval of a bootstrap over the examples."""
    gold_ids, predicted_ids = predictions.gold_ids, predictions.logits.argmax(axis=1)
    return _estimate(gold_ids, [predicted_ids], len(predictions.label_names), lambda cells: cells.macro_f1(0))


def compare(first: Predictions, other: Predictions) -> Comparison:
    """Differences in accuracy and macro F1 with paired bootstrap intervals, and McNemar's exact test.

    Source: Efron and Tibshirani 1993, chapter 13 (percentile intervals).
    Raises: RunError when they are not about the same examples with the same gold labels.
    """
    gold_ids, predicted = first.gold_ids, [first.logits.argmax(axis=1), predicted_in_order(first, other)]
    right, other_right = (predicted_ids == gold_ids for predicted_ids in predicted)
    fixed, broken = int((~right & other_right).sum()), int((right & ~other_right).sum())
    num_labels = len(first.label_names)
    return Comparison(
        n=len(gold_ids),
        fixed=fixed,
        broken=broken,
        p_value=mcnemar(fixed, broken),
        differences={
            "accuracy": _estimate(gold_ids, predicted, num_labels, lambda cells: cells.accuracy(1) - cells.accuracy(0)),
            "macro_f1": _estimate(gold_ids, predicted, num_labels, lambda cells: cells.macro_f1(1) - cells.macro_f1(0)),
        },
    )


def mcnemar(fixed: int, broken: int) -> float:
    """The p-value of the exact test (McNemar 1947, https://doi.org/10.1007/BF02295996); 1 where nothing changed."""
    from scipy.stats import binomtest

    return float(binomtest(fixed, fixed + broken).pvalue) if fixed + broken else 1.0


def predicted_in_order(first: Predictions, other: Predictions) -> np.ndarray:
    """What `other` predicts, (N,), with the label ids and in the order of `first`. Raises: as `compare`."""
    order = _order_of(first, other)
    label_ids = np.array([first.label_names.index(name) for name in other.label_names])
    if (label_ids[other.gold_ids][order] != first.gold_ids).any():
        raise RunError("Gold labels were changed between the two, so they cannot be compared.")
    predicted: np.ndarray = label_ids[other.logits.argmax(axis=1)][order]
    return predicted


def mean_gain(right: np.ndarray, other_right: np.ndarray) -> tuple[Estimate, float]:
    """What accuracy averaged over S seeds gains, and how often resampled examples alone would make as large a change.

    A paired bootstrap over the N examples: of each, the share of seeds that have it right is compared. Of the two-sided
    p-value the resamples are moved to a mean of 0. It says whether the same models would differ on other examples.
    Args: right, other_right: (S, N) bool, of the first and the other; their numbers of seeds may differ.
    Source: Efron and Tibshirani 1993, chapters 13 and 16.
    """
    gains, counts = np.unique(other_right.mean(axis=0) - right.mean(axis=0), return_counts=True)
    n = int(counts.sum())
    value = float(gains @ counts / n)
    means = np.random.default_rng(0).multinomial(n, counts / n, size=NUM_TEST_RESAMPLES) @ gains / n
    low, high = np.quantile(means, TAILS)
    as_large = int((np.abs(means - value) >= abs(value) - 1e-12).sum())
    return Estimate(value, float(low), float(high)), (as_large + 1) / (NUM_TEST_RESAMPLES + 1)


def holm(p_values: np.ndarray) -> np.ndarray:
    """(M,) corrected for M tests, so that the chance of one false alarm in all is the level."""
    order = np.argsort(p_values)
    stepwise = p_values[order] * np.arange(len(p_values), 0, -1)
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(np.maximum.accumulate(stepwise), 1)
    return corrected


def changes(first: Predictions, other: Predictions) -> dict[str, np.ndarray]:
    """What became of each of the N examples of `other`, (N,) bool: fixed, broken or still wrong since `first`.

    Raises: RunError when they are not about the same examples.
    """
    order = _order_of(other, first)
    label_ids = np.array([other.label_names.index(name) for name in first.label_names])
    wrong = other.logits.argmax(axis=1) != other.gold_ids
    wrong_first = label_ids[first.logits.argmax(axis=1)][order] != other.gold_ids
    return {"fixed": wrong_first & ~wrong, "broken": ~wrong_first & wrong, "still_wrong": wrong_first & wrong}


def _order_of(first: Predictions, other: Predictions) -> np.ndarray:
    """Where the examples of `first` stand in `other`, (N,)."""
    if sorted(first.label_names) != sorted(other.label_names):
        raise RunError("The two models have other labels, so they cannot be compared.")
    row_of = {example_id: row for row, example_id in enumerate(other.example_ids)}
    rows = [row_of.get(example_id) for example_id in first.example_ids]
    order = np.array([-1 if row is None else row for row in rows])
    same = len(rows) == len(row_of) and (order >= 0).all()
    if not same or [other.texts[row] for row in order] != first.texts:
        raise RunError("Their examples are not the same (limit, split or cleaning differ): they cannot be compared.")
    return order


@dataclass(frozen=True)
class _Cells:
    """R samples of how often each combination of gold and predicted labels occurs, K combinations in all."""

    counts: np.ndarray              # (R, K)
    gold: np.ndarray                # (K, C), 1 where a combination has this gold label
    predicted: list[np.ndarray]     # a (K, C) for each model

    def accuracy(self, model: int) -> np.ndarray:
        """(R,)"""
        right = (self.gold * self.predicted[model]).sum(axis=1)
        return (self.counts @ right) / self.counts.sum(axis=1)

    def macro_f1(self, model: int) -> np.ndarray:
        """(R,), a label that is neither there nor predicted at all having F1 0, as in scikit-learn.

        A rare label that a sample happens to miss is left out of that sample's mean: it would count as a failure.
        """
        both = self.counts @ (self.gold * self.predicted[model])
        either = self.counts @ self.gold + self.counts @ self.predicted[model]
        num_known = int((self.gold + self.predicted[model]).any(axis=0).sum())
        means = (2 * both / np.maximum(either, 1)).sum(axis=1) / np.maximum((either > 0).sum(axis=1), 1)
        return means * num_known / self.gold.shape[1]


def _estimate(
    gold_ids: np.ndarray, predicted: list[np.ndarray], num_labels: int, figure: Callable[[_Cells], np.ndarray]
) -> Estimate:
    """The figure, and the percentiles of a bootstrap: resampled are the counts of equal combinations, not examples."""
    combinations, counts = np.unique(np.stack([gold_ids, *predicted], axis=1), axis=0, return_counts=True)
    gold, *by_model = (np.eye(num_labels)[combinations[:, column]] for column in range(combinations.shape[1]))
    n = int(counts.sum())
    samples = np.random.default_rng(0).multinomial(n, counts / n, size=NUM_RESAMPLES)
    low, high = np.quantile(figure(_Cells(samples.astype(float), gold, by_model)), TAILS)
    value = figure(_Cells(counts[None].astype(float), gold, by_model))[0]
    return Estimate(float(value), float(low), float(high))
