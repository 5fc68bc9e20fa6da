"""One Parquet file with what a checkpoint said of a split: what is read back, beside what else, whole or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.exceptions import RunError
from pipeline.predictions import Predictions, read_predictions, save_predictions

LOGITS = np.array([[0.1, -2.5], [1e-30, 3.3333333]], np.float32)


def examples(**others: list[Any]) -> pa.Table:
    """Two examples as `load_splits` gives them, with the source's other columns."""
    return pa.table({
        "example_id": ["test:0", "test:7"], "text": ["good film", "späť 😀"], "label_id": [1, 0], **others,
    })


def test_what_is_read_is_what_was_saved(tmp_path: Path) -> None:
    path = tmp_path / "predictions/starter/test.parquet"        # folders are made
    save_predictions(path, examples(), LOGITS, ["negative", "positive"])
    read = read_predictions(path)
    assert isinstance(read, Predictions)
    assert read.example_ids == ["test:0", "test:7"]
    assert read.texts == ["good film", "späť 😀"]
    assert read.label_names == ["negative", "positive"]
    assert read.gold_ids.tolist() == [1, 0]
    assert read.gold_ids.dtype == np.int64
    assert read.logits.dtype == np.float32
    assert np.array_equal(read.logits, LOGITS)                  # bit for bit


def test_the_file_has_the_columns_of_the_design_and_those_of_the_source(tmp_path: Path) -> None:
    save_predictions(tmp_path / "a.parquet", examples(phenomenon=["but", "plain"]), LOGITS, ["a", "b"])
    table = pq.read_table(tmp_path / "a.parquet")
    assert table.column_names == ["example_id", "text", "gold_id", "phenomenon", "logits"]
    assert table["phenomenon"].to_pylist() == ["but", "plain"]
    assert table.schema.field("logits").type == pa.list_(pa.float32())
    assert json.loads(table.schema.metadata[b"label_names"]) == ["a", "b"]


def test_a_source_that_is_itself_a_file_of_predictions_keeps_its_columns_under_other_names(tmp_path: Path) -> None:
    others = {"gold_id": [5, 6], "logits": [[9.0], [9.0]]}
    save_predictions(tmp_path / "a.parquet", examples(**others), LOGITS, ["a", "b"])
    read = read_predictions(tmp_path / "a.parquet")
    assert read.gold_ids.tolist() == [1, 0]
    assert np.array_equal(read.logits, LOGITS)
    assert pq.read_table(tmp_path / "a.parquet")["source_gold_id"].to_pylist() == [5, 6]


def test_a_split_without_examples_has_predictions_of_no_rows(tmp_path: Path) -> None:
    save_predictions(tmp_path / "a.parquet", examples().slice(0, 0), np.zeros((0, 3), np.float32), ["a", "b", "c"])
    read = read_predictions(tmp_path / "a.parquet")
    assert (read.example_ids, read.gold_ids.shape, read.logits.shape) == ([], (0,), (0, 3))


def test_a_crash_while_saving_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.parquet"
    save_predictions(path, examples(), LOGITS, ["a", "b"])

    def crash(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "replace", crash)
        save_predictions(path, examples(), LOGITS + 1, ["a", "b"])
    assert np.array_equal(read_predictions(path).logits, LOGITS)
    save_predictions(path, examples(), LOGITS + 1, ["a", "b"])
    assert np.array_equal(read_predictions(path).logits, LOGITS + 1)
    assert [file.name for file in tmp_path.iterdir()] == ["a.parquet"]


def test_a_file_that_holds_no_predictions_is_refused_with_the_way_to_make_one(tmp_path: Path) -> None:
    (tmp_path / "text.parquet").write_text("not Parquet", encoding="utf-8")
    pq.write_table(examples(), tmp_path / "other.parquet")
    save_predictions(tmp_path / "half.parquet", examples(), LOGITS, ["a", "b"])
    (tmp_path / "half.parquet").write_bytes((tmp_path / "half.parquet").read_bytes()[:300])
    for name in ("none.parquet", "text.parquet", "other.parquet", "half.parquet"):
        with pytest.raises(RunError) as caught:
            read_predictions(tmp_path / name)
        assert str(caught.value).startswith(f"{tmp_path / name} is not a predictions file (")
        assert str(caught.value).endswith("). Make it anew with 'evaluate --save'.")
        assert "\n" not in str(caught.value)
