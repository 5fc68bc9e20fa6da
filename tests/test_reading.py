"""Are the files of a source read whole or refused whole, and the Hub's data sets without any of their code?"""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import reading
from pipeline.exceptions import DataError
from pipeline.reading import read_source, read_table
from pipeline.sources import Place

TABLE = pa.table({"text": ["a", "b"], "label": [0, 1]})


def local(path: Path) -> Place:
    return Place("mine", "local", str(path))


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.parquet", "A.CSV"])
def test_each_kind_of_file_is_read(tmp_path, name):
    path = tmp_path / name
    if name.endswith(".parquet"):
        pq.write_table(TABLE, path)
    elif name.endswith(".jsonl"):
        path.write_text('{"text": "a", "label": 0}\n{"text": "b", "label": 1}\n')
    else:
        path.write_text("text,label\na,0\nb,1\n".replace(",", "\t" if name == "a.tsv" else ","))
    assert read_table(path)["text"].to_pylist() == ["a", "b"]


@pytest.mark.parametrize("name, content, sentence", [
    ("a.txt", b"text", "a.txt ends in .txt; Volta reads .parquet, .jsonl (one JSON object a line), .csv and .tsv. "),
    ("a.xlsx", b"PK", "a.xlsx ends in .xlsx; Volta reads"),
    ("a.json", b"[]", "a.json ends in .json; Volta reads"),
    ("data", b"text", "data has no ending; Volta reads"),
    ("a.csv", b"", "a.csv is empty (0 bytes). Give a file with examples in it."),
    ("a.csv", b"text,label\n", "a.csv has columns but no rows. Give a file with examples in it."),
    ("a.parquet", b"text,label\na,1\n", "a.parquet is not a Parquet file, or is damaged. Volta reads .parquet,"),
    ("a.parquet", b"PAR1" + b"\0" * 100 + b"PAR1", "a.parquet is not a Parquet file, or is damaged."),
])
def test_a_file_that_cannot_be_data_is_refused(tmp_path, name, content, sentence):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as error:
        read_table(tmp_path / name)
    assert str(error.value).startswith(sentence)


def test_a_parquet_file_cut_short_is_refused(tmp_path):
    pq.write_table(TABLE, tmp_path / "a.parquet")
    whole = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="a.parquet is not a Parquet file, or is damaged"):
        read_table(tmp_path / "a.parquet")


def test_a_parquet_file_with_text_that_is_not_utf8_is_refused(tmp_path):
    broken = pa.array([b"fine", b"caf\xe9"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"text": broken, "label": [0, 1]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="a.parquet is not a Parquet file, or is damaged"):
        read_table(tmp_path / "a.parquet")


def test_a_parquet_file_with_a_column_twice_is_refused(tmp_path):
    pq.write_table(pa.Table.from_arrays([["a"], ["b"]], names=["text", "text"]), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="a.parquet has two columns named 'text'. Rename one of them."):
        read_table(tmp_path / "a.parquet")


def test_a_file_too_large_is_refused_before_it_is_read(tmp_path):
    with open(tmp_path / "a.csv", "wb") as file:
        file.truncate(3 * 1024**3)          # takes no room on the disk
    with pytest.raises(DataError) as error:
        read_table(tmp_path / "a.csv")
    assert str(error.value) == "a.csv has 3.0 GB; at most 2 GB are read. Cut it into a smaller file."


def test_a_parquet_file_that_unpacks_too_large_or_too_long_is_refused_before_that(tmp_path, monkeypatch):
    pq.write_table(pa.table({"text": ["a" * 1000] * 5000, "label": range(5000)}), tmp_path / "a.parquet")
    monkeypatch.setattr(pq.ParquetFile, "read", lambda file: pytest.fail("was read"))
    monkeypatch.setattr(reading, "MAX_UNPACKED_GIGABYTES", 1e-6)
    with pytest.raises(DataError, match=r"a.parquet unpacks to .* GB; at most 1e-06 GB are read"):
        read_table(tmp_path / "a.parquet")
    monkeypatch.setattr(reading, "MAX_ROWS", 4999)
    with pytest.raises(DataError, match="a.parquet has 5,000 rows; at most 4,999 are read. Cut it"):
        read_table(tmp_path / "a.parquet")


def test_a_file_that_went_away_is_told(tmp_path):
    with pytest.raises(DataError) as error:
        read_table(tmp_path / "a.csv")
    assert str(error.value) == "a.csv cannot be read (No such file or directory). Check the file and who may read it."


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_told(tmp_path):
    (tmp_path / "a.csv").write_text("text,label\na,1\n")
    (tmp_path / "a.csv").chmod(0)
    with pytest.raises(DataError, match=r"a.csv cannot be read \(Permission denied\)"):
        read_table(tmp_path / "a.csv")


# Sources of several files

def test_a_single_file_is_train_and_a_folder_has_a_file_for_each_split(tmp_path):
    (tmp_path / "train.csv").write_text("text,label\na,1\n")
    pq.write_table(TABLE, tmp_path / "test.parquet")
    (tmp_path / "notes.txt").write_text("not data")
    assert set(read_source(local(tmp_path / "train.csv")).tables) == {"train"}
    source = read_source(local(tmp_path))
    assert source.files == {"train": "train.csv", "test": "test.parquet"}
    assert source.tables["test"].num_rows == 2


def test_two_files_for_one_split_are_refused(tmp_path):
    for name in ("train.csv", "train.jsonl"):
        (tmp_path / name).write_text("x")
    with pytest.raises(DataError, match="has both train.jsonl and train.csv. Keep one file per split."):
        read_source(local(tmp_path))


def test_a_folder_without_train_is_refused(tmp_path):
    pq.write_table(TABLE, tmp_path / "test.parquet")
    with pytest.raises(DataError, match="has no train file; expected train.parquet, train.jsonl, train.csv or train."):
        read_source(local(tmp_path))


def test_one_bad_file_refuses_the_whole_source(tmp_path):
    (tmp_path / "train.csv").write_text("text,label\na,1\n")
    (tmp_path / "test.csv").write_text("text,label\na\n")
    with pytest.raises(DataError, match="test.csv, line 2"):
        read_source(local(tmp_path))


# The Hub

HUB = Place("owner/name", "hub", "owner/name")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SimpleNamespace:
    """`datasets` with `load_dataset` replaced by what `hub.answer` says; `hub.calls` are its arguments."""
    import datasets

    monkeypatch.chdir(tmp_path)
    hub = SimpleNamespace(answer=lambda: {}, calls=[])

    def load_dataset(*args: object, **kwargs: object) -> object:
        hub.calls.append((args, kwargs))
        return hub.answer()

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    return hub


def test_a_data_set_of_the_hub_brings_its_splits_and_label_names_and_no_code(hub):
    from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

    features = Features({"text": Value("string"), "label": ClassLabel(names=["ham", "spam"])})
    rows = Dataset.from_dict({"text": ["a", "b"], "label": [0, 1]}, features=features)
    hub.answer = lambda: DatasetDict(train=rows, test=rows.select([1]), unsupervised=rows)
    source = read_source(HUB)
    assert hub.calls == [(("owner/name",), {})]         # nothing that would switch on code
    assert {split: table.num_rows for split, table in source.tables.items()} == {"train": 2, "test": 1}
    assert source.class_names == {"label": ["ham", "spam"]}
    assert source.files["test"] == "owner/name (test)"


@pytest.mark.parametrize("exception", [
    ConnectionError("Couldn't reach 'owner/name' on the Hub\nat all."), ValueError("Config name is missing."),
    RuntimeError("Dataset scripts are no longer supported"), FileNotFoundError("not there"),
])
def test_whatever_the_hub_answers_is_one_message(hub, exception):
    def fail() -> None:
        raise exception

    hub.answer = fail
    with pytest.raises(DataError) as error:
        read_source(HUB)
    reason = " ".join(str(exception).split()).rstrip(".")
    assert str(error.value) == (
        f"The data set 'owner/name' could not be read from the Hugging Face Hub ({reason}). Check its name, your "
        "connection and, if it is gated, your access; or give a local file."
    )


def test_a_data_set_without_train_is_refused(hub):
    from datasets import Dataset, DatasetDict

    hub.answer = lambda: DatasetDict(dev=Dataset.from_dict({"text": ["a"]}))
    with pytest.raises(DataError, match="The data set 'owner/name' has no split 'train'; it has: dev. Save one of "):
        read_source(HUB)


def test_a_folder_with_the_name_of_a_data_set_is_never_taken_for_it(hub, tmp_path):
    (tmp_path / "owner" / "name").mkdir(parents=True)
    with pytest.raises(DataError, match="'owner/name' is also a folder here, without data in it"):
        read_source(HUB)
    assert hub.calls == []
