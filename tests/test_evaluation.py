"""How good a run's best model is on a split: its own data or others', measured, and kept only when asked."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.catalog import create_run
from pipeline.config import make_config
from pipeline.config_parts import DataConfig
from pipeline.data import load_splits, slug
from pipeline.evaluation import evaluate_run
from pipeline.exceptions import DataError, RunError
from pipeline.metrics import compute_metrics
from pipeline.models import load_classifier, save_model
from pipeline.predictions import read_predictions
from pipeline.predictor import Predictor
from pipeline.runs import Run


@pytest.fixture
def run(run_root: Path, tiny_values: dict, sharp_model: Path) -> Run:
    """A run that has a best model, and nothing else of a training."""
    made = create_run(make_config(tiny_values))
    shutil.copytree(sharp_model, made.best_folder)
    return made


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def files_of(run: Run) -> set[str]:
    return {str(path.relative_to(run.folder)) for path in run.folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("split, num_examples", [("train", 192), ("validation", 24), ("test", 24)])
def test_a_split_of_the_runs_own_data_is_measured(run: Run, split: str, num_examples: int) -> None:
    result = evaluate_run(run, split=split)
    assert {key: result[key] for key in ("run", "data", "split", "n")} == {
        "run": "tiny", "data": run.config.data.source, "split": split, "n": num_examples,
    }
    examples = load_splits(run.config.data)[split]
    logits, _ = Predictor.load("tiny").logits(examples["text"])
    expected = compute_metrics(logits, examples["label_id"].to_numpy(), ["negative", "positive"])
    assert {key: value for key, value in result.items() if key not in ("run", "data", "split", "n")} == expected


def test_without_a_split_named_it_is_validation(run: Run) -> None:
    assert evaluate_run(run) == evaluate_run(run, split="validation")


def test_nothing_is_written_unless_asked(run: Run) -> None:
    before = files_of(run)
    evaluate_run(run, split="test")
    assert files_of(run) == before


def test_predictions_are_kept_when_asked(run: Run) -> None:
    before = files_of(run)
    result = evaluate_run(run, split="test", save=True)
    path = f"predictions/{slug(run.config.data.source)}/test.parquet"
    assert files_of(run) - before == {path}
    kept = read_predictions(run.folder / path)
    assert len(kept.example_ids) == result["n"] == 24
    again = compute_metrics(kept.logits, kept.gold_ids, kept.label_names)
    assert again["accuracy"] == result["accuracy"]
    assert again["loss"] == result["loss"]


def test_a_model_with_its_labels_in_another_order_is_as_good(run: Run, tiny_values: dict) -> None:
    mirrored = create_run(make_config({**tiny_values, "name": "mirrored"}))
    model, tokenizer = load_classifier(str(run.best_folder), torch.device("cpu"))
    with torch.no_grad():
        model.classifier.weight.copy_(model.classifier.weight.flip(0))
        model.classifier.bias.copy_(model.classifier.bias.flip(0))
    model.config.id2label = {0: "positive", 1: "negative"}
    save_model(model, tokenizer, mirrored.best_folder)
    one, other = evaluate_run(run, split="train"), evaluate_run(mirrored, split="train", save=True)
    assert other["accuracy"] == one["accuracy"]
    assert other["loss"] == pytest.approx(one["loss"])
    assert other["per_label"]["positive"] == one["per_label"]["positive"]
    kept = read_predictions(next(mirrored.folder.rglob("train.parquet")))
    assert kept.label_names == ["positive", "negative"]
    assert kept.gold_ids.mean() == 0.5
    assert (kept.logits.argmax(axis=1) == kept.gold_ids).mean() == one["accuracy"]


def test_other_data_with_the_same_labels_are_measured(
    run_root: Path, tiny_values: dict, sharp_model: Path, tmp_path: Path
) -> None:
    clean = {"html": True, "lowercase": True}
    cleaning = create_run(make_config({**tiny_values, "data": {**tiny_values["data"], "clean": clean}}))
    shutil.copytree(sharp_model, cleaning.best_folder)
    random = np.random.default_rng(0)
    other = write_rows(tmp_path / "other.jsonl", [
        {"text": "<b>GOOD</b> " + " ".join(random.choice(["film", "STORY", "actor"], 6)) + f" {row}", "label": label}
        for row in range(30) for label in ("positive", "negative")
    ])
    data = DataConfig(source=str(other), clean=cleaning.config.data.clean)
    result = evaluate_run(cleaning, data, "test", save=True)
    assert result["data"] == str(other)
    kept = read_predictions(cleaning.folder / "predictions/other/test.parquet")
    assert len(kept.texts) == result["n"] > 0
    assert all(text == text.lower() and "<" not in text for text in kept.texts)


def test_data_with_a_label_that_the_model_does_not_know_are_refused(run: Run, tmp_path: Path) -> None:
    labels = ["negative", "neutral", "positive"]
    other = write_rows(
        tmp_path / "three.jsonl", [{"text": f"good film {row}", "label": labels[row % 3]} for row in range(60)]
    )
    with pytest.raises(DataError) as caught:
        evaluate_run(run, DataConfig(source=str(other)), "test")
    assert str(caught.value) == (
        "The data has the label 'neutral', which the model does not know; it knows: negative, positive. "
        "Choose data with the same labels."
    )


@pytest.mark.parametrize("split", ["dev", "", "Test"])
def test_an_unknown_split_is_refused_with_those_there_are(run: Run, split: str) -> None:
    with pytest.raises(DataError) as caught:
        evaluate_run(run, split=split)
    assert str(caught.value) == f"There is no split '{split}'. Choose one of: train, validation, test."


def test_data_that_are_not_there_are_refused(run: Run, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"There is no file '.*none\.csv'"):
        evaluate_run(run, DataConfig(source=str(tmp_path / "none.csv")))


def test_a_run_that_has_no_model_yet_is_refused(run_root: Path, tiny_values: dict) -> None:
    with pytest.raises(RunError) as caught:
        evaluate_run(create_run(make_config(tiny_values)))
    assert str(caught.value) == (
        "'tiny' has no model yet: its first evaluation saves one. Let it train on, or resume it."
    )
