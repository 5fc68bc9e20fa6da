"""A short run is trained to its end before it is begun: what its loss comes to, when not, and what is left of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis import checks_of_rehearsal
from analysis.checks_of_rehearsal import about_rehearsal
from analysis.patient import Patient, patient_of
from pipeline.hardware import seed_everything
from pipeline.training import Training, TrainingError
from tests.test_diagnosis import config_with, write_data


@pytest.fixture
def patient(tiny_model: Path, tmp_path: Path) -> Patient:
    return patient_of(config_with(tiny_model, write_data(tmp_path / "usual.jsonl", 400)))


def test_the_rehearsal_is_the_run_itself_and_leaves_nothing_behind(patient: Patient) -> None:
    before = {name: value.clone() for name, value in patient.model.state_dict().items()}
    told = about_rehearsal(patient)
    assert all(value.equal(before[name]) for name, value in patient.model.state_dict().items())
    seed_everything(patient.config.seed, False)
    losses = [patient.training.take_step().loss for _ in range(patient.training.total_steps)]
    last = sum(losses[-16:]) / 16               # of 160
    assert told.values["last"] == pytest.approx(last, rel=1e-3) and not told.symptom
    assert told.told.startswith("Rehearsed, all 160 steps. Loss went from 0.69")


def test_a_run_that_is_too_long_is_not_rehearsed(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    take_step = Training.take_step
    monkeypatch.setattr(Training, "take_step", lambda self: taken.append(self.step) or take_step(self))
    monkeypatch.setattr(checks_of_rehearsal, "MAX_SECONDS", 0)
    told = about_rehearsal(patient)
    assert told.is_fine and told.told.startswith("Not rehearsed: its 160 steps would take ") and len(taken) == 2
    patient.num_train = 2_001
    told = about_rehearsal(patient)
    assert told.is_fine and told.told.startswith("Not rehearsed: 2,001 examples are too many.") and len(taken) == 2


def test_a_loss_that_is_no_number_is_told(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(training: Training) -> None:
        raise TrainingError("The loss became nan at step 1.")

    monkeypatch.setattr(Training, "take_step", fail)
    told = about_rehearsal(patient)
    assert (told.symptom, told.told) == ("not_finite", "The loss became nan at step 1.")
