"""How sure a run says it is: one temperature, fitted to validation, that all who show its probabilities agree on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from analysis.attribution import attribute
from pipeline.calibration import calibrate, fit_temperature, read_calibration, remove_calibration
from pipeline.catalog import create_run
from pipeline.config import make_config
from pipeline.evaluation import evaluate_run
from pipeline.exceptions import RunError
from pipeline.metrics import softmax
from pipeline.models import CALIBRATION_FILE, load_tokenizer, save_model
from pipeline.predictions import read_predictions
from pipeline.predictor import CALLS_IN_TORCH, Predictor
from pipeline.runs import Run
from tabs.errors_data import open_predictions
from tests.command import volta
from tests.tiny_encoders import build, saved

TEXTS = ["good great film", "the bad actor", "it was not good but i love this"]


@pytest.fixture
def run(run_root: Path, tiny_values: dict, sharp_model: Path) -> Run:
    """A run whose random weights make it far surer than it is right."""
    made = create_run(make_config(tiny_values))
    shutil.copytree(sharp_model, made.best_folder)
    return made


def odds(name: str) -> np.ndarray:
    """The log-odds of the predicted label of each of TEXTS, (N,)."""
    probs = [sorted(each.probabilities.values()) for each in Predictor.load(name).predict(TEXTS)]
    return np.array([np.log(high / low) for low, high in probs])


# The temperature


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_by_which_logits_were_multiplied_is_found(temperature: float) -> None:
    random = np.random.default_rng(0)
    honest = random.normal(0, 2, (20_000, 3))
    gold_ids = (softmax(honest).cumsum(axis=1) < random.random((20_000, 1))).sum(axis=1)
    assert fit_temperature(honest * temperature, gold_ids) == pytest.approx(temperature, rel=0.03)


def test_at_the_temperature_the_gold_logit_is_on_average_the_one_expected() -> None:
    random = np.random.default_rng(1)
    logits, gold_ids = random.normal(0, 4, (500, 2)), random.integers(0, 2, 500)
    gold_ids[:300] = logits[:300].argmax(axis=1)
    probs = softmax(logits / fit_temperature(logits, gold_ids))
    expected = (probs * logits).sum(axis=1).mean()          # where the slope of the loss is 0
    assert logits[np.arange(500), gold_ids].mean() == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("gold_ids", [[0, 1], [1, 0]])
def test_where_all_or_none_are_right_no_temperature_is_best(gold_ids: list[int]) -> None:
    with pytest.raises(RunError) as caught:
        fit_temperature(np.array([[2.0, 0.0], [0.0, 2.0]]), np.array(gold_ids))
    assert str(caught.value) == (
        "No temperature is best for these 2 validation examples: all of them are right, or no more than by chance. "
        "Validate on more or harder ones, or train longer."
    )


# A calibrated run


def test_the_loss_falls_and_no_prediction_changes(run: Run) -> None:
    before = evaluate_run(run)
    found = calibrate(run)
    after = evaluate_run(run)
    assert found.temperature > 1.5
    assert (found.ece_before, found.nll_before, found.n) == pytest.approx((before["ece"], before["loss"], 24))
    assert (found.ece_after, found.nll_after) == pytest.approx((after["ece"], after["loss"]), abs=1e-6)
    assert found.nll_after < found.nll_before
    assert after["confusion_matrix"] == before["confusion_matrix"]
    assert read_calibration(run) == found


def test_all_who_show_probabilities_divide_the_logits_by_the_temperature(run: Run) -> None:
    evaluate_run(run, split="test", save=True)
    path = run.folder / "predictions/tiny/test.parquet"
    as_trained, odds_before = read_predictions(path).logits, odds("tiny")
    opened = open_predictions(run, "tiny/test").examples.probability
    temperature = calibrate(run).temperature
    assert odds("tiny") == pytest.approx(odds_before / temperature, rel=1e-4)
    loaded = Predictor.load("tiny")
    found = attribute(loaded, TEXTS[0])
    assert found.log_odds == pytest.approx(odds("tiny")[0], abs=1e-4)
    assert found.delta is not None and found.delta < 0.02
    assert read_predictions(path).logits == pytest.approx(as_trained / temperature, rel=1e-6)
    assert (open_predictions(run, "tiny/test").examples.probability < opened).all()     # not those kept in memory
    evaluate_run(run, split="test", save=True)                                          # written anew, read the same
    assert read_predictions(path).logits == pytest.approx(as_trained / temperature, abs=1e-4)


def test_onnx_runtime_divides_too(run: Run) -> None:
    pytest.importorskip("onnxruntime")
    calibrate(run)
    loaded = Predictor.load("tiny")
    answers = [loaded.predict(TEXTS) for _ in range(CALLS_IN_TORCH + 2)]
    assert loaded._forward is not None
    assert answers[-1][0].probabilities == pytest.approx(answers[0][0].probabilities, abs=1e-5)


def test_calibrating_again_finds_the_same_and_removing_it_leaves_nothing(run: Run) -> None:
    before = odds("tiny")
    first = calibrate(run)
    assert calibrate(run).temperature == pytest.approx(first.temperature, rel=1e-4)
    remove_calibration(run)
    assert np.array_equal(odds("tiny"), before)
    assert read_calibration(run) is None and not (run.best_folder / CALIBRATION_FILE).exists()


def test_a_better_model_takes_the_temperature_away(run: Run, tiny_model: Path) -> None:
    calibrate(run)
    save_model(build(tiny_model, seed=1), load_tokenizer(str(tiny_model)), run.best_folder)
    assert read_calibration(run) is None
    assert Predictor.load("tiny").temperature == 1


def test_a_run_that_goes_on_from_it_starts_from_its_weights_alone(run: Run, tmp_path: Path) -> None:
    calibrate(run)
    folder = saved(run.best_folder, tmp_path / "best")
    assert {path.name for path in folder.iterdir()} == {path.name for path in run.best_folder.iterdir()} - {
        CALIBRATION_FILE
    }


@pytest.mark.parametrize("content", ["", "{}", '{"temperature": 0}', '{"temperature": "warm"}', '{"temperature": NaN}'])
def test_a_damaged_temperature_is_told(run: Run, content: str) -> None:
    (run.best_folder / CALIBRATION_FILE).write_text(content)
    with pytest.raises(RunError) as caught:
        Predictor.load("tiny")
    assert str(caught.value) == (
        f"{run.best_folder / CALIBRATION_FILE} holds no temperature above 0. Remove it, or calibrate the run anew."
    )


# The command


def test_the_command_answers_with_before_and_after(run: Run) -> None:
    answer = volta("calibrate", "tiny")
    assert answer.status == 0
    [line] = answer.lines
    assert list(line) == ["run", "temperature", "ece_before", "ece_after", "nll_before", "nll_after", "n"]
    assert (line["run"], line["n"]) == ("tiny", 24)
    assert json.loads((run.best_folder / CALIBRATION_FILE).read_text())["temperature"] == line["temperature"]
    assert volta("calibrate", "tiny", "--remove").lines == [{"run": "tiny", "temperature": 1.0}]
    assert read_calibration(run) is None
