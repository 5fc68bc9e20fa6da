"""The language of rules: what each condition means, how it reads, and what is said of one that is not understood."""

from __future__ import annotations

import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis import rules
from analysis.examples import Examples, examples_of, texts_of
from analysis.rules import RuleError, contains, is_about_text, label_condition, mask, readable, word_table
from pipeline.predictions import Predictions

TEXTS = ["little but good", "a ‘little’ dull , n't it", "belittle & A.LITTLE", "späť 😀 नहीं"]
PHENOMENA = {"contrast": np.array([True, False, False, False]), "no apostrophe": np.array([False, False, True, False])}


@pytest.fixture
def examples() -> Examples:
    """Gold 0 1 2 0, predicted 0 1 1 1, confidence rising from a third."""
    logits = np.zeros((4, 3), np.float32)
    logits[range(4), [0, 1, 1, 1]] = [0, 1, 2, 9]
    names = ["Society & Culture", "sport", "arts"]
    return examples_of(Predictions([f"test:{row}" for row in range(4)], TEXTS, names, np.array([0, 1, 2, 0]), logits))


@pytest.mark.parametrize("rule, rows", [
    ("", [0, 1, 2, 3]),
    ("contrast", [0]),
    ("no contrast", [1, 2, 3]),
    ("no apostrophe", [2]),                         # a phenomenon of that name goes first
    ("no no apostrophe", [0, 1, 3]),
    ("word:little", [0, 1, 2]),                     # whole words, in quotes or capitals, too
    ("word:Little", [0, 1, 2]),
    ("word:but good", [0]),                         # words as they follow each other
    ("word:n't", [1]),
    ("word:t", []),                                 # an apostrophe between letters does not part words
    ("word:नहीं", [3]),                               # nor does a vowel sign
    ("word:.", []),
    ("anyof:dull, good", [0, 1]),
    ("words>3", [1]),
    ("words<=3 & words>=3", [0, 2, 3]),
    ("confidence>0.5", [1, 2, 3]),
    ("confidence<5e-1", [0]),
    ("gold:sport", [1]),
    ("gold:Society&Culture", [0, 3]),
    ("predicted:sport & word:little", [1, 2]),
    ("regex:^.{15}$", [0]),
    ("words<=3 & regex:little & A", [2]),           # an expression goes on to the end
])  # fmt: skip
def test_a_rule_means_the_texts_for_which_all_its_conditions_hold(
    examples: Examples, rule: str, rows: list[int]
) -> None:
    assert np.flatnonzero(mask(rule, examples, PHENOMENA)).tolist() == rows


@pytest.mark.parametrize("rule, words", [
    ("", "any text"),
    ("no contrast & word:little & anyof:dull,poor", "no contrast and the word “little” and any of “dull” or “poor”"),
    ("words>20 & words<=40 & confidence<0.9", "over 20 words and at most 40 words and confidence under 0.9"),
    ("gold:sport & predicted:arts & regex:a|b & c", "gold label sport and predicted arts and a match of a|b & c"),
])  # fmt: skip
def test_a_rule_can_be_read_in_plain_words(rule: str, words: str) -> None:
    assert readable(rule) == words


@pytest.mark.parametrize("rule, sentence", [
    ("contrst", "'contrst' is no condition of a rule; there are word:little, anyof:dull,boring, words>20, words<=5, "
     "confidence>0.9, gold:LABEL, predicted:LABEL, a phenomenon, no PHENOMENON, and at the end regex:EXPRESSION. "
     "Phenomena: contrast, no apostrophe."),
    ("contrast & words=5", "'words=5' is no condition of a rule; there are word:little,"),
    ("word:", "'word:' is no condition of a rule; there are word:little,"),
    ("gold:Sports", "No label is called 'Sports'; there are: Society&Culture, sport, arts."),
    ("regex:(", "'(' cannot be searched for: Invalid regular expression: missing ): (."),
])  # fmt: skip
def test_a_rule_that_is_not_understood_is_answered_with_what_there_is(
    examples: Examples, rule: str, sentence: str
) -> None:
    with pytest.raises(RuleError) as caught:
        mask(rule, examples, PHENOMENA)
    assert str(caught.value).startswith(sentence)


def test_rules_about_text_can_be_asked_of_training_texts_and_others_not() -> None:
    assert all(map(is_about_text, ("", "contrast & words>3", "regex:gold:a")))
    assert not any(map(is_about_text, ("gold:a", "word:a & predicted:b", "confidence>0.9 & regex:a")))
    assert mask("word:little & words>3", texts_of(TEXTS), {}).tolist() == [False, True, False, False]


def test_a_label_with_the_mark_between_conditions_stays_one_condition(examples: Examples) -> None:
    rule = label_condition("gold", "Society & Culture") + " & contrast"
    assert np.flatnonzero(mask(rule, examples, PHENOMENA)).tolist() == [0]


def test_a_search_is_for_the_text_itself_and_knows_no_case() -> None:
    texts = pa.array(TEXTS, pa.large_string())
    assert contains(texts, "a.little", is_regex=False).tolist() == [False, False, True, False]
    assert contains(texts, "SPÄŤ", is_regex=False).tolist() == [False, False, False, True]
    assert contains(texts[:0], "a", is_regex=False).tolist() == []
    with pytest.raises(RuleError, match="'\\?' cannot be searched for: 'utf-8' codec can't encode"):
        contains(texts, "\ud800", is_regex=False)


def test_a_search_in_parts_finds_what_is_found_at_once() -> None:
    texts = pa.array([f"text {row}" for row in range(5000)], pa.large_string())
    assert np.flatnonzero(contains(texts, "7$", is_regex=True)).tolist() == list(range(7, 5000, 10))


def test_an_expression_that_would_take_minutes_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "SEARCH_SECONDS", 0.2)
    started = time.monotonic()
    with pytest.raises(RuleError, match="takes more than 0.2 s to search for: make it simpler."):
        contains(pa.array(["many words of no great length"] * 100_000), r"(\pL?\pN?.?){300}!", is_regex=True)
    assert time.monotonic() - started < 5


def test_the_words_of_a_text_are_those_that_a_rule_finds_in_it() -> None:
    starter = pq.read_table("checkpoints/sst2-minilm/predictions/starter/test.parquet")["text"].to_pylist()
    texts = texts_of([*TEXTS, "", "''", "a''b rock'n'roll O’Hara’s 3,5", *starter[:60]])
    table, words = word_table(texts.texts)
    assert {"little", "n't", "नहीं", "rock'n'roll", "o’hara’s"} <= set(words)
    assert len(words) > 200
    for column, word in enumerate(words):
        assert (table[:, [column]].toarray()[:, 0] == mask(f"word:{word}", texts, {})).all(), word
