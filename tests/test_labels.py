"""Are labels read the same whatever their type, and put in an order that does not depend on the rows?"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from pipeline.exceptions import DataError
from pipeline.labels import Labels, check_labels, label_values, name_labels, refuse_single_examples


def values(column: list, type_: pa.DataType | None = None) -> list:
    return label_values(pa.table({"label": pa.array(column, type_)}), "a.csv", "label").to_pylist()


@pytest.mark.parametrize("column, expected", [
    ([3, -1, None, 0], ["3", None, None, "0"]),                             # -1 is not given
    ([1.0, 0.0, float("nan"), -1.0], ["1", "0", None, None]),               # ints that pandas made floats
    (["1", " 0 ", "-1", ""], ["1", "0", None, None]),                       # of a CSV file
    (["1.0", "0.0", "nan", None], ["1", "0", None, None]),
    ([True, False, None], ["true", "false", None]),
    (["True", "FALSE", "true"], ["true", "false", "true"]),
    ([" spam", "ham ", "", "NaN"], ["spam", "ham", None, None]),
    (["-1", "spam"], ["-1", "spam"]),                                       # among words, -1 is a word
    ([None, None], [None, None]),
    (["1", "2", "many"], ["1", "2", "many"]),
    (["1.5", "many"], ["1.5", "many"]),
    (["²", "1"], ["²", "1"]),
])
def test_labels_of_any_type_become_words(column, expected):
    assert values(column) == expected


@pytest.mark.parametrize("type_", [pa.int8(), pa.uint64(), pa.float32(), pa.decimal128(5, 1)])
def test_ints_of_any_width_are_ints(type_):
    assert values([2, 1, None], type_) == ["2", "1", None]


def test_a_dictionary_column_is_read_by_its_values():
    assert values(["b", "a"], pa.dictionary(pa.int32(), pa.string())) == ["b", "a"]


def test_a_split_without_the_column_is_unlabelled():
    assert label_values(pa.table({"text": ["a", "b"]}), "test.csv", "label").to_pylist() == [None, None]


def test_a_split_whose_label_column_is_spelled_otherwise_is_refused():
    with pytest.raises(DataError, match="validation.csv has no label column 'label', which train has, but 'Label'"):
        label_values(pa.table({"text": ["a"], "Label": ["x"]}), "validation.csv", "label")


@pytest.mark.parametrize("column, sentence", [
    ([0.5, 1.0, 2.0], "a.csv: the label column 'label' has numbers that are not whole, or endless (such as 0.5)"),
    (["0.25", "1"], "a.csv: the label column 'label' has numbers that are not whole, or endless (such as 0.25)"),
    ([".5", "1e0"], "a.csv: the label column 'label' has numbers that are not whole, or endless (such as .5)"),
    (["9" * 5_000, "1"], "a.csv: the label column 'label' has numbers that are not whole, or endless (such as 9999"),
    ([["a"], ["b"]], "a.csv: the label column 'label' holds values of type list"),
])
def test_what_cannot_be_a_label_is_refused(column, sentence):
    with pytest.raises(DataError) as error:
        values(column)
    assert str(error.value).startswith(sentence)


@pytest.mark.parametrize("found, known, names", [
    (["10", "9", "-2"], None, ["-2", "9", "10"]),                           # by number
    (["true", "false"], None, ["false", "true"]),
    (["b", "a", "10"], None, ["10", "a", "b"]),                             # by letter
    (["1", "0"], ["negative", "positive"], ["negative", "positive"]),
    (["2", "0"], ["World", "Sports", "Business"], ["World", "Business"]),   # only what is there
    (["1", "2"], ["negative", "positive"], ["1", "2"]),                     # not the ints that the names are for
    (["up", "down"], ["negative", "positive"], ["down", "up"]),
])
def test_labels_have_one_order(found, known, names):
    assert name_labels(found, known).names == names


def test_ids_are_places_in_the_order_of_names():
    labels = name_labels(["5", "1", "3"], None)
    ids = labels.ids(pa.chunked_array([["3", "5"], ["1", "3"]]))
    assert ids.tolist() == [1, 2, 0, 1]
    assert ids.dtype == np.int64


def check(train: list, within: str = "", **others: list) -> list[str]:
    columns = {"train": train} | others
    chunked = {split: pa.chunked_array([pa.array(column, pa.string())]) for split, column in columns.items()}
    return check_labels(chunked, {split: f"{split}.csv" for split in columns}, "label", within)


def test_two_to_a_hundred_labels_pass():
    assert check(["b", "a", "b"], test=["a"]) == ["a", "b"]
    assert len(check([str(number) for number in range(100)])) == 100


@pytest.mark.parametrize("arguments, sentence", [
    ({"train": ["1", "1"]},
     "train.csv has only the label '1' (label column 'label'; missing labels and -1 are none); 2 to 100 labels are "
     "needed. Add examples, or name another column under data.label_column."),
    ({"train": []}, "train.csv has no row with both a text and a label (label column 'label';"),
    ({"train": ["1"], "within": " in its first 10 rows (data.limit)"},
     "train.csv has only the label '1' in its first 10 rows (data.limit) (label column"),
    ({"train": [str(number) for number in range(101)]},
     "train.csv has 101 different labels in its column 'label'; at most 100 are learnt. Group them, or name another"),
    ({"train": ["a", "b"], "test": []}, "test.csv has no row with both a text and a label. Mend it, or take it away."),
    ({"train": ["a", "b"], "test": ["a", "c"]},
     "test.csv has the label 'c', which train does not have; train has: a, b. Use the same labels in all splits."),
])
def test_labels_that_cannot_be_learnt_are_refused(arguments, sentence):
    with pytest.raises(DataError) as error:
        check(**arguments)
    assert str(error.value).startswith(sentence)


def test_a_label_with_one_example_is_refused_with_its_row():
    labels = Labels(["ham", "spam"], {"ham": 0, "spam": 1})
    example_ids = pa.chunked_array([["train:0", "train:4", "train:7"]])
    refuse_single_examples(np.array([0, 1, 0, 1]), labels, "a.csv", example_ids)
    with pytest.raises(DataError) as error:
        refuse_single_examples(np.array([0, 1, 0]), labels, "a.csv", example_ids, " in its first 10 rows (data.limit)")
    assert str(error.value) == (
        "a.csv: the label 'spam' has a single example in its first 10 rows (data.limit) (train:4, counted from 0), too "
        "few to learn and to check. Add examples of it, or take this one out."
    )
