"""Two models on the same examples: figures as scikit-learn has them, intervals that cover, a test that is McNemar's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest, norm
from sklearn.metrics import f1_score

from analysis.compare import accuracy_estimate, compare, holm, macro_f1_estimate, mean_gain
from pipeline.exceptions import RunError
from pipeline.predictions import Predictions


def predictions(gold_ids: np.ndarray, predicted_ids: np.ndarray, label_names: list[str] | None = None) -> Predictions:
    names = label_names or ["negative", "positive"]
    return Predictions(
        example_ids=[f"test:{row}" for row in range(len(gold_ids))],
        texts=[f"text {row}" for row in range(len(gold_ids))],
        label_names=names,
        gold_ids=gold_ids,
        logits=np.eye(len(names), dtype=np.float32)[predicted_ids],
    )


def noisy(gold_ids: np.ndarray, share_wrong: float, seed: int, num_labels: int = 2) -> np.ndarray:
    random = np.random.default_rng(seed)
    wrong = random.random(len(gold_ids)) < share_wrong
    return np.where(wrong, (gold_ids + random.integers(1, num_labels, len(gold_ids))) % num_labels, gold_ids)


GOLD = np.random.default_rng(7).integers(0, 2, 800)
FIRST, OTHER = predictions(GOLD, noisy(GOLD, 0.2, 1)), predictions(GOLD, noisy(GOLD, 0.1, 2))


def test_fixed_and_broken_are_counted_and_tested_as_mcnemar_does() -> None:
    comparison = compare(FIRST, OTHER)
    right, other_right = (model.logits.argmax(axis=1) == GOLD for model in (FIRST, OTHER))
    assert (comparison.fixed, comparison.broken) == ((~right & other_right).sum(), (right & ~other_right).sum())
    assert comparison.p_value == binomtest(comparison.fixed, comparison.fixed + comparison.broken, 0.5).pvalue < 0.001
    assert comparison.n == 800


def test_the_differences_are_those_of_the_metrics_and_change_sign_with_the_order() -> None:
    forth, back = compare(FIRST, OTHER).differences, compare(OTHER, FIRST).differences
    expected = {
        "accuracy": np.mean(OTHER.logits.argmax(1) == GOLD) - np.mean(FIRST.logits.argmax(1) == GOLD),
        "macro_f1": f1_score(GOLD, OTHER.logits.argmax(1), average="macro")
        - f1_score(GOLD, FIRST.logits.argmax(1), average="macro"),
    }
    for metric, value in expected.items():
        assert forth[metric].value == pytest.approx(value)
        assert back[metric].value == pytest.approx(-value)
        assert forth[metric].low < forth[metric].value < forth[metric].high
        assert forth[metric].low > 0        # 10 points on 800 examples are no chance


def test_a_model_does_not_differ_from_itself() -> None:
    comparison = compare(FIRST, FIRST)
    assert (comparison.fixed, comparison.broken, comparison.p_value) == (0, 0, 1.0)
    assert comparison.differences["accuracy"] == comparison.differences["macro_f1"] == type(
        comparison.differences["accuracy"]
    )(0.0, 0.0, 0.0)


def test_the_interval_of_the_difference_covers_the_truth_about_19_times_in_20() -> None:
    covered = 0
    for seed in range(100):
        gold_ids = np.random.default_rng(seed).integers(0, 2, 300)
        pair = [predictions(gold_ids, noisy(gold_ids, share, 1000 * k + seed)) for k, share in ((1, 0.2), (2, 0.15))]
        estimate = compare(*pair).differences["accuracy"]
        covered += estimate.low <= 0.05 <= estimate.high
    assert 88 <= covered <= 100


def test_the_order_of_examples_and_labels_does_not_matter() -> None:
    order = np.random.default_rng(3).permutation(len(GOLD))
    shuffled = Predictions(
        example_ids=[OTHER.example_ids[row] for row in order],
        texts=[OTHER.texts[row] for row in order],
        label_names=["positive", "negative"],
        gold_ids=1 - OTHER.gold_ids[order],
        logits=OTHER.logits[order][:, ::-1],
    )
    assert compare(FIRST, shuffled) == compare(FIRST, OTHER)


def test_other_examples_texts_or_labels_are_refused() -> None:
    fewer = predictions(GOLD[:-1], GOLD[:-1])
    for other in (fewer, replace(OTHER, texts=["x", *OTHER.texts[1:]])):
        for pair in ((FIRST, other), (other, FIRST)):
            with pytest.raises(RunError, match="Their examples are not the same"):
                compare(*pair)
    with pytest.raises(RunError, match="have other labels"):
        compare(FIRST, predictions(GOLD, GOLD, ["a", "b"]))


def test_macro_f1_of_many_labels_is_scikit_learns_within_its_interval() -> None:
    gold_ids = np.random.default_rng(0).integers(0, 20, 500)
    predicted_ids = noisy(gold_ids, 0.3, 5, num_labels=21)
    model = predictions(gold_ids, predicted_ids, [str(label) for label in range(21)])
    estimate = macro_f1_estimate(model)
    expected = f1_score(gold_ids, predicted_ids, labels=range(21), average="macro", zero_division=0)
    assert estimate.value == pytest.approx(expected)
    assert estimate.low < expected < estimate.high


def test_rare_labels_that_a_sample_misses_do_not_pull_the_interval_down() -> None:
    gold_ids = np.arange(77)
    estimate = macro_f1_estimate(predictions(gold_ids, gold_ids, [str(label) for label in range(77)]))
    assert (estimate.value, estimate.low, estimate.high) == (1.0, 1.0, 1.0)


def test_corrected_gold_labels_are_refused() -> None:
    corrected = replace(OTHER, gold_ids=np.where(np.arange(800) < 5, 1 - OTHER.gold_ids, OTHER.gold_ids))
    with pytest.raises(RunError, match="Gold labels were changed"):
        compare(FIRST, corrected)


def test_wilsons_interval_is_that_of_its_formula() -> None:
    estimate = accuracy_estimate(9, 10)
    z, p, n = 1.959964, 0.9, 10
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    found = (estimate.value, estimate.low, estimate.high)
    assert found == pytest.approx((0.9, middle - half, middle + half), abs=1e-6)


def test_holms_correction_is_that_of_its_steps() -> None:
    assert holm(np.array([0.01, 0.04, 0.03, 0.6])) == pytest.approx([0.04, 0.09, 0.09, 0.6])
    assert holm(np.array([0.5, 0.6])).tolist() == [1, 1]
    assert holm(np.array([])).tolist() == []


def test_the_gain_over_seeds_is_that_of_the_mean_accuracies() -> None:
    right, other = np.array([[1, 1, 0, 0], [1, 0, 0, 0]], bool), np.array([[1, 1, 1, 0], [1, 1, 1, 1]], bool)
    gain, p_value = mean_gain(right, other)
    assert gain.value == pytest.approx((3 + 4) / 8 - (2 + 1) / 8)
    assert gain.low <= gain.value <= gain.high and 0 < p_value <= 1


def test_of_one_seed_the_bootstrap_agrees_with_the_paired_z_test() -> None:
    second = predictions(GOLD, noisy(GOLD, 0.17, 4))
    right, other = (model.logits.argmax(axis=1)[None] == GOLD for model in (FIRST, second))
    differences = other[0].astype(int) - right[0]
    z = differences.mean() / (differences.std() / np.sqrt(800))
    assert mean_gain(right, other)[1] == pytest.approx(2 * norm.sf(abs(z)), abs=0.02)


def test_where_two_models_are_equally_good_one_test_in_twenty_says_otherwise() -> None:
    alarms = 0
    for seed in range(200):
        random = np.random.default_rng(seed)
        alarms += mean_gain(random.random((3, 400)) < 0.9, random.random((3, 400)) < 0.9)[1] < 0.05
    assert 3 <= alarms <= 18


def test_two_models_that_are_right_alike_gain_nothing() -> None:
    right = np.array([[True, False, True]])
    gain, p_value = mean_gain(right, right)
    assert (gain.value, gain.low, gain.high, p_value) == (0, 0, 0, 1)
