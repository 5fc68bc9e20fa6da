"""A file in the page: how far it is, what it becomes, and what is wrong with it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from pipeline.catalog import create_run
from pipeline.config import make_config
from tabs.predict_file import predict_upload


@pytest.fixture
def run(run_root: Path, tiny_values: dict[str, Any], sharp_model: Path) -> str:
    shutil.copytree(sharp_model, create_run(make_config(tiny_values)).best_folder)
    return "tiny"


def answers(path: Path, run: str, column: str = "", encoding: str = "utf-8") -> list[tuple[str, Any]]:
    return [(blocks[0]["text"], button) for blocks, button in predict_upload(None, str(path), column, encoding, run)]


def test_a_file_becomes_a_csv_to_download(run: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in ("good film", "bad film", None)))
    told = answers(path, run)
    assert [words for words, _ in told][:2] == ["Reading mine.jsonl …", "0 of 2 texts predicted with tiny …"]
    words, button = told[-1]
    assert words == "2 of 2 texts predicted with tiny, from the column 'text'. 1 rows without a text have empty cells."
    assert button.visible
    lines = Path(button.value["path"] if isinstance(button.value, dict) else button.value).read_text().splitlines()
    assert len(lines) == 4


def test_a_bad_file_is_told_in_a_sentence_and_offers_nothing(run: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("a,b\nx,y\n")
    words, button = answers(path, run)[-1]
    assert words.startswith("mine.csv has no column with a usual name for texts; it has: a, b.")
    assert not button.visible
    path.write_bytes("text\nsch\u00f6n\n".encode("latin-1"))
    assert "Set 'Encoding'" in answers(path, run)[-1][0]
    assert answers(path, run, encoding="latin-1")[-1][0].startswith("1 of 1 texts")
    path.write_text("a,b\nx,y\n")
    assert "has no column 'c'" in answers(path, run, "c")[-1][0]
    assert answers(path, "/etc")[-1][0].startswith("There is no trained model to ask.")
