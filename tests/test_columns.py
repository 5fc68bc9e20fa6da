"""Is the right column taken for the text and the label, and is it asked when that is not clear?"""

from __future__ import annotations

import pyarrow as pa
import pytest

from pipeline.columns import Columns, find_columns, text_values
from pipeline.exceptions import DataError

TEXTS = ["one text", "another", "a third", "a last"]
LABELS = ["no", "yes", "no", "yes"]


def table(**columns: list) -> pa.Table:
    return pa.table(columns)


@pytest.mark.parametrize("columns, text, label", [
    ({"text": TEXTS, "label": LABELS}, "text", "label"),
    ({"Label": LABELS, "Sentence": TEXTS}, "Sentence", "Label"),                                # whatever the case
    ({"id": TEXTS, "title": TEXTS, "review": TEXTS, "stars": LABELS}, "review", "stars"),       # review before title
    ({"text": [1, 2, 3, 4], "sentence": TEXTS, "label": LABELS}, "sentence", "label"),          # text holds numbers
    ({"phrase": TEXTS, "label": LABELS}, "phrase", "label"),                                    # the one left over
    ({"text": TEXTS, "mood": LABELS}, "text", "mood"),
    ({"mood": LABELS, "phrase": TEXTS}, "phrase", "mood"),                                      # the one of few values
    ({"mood": [0, 1, 0, 1], "phrase": TEXTS}, "phrase", "mood"),
])
def test_columns_are_found_by_name_or_by_what_they_hold(columns, text, label):
    assert find_columns(table(**columns), "a.csv") == Columns(text, label)


def test_what_a_parquet_file_says_of_its_fields_does_not_matter():
    fields = [("text", pa.int64()), ("sentence", pa.string()), ("label", pa.string())]
    schema = pa.schema([pa.field(name, type_, metadata={"PARQUET:field_id": "1"}) for name, type_ in fields])
    data = pa.table([[1, 2, 3, 4], TEXTS, LABELS], schema=schema)
    assert find_columns(data, "a.parquet") == Columns("sentence", "label")


def test_named_columns_are_taken_whatever_they_are_called():
    data = table(text=TEXTS, label=LABELS, phrase=TEXTS, mood=LABELS)
    assert find_columns(data, "a.csv", "phrase", "mood") == Columns("phrase", "mood")
    assert find_columns(data, "a.csv", None, "mood") == Columns("text", "mood")


@pytest.mark.parametrize("columns, named, sentence", [
    ({"a": TEXTS, "b": TEXTS, "label": LABELS}, (None, None),
     "a.csv: which column is the text? It has: a, b, label. Name one under data.text_column."),
    ({"text": TEXTS, "b": LABELS, "c": LABELS}, (None, None),
     "a.csv: which column is the label? It has: text, b, c. Name one under data.label_column."),
    ({"a": TEXTS, "b": TEXTS}, (None, None), "a.csv: which column is the text? It has: a, b."),
    ({"text": TEXTS, "label": LABELS}, ("phrase", None),
     "a.csv has no column 'phrase'; it has: text, label. Name one of these under data.text_column."),
    ({"text": TEXTS, "label": LABELS}, (None, "mood"), "a.csv has no column 'mood'; it has: text, label. Name one"),
    ({"text": TEXTS, "label": LABELS}, ("text", "text"), "a.csv: 'text' is named as text and as label. Name two"),
    ({"tokens": [["a"], ["b"]], "tag": [0, 1]}, (None, None), "a.csv: which column is the text? It has: tokens, tag."),
    ({"text": TEXTS}, (None, None), "a.csv has only one column (text); a text column and a label column are needed."),
])
def test_what_is_not_clear_is_asked(columns, named, sentence):
    with pytest.raises(DataError) as error:
        find_columns(table(**columns), "a.csv", *named)
    assert str(error.value).startswith(sentence)


def test_a_file_whose_header_is_its_first_example_is_refused():
    data = pa.table({"I liked it": TEXTS, "yes": LABELS})
    with pytest.raises(DataError) as error:
        find_columns(data, "a.csv")
    assert str(error.value) == (
        "a.csv: its first line ('I liked it', 'yes') seems to be an example, not the names of the columns. Add a first "
        "line such as text,label."
    )


@pytest.mark.parametrize("type_", [
    pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string()),
])
def test_texts_of_any_string_type_are_read(type_):
    values = text_values(pa.table({"text": pa.array(["a", None, "b"]).cast(type_)}), "a.parquet", "text")
    assert values.to_pylist() == ["a", None, "b"]
    assert values.type == pa.large_string()


def test_a_column_of_nothing_is_texts_that_are_missing():
    assert text_values(table(text=[None, None]), "a.jsonl", "text").to_pylist() == [None, None]


@pytest.mark.parametrize("values, found", [
    ([1, 2], "values of type int64"), (["1", " 2.5 ", "-3e5", None], "numbers"), ([["a"], ["b"]], "values of type list")
])
def test_a_text_column_without_texts_is_refused(values, found):
    with pytest.raises(DataError, match=rf"a.csv: the text column 'text' holds {found}.*, not texts. Name another"):
        text_values(table(text=values, label=[0] * len(values)), "a.csv", "text")


def test_a_few_numbers_among_texts_are_texts():
    assert text_values(table(text=["1984", "a book"]), "a.csv", "text").to_pylist() == ["1984", "a book"]


def test_a_split_without_the_text_column_of_train_is_refused():
    with pytest.raises(DataError, match="test.csv has no text column 'review', which train has; it has: text. Rename"):
        text_values(table(text=TEXTS), "test.csv", "review")
