"""Changes of a text, each held to its own law: what it may touch, how much of it, and that the label stays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random

import pytest

from pipeline.lexicon import CONTRACTIONS, POLARITY, SPELLINGS, SYNONYMS
from pipeline.text_changes import (
    WORD,
    antonym,
    characters,
    delete,
    insert,
    sentences,
    swap,
    synonym,
    turns_or_negates,
    typos,
)

Change = Callable[[str, float, Random], str]

LONG = " ".join(["the quick film and its story walk along some street"] * 10)      # 100 words, none of them polar
TEXTS = ["it is not a good film , but the story works .", "I don't like it, however pretty.", "a", "...", "gr8 !", LONG]


def all_of(change: Change, text: str, rate: float = 0.1, times: int = 50) -> set[str]:
    """What comes of a text with fifty seeds."""
    return {change(text, rate, Random(seed)) for seed in range(times)}


def is_part(words: list[str], whole: list[str]) -> bool:
    """The words stand in the whole in this order."""
    rest = iter(whole)
    return all(word in rest for word in words)


@pytest.mark.parametrize("change", [delete, swap, insert, synonym, characters, typos, sentences])
@pytest.mark.parametrize("text", TEXTS)
def test_the_same_seed_makes_the_same_text_and_no_text_becomes_empty(change: Change, text: str) -> None:
    assert change(text, 0.3, Random(1)) == change(text, 0.3, Random(1))
    assert all(found.strip() for found in all_of(change, text, rate=1.0))


@pytest.mark.parametrize("change", [delete, swap, insert, synonym])
def test_words_that_judge_turn_or_negate_are_neither_lost_nor_moved(change: Change) -> None:
    text = "although it is n't the good film we want , the story doesn't bore but some film is not dull"
    kept = "although n't good doesn't but not dull".split()
    for changed in all_of(change, text, rate=1.0):
        first = {word: known for known in ("good", "dull") for word in SYNONYMS[known]}
        assert [word for found in changed.split() if (word := first.get(found, found)) in kept] == kept


@pytest.mark.parametrize("text", TEXTS)
def test_delete_keeps_the_order_of_the_words_that_stay(text: str) -> None:
    for changed in all_of(delete, text, rate=0.5):
        assert is_part(WORD.findall(changed), WORD.findall(text))


@pytest.mark.parametrize("text", TEXTS)
def test_swap_keeps_the_words_however_often_each(text: str) -> None:
    for changed in all_of(swap, text, rate=0.5):
        assert sorted(WORD.findall(changed)) == sorted(WORD.findall(text))


def test_swap_leaves_commas_where_they_are() -> None:
    assert all_of(swap, "film, story.") == {"story, film."}


def test_insert_adds_synonyms_of_words_of_the_text_that_do_not_judge() -> None:
    for changed in all_of(insert, "a good film , not a tale", rate=0.3):
        added = Counter(changed.split()) - Counter("a good film , not a tale".split())
        assert added.total() == 2 and set(added) <= {"movie", "story"}
        assert is_part("a good film , not a tale".split(), changed.split())


def test_a_synonym_takes_the_case_and_the_article_of_its_word() -> None:
    assert all_of(synonym, "A boring Film", rate=1.0) == {"A dull Movie", "A tedious Movie"}
    assert all_of(synonym, "an awful MOVIE", rate=1.0) == {
        "a terrible FILM", "a dreadful FILM", "a horrible FILM",
    }  # fmt: skip
    assert "an honest actor" in all_of(synonym, "a truthful performer", rate=1.0)


@pytest.mark.parametrize("text, expected", [
    ("a great film", "a terrible film"),
    ("An awful, dull film.", "An excellent, fascinating film."),
    ("it is GOOD", "it is BAD"),
])
def test_antonyms_say_the_opposite(text: str, expected: str) -> None:
    polarity = 1 if "reat film" in text or "GOOD" in text else -1
    assert antonym(text, polarity) == expected
    assert antonym(text, -polarity) == text         # its words are not of that label: who knows what it says


@pytest.mark.parametrize("text", [
    "not a great film", "a great film, but", "a great and absorbingly odd gem of a wow", "great but dull", "no words",
    "great and dull", "it isn’t great", "too clever", "great " + "film " * 30,
])
def test_antonyms_leave_what_they_may_not_flip(text: str) -> None:
    assert antonym(text, 1) == text


def test_characters_changes_one_letter_inside_of_long_words_and_never_their_ends() -> None:
    for changed in all_of(characters, "the wonderful old film", rate=1.0):
        the, first, old, second = changed.split()
        assert (the, old) == ("the", "old")
        for word, wrong in (("wonderful", first), ("film", second)):
            assert (wrong[0], wrong[-1]) == (word[0], word[-1]) and abs(len(wrong) - len(word)) <= 1


def test_typos_come_from_the_table_alone() -> None:
    wrong = set(SPELLINGS) | set(CONTRACTIONS)
    for text in TEXTS:
        for changed in all_of(typos, text, rate=1.0):
            assert set(changed.lower().split()) - set(text.lower().split()) <= wrong | {"dont"}


@pytest.mark.parametrize("text, expected", [
    ("good, but long", {"gud, but long", "good, bt long"}),     # one word: a tenth of three, and at least one
    ("I don't know", {"I dont know", "I dnt know"}),
    ("they do n't know", {"they dont know", "they dnt know"}),
    ("Don’t go", {"Dont go", "Dnt go"}),
    ("i 'm here", {"im here"}),
    ("the film", {"hte film", "teh film"}),
    ("the good film", {"the gud film"}),                        # what decides the label comes first
    ("no table", {"no table"}),
])
def test_typos_are_those_that_people_make(text: str, expected: set[str]) -> None:
    assert all_of(typos, text) == expected


def test_sentences_change_places_and_one_with_but_follows_its_own() -> None:
    text = "It is long. But it is good! Mr. Smith acts well. Go."
    parts = ["It is long. But it is good!", "Mr. Smith acts well.", "Go."]
    found = all_of(sentences, text)
    assert len(found) == 3 and text not in found
    for changed in found:
        assert sum(part in changed for part in parts) == 3 and len(changed) == len(text)
    for single in ("One sentence.", "He said ... nothing", "George W. Bush spoke.", "Ecks vs. Sever.", "no mark"):
        assert all_of(sentences, single) == {single}


@pytest.mark.parametrize("change", [delete, swap, synonym, characters])
@pytest.mark.parametrize("rate", [0.1, 0.2])
def test_the_rate_is_the_share_of_words_that_change(change: Change, rate: float) -> None:
    before = LONG.split()
    shares = []
    for seed in range(20):
        after = change(LONG, rate, Random(seed)).split()
        if change is delete:
            shares.append((len(before) - len(after)) / len(before))
        else:
            shares.append(sum(a != b for a, b in zip(before, after, strict=True)) / len(before))
    assert sum(shares) / len(shares) == pytest.approx(rate, abs=0.03)       # some swaps are of equal words


def test_tags_and_entities_are_no_words() -> None:
    for change in (delete, swap, characters):
        for changed in all_of(change, "<br />film &amp; story", rate=1.0):
            assert changed.count("<br />") == 1 and changed.count("&amp;") == 1


@pytest.mark.parametrize("text, expected", [
    ("it isn't", True), ("it is n't", True), ("it isn’t", True), ("it isnt", True), ("But no", True), ("a note", False),
])
def test_turns_and_negations_are_seen(text: str, expected: bool) -> None:
    assert turns_or_negates(text) is expected


def test_synonyms_have_the_polarity_of_their_word() -> None:
    groups = {frozenset([word, *others]) for word, others in SYNONYMS.items()}
    assert len(groups) >= 150
    assert sum(map(len, groups)) == len(SYNONYMS)                           # no word in two groups: both ways alike
    assert all(len({POLARITY[word] for word in group if word in POLARITY}) <= 1 for group in groups)
    neutral = [group for group in groups if not group & set(POLARITY)]
    assert len(neutral) >= 80
