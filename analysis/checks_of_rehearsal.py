"""Would it learn in the steps that it has? A short run is trained to its end, and its losses read as a record's are."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from analysis.check import Check
from analysis.checks_of_record import about_course
from analysis.patient import MAX_TRAIN, Patient
from pipeline.hardware import seed_everything
from pipeline.training import StepResult, Training, TrainingError

MAX_SECONDS = 60                # that all its steps may take here
FORECAST_AFTER = 2              # steps; one of 128 examples may take ten seconds


def about_rehearsal(patient: Patient) -> Check:
    """One batch by heart says that it can learn, at the peak rate and in 60 steps; a run may have fewer, and lower."""
    if patient.num_train > MAX_TRAIN:
        return _not_rehearsed(f"{patient.num_train:,} examples are too many")
    seed_everything(patient.config.seed, patient.config.hardware.deterministic)      # whatever was examined before
    with patient.kept():
        training = Training(
            patient.model, patient.training.train, patient.training.validation, patient.label_names, patient.config
        )
        try:
            return _rehearse(training, patient.chance_loss)
        except TrainingError as exception:
            return Check("rehearsal", str(exception), "not_finite")


def _rehearse(training: Training, chance: float) -> Check:
    steps: list[dict[str, Any]] = []
    evaluations: list[dict[str, Any]] = []
    for result in training.results():
        if isinstance(result, StepResult):
            steps.append(asdict(result))
        else:
            evaluations.append(result.metrics)
        if len(steps) < FORECAST_AFTER:
            continue
        if (seconds := training.seconds / len(steps) * training.total_steps) > MAX_SECONDS:
            return _not_rehearsed(f"its {training.total_steps:,} steps would take {seconds:,.0f} seconds here")
    course = about_course(training.config, steps, evaluations, chance)
    return Check("rehearsal", f"Rehearsed, all {len(steps):,} steps. {course.told}", course.symptom, course.values)


def _not_rehearsed(why: str) -> Check:
    return Check("rehearsal", f"Not rehearsed: {why}. Whether it has steps enough is told by its record alone.")
