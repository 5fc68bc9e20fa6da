"""The contrast suite as a measure: what is counted, held against a model whose answers are known."""

from __future__ import annotations

import pytest

from analysis import suite
from analysis.suite import HALVES, SuiteSentence, load_suite, score_suite
from pipeline.exceptions import ConfigError, ModelError
from tests.rule_model import RuleModel

PAIRS = [
    SuiteSentence(pair_id, phenomenon, text, label)
    for pair_id, phenomenon, positive, negative in [
        ("x-1", "turn", "dull but good", "good but dull"),
        ("x-2", "turn", "bad but good", "good but bad"),
        ("x-3", "negation", "good", "not good"),
    ]
    for text, label in [(positive, "positive"), (negative, "negative")]
]


@pytest.fixture
def pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite, "load_suite", lambda half: PAIRS)


def test_sentences_and_pairs_are_counted_by_phenomenon(pairs: None) -> None:
    score = score_suite(RuleModel(lambda text: 0.2 if "dull" in text.split()[-1:] else 0.9))
    overall = score.overall
    assert (overall.pairs, overall.accuracy.value, overall.pair_consistency.value) == (3, 4 / 6, 1 / 3)
    turn, negation = score.phenomena["turn"], score.phenomena["negation"]
    assert (turn.pairs, turn.accuracy.value, turn.pair_consistency.value) == (2, 3 / 4, 1 / 2)
    assert (negation.accuracy.value, negation.pair_consistency.value) == (1 / 2, 0)
    assert turn.accuracy.low < 3 / 4 < turn.accuracy.high


def test_the_worst_pairs_come_first(pairs: None) -> None:
    known = {"not good": 0.99, "good but bad": 0.7, "good but dull": 0.2}
    model = RuleModel(lambda text: known.get(text, 0.9))
    first, second, _ = score_suite(model).worst
    assert first[0] == "negation" and min(answer.probability for answer in first[1]) == pytest.approx(0.01)
    assert [answer.text for answer in second[1]] == ["bad but good", "good but bad"]


def test_the_line_of_the_command_holds_all_of_it(pairs: None) -> None:
    line = score_suite(RuleModel(lambda text: 0.9)).as_dict("a-run")
    assert (line["run"], line["half"], line["n"], line["pairs"]) == ("a-run", "develop", 6, 3)
    assert line["accuracy"]["value"] == 0.5 and line["pair_consistency"]["value"] == 0
    assert set(line["phenomena"]) == {"turn", "negation"} and len(line["worst"]) == 3


def test_another_half_or_another_models_labels_are_one_sentence() -> None:
    with pytest.raises(ConfigError, match="has the halves develop and verify; found 'both'."):
        load_suite("both")
    model = RuleModel(lambda text: 0.5)
    model.label_names = ["World", "Sports"]
    with pytest.raises(ModelError, match="asks for the labels negative and positive; this model has: World, Sports."):
        score_suite(model, HALVES[0])
