"""Extra examples: the fix list of a run, or a file, behind the training split and nowhere else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.catalog import create_run
from pipeline.config import make_config
from pipeline.data import load_splits
from pipeline.exceptions import DataError
from pipeline.judgements import Fix, add_fix
from pipeline.plan import make_plan


def splits_with(extra: str | None, tiny_data: Path, **data: object):
    values = {"source": str(tiny_data), "split": "random", "extra": extra, **data}
    return load_splits(make_config({"name": "x", "data": values}).data)


def test_the_fix_list_of_a_run_is_trained_on(run_root: Path, tiny_data: Path) -> None:
    run = create_run(make_config({"name": "first"}))
    add_fix(run, Fix("NOT a good film", "negative"))
    add_fix(run, Fix("not a bad film", "positive"))
    before, after = (splits_with(extra, tiny_data, clean={"lowercase": True}) for extra in (None, "first"))
    added = after.train.slice(before.train.num_rows).to_pylist()
    assert [(row["example_id"], row["text"], row["label_id"]) for row in added] == [
        ("extra:0", "not a good film", 0), ("extra:1", "not a bad film", 1),
    ]
    assert (before.added, after.added) == ({}, {"extra": 2})
    assert after.validation.equals(before.validation) and after.test.equals(before.test)
    assert after.fingerprints["train"] != before.fingerprints["train"]


def test_a_file_is_trained_on_without_what_is_held_out(run_root: Path, tiny_data: Path, tmp_path: Path) -> None:
    before = splits_with(None, tiny_data)
    held_out = [before.validation["text"][0].as_py(), before.test["text"][0].as_py()]
    rows = [{"sentence": text, "label": "positive"} for text in [*held_out, "a new one", " "]]
    path = tmp_path / "more.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    after = splits_with(str(path), tiny_data)
    assert after.train.num_rows == before.train.num_rows + 1
    assert after.train["text"][-1].as_py() == "a new one"
    assert after.dropped["of the extra examples, since they stand in validation"] == 1
    assert after.dropped["of the extra examples, since they stand in test"] == 1


def test_an_unknown_label_or_an_empty_list_is_one_sentence(run_root: Path, tiny_data: Path) -> None:
    run = create_run(make_config({"name": "first"}))
    with pytest.raises(DataError, match="data.extra: 'first' has no examples. Put sentences on its fix list"):
        splits_with("first", tiny_data)
    add_fix(run, Fix("a film", "neutral"))
    with pytest.raises(DataError, match="has the label 'neutral', which '.*' does not; it has: negative, positive."):
        splits_with("first", tiny_data)
    with pytest.raises(DataError, match="data.extra is neither a run nor data. Did you mean the run 'first'?"):
        splits_with("frist", tiny_data)
    with pytest.raises(DataError, match="no-such-thing"):
        splits_with("no-such-thing", tiny_data)


def test_a_plan_counts_them(run_root: Path, tiny_values: dict) -> None:
    run = create_run(make_config({"name": "first"}))
    for number in range(5):
        add_fix(run, Fix(f"film {number}", "positive"))
    plain, more = (
        make_plan(make_config({**tiny_values, "data": {**tiny_values["data"], "extra": extra}}))
        for extra in (None, "first")
    )
    assert more.rows["train"] == plain.rows["train"] + 5
