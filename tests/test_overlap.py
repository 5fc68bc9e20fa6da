"""Is a text found inside another exactly where it is a run of its words?"""

from __future__ import annotations

import random

import numpy as np
import pyarrow as pa
import pytest

from pipeline import overlap
from pipeline.overlap import contains_any, count_repeats, is_in, lies_inside, normalise


def column(texts: list[str]) -> pa.ChunkedArray:
    return pa.chunked_array([texts[:2], texts[2:]], pa.large_string())


@pytest.mark.parametrize("text, expected", [
    ("It 's  FINE , really .", "it s fine really"),
    ("Don’t—ever…", "dontever"),
    ("STRASSE straße", "strasse strasse"),
    (":(", ":("),                       # of punctuation alone: nothing else would be left to tell it from ":)"
    (" \n", ""),
    ("नमस्ते दुनिया", "नमस्ते दुनिया"),        # vowel signs are no punctuation
])
def test_normalising_takes_case_punctuation_and_spaces(text, expected):
    assert normalise(text) == expected


HAYSTACK = ["the cat sat on the mat", "a dog", "the cat sat", ""]


@pytest.mark.parametrize("needle, inside", [
    ("cat sat on", True), ("the mat", True), ("the cat sat on the mat", False), ("the cat sat", True),
    ("at sat", False),                                  # words, not letters
    ("sat the", False), ("cat on", False), ("dog", True), ("a dog", False), ("bird", False), ("", True),
])
def test_a_needle_lies_inside_when_it_is_a_run_of_words_of_another_text(needle, inside):
    assert lies_inside(column([needle, "unicorn"]), column(HAYSTACK)).tolist() == [inside, False]


def test_needles_that_share_their_rarest_word_are_all_found():
    needles = ["cat sat", "cat sat on the", "the cat", "cat mat", "cat sat"]
    assert lies_inside(column(needles), column(HAYSTACK)).tolist() == [True, True, True, False, True]


def test_texts_that_contain_a_needle_of_three_words_are_found():
    needles = ["cat sat on", "a dog", "the", "the cat sat"]
    assert contains_any(column(HAYSTACK), column(needles)).tolist() == [True, False, False, False]


def test_nothing_lies_in_nothing():
    empty = pa.chunked_array([], pa.large_string())
    assert lies_inside(empty, column(HAYSTACK)).tolist() == []
    assert lies_inside(column(["a", ""]), empty).tolist() == [False, False]
    assert contains_any(column(HAYSTACK), empty).tolist() == [False] * 4


@pytest.mark.parametrize("num_needles", [30, 300], ids=["fewer needles than texts", "more needles than texts"])
def test_the_search_agrees_with_comparing_every_pair(monkeypatch, num_needles):
    monkeypatch.setattr(overlap, "_NEEDLES_OF_BLOCK", 17)
    randomness = random.Random(0)

    def texts(number: int, most: int) -> list[str]:
        return [" ".join(randomness.choices("abcdefgh", k=randomness.randint(0, most))) for _ in range(number)]

    needles, haystack = texts(num_needles, 4), texts(100, 12)

    def inside(needle: str, text: str) -> bool:
        return needle != text and (not needle or f" {needle} " in f" {text} ")

    assert lies_inside(column(needles), column(haystack)).tolist() == [
        any(inside(needle, text) for text in haystack) for needle in needles
    ]
    assert contains_any(column(haystack), column(needles)).tolist() == [
        any(inside(needle, text) for needle in needles if len(needle.split()) >= 3) for text in haystack
    ]


def test_equal_texts_are_found_letter_for_letter():
    texts, known = column(["a", "A", "b ", "b", "c"]), column(["a", "b", "d"])
    assert is_in(texts, known).tolist() == [True, False, False, True, False]


def test_repeats_count_rows_and_contradictions_count_texts():
    texts = column(["a", "a", "a", "b", "b", "c"])
    # a twice more, b once more; a has two labels
    assert count_repeats(texts, np.array([0, 1, 0, 1, 1, 0])) == (3, 1)
