"""Does each cleaning step take out what its name says, and nothing when it is off?"""

from __future__ import annotations

import pyarrow as pa
import pytest

from pipeline import cleaning
from pipeline.cleaning import STEPS, clean, clean_all
from pipeline.config_parts import CleanConfig

RAW = "I DON'T  think<br /><b>so</b> &amp; &lt;3 a < b!\n"


@pytest.mark.parametrize("step, expected", [
    ("html", "I DON'T  think  so  & <3 a < b!\n"),
    ("punctuation", "I DONT  thinkbr bsob amp lt3 a  b\n"),
    ("lowercase", "i don't  think<br /><b>so</b> &amp; &lt;3 a < b!\n"),
    ("spaces", "I DON'T think<br /><b>so</b> &amp; &lt;3 a < b!"),
])
def test_each_step_does_what_its_name_says(step, expected):
    assert clean(RAW, CleanConfig(**{step: True})) == expected


def test_all_steps_together_are_done_in_the_order_of_the_classic_report():
    assert list(STEPS) == list(CleanConfig.model_fields)
    assert clean(RAW, CleanConfig(html=True, punctuation=True, lowercase=True, spaces=True)) == "i dont think so 3 a b"


def test_nothing_is_cleaned_unless_it_is_asked_for():
    texts = pa.chunked_array([[RAW]])
    assert clean(RAW, CleanConfig()) == RAW
    assert clean_all(texts, CleanConfig()) is texts


def test_a_column_is_cleaned_text_by_text_across_chunks(monkeypatch):
    monkeypatch.setattr(cleaning, "_ROWS_OF_CHUNK", 2)
    texts = pa.chunked_array([["A", "B", "C"], ["D"], []], pa.large_string())
    cleaned = clean_all(texts, CleanConfig(lowercase=True))
    assert cleaned.to_pylist() == ["a", "b", "c", "d"]
    assert clean_all(texts.slice(4), CleanConfig(lowercase=True)).to_pylist() == []
