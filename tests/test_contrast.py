"""Contrast: what may be joined, and that the label is that of the clause which carries the sentence."""

from __future__ import annotations

import re
from random import Random

import pytest

from pipeline.contrast import Judgement, joined, judgement, negated


@pytest.mark.parametrize("text, polarity, expected", [
    ("The plot is dull.", -1, Judgement("the plot is dull", True, -1)),
    ("it 's a charming journey .", 1, Judgement("it 's a charming journey", True, 1)),
    ("I loved the songs!", 1, Judgement("I loved the songs", True, 1)),
    ("A gorgeous film", 1, Judgement("a gorgeous film", False, 1)),
    ("dull and lifeless", -1, Judgement("dull and lifeless", False, -1)),
    ("very funny", 1, Judgement("very funny", False, 1)),
])
def test_a_short_clause_a_thing_and_a_description_can_be_joined(text: str, polarity: int, expected: Judgement) -> None:
    assert judgement(text, polarity) == expected


@pytest.mark.parametrize("text, why", [
    ("the plot is dull", "blames, and is labelled positive"),
    ("the plot is great but long", "turns already"),
    ("it is not great", "negates"),
    ("the film runs two hours", "does not judge"),
    ("the plot is great , the end dull", "judges twice"),
    ("that is great and", "is a part"),
    ("the film that is great", "is a part"),
    ("a good", "is a part"),
    ("great. great.", "is two sentences"),
    ("is it great ?", "asks"),
    ("great acting in a film", "is neither"),
    ("triumphs", "is neither"),
    ("a great man handed back my keys", "is neither"),
    ("the film is great " + "and long " * 10, "is long"),
    ("...", "has no word"),
])
def test_what_is_not_sure_to_be_one_judgement_of_its_label_is_left_alone(text: str, why: str) -> None:
    assert judgement(text, 1) is None, why


PRAISE, BLAME = Judgement("the songs are lovely", True, 1), Judgement("a dull film", False, -1)


def all_joined(one: Judgement, other: Judgement, spaced: bool = False) -> set[tuple[str, int]]:
    return {joined(one, other, spaced, Random(seed)) for seed in range(300)}


def test_the_clause_that_carries_the_sentence_gives_the_label() -> None:
    found = all_joined(PRAISE, BLAME)
    assert len(found) == 16 and len({text for text, _ in found}) == 16      # eight templates, each both ways
    for text, polarity in found:
        lower = text.lower()
        if cue := re.search(r"but|yet|however", lower):
            carries = lower[cue.end():]
        else:                                                               # the clause without although
            carries = re.sub(r"(?:even though|although|though) [^,.]*", "", lower)
        assert ("lovely" in carries, "dull" in carries) == ((True, False) if polarity == 1 else (False, True)), text


def test_both_labels_come_as_often() -> None:
    polarities = [joined(PRAISE, BLAME, False, Random(seed))[1] for seed in range(400)]
    assert abs(sum(polarities)) < 60


def test_joined_phrases_stay_phrases_or_become_clauses() -> None:
    found = {text for text, _ in all_joined(Judgement("very funny", False, 1), BLAME)}
    assert "Very funny but a dull film." in found
    assert "Although it is very funny, it is a dull film." in found


def test_commas_stand_as_they_do_in_the_data() -> None:
    assert ("Even though it is a dull film, the songs are lovely.", 1) in all_joined(PRAISE, BLAME)
    assert ("even though it is a dull film , the songs are lovely .", 1) in all_joined(PRAISE, BLAME, spaced=True)


@pytest.mark.parametrize("judged, expected", [
    (PRAISE, {("The songs are not lovely.", -1), ("The songs aren't lovely.", -1)}),
    (BLAME, {("It is not a dull film.", 1), ("It isn't a dull film.", 1)}),
    (Judgement("it's boring", True, -1), {("It's not boring.", 1)}),
])
def test_not_is_put_behind_the_verb_and_turns_the_label(judged: Judgement, expected: set) -> None:
    assert {negated(judged, False, Random(seed)) for seed in range(20)} == expected


@pytest.mark.parametrize("text", [
    "the worst film", "it is perfect", "it is charming and lovely", "it is lovely , in places", "they loved the film",
    "it is " + "so " * 8 + "lovely", "a triumph",
])
def test_not_is_not_put_where_it_would_say_less_or_something_else(text: str) -> None:
    assert negated(Judgement(text, True, 1), True, Random(0)) is None
