"""Faithfulness: what words cost when they are left out, beside as many drawn by chance."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from analysis.attribution import Attribution, attribute
from analysis.faithfulness import faithfulness, without_words
from pipeline.predictor import Predictor
from tests.rule_model import RuleModel

TEXT = "the film was lovely, and it was in this story"


ONE_WORD_DECIDES = RuleModel(lambda text: 0.9 if "lovely" in text else 0.2)


@pytest.fixture(scope="module")
def found(sharp_model: Path) -> Attribution:
    return attribute(Predictor.load(str(sharp_model), device="cpu"), TEXT, "positive")


def test_a_word_left_out_takes_its_space_with_it(found: Attribution) -> None:
    assert without_words(found, [1]) == "the was lovely, and it was in this story"
    assert without_words(found, [0, 9]) == "film was lovely, and it was in this"
    assert without_words(found, range(10)) == ""


def test_the_word_that_decides_costs_more_than_words_drawn_by_chance(found: Attribution) -> None:
    scores = np.zeros(10)
    scores[3] = 2.0
    measured = faithfulness(ONE_WORD_DECIDES, replace(found, scores=scores), share=0.1)
    assert measured is not None and measured.words == ("lovely,",)
    assert measured.comprehensiveness == pytest.approx(0.7)     # 0.9 to 0.2
    assert measured.sufficiency == pytest.approx(0.0)
    assert 0 <= measured.random_comprehensiveness < 0.35        # one draw in ten hits it
    assert measured.random_sufficiency > 0.35
    assert measured.beats_chance


def test_words_that_do_not_matter_are_no_better_than_chance(found: Attribution) -> None:
    scores = np.zeros(10)
    scores[0] = 2.0
    measured = faithfulness(ONE_WORD_DECIDES, replace(found, scores=scores), share=0.1)
    assert measured is not None and measured.comprehensiveness == pytest.approx(0.0)
    assert not measured.beats_chance


def test_two_words_are_too_few(found: Attribution, sharp_model: Path) -> None:
    predictor = Predictor.load(str(sharp_model), device="cpu")
    assert faithfulness(predictor, attribute(predictor, "lovely film")) is None
