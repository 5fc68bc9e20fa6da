"""How good predictions are: tables that can be checked in the head, and sklearn for the rest."""

from __future__ import annotations

import json
import math
import warnings
from typing import Any

import numpy as np
import pytest

from pipeline.metrics import compute_metrics, example_losses, expected_calibration_error, is_better, softmax

NAN = float("nan")


def logits_of(predicted: list[int], num_labels: int = 2) -> np.ndarray:
    """Logits of a model that is sure of these labels: 10 for the predicted one, 0 for the others."""
    return np.eye(num_labels, dtype=np.float32)[predicted] * 10


def metrics_of(gold: list[int], predicted: list[int], label_names: str = "ab") -> dict[str, Any]:
    return compute_metrics(logits_of(predicted, len(label_names)), np.array(gold), list(label_names))


@pytest.mark.parametrize("gold, predicted, expected", [
    ([0, 0, 1, 1], [0, 0, 1, 1], 1.0),      # all right
    ([0, 0, 1, 1], [1, 1, 0, 0], 0.0),      # all wrong
    ([0, 0, 1, 1], [0, 0, 0, 0], 0.5),
    ([0, 0, 0, 1], [0, 0, 0, 0], 0.75),     # never saying 1 pays where 1 is rare
])
def test_accuracy_is_the_share_of_right_predictions(gold: list[int], predicted: list[int], expected: float) -> None:
    assert metrics_of(gold, predicted)["accuracy"] == pytest.approx(expected)


@pytest.mark.parametrize("gold, predicted, expected", [
    ([0, 0, 1, 1], [0, 0, 1, 1], 1.0),
    ([0, 0, 1, 1], [0, 0, 0, 0], 1 / 3),    # label 1 never predicted: F1 of 2/3 and 0
    ([0, 0, 0, 1], [0, 0, 0, 0], 3 / 7),    # 6/7 and 0: label 1 counts as much as label 0
])
def test_macro_f1_gives_each_label_the_same_weight(gold: list[int], predicted: list[int], expected: float) -> None:
    assert metrics_of(gold, predicted)["macro_f1"] == pytest.approx(expected)


@pytest.mark.parametrize("gold, predicted, expected", [
    ([0, 0, 1, 1], [0, 0, 0, 0], 1 / 3),
    ([0, 0, 0, 1], [0, 0, 0, 0], 9 / 14),   # 6/7 three times, 0 once
])
def test_weighted_f1_gives_each_example_the_same_weight(
    gold: list[int], predicted: list[int], expected: float
) -> None:
    assert metrics_of(gold, predicted)["weighted_f1"] == pytest.approx(expected)


def test_with_two_labels_precision_recall_and_f1_are_of_the_positive_class() -> None:
    metrics = metrics_of([0, 0, 0, 1, 1], [0, 0, 1, 1, 1])      # 1 is said three times, and right twice
    assert metrics["precision"] == pytest.approx(2 / 3)
    assert metrics["recall"] == 1.0
    assert metrics["f1"] == pytest.approx(4 / 5)


def test_with_three_labels_there_is_no_f1_and_precision_and_recall_are_macro_averages() -> None:
    metrics = metrics_of([0, 0, 1, 2], [0, 1, 1, 2], "abc")
    assert "f1" not in metrics
    assert metrics["precision"] == pytest.approx((1 + 1 / 2 + 1) / 3)
    assert metrics["recall"] == pytest.approx((1 / 2 + 1 + 1) / 3)


def test_each_label_has_its_own_figures_under_its_own_name() -> None:
    metrics = compute_metrics(logits_of([0, 1, 1]), np.array([0, 0, 1]), ["negative", "positive"])
    assert metrics["per_label"] == {
        "negative": {"precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3), "support": 2},
        "positive": {"precision": 0.5, "recall": 1.0, "f1": pytest.approx(2 / 3), "support": 1},
    }


def test_the_confusion_matrix_has_gold_labels_as_rows_and_predicted_ones_as_columns() -> None:
    assert metrics_of([0, 0, 0, 1], [0, 1, 1, 1])["confusion_matrix"] == [[1, 2], [0, 1]]


def test_a_label_that_is_never_predicted_or_never_gold_scores_0_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        metrics = metrics_of([0, 0, 1], [0, 0, 0], "abc")
    assert metrics["per_label"]["b"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1}
    assert metrics["per_label"]["c"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0}
    assert metrics["confusion_matrix"] == [[2, 0, 0], [1, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize("logits, gold, expected", [
    ([[0, 0]], [0], math.log(2)),                               # no idea among two
    ([[0, 0, 0, 0]], [3], math.log(4)),                         # no idea among four
    ([[math.log(3), 0]], [0], math.log(4 / 3)),                 # 3/4 for the gold label
    ([[math.log(3), 0], [0, 0]], [0, 1], math.log(8 / 3) / 2),  # the mean per example
    ([[1000, 0]], [1], 1000.0),                                 # no overflow
    ([[-1000, -1000]], [0], math.log(2)),
])
def test_loss_is_the_mean_cross_entropy_in_nats(logits: list, gold: list[int], expected: float) -> None:
    losses = example_losses(np.array(logits, np.float32), np.array(gold))
    assert losses.mean() == pytest.approx(expected, rel=1e-6)
    names = [str(label) for label in range(len(logits[0]))]
    assert compute_metrics(np.array(logits, np.float32), np.array(gold), names)["loss"] == pytest.approx(expected)


@pytest.mark.parametrize("logits, expected", [
    ([[0, 0]], [[0.5, 0.5]]),
    ([[math.log(3), 0]], [[0.75, 0.25]]),
    ([[1000, 1000, -1000]], [[0.5, 0.5, 0]]),
])
def test_softmax_turns_logits_to_probabilities(logits: list, expected: list) -> None:
    assert softmax(np.array(logits, np.float32)) == pytest.approx(np.array(expected), abs=1e-7)


def test_probabilities_of_a_row_sum_to_1() -> None:
    probs = softmax(np.random.default_rng(0).normal(scale=10, size=(1000, 100)).astype(np.float32))
    assert probs.sum(axis=1) == pytest.approx(np.ones(1000), abs=1e-12)


@pytest.mark.parametrize("confidence, right, expected", [
    ([1.0, 1.0], [1, 1], 0.0),                      # sure and right
    ([1.0, 1.0], [0, 0], 1.0),                      # sure and wrong
    ([0.95, 0.95], [1, 0], 0.45),                   # says 0.95, is right half the time
    ([0.75, 0.75, 0.75, 0.75], [1, 1, 1, 0], 0.0),  # right as often as it says
    ([0.95, 0.65], [1, 1], 0.2),                    # two bins: gaps of 0.05 and 0.35, half the weight each
    ([0.61, 0.65], [0, 1], 0.13),                   # one bin of fifteen (0.6 to 0.667): |1 - 1.26| / 2
    ([0.61, 0.69], [0, 1], 0.46),                   # two bins: (|0 - 0.61| + |1 - 0.69|) / 2
])
def test_ece_is_the_gap_between_confidence_and_accuracy(
    confidence: list[float], right: list[int], expected: float
) -> None:
    probs = np.array([[sure, 1 - sure] for sure in confidence])
    gold_ids = 1 - np.array(right)                  # label 0 is predicted throughout
    assert expected_calibration_error(probs, gold_ids) == pytest.approx(expected)


def test_all_figures_of_three_random_labels_are_those_of_sklearn() -> None:
    from sklearn import metrics as sklearn_metrics

    random = np.random.default_rng(0)
    logits, gold_ids = random.normal(size=(500, 3)).astype(np.float32), random.integers(0, 3, 500)
    predicted_ids = logits.argmax(axis=1)
    metrics = compute_metrics(logits, gold_ids, ["a", "b", "c"])
    f1_score = sklearn_metrics.f1_score
    assert metrics["accuracy"] == pytest.approx(sklearn_metrics.accuracy_score(gold_ids, predicted_ids))
    assert metrics["macro_f1"] == pytest.approx(f1_score(gold_ids, predicted_ids, average="macro"))
    assert metrics["weighted_f1"] == pytest.approx(f1_score(gold_ids, predicted_ids, average="weighted"))
    assert metrics["loss"] == pytest.approx(sklearn_metrics.log_loss(gold_ids, softmax(logits)))
    report = sklearn_metrics.classification_report(
        gold_ids, predicted_ids, target_names=["a", "b", "c"], output_dict=True
    )
    for name, figures in metrics["per_label"].items():
        expected = {"f1" if key == "f1-score" else key: value for key, value in report[name].items()}
        assert figures == pytest.approx(expected)
    assert metrics["precision"] == pytest.approx(report["macro avg"]["precision"])
    assert metrics["recall"] == pytest.approx(report["macro avg"]["recall"])
    assert metrics["confusion_matrix"] == sklearn_metrics.confusion_matrix(gold_ids, predicted_ids).tolist()


def test_metrics_are_plain_numbers_under_the_names_of_the_design() -> None:
    metrics = metrics_of([0, 1], [0, 1])
    assert set(metrics) == {
        "loss", "accuracy", "macro_f1", "weighted_f1", "f1", "precision", "recall", "ece", "per_label",
        "confusion_matrix",
    }
    assert json.loads(json.dumps(metrics)) == metrics


@pytest.mark.parametrize("metric, value, best, expected", [
    ("macro_f1", 0.8, None, True),          # anything beats nothing
    ("macro_f1", 0.8, 0.7, True),
    ("macro_f1", 0.7, 0.8, False),
    ("macro_f1", 0.8, 0.8, False),          # as good is not better
    ("macro_f1", 0.0, None, True),
    ("loss", 0.3, 0.4, True),               # loss falls
    ("loss", 0.4, 0.3, False),
    ("loss", 0.0, 0.1, True),
    ("loss", 0.3, 0.3, False),
    ("loss", NAN, None, False),             # NaN is never better
    ("loss", NAN, 0.3, False),
    ("macro_f1", NAN, None, False),
    ("macro_f1", NAN, 0.1, False),
])
def test_better_means_lower_for_loss_and_higher_for_all_else(
    metric: str, value: float, best: float | None, expected: bool
) -> None:
    assert is_better(metric, value, best) is expected
