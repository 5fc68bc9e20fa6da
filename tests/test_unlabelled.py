"""Texts without labels: which are read, which are left out because somebody is tested on them, and what is held out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.config import make_config
from pipeline.config_parts import CleanConfig, DataConfig
from pipeline.exceptions import DataError
from pipeline.unlabelled import load_examples, load_texts, occurs_in
from tabs.data_view import data_blocks

NUMBERS = "one two three four five six seven eight nine ten eleven twelve".split()
TEXTS = [f"{first} {second} film" for first in NUMBERS for second in NUMBERS]      # 144, none inside another


def write(folder: Path, **splits: list[str]) -> Path:
    """A folder with a Parquet file per split, and a column of labels where a split is not `unsupervised`."""
    folder.mkdir(exist_ok=True)
    for split, texts in splits.items():
        labels = {} if split == "unsupervised" else {"label": [number % 2 for number in range(len(texts))]}
        pq.write_table(pa.table({"text": texts, **labels}), folder / f"{split}.parquet")
    return folder


def loaded(source: Path, **fields: Any) -> Any:
    return load_texts(DataConfig(source=str(source), **fields))


def ids(table: pa.Table) -> set[str]:
    return set(table["example_id"].to_pylist())


def test_the_unsupervised_split_comes_first_and_train_after_it_whatever_its_labels(tmp_path: Path) -> None:
    source = write(tmp_path / "data", train=TEXTS[:50], unsupervised=TEXTS[50:100])
    splits = loaded(source)
    assert splits.train.num_rows + splits.validation.num_rows == 100
    assert splits.train.column_names == ["example_id", "text"] and splits.label_names == []
    assert ids(splits.train) | ids(splits.validation) == {
        f"{split}:{row}" for split in ("unsupervised", "train") for row in range(50)
    }
    assert {id_.partition(":")[0] for id_ in ids(loaded(source, limit=40).train)} == {"unsupervised"}
    assert splits.test.num_rows == 0


@pytest.mark.parametrize("split", ["disjoint", "random"])
def test_validation_is_a_share_of_the_texts_always_the_same(tmp_path: Path, split: str) -> None:
    source = write(tmp_path / "data", train=TEXTS[:100])
    one, again = (loaded(source, split=split, validation_ratio=0.2) for _ in range(2))
    assert (one.train.num_rows, one.validation.num_rows) == (80, 20)
    assert one.fingerprints == again.fingerprints
    assert {name: found["rows"] for name, found in one.fingerprints.items()} == {"train": 80, "validation": 20}


def test_a_text_that_equals_one_of_validation_is_not_learnt_from(tmp_path: Path) -> None:
    splits = loaded(write(tmp_path / "data", train=[*TEXTS[:30], *(text.upper() for text in TEXTS[:30])]))
    learnt = {text.casefold() for text in splits.train["text"].to_pylist()}
    assert not learnt & {text.casefold() for text in splits.validation["text"].to_pylist()}
    assert splits.dropped["inside a validation text"] == splits.validation.num_rows


def test_texts_of_the_sources_own_test_and_validation_files_are_left_out_and_counted(tmp_path: Path) -> None:
    held_out = {"test": ["One one FILM!", "something else here"], "validation": [TEXTS[5]]}
    splits = loaded(write(tmp_path / "data", train=TEXTS[:60], **held_out))
    texts = splits.train["text"].to_pylist() + splits.validation["text"].to_pylist()
    assert len(texts) == 58 and TEXTS[0] not in texts and TEXTS[5] not in texts
    source = str(tmp_path / "data")
    assert splits.dropped == {
        f"with a text that is held out of '{source}' ({split})": 1 for split in ("validation", "test")
    }


def test_what_runs_on_other_data_hold_out_is_left_out_too(tmp_path: Path) -> None:
    other = write(tmp_path / "other", train=[f"{text} again" for text in TEXTS], test=["so: two two film, or not"])
    source = write(tmp_path / "data", train=[*TEXTS[:60], "I say so two two film or not today", TEXTS[0] + " again"])
    splits = loaded(source, avoid=str(other))
    assert splits.dropped[f"with a text that is held out of '{other}'"] in (1, 2)       # its validation is drawn
    assert not any("so two two" in text for text in splits.train["text"].to_pylist())


def test_a_source_without_files_for_testing_may_name_itself(tmp_path: Path) -> None:
    """A later run with the same choices draws its test and validation texts of train: they are not learnt from."""
    path = tmp_path / "own.jsonl"
    rows = [{"text": text, "label": ["a", "b"][row % 2]} for row, text in enumerate(TEXTS)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = make_config({"name": "a", "data": {"source": str(path), "split": "random", "limit": 100}})
    tested = load_examples(config)
    read = loaded(path, split="random", limit=100, avoid=str(path))
    assert not set(read.train["text"].to_pylist()) & set(tested.test["text"].to_pylist())
    assert read.dropped == {f"with a text that is held out of '{path}'": 20}


@pytest.mark.parametrize("text, expected", [
    ("It is, LOVELY to look at", True), ("they say it is lovely to look at and leave", True),
    ("it is lovely", False), ("a gem of a film", False),
])
def test_a_text_occurs_where_it_is_equal_or_a_held_out_one_of_three_words_stands_in_it(
    text: str, expected: bool
) -> None:
    held_out = pa.chunked_array([["It is lovely to look at.", "a gem", None]], pa.large_string())
    assert occurs_in(pa.chunked_array([[text]], pa.large_string()), held_out).tolist() == [expected]


def test_a_file_may_have_a_text_column_alone_and_is_cleaned(tmp_path: Path) -> None:
    path = tmp_path / "texts.csv"
    path.write_text("review\n" + "\n".join([*TEXTS[:20], '""', "A <b>BOLD</b> film"]) + "\n")
    splits = loaded(path, clean=CleanConfig(html=True, spaces=True, lowercase=True))
    assert "a bold film" in splits.train["text"].to_pylist() + splits.validation["text"].to_pylist()
    assert splits.dropped == {"empty": 1}


def test_too_few_texts_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "few.csv"
    path.write_text("text\n" + "\n".join(TEXTS[:9]) + "\n")
    with pytest.raises(DataError) as caught:
        loaded(path)
    assert str(caught.value) == (
        f"'{path}' has too few texts that differ and are not held out: 9 before validation is drawn. Give at least 10."
    )
    path.write_text("text\n" + "the same old film\n" * 12)
    with pytest.raises(DataError, match="has too few texts that differ and are not held out: 12"):
        loaded(path)


def test_data_to_avoid_that_cannot_be_had_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^data\.avoid: No data 'no-such-data' was found"):
        loaded(write(tmp_path / "data", train=TEXTS), avoid="no-such-data")


def test_the_page_tells_how_many_texts_there_are(tmp_path: Path) -> None:
    source = write(tmp_path / "data", train=TEXTS[:60], test=[TEXTS[0]])
    sizes, left_out = data_blocks(make_config({"name": "a", "task": "mlm", "data": {"source": str(source)}}))
    assert sizes["text"] == "53 train · 6 validation"
    assert f"1 with a text that is held out of '{source}' (test)" in left_out["text"]
