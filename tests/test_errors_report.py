"""Errors that leave the page: nothing in a text becomes a formula, a column or markup."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from analysis.attribution import Attribution
from analysis.text_spans import TextPieces, Word
from reports.errors_report import csv_of, html_of, json_lines_of

HOSTILE = '<script>alert("1")</script>, "quoted"\n& more'
LINE = {
    "example_id": "test:1", "text": HOSTILE, "gold": "negative", "predicted": "positive", "probability": 0.9,
    "loss": 2.3, "mark": "wrong_label", "label": "", "tags": ["a", "b"], "note": "=1+1",
}


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def found() -> Attribution:
    start = HOSTILE.index("quoted")
    words = [Word(0, 8, (1,)), Word(start, start + 6, (2,))]
    pieces = TextPieces(HOSTILE, [0, 1, 2, 3], words)
    return Attribution("occlusion", "positive", None, pieces, np.array([1.5, -0.75]), 1.0, None, 3)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@sum(A1)", "\tx", "\rx"])
def test_no_cell_begins_as_a_formula_does(text: str) -> None:
    [_, row] = csv.reader(io.StringIO(csv_of([{**LINE, "text": text}])))
    assert row[1] == f"'{text}"


def test_a_text_stays_one_cell_and_its_numbers_stay_numbers() -> None:
    [names, row] = csv.reader(io.StringIO(csv_of([LINE])))
    assert dict(zip(names, row, strict=True)) == {
        **LINE, "probability": "0.9", "loss": "2.3", "tags": "a, b", "note": "'=1+1",
    }
    assert csv_of([]) == ""


def test_json_lines_hold_what_there_was() -> None:
    assert [json.loads(line) for line in json_lines_of([LINE, LINE]).splitlines()] == [LINE, LINE]


def test_in_html_no_text_is_markup_and_every_word_has_its_sign(found: Attribution) -> None:
    parsed = Tags()
    written = html_of("<b>Errors</b>", ["1 < 2"], [{**LINE, "cause": "Cause: <i>but</i>."}], [found])
    parsed.feed(written)
    assert set(parsed.tags) == {
        "html", "meta", "title", "style", "h1", "p", "article", "small", "div", "span", "sup",
    }
    told = ("<b>Errors</b>", "1 < 2", "Cause: <i>but</i>.", "wrong_label")
    assert all(words in parsed.text for words in told)
    assert HOSTILE.replace("<script>", "<script>+", 1).replace("quoted", "quoted\N{MINUS SIGN}") in parsed.text
    assert "http" not in written


def test_a_sentence_without_words_is_written_as_it_is(found: Attribution) -> None:
    empty = replace(found, pieces=TextPieces("...", [0, 1], []), scores=np.zeros(0))
    assert ">...</div>" in html_of("x", [], [LINE], [empty])
