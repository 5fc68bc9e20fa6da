"""What is looked up of examples, and which file of a run's predictions they come from."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from analysis.examples import PredictionsFile, examples_of, newest_predictions, predictions_files
from pipeline.catalog import create_run
from pipeline.config import make_config
from pipeline.exceptions import RunError
from pipeline.metrics import example_losses
from pipeline.predictions import Predictions
from pipeline.runs import Run


@pytest.fixture
def run(run_root: Path, tiny_values: dict) -> Run:
    """With three files, made in this order, and one that is being written."""
    made = create_run(make_config(tiny_values))
    names = ["org__data/test", "starter/test", "starter/validation", "starter/.test.parquet.tmp"]
    for second, name in enumerate(names):
        path = made.folder / "predictions" / (name if name.endswith("tmp") else f"{name}.parquet")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.utime(path, (second, second))
    return made


def test_an_example_has_its_prediction_loss_and_length() -> None:
    logits = np.array([[0, np.log(3)], [np.log(4), 0]], np.float32)
    predictions = Predictions(["a:0", "a:1"], ["good  film", "späť 😀 it 's"], ["n", "p"], np.array([1, 1]), logits)
    examples = examples_of(predictions)
    assert examples.predicted_ids.tolist() == [1, 0]
    assert examples.wrong.tolist() == [False, True]
    assert examples.probability == pytest.approx([0.75, 0.8])
    assert examples.losses == pytest.approx(-np.log([0.75, 0.2]))
    assert (examples.losses == example_losses(logits, predictions.gold_ids)).all()
    assert examples.num_words.tolist() == [2, 4]
    assert examples.texts.to_pylist() == predictions.texts


def test_the_predictions_of_a_run_are_listed_newest_first(run: Run) -> None:
    assert [(file.data, file.split) for file in predictions_files(run)] == [
        ("starter", "validation"), ("starter", "test"), ("org__data", "test"),
    ]


@pytest.mark.parametrize("data, split, found", [
    (None, None, ("starter", "validation")),
    (None, "test", ("starter", "test")),
    ("org/data", None, ("org__data", "test")),      # the source,
    ("org__data", "test", ("org__data", "test")),   # or the name of its folder
])
def test_the_newest_of_what_is_named_is_taken(run: Run, data: str, split: str, found: tuple[str, str]) -> None:
    path = run.folder / "predictions" / found[0] / f"{found[1]}.parquet"
    assert newest_predictions(run, data, split) == PredictionsFile(*found, path)


def test_without_such_predictions_it_says_what_there_is_and_how_to_make_them(run: Run) -> None:
    with pytest.raises(RunError) as caught:
        newest_predictions(run, "org/data", "train")
    assert str(caught.value) == (
        "'tiny' keeps no such predictions (it has starter validation, starter test, org__data test). "
        "Make them with 'python -m pipeline evaluate tiny --data org/data --split train --save'."
    )
    for file in predictions_files(run):
        file.path.unlink()
    with pytest.raises(RunError, match=r"\(it has none at all\). Make them with .* evaluate tiny --save'"):
        newest_predictions(run)
