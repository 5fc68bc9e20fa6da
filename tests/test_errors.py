"""The list of errors: which examples are chosen, in which order, and whether the model knew."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from analysis.errors import Filter, lines, reliability, rows_of
from analysis.examples import Examples, examples_of
from analysis.rules import RuleError
from pipeline.metrics import expected_calibration_error, softmax
from pipeline.predictions import Predictions

TEXTS = ["a dull film", "a film that is not dull", "great fun", "no fun", "nothing but fun , fun , fun", "Fun ."]
GOLD = np.array([0, 1, 1, 0, 1, 1])
PREDICTED = [0, 0, 1, 1, 0, 1]      # wrong: 1, 3 and 4
PROBABILITY = [0.9, 0.8, 0.7, 0.95, 0.6, 0.99]


def made(gold_ids: np.ndarray, predicted_ids: Any, probability: Any, texts: list[str]) -> Examples:
    probs = np.empty((len(texts), 2))
    rows = np.arange(len(texts))
    predicted_ids, probability = np.array(predicted_ids, int), np.array(probability)
    probs[rows, predicted_ids], probs[rows, 1 - predicted_ids] = probability, 1 - probability
    probs = np.maximum(probs, 1e-20)        # a logit of minus infinity is none
    ids = [f"test:{row}" for row in rows]
    return examples_of(Predictions(ids, texts, ["negative", "positive"], gold_ids, np.log(probs).astype(np.float32)))


EXAMPLES = made(GOLD, PREDICTED, PROBABILITY, TEXTS)


@pytest.mark.parametrize("wanted, rows", [
    (Filter(), [3, 1, 4]),                                                  # errors, highest loss first
    (Filter(which="correct"), [2, 0, 5]),
    (Filter(which="all", sort="row"), [0, 1, 2, 3, 4, 5]),
    (Filter(which="all", sort="words"), [2, 3, 5, 0, 1, 4]),                # equal ones in the order of the file
    (Filter(which="all", sort="probability"), [5, 3, 0, 1, 2, 4]),
    (Filter(rule="gold:positive"), [1, 4]),
    (Filter(which="all", rule="predicted:positive"), [3, 2, 5]),
    (Filter(which="all", search="FUN ."), [5]),
    (Filter(which="all", search="^no", is_regex=True), [3, 4]),
    (Filter(rule="contrast"), [4]),
    (Filter(rule="gold:positive & regex:great|film"), [1]),
    (Filter(rule="confidence>=0.8"), [3, 1]),
    (Filter(rule="confidence>=0.7 & confidence<=0.9"), [1]),
    (Filter(rule="words>=3 & words<=6"), [1]),
    (Filter(search="never said"), []),
])  # fmt: skip
def test_examples_are_chosen_and_in_order(wanted: Filter, rows: list[int]) -> None:
    phenomena = {"contrast": np.array([False, False, False, False, True, False])}
    assert rows_of(EXAMPLES, wanted, phenomena).tolist() == rows


def test_what_a_link_asks_and_the_run_does_not_know_is_one_sentence() -> None:
    with pytest.raises(RuleError, match="No label is called 'sport'; there are: negative, positive."):
        rows_of(EXAMPLES, Filter(rule="gold:sport"))
    with pytest.raises(RuleError, match="'\\[' cannot be searched for: Invalid regular expression: missing"):
        rows_of(EXAMPLES, Filter(search="[", is_regex=True))


def test_a_run_without_examples_has_no_errors() -> None:
    empty = made(GOLD[:0], PREDICTED[:0], PROBABILITY[:0], [])
    assert rows_of(empty, Filter(search="a", rule="word:b")).tolist() == []
    assert reliability(empty) == []


def test_the_reliability_diagram_counts_what_it_shows() -> None:
    found = reliability(EXAMPLES, bins=2)       # all are surer than a half
    assert [(each.n, each.accuracy) for each in found] == [(6, 0.5)]
    assert found[0].confidence == pytest.approx(np.mean(PROBABILITY))
    assert [(each.n, each.accuracy) for each in reliability(EXAMPLES, bins=4)] == [(2, 0.5), (4, 0.5)]


def test_the_gaps_of_the_reliability_diagram_make_the_ece() -> None:
    random = np.random.default_rng(0)
    confidence = np.minimum(random.uniform(0.5, 1.2, 3000), 1)      # quite sure is in the last bin, too
    gold_ids = random.integers(0, 2, 3000)
    predicted_ids = np.where(confidence < 1, gold_ids, random.integers(0, 2, 3000))
    examples = made(gold_ids, predicted_ids, confidence, ["a"] * 3000)
    ece = sum(each.n * abs(each.accuracy - each.confidence) for each in reliability(examples)) / 3000
    probs = softmax(examples.predictions.logits)
    assert ece > 0.1
    assert ece == pytest.approx(expected_calibration_error(probs, examples.predictions.gold_ids))


def test_a_line_tells_one_error() -> None:
    (line,) = lines(EXAMPLES, [3])
    assert line == {
        "example_id": "test:3", "text": "no fun", "gold": "negative", "predicted": "positive",
        "probability": pytest.approx(0.95), "loss": pytest.approx(-np.log(0.05), rel=1e-5),
    }  # fmt: skip
