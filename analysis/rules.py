"""Which texts does a rule mean? One small language for every slice, so that it fits in a URL and can be asked anew.

A rule is conditions joined by " & ", all of which must hold; the empty rule means every text.
"""

from __future__ import annotations

import operator
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from analysis.examples import Examples, Texts
from pipeline.exceptions import WorkbenchError

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Phenomena = Mapping[str, np.ndarray]        # name: (N,) bool

ABOUT_PREDICTIONS = ("gold", "predicted", "confidence")
COMPARE = {"<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt}
IN_WORDS = {"<=": "at most", ">=": "at least", "<": "under", ">": "over"}
EXAMPLES_OF_RULES = (
    "word:little, anyof:dull,boring, words>20, words<=5, confidence>0.9, gold:LABEL, predicted:LABEL, "
    "a phenomenon, no PHENOMENON, and at the end regex:EXPRESSION"
)
SEARCH_SECONDS = 2.0
FIRST_ROWS = 200
_COMPARISON = re.compile(r"(words|confidence)(<=|>=|<|>)(\d*\.?\d+(?:e-?\d+)?)")
_NAMED = re.compile(r"(word|anyof|gold|predicted):(.+)", re.DOTALL)
_BETWEEN_WORDS = r"[^\pL\pN\pM'’]"          # RE2's Unicode classes; an apostrophe at either end is no part of a word


class RuleError(WorkbenchError):
    """A rule or a search cannot be understood, or takes too long."""


@dataclass(frozen=True)
class Condition:
    """One condition: a kind of those above, or "phenomenon", whose value may begin with "no "."""

    kind: str
    value: str
    operator: str = ""      # of words and confidence


def parse(rule: str) -> list[Condition]:
    """What cannot be anything else is taken for the name of a phenomenon; `mask` refuses one that is not known."""
    start, *expression = re.split(r"(?:^| & )regex:", rule.strip(), maxsplit=1)
    conditions = [_condition(part.strip()) for part in start.split(" & ") if part.strip()]
    return conditions + [Condition("regex", value) for value in expression]


def mask(rule: str, texts: Texts, phenomena: Phenomena) -> np.ndarray:
    """Which of N texts the rule means, (N,) bool; a rule about predictions needs Examples.

    Raises: RuleError when a condition, a label or a regular expression is not understood.
    """
    holds = np.ones(len(texts.texts), bool)
    for condition in parse(rule):
        holds &= _holds(condition, texts, phenomena)
    return holds


def readable(rule: str) -> str:
    """In plain words, to stand after "examples with"."""
    return " and ".join(map(_readable, parse(rule))) or "any text"


def is_about_text(rule: str) -> bool:
    """It can be asked of texts that nobody has predicted."""
    return not any(condition.kind in ABOUT_PREDICTIONS for condition in parse(rule))


def label_condition(kind: str, label_name: str) -> str:
    return f"{kind}:{_written(label_name)}"


def contains(texts: pa.Array, pattern: str, is_regex: bool) -> np.ndarray:
    """Which of N texts contain it, whatever its case, (N,) bool.

    Raises: RuleError when the expression is not one of RE2's, or takes too long.
    """
    # RE2 takes time linear in the text, but also in the expression with its repetitions written out: (\pL?.?){300}
    # would take minutes on 100,000 texts. So the time is limited; parts that double cost next to nothing.
    search = pc.match_substring_regex if is_regex else pc.match_substring
    found, rows, until = [np.zeros(0, bool)], FIRST_ROWS, time.monotonic() + SEARCH_SECONDS
    while len(texts):
        try:
            found.append(search(texts[:rows], pattern, ignore_case=True).to_numpy(zero_copy_only=False))
        except ValueError as exception:         # of Arrow, or of a text that is no Unicode
            printable = pattern.encode(errors="replace").decode()
            raise RuleError(f"'{printable}' cannot be searched for: {exception}.") from None
        if time.monotonic() > until:
            raise RuleError(f"'{pattern}' takes more than {SEARCH_SECONDS:g} s to search for: make it simpler.")
        texts, rows = texts[rows:], 2 * rows
    return np.concatenate(found)


def word_table(texts: pa.Array) -> tuple[csr_array, list[str]]:
    """Which of N texts contain which of V words, (N, V) of 0 and 1 in float32, and the words in lower case.

    A word is what `word:` finds, which is why this is not scikit-learn's CountVectorizer.
    """
    from scipy.sparse import csr_array

    lists = pc.split_pattern_regex(pc.utf8_lower(texts), _BETWEEN_WORDS + "+")
    words = pc.utf8_trim(lists.flatten(), "'’").dictionary_encode()
    rows = np.repeat(np.arange(len(texts)), pc.list_value_length(lists))
    ones = np.ones(len(words), np.float32)
    table = csr_array((ones, (rows, words.indices)), shape=(len(texts), len(words.dictionary)))
    table.data[:] = 1           # a word may stand in a text twice
    names = words.dictionary.to_pylist()
    there = [column for column, name in enumerate(names) if name]
    return table[:, there], [names[column] for column in there]


def _condition(text: str) -> Condition:
    if match := _COMPARISON.fullmatch(text):
        return Condition(match[1], match[3], match[2])
    if match := _NAMED.fullmatch(text):
        return Condition(match[1], match[2])
    return Condition("phenomenon", text)


def _holds(condition: Condition, texts: Texts, phenomena: Phenomena) -> np.ndarray:
    kind, value = condition.kind, condition.value
    if kind == "phenomenon":
        return _phenomenon(value, phenomena)
    if kind == "words":
        return COMPARE[condition.operator](texts.num_words, float(value))
    if kind == "regex":
        return contains(texts.texts, value, is_regex=True)
    if kind in ("word", "anyof"):
        return contains(texts.texts, _expression_of(value.split(",")), is_regex=True)
    assert isinstance(texts, Examples)      # else is_about_text was not asked
    if kind == "confidence":
        return COMPARE[condition.operator](texts.probability, float(value))
    label_ids = texts.predictions.gold_ids if kind == "gold" else texts.predicted_ids
    return label_ids == _label_id(value, texts.predictions.label_names)


def _phenomenon(name: str, phenomena: Phenomena) -> np.ndarray:
    if name in phenomena:
        return phenomena[name]
    if name.removeprefix("no ") in phenomena:
        return ~phenomena[name.removeprefix("no ")]
    raise RuleError(
        f"'{name[:80]}' is no condition of a rule; there are {EXAMPLES_OF_RULES}. "
        f"Phenomena: {', '.join(phenomena) or 'none here'}."
    )


def _label_id(value: str, label_names: list[str]) -> int:
    written = [_written(name) for name in label_names]
    if value not in written:
        raise RuleError(f"No label is called '{value}'; there are: {', '.join(written)}.")
    return written.index(value)


def _written(label_name: str) -> str:
    return label_name.replace(" & ", "&")       # "Society & Culture" would be two conditions


def _expression_of(words: Iterable[str]) -> str:
    either = "|".join(re.escape(word.strip()) for word in words)
    return rf"(?:^|{_BETWEEN_WORDS})['’]*(?:{either})['’]*(?:$|{_BETWEEN_WORDS})"


def _readable(condition: Condition) -> str:
    value, compared = condition.value, f"{IN_WORDS.get(condition.operator)} {condition.value}"
    quoted = " or ".join(f"“{word.strip()}”" for word in value.split(","))
    return {
        "words": f"{compared} words",
        "confidence": f"confidence {compared}",
        "word": f"the word {quoted}",
        "anyof": f"any of {quoted}",
        "regex": f"a match of {value}",
        "gold": f"gold label {value}",
        "predicted": f"predicted {value}",
    }.get(condition.kind, value.replace("_", " "))
