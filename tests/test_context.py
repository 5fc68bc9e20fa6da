"""Context: what other runs, neighbours in training and counts of words say, each with what would refute it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from analysis.attribution import Attribution
from analysis.context import about_gold_label, about_other_runs, about_words_in_training, what_others_say
from analysis.edits import Sentence, examine
from analysis.neighbors import Taught
from analysis.text_spans import TextPieces, Word
from analysis.training_index import TrainingIndex
from tests.rule_model import RuleModel


@pytest.fixture
def error() -> Sentence:
    return examine(RuleModel(lambda text: 0.9), "little else", "negative")


def taught(label: str, score: float = 0.8) -> Taught:
    return Taught("train:1", f"a {label} text", label, score, agrees=label == "negative", opposite_nearby=False)


@pytest.mark.parametrize(("predicted", "held", "claim"), [
    ({"a": "negative", "b": "negative", "c": "positive"}, True, "It is this run's own error: others get it right."),
    ({"a": "positive", "b": "positive", "c": "negative"}, False, "Not this run alone: others err here, too."),
])
def test_it_is_told_whether_other_runs_err_too(error: Sentence, predicted: dict, held: bool, claim: str) -> None:
    [finding] = about_other_runs(error, predicted)
    assert (finding.held, finding.claim) == (held, claim)
    right = sum(label == "negative" for label in predicted.values())
    assert finding.evidence.startswith(f"{right} of 3 other runs say negative: ")


def test_of_a_right_prediction_or_without_other_runs_nothing_is_told(error: Sentence) -> None:
    right = examine(RuleModel(lambda text: 0.9), "good", "positive")
    assert list(about_other_runs(right, {"a": "negative"})) == list(about_other_runs(error, {})) == []
    assert list(about_gold_label(error, [])) == []


def test_a_gold_label_is_doubted_where_most_neighbours_have_another(error: Sentence) -> None:
    label, neighbour = about_gold_label(error, [taught("positive", 0.91), taught("negative"), taught("positive")])
    assert label.held and label.claim == "The gold label negative may be wrong."
    assert label.evidence == "1 of 3 have it; the nearest: 'a positive text' (positive, cosine 0.91)."
    assert neighbour.held and neighbour.claim == "The training example next to it has another label."


def test_a_gold_label_that_the_neighbours_share_is_ruled_out_as_the_reason(error: Sentence) -> None:
    label, neighbour = about_gold_label(error, [taught("negative"), taught("negative"), taught("positive", 0.6)])
    assert label.held is False and label.claim == "Not the gold label: its neighbours share it."
    assert neighbour.held is False and neighbour.evidence == "'a positive text' (positive, cosine 0.60)."


def test_neighbours_that_are_far_away_do_not_doubt_a_gold_label(error: Sentence) -> None:
    label, *_ = about_gold_label(error, [taught("positive", 0.7), taught("positive", 0.6), taught("positive", 0.5)])
    assert label.held is None and label.claim.startswith("No training examples are near enough to tell")
    assert label.evidence == "The nearest: 'a positive text' (positive, cosine 0.70)."


def test_of_one_other_run_nothing_follows(error: Sentence) -> None:
    [finding] = about_other_runs(error, {"a": "negative"})
    assert finding.held is None and not finding.test and finding.evidence == "1 of 1 other runs say negative: a."


@pytest.fixture
def index() -> TrainingIndex:
    texts = ["so little to like", "little else", "nothing else", "a little gem"]
    one = np.ones((4, 2), np.float16)
    return TrainingIndex(
        pa.chunked_array([["train:0", "train:1", "train:2", "train:3"]]), pa.chunked_array([texts]),
        np.array([0, 0, 0, 1]), one, one, one[:, 0], one, "x", 0.9,
    )


@pytest.fixture
def found() -> Attribution:
    spans = [(0, 6), (7, 11), (12, 14), (15, 17)]
    pieces = TextPieces("Little else of it", [], [Word(*span, (piece,)) for piece, span in enumerate(spans)])
    return Attribution("occlusion", "positive", None, pieces, np.array([-2.0, 1.0, 0.1, 0.0]), 0.0, None, 1)


def test_the_words_that_count_are_looked_up_in_training(index: TrainingIndex, found: Attribution) -> None:
    told = [finding.claim for finding in about_words_in_training(index, found, ["negative", "positive"])]
    assert told == [
        "'Little' stood in 3 of 4 training texts: 67% negative, 33% positive.",
        "'else' stood in 2 of 4 training texts: 100% negative, 0% positive.",
    ]


def test_without_an_index_only_other_runs_are_asked(error: Sentence, found: Attribution) -> None:
    assert [finding.kind for finding in what_others_say(error, found, None, {"a": "negative"})] == ["other runs"]
