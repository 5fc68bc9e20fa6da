"""How sure may it say it is? One temperature, fitted to validation, by which a model's logits are divided."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np
from pydantic import TypeAdapter, ValidationError

from pipeline.evaluation import evaluate_run
from pipeline.exceptions import RunError
from pipeline.metrics import example_losses, expected_calibration_error, softmax
from pipeline.models import CALIBRATION_FILE, temperature_of
from pipeline.predictions import predictions_path, read_predictions
from pipeline.runs import Run, write_json

COLDEST, HOTTEST = 0.01, 100.0


@dataclass(frozen=True)
class Calibration:
    """What a temperature does to the N validation examples that it was fitted to."""

    temperature: float      # above 1: it was surer than it was right
    ece_before: float       # at temperature 1
    ece_after: float
    nll_before: float       # mean negative log-likelihood of the gold labels, in nats
    nll_after: float
    n: int


_CALIBRATION = TypeAdapter(Calibration)


def calibrate(run: Run) -> Calibration:
    """Fit a temperature to the run's own validation split and keep it beside its best model; no label changes.

    Training further starts from the weights, which stay as they are; a better model takes the temperature away.
    Raises: RunError when no temperature is best, or the run is at work; as `evaluate_run`.
    """
    with run.locked():
        evaluate_run(run, save=True)
        kept = read_predictions(predictions_path(run, "validation"))
        logits = kept.logits * temperature_of(run.best_folder)
        temperature = fit_temperature(logits, kept.gold_ids)
        before, after = (_measured(logits / divisor, kept.gold_ids) for divisor in (1.0, temperature))
        found = Calibration(temperature, before[0], after[0], before[1], after[1], len(kept.gold_ids))
        write_json(run.best_folder / CALIBRATION_FILE, asdict(found))
    return found


def read_calibration(run: Run) -> Calibration | None:
    """None for a run that was not calibrated since its best model was saved."""
    try:
        return _CALIBRATION.validate_json((run.best_folder / CALIBRATION_FILE).read_bytes())
    except (OSError, ValidationError):
        return None


def remove_calibration(run: Run) -> None:
    """The probabilities are again those of the weights alone."""
    with run.locked():
        (run.best_folder / CALIBRATION_FILE).unlink(missing_ok=True)


def fit_temperature(logits: np.ndarray, gold_ids: np.ndarray) -> float:
    """The temperature by which logits, (N, C), have the lowest cross-entropy with the gold labels, (N,).

    Raises: RunError where there is none, because colder (all are right) or hotter is always better.
    Source: Guo et al. 2017, https://arxiv.org/abs/1706.04599, section 4.2.
    """
    from scipy.optimize import minimize_scalar

    logits = logits.astype(np.float64)      # or else the loss is too rough to find where it is lowest
    gold_logits = logits[np.arange(len(gold_ids)), gold_ids]
    if (gold_logits == logits.max(axis=1)).all() or gold_logits.mean() <= logits.mean():
        raise RunError(
            f"No temperature is best for these {len(gold_ids)} validation examples: all of them are right, or no more "
            "than by chance. Validate on more or harder ones, or train longer."
        )

    def loss(log_temperature: float) -> float:
        return float(example_losses(logits / math.exp(log_temperature), gold_ids).mean())

    bounds = (math.log(COLDEST), math.log(HOTTEST))
    return math.exp(minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6}).x)


def _measured(logits: np.ndarray, gold_ids: np.ndarray) -> tuple[float, float]:
    """ECE and mean cross-entropy."""
    return expected_calibration_error(softmax(logits), gold_ids), float(example_losses(logits, gold_ids).mean())
