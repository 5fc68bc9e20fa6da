"""Edits: what each one is, and the fewest that flip a model whose reasons are known."""

from __future__ import annotations

import pytest

from analysis.clauses import negations_of, turn_of
from analysis.edits import (
    Edit,
    clause_edits,
    cue_edits,
    deletions,
    examine,
    inserted_negations,
    negation_edits,
    opposite_edits,
    smallest_flips,
    spelled_right,
    substitutions,
)
from tests.rule_model import RuleModel

TEXT = "I LOVE YOU but you dnt love me"


def texts(edits: object) -> list[str]:
    return [edit.text for edit in edits]    # type: ignore[attr-defined]


def test_the_halves_of_a_turn_alone_and_swapped() -> None:
    assert texts(clause_edits(TEXT, turn_of(TEXT))) == [
        "I LOVE YOU", "you dnt love me", "you dnt love me but I LOVE YOU",
    ]
    leading = "although it is slow, it is funny"
    assert texts(clause_edits(leading, turn_of(leading))) == [
        "it is slow", "it is funny", "it is funny, although it is slow",
    ]


def test_another_word_in_the_place_of_the_turn() -> None:
    assert texts(cue_edits("slow but funny", turn_of("slow but funny"))) == [
        "slow however funny", "slow although funny", "slow funny",
    ]
    [but, *_] = cue_edits("slow bt it is funny", turn_of("slow bt it is funny"))
    assert (but.what, but.text) == ("'but' for 'bt'", "slow but it is funny")


def test_a_negation_left_out_spelled_out_and_moved() -> None:
    [negation] = negations_of(TEXT)
    assert texts(negation_edits(TEXT, negation)) == ["I LOVE YOU but you love me", "I LOVE YOU but you don't love me"]
    text = "it is funny and can not be called dull"
    [negation] = negations_of(text)
    assert texts(negation_edits(text, negation)) == [
        "it is funny and can be called dull", "it is not funny and can be called dull",
    ]


def test_what_is_no_not_is_not_moved() -> None:
    text = "no actor is funny"
    [negation] = negations_of(text)
    assert texts(negation_edits(text, negation)) == ["actor is funny"]


def test_what_not_good_is_to_mean() -> None:
    text = "it is not good at all"
    [negation] = negations_of(text)
    assert texts(opposite_edits(text, negation)) == ["it is bad at all"]


def test_a_negation_is_put_behind_each_verb_that_has_none() -> None:
    assert texts(inserted_negations("it is slow and was n't funny, but could be")) == [
        "it is not slow and was n't funny, but could be", "it is slow and was n't funny, but could not be",
    ]


def test_each_word_left_out_or_replaced_by_its_opposite() -> None:
    assert texts(deletions("good, n't bad")) == [", n't bad", "good, bad", "good, n't"]
    assert texts(substitutions("a good film")) == ["a bad film"]


def test_known_misspellings_are_put_right_and_nothing_else() -> None:
    assert spelled_right("definately a gr8 film") == "definitely a great film"
    assert spelled_right("a great film") == "a great film"
    for text in ("U.S. shares of BT fell", "r.u sure", "mail u@x.org"):
        assert spelled_right(text) == text


def test_one_word_is_enough_where_it_decides() -> None:
    model = RuleModel(lambda text: 0.9 if "dreadful" not in text else 0.1)
    first, *others = smallest_flips(examine(model, "a dreadful film", "positive"))
    assert first.num_changes == 1 and "dreadful" not in first.text and first.label == "positive"
    assert all("dreadful" not in other.text for other in others)


def test_two_words_are_tried_where_one_is_not_enough() -> None:
    model = RuleModel(lambda text: [0.9, 0.4, 0.1][("xx" in text) + ("yy" in text)])
    flips = smallest_flips(examine(model, "xx and yy", "positive"))
    assert {flip.text for flip in flips} == {"and"}
    assert flips[0].num_changes == 2 and flips[0].what == "without 'xx', without 'yy'"


def test_what_cannot_be_flipped_in_three_steps_is_said_to_be_so() -> None:
    assert smallest_flips(examine(RuleModel(lambda text: 0.1), "a film of this kind", "positive")) == []


@pytest.mark.parametrize(("gold", "flips"), [("positive", True), ("negative", True), (None, True)])
def test_a_flip_goes_to_the_gold_label_of_an_error_and_else_to_any_other(gold: str | None, flips: bool) -> None:
    sentence = examine(RuleModel(lambda text: 0.9 if text == "good" else 0.2), "bad", gold)
    assert sentence.is_error == (gold == "positive")
    good, bad = sentence.ask([Edit("", "good"), Edit("", "bad"), Edit("an empty text is not asked about", " ")])
    assert (sentence.flips(good), sentence.flips(bad)) == (flips, False)
    assert good.shift == pytest.approx(0.1 - 0.8)
