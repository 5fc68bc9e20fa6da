"""The lexicon of our own: what its lists promise each other."""

from __future__ import annotations

from pipeline.lexicon import COMMON_WORDS, GIVEN_NAMES, OPPOSITES, POLARITY, SPELLINGS, _words


def test_no_word_is_both_positive_and_negative() -> None:
    positive, negative = _words("positive"), _words("negative")
    assert not set(positive) & set(negative)
    assert len(POLARITY) == len(positive) + len(negative)       # and none stands there twice
    assert min(len(positive), len(negative)) >= 500


def test_words_are_lowercase() -> None:
    words = [*POLARITY, *OPPOSITES, *SPELLINGS, *GIVEN_NAMES, *COMMON_WORDS]
    assert [word for word in words if word != word.lower()] == []


def test_opposites_have_opposite_polarity() -> None:
    assert [word for word, other in OPPOSITES.items() if POLARITY[word] != -POLARITY[other]] == []
    assert len(OPPOSITES) >= 300


def test_of_several_opposites_the_first_is_taken() -> None:
    assert (OPPOSITES["good"], OPPOSITES["bad"], OPPOSITES["liked"], OPPOSITES["disliked"]) == (
        "bad", "good", "disliked", "enjoyed",
    )  # fmt: skip


def test_a_misspelling_is_no_word_of_ours() -> None:
    assert not set(SPELLINGS) & (set(POLARITY) | GIVEN_NAMES | COMMON_WORDS)
    assert not set(SPELLINGS) & set(SPELLINGS.values())


def test_names_are_neither_common_nor_polar() -> None:
    assert not GIVEN_NAMES & (COMMON_WORDS | set(POLARITY))
