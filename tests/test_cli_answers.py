"""`python -m pipeline evaluate` and `predict`: what a trained run answers, as JSON lines, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.catalog import load_run
from tests.command import Answer, volta

# evaluate


def test_evaluate_reads_other_data_by_the_columns_and_the_encoding_that_are_named(
    trained: Path, tiny_data: Path, tmp_path: Path
) -> None:
    rows = [json.loads(line) for line in tiny_data.read_text(encoding="utf-8").splitlines()]
    lines = ["né,was,urteil", *(f"x,{row['text']} {number} schön,{row['label']}" for number, row in enumerate(rows))]
    path = tmp_path / "other.csv"
    path.write_text("\n".join(lines), encoding="latin-1")
    named = ["--text-column", "was", "--label-column", "urteil", "--encoding", "latin-1"]
    [line] = volta("evaluate", "tiny", "--data", str(path), *named, "--split", "test").lines
    assert (line["data"], line["n"]) == (str(path), 24)
    assert volta("evaluate", "tiny", *named) == Answer(
        2,
        "",
        "The run's own data are read as its config says. Leave columns and encoding out, or name other --data.\n",
    )


def test_evaluate_answers_with_one_line_of_metrics(trained: Path, tiny_data: Path) -> None:
    answer = volta("evaluate", "tiny", "--split", "test")
    [line] = answer.lines
    assert answer.status == 0
    assert {key: line[key] for key in ("run", "data", "split", "n")} == {
        "run": "tiny", "data": str(tiny_data), "split": "test", "n": 24,
    }
    assert {"loss", "accuracy", "macro_f1", "f1", "ece", "per_label", "confusion_matrix"} <= set(line)
    assert not (trained / "tiny/predictions/tiny/test.parquet").exists()


def test_evaluating_the_best_model_gives_the_figures_of_its_training(trained: Path) -> None:
    [line] = volta("evaluate", "tiny").lines
    best = load_run("tiny").status().best
    [logged] = [entry for entry in load_run("tiny").metrics() if "split" in entry and entry["step"] == best["step"]]
    assert line["split"] == "validation"
    assert line["macro_f1"] == best["value"]
    assert line["loss"] == pytest.approx(logged["loss"], abs=1e-6)


# predict


def test_predict_answers_with_a_line_for_each_text_in_order(trained: Path) -> None:
    answer = volta("predict", "tiny", "--text", "good great lovely", "--text", "bad — “awful”", "--text", "good " * 99)
    assert answer.status == 0
    assert [line["text"] for line in answer.lines] == ["good great lovely", "bad — “awful”", "good " * 99]
    assert [line["truncated"] for line in answer.lines] == [False, False, True]
    for line in answer.lines:
        assert list(line) == ["text", "label", "label_id", "probabilities", "truncated"]
        assert line["label"] == ["negative", "positive"][line["label_id"]]
        assert sum(line["probabilities"].values()) == pytest.approx(1)


@pytest.mark.parametrize("content, expected", [
    (b"good film\nbad film\n", ["good film", "bad film"]),
    (b"\xef\xbb\xbfgood film\r\n\r\n  \nbad film", ["good film", "bad film"]),     # a byte-order mark, empty lines
    ("good\u2028film\f\x85here\nbad".encode(), ["good\u2028film\f\x85here", "bad"]),     # these end no line
])
def test_predict_reads_a_file_with_a_sentence_per_line(
    trained: Path, tmp_path: Path, content: bytes, expected: list[str]
) -> None:
    (tmp_path / "sentences.txt").write_bytes(content)
    answer = volta("predict", "tiny", "--file", str(tmp_path / "sentences.txt"))
    assert [json.loads(line)["text"] for line in answer.stdout.split("\n")[:-1]] == expected


def test_predict_reads_standard_input(trained: Path) -> None:
    answer = volta("predict", "tiny", "--file", "-", "--text", "first", stdin="second\nthird\n")
    assert [line["text"] for line in answer.lines] == ["first", "second", "third"]


@pytest.mark.parametrize("arguments, message", [
    (["tiny"], "There is nothing to predict. Give --text SENTENCE or --file FILE."),
    (["tiny", "--file", "none.txt"],
     "none.txt cannot be read (No such file or directory). Give a text file with a sentence per line."),
])
def test_predict_refuses_what_it_cannot_read(trained: Path, arguments: list[str], message: str) -> None:
    assert volta("predict", *arguments) == Answer(2, "", message + "\n")


def test_predict_refuses_a_file_that_is_not_utf8(trained: Path, tmp_path: Path) -> None:
    path = tmp_path / "latin.txt"
    path.write_bytes("gut\nschön".encode("latin-1"))
    message = f"{path} is not UTF-8 (byte 7). Convert it to UTF-8 first.\n"
    assert volta("predict", "tiny", "--file", str(path)) == Answer(2, "", message)
