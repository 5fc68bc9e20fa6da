"""A file of texts in, the same rows with predictions out: the same as one by one, nothing lost, nothing moved."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import prediction_files
from pipeline.exceptions import DataError
from pipeline.prediction_files import predict_file, save_csv
from pipeline.predictor import Predictor

TEXTS = ["good film", "a dull, awful story", 'he said "bad"', "a lovely film " * 40]


@pytest.fixture(scope="module")
def predictor(sharp_model: Path) -> Predictor:
    return Predictor.load(str(sharp_model), device="cpu")


def done(path: Path, predictor: Predictor, text_column: str | None = None) -> pa.Table:
    *_, last = predict_file(path, predictor, text_column)
    assert last.table is not None
    return last.table


def written(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_rows_keep_their_order_and_columns_and_get_what_the_predictor_says(
    predictor: Predictor, tmp_path: Path
) -> None:
    path = written(tmp_path / "x.jsonl", [{"id": row, "text": text} for row, text in enumerate(TEXTS)])
    rows = done(path, predictor).to_pylist()
    assert [(row["id"], row["text"]) for row in rows] == list(enumerate(TEXTS))
    for row, expected in zip(rows, predictor.predict(TEXTS), strict=True):
        assert (row["predicted"], row["truncated"]) == (expected.label, expected.truncated)
        assert row["probability"] == pytest.approx(expected.probabilities[expected.label], abs=2e-5)
        for label, probability in expected.probabilities.items():
            assert row[f"probability of {label}"] == pytest.approx(probability, abs=2e-5)


def test_a_column_that_has_the_name_of_one_of_ours_gets_another(predictor: Predictor, tmp_path: Path) -> None:
    path = written(tmp_path / "x.jsonl", [{"predicted": text, "n": 1} for text in TEXTS])
    *_, last = predict_file(path, predictor)
    assert last.table is not None and last.text_column == "predicted_"
    assert last.table["predicted_"].to_pylist() == TEXTS
    assert last.table["predicted"].to_pylist() == [prediction.label for prediction in predictor.predict(TEXTS)]


def test_a_row_without_a_text_keeps_empty_cells(predictor: Predictor, tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"text": ["good film", None, "bad film", " "], "n": [1, 2, 3, 4]}), path)
    rows = done(path, predictor).to_pylist()
    assert [row["predicted"] is None for row in rows] == [False, True, False, True]
    assert rows[2]["predicted"] == predictor.predict(["bad film"])[0].label


@pytest.mark.parametrize("rows, named, column", [
    ([{"what": "good film"}], None, "what"),                           # the only one
    ([{"review": "good film", "n": 1}], None, "review"),               # the usual one
    ([{"a": "good film", "n": 1}], None, "a"),                         # the only one of strings
    ([{"a": "good film", "text": "bad film"}], "a", "a"),              # the one that is named
])
def test_the_column_of_texts_is_found_or_named(
    predictor: Predictor, tmp_path: Path, rows: list[dict[str, object]], named: str | None, column: str
) -> None:
    [row] = done(written(tmp_path / "x.jsonl", rows), predictor, named).to_pylist()
    assert row["predicted"] == predictor.predict([str(rows[0][column])])[0].label


@pytest.mark.parametrize("rows, named, message", [
    ([{"a": "x", "b": "y"}], None, "x.jsonl has no column with a usual name for texts; it has: a, b. Name the one"),
    ([{"text": "x"}], "b", "x.jsonl has no column 'b'; it has: text. Name the one with the texts."),
    ([{"text": 1}], None, "the text column 'text' holds values of type int64, not texts"),
])
def test_a_file_without_texts_is_refused(
    predictor: Predictor, tmp_path: Path, rows: list[dict[str, object]], named: str | None, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        next(predict_file(written(tmp_path / "x.jsonl", rows), predictor, named))


def test_too_many_rows_are_refused(predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prediction_files, "MAX_TEXTS", 3)
    path = written(tmp_path / "x.jsonl", [{"text": text} for text in TEXTS])
    with pytest.raises(DataError, match="x.jsonl has 4 rows; at most 3 fit. Cut it into smaller files."):
        next(predict_file(path, predictor))


def test_it_tells_how_far_it_is(predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prediction_files, "TEXTS_PER_ROUND", 3)
    path = written(tmp_path / "x.jsonl", [{"text": text} for text in TEXTS])
    told = [(step.done, step.total) for step in predict_file(path, predictor)]
    assert told == [(0, 4), (3, 4), (4, 4), (4, 4)]


def test_a_column_with_one_of_our_names_makes_room(predictor: Predictor, tmp_path: Path) -> None:
    path = written(tmp_path / "x.jsonl", [{"text": "good film", "predicted": "mine", "predicted_": "older"}])
    [row] = done(path, predictor).to_pylist()
    assert [row["predicted_"], row["predicted__"]] == ["mine", "older"]
    assert row["predicted"] in predictor.label_names


def test_columns_that_a_csv_cannot_hold_are_left_out(predictor: Predictor, tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    columns = {"text": ["good film"], "image": pa.array([b"\xff"]), "tags": [["a"]], "kind": pa.array(["x"]).cast(
        pa.dictionary(pa.int32(), pa.string())
    )}
    pq.write_table(pa.table(columns), path)
    table = done(path, predictor)
    assert table.column_names[:3] == ["text", "kind", "predicted"]
    save_csv(table, tmp_path / "out.csv")


def test_the_csv_is_read_back_as_it_was(predictor: Predictor, tmp_path: Path) -> None:
    path = written(tmp_path / "x.jsonl", [{"text": text} for text in [*TEXTS, "two\nlines", "\U0001f600 é"]])
    table = done(path, predictor)
    save_csv(table, tmp_path / "out.csv")
    with open(tmp_path / "out.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["text"] for row in rows] == table["text"].to_pylist()
    assert [row["predicted"] for row in rows] == table["predicted"].to_pylist()


