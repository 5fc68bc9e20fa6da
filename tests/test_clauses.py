"""Turns with the clause that carries the sentence, and negations with their scope."""

from __future__ import annotations

import pytest

from analysis.clauses import negations_of, turn_of


@pytest.mark.parametrize("text, kind, first, cue, second, carrier", [
    ("I LOVE YOU but you dnt love me", "contrast", "I LOVE YOU", "but", "you dnt love me", 2),
    ("slow but good", "contrast", "slow", "but", "good", 2),
    ("it 's slow -- but it 's fun .", "contrast", "it 's slow", "but", "it 's fun", 2),
    ("i luv it bt its long", "contrast", "i luv it", "bt", "its long", 2),
    ("cheap and yet it lasts", "contrast", "cheap", "and yet", "it lasts", 2),
    ("It is big; however, it smells.", "contrast", "It is big", "however", "it smells", 2),
    ("A bore. But it has heart. See it!", "contrast", "A bore", "But", "it has heart", 2),
    ("good ... but dull ...", "contrast", "good", "but", "dull", 2),
    ("Mr. A is great, but Mr. B is dull.", "contrast", "Mr. A is great", "but", "Mr. B is dull", 2),
    ("Great!<br />But long.<br />Bye", "contrast", "Great!", "But", "long", 2),
    ("dull, though well acted", "contrast", "dull", "though", "well acted", 1),
    ("good tho long", "contrast", "good", "tho", "long", 1),
    ("A, but B, but C", "contrast", "A, but B", "but", "C", 2),
    ("Although long, it works, but only just", "contrast", "Although long, it works", "but", "only just", 2),
    ("although A , B", "concession", "A", "although", "B", 2),
    ("B although A", "concession", "B", "although", "A", 1),
    ("Although it is slow, it works.", "concession", "it is slow", "Although", "it works", 2),
    ("Despite its slow, plodding pace, the film works", "concession", "its slow, plodding pace", "Despite",
     "the film works", 2),
    ("And in spite of rain, we went.", "concession", "rain", "in spite of", "we went", 2),
    ("we went, even though it rained", "concession", "we went", "even though", "it rained", 1),
    ("Nice. Though small, it works.", "concession", "small", "Though", "it works", 2),
    ("it is dull, and though I like it, it is long", "concession", "I like it", "though", "it is long", 2),
    ("odd is that despite rain , we went", "concession", "rain", "despite", "we went", 2),
    ("Though A makes a thin, silly joke, nobody laughs", "concession", "A makes a thin, silly joke", "Though",
     "nobody laughs", 2),
    ("we won despite the odds", "concession", "we won", "despite", "the odds", 1),
])  # fmt: skip
def test_a_turn_is_cut_at_its_cue(text: str, kind: str, first: str, cue: str, second: str, carrier: int) -> None:
    turn = turn_of(text)
    assert turn is not None
    found = [text[slice(*span)] for span in (turn.first, turn.cue, turn.second)]
    assert (turn.kind, *found) == (kind, first, cue, second)
    assert turn.carrier == (turn.first, turn.second)[carrier - 1]


@pytest.mark.parametrize("text", [
    "", "a film", "but it works", "good , but .", "and but so", "nothing but praise", "not only fun but smart",
    "yet another bore", "The story, however, is dull.", "The film, despite its flaws, works.", "Despite its flaws",
    "despite its flaws the film works", "I liked it, though.",
])  # fmt: skip
def test_without_two_clauses_there_is_no_turn(text: str) -> None:
    assert turn_of(text) is None


@pytest.mark.parametrize("text, negations", [
    ("you dnt love me", [("dnt", "love me", "don't")]),
    ("I cant go", [("cant", "go", "can't")]),
    ("Dont go", [("Dont", "go", "Don't")]),
    ("is nt it", [("nt", "it", "not")]),
    ("it does n't work , at all", [("does n't", "work", None)]),
    ("I won’t stay", [("won’t", "stay", None)]),
    ("not funny but smart", [("not", "funny", None)]),
    ("not funny and not smart", [("not", "funny", None), ("not", "smart", None)]),
    ("not funny and smart", [("not", "funny and smart", None)]),
    ("without charm and it shows", [("without", "charm", None)]),
    ("neither funny nor smart .", [("neither", "funny", None), ("nor", "smart", None)]),
    ("it never fails to please", [("never", "fails to please", None), ("fails to", "please", None)]),
    ("I do not like it because it is long", [("not", "like it", None)]),
    ("it is not bad -- really", [("not", "bad", None)]),
    ("No-one came", [("No-one", "came", None)]),
    ("I will not.", [("not", "", None)]),
    ("nobody", [("nobody", "", None)]),
    ("not only funny", []),
    ("hardly funny", []),
])  # fmt: skip
def test_a_negation_bears_on_the_rest_of_its_clause(text: str, negations: list[tuple[str, str, str | None]]) -> None:
    found = [(text[slice(*n.cue)], text[slice(*n.scope)], n.spelled) for n in negations_of(text)]
    assert found == negations


def test_an_empty_scope_stands_behind_its_cue() -> None:
    [negation] = negations_of("I will not , ever")
    assert negation.scope[0] == negation.scope[1] >= negation.cue[1]
