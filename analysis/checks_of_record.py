"""How did the training go? Losses, gradients and rates of a run's record, against what knowing nothing costs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from analysis.check import Check
from pipeline.config import RunConfig
from pipeline.runs import Run

MIN_STEPS = 20                  # fewer tell nothing
PLAIN_LOSSES = ("cross_entropy", "binary")      # whose training loss can stand beside ln C
NOT_LEARNING, SLOW = 0.95, 0.7  # of ln C, at the end
OVERFITTING = 1.1               # validation loss at the end, of its lowest
GROWTH = 3.0                    # of the gradient norm's median, from the second quarter to the last
FLOOR, FLOOR_SHARE = 0.05, 0.3  # of the peak rate; share of steps below it


def checks_of_record(run: Run, num_labels: int) -> Iterator[Check]:
    """Nothing of a run that has no steps yet."""
    lines = run.metrics()
    steps = [line for line in lines if "learning_rate" in line]
    evaluations = [line for line in lines if line.get("split") == "validation"]
    if len(steps) < MIN_STEPS:
        return
    yield _about_numbers(run, steps)
    yield about_course(run.config, steps, evaluations, math.log(num_labels))
    yield _about_overfitting(steps, evaluations)
    yield _about_gradient_norm(steps)
    yield _about_floor(steps)


def _about_numbers(run: Run, steps: list[dict[str, Any]]) -> Check:
    """Of fp16 some first steps overflow, until its scale is found; a loss that is no number ends a run."""
    skipped = sum(line["grad_norm"] is None for line in steps)      # JSON has no infinity
    reason = run.status().reason or ""
    if "became nan" in reason or "became inf" in reason:
        half = run.config.hardware.precision == "fp16"
        return Check("numbers", reason, "fp16_overflow" if half else "rate_large")
    told = f"{skipped} of {len(steps):,} steps were left out because a gradient was no number."
    return Check("numbers", told, "fp16_overflow" if skipped > 0.1 * len(steps) else "", {"skipped": skipped})


def about_course(
    config: RunConfig, steps: list[dict[str, Any]], evaluations: list[dict[str, Any]], chance: float
) -> Check:
    """Loss in units of ln C: at it nothing is learnt, down to 0.7 slowly, below it well; above, it is thrown off."""
    plain = config.loss.name in PLAIN_LOSSES or not evaluations
    losses = _smooth([line["loss"] for line in steps]) if plain else np.array([line["loss"] for line in evaluations])
    first, last, lowest = float(losses[0]), float(losses[-1]), float(losses.min())
    cost = f"{last / chance:.2f} of what knowing nothing costs"
    told = f"Loss went from {first:.3f} to {last:.3f}, which is {cost} (ln C = {chance:.3f})."
    thrown_off = last > 1.5 * chance or (last > NOT_LEARNING * chance and last > 2 * lowest)
    symptom = (
        "rate_large" if thrown_off else "not_learning" if last > NOT_LEARNING * chance
        else "slow" if last > SLOW * chance else ""
    )
    return Check("course of the loss", told, symptom, {"first": first, "last": last, "chance_loss": chance})


def _about_overfitting(steps: list[dict[str, Any]], evaluations: list[dict[str, Any]]) -> Check:
    after = [line for line in evaluations if line["step"] > 0]
    if len(after) < 2:
        return Check("overfitting", "Fewer than two evaluations: nothing can be said of overfitting.")
    best, last = min(after, key=lambda line: line["loss"]), after[-1]
    trained = [_mean_before(steps, line["step"]) for line in (best, last)]
    rises = last["loss"] > OVERFITTING * best["loss"] and trained[1] < trained[0]
    told = (
        f"Validation loss was lowest after epoch {best['epoch']:.1f} ({best['loss']:.3f}) and ended at "
        f"{last['loss']:.3f}, while training loss went from {trained[0]:.3f} to {trained[1]:.3f}."
    )
    return Check("overfitting", told, "overfitting" if rises else "", {"best_epoch": best["epoch"]})


def _mean_before(steps: list[dict[str, Any]], step: int, n: int = 20) -> float:
    return float(np.mean([line["loss"] for line in steps if step - n < line["step"] <= step] or [math.nan]))


def _about_gradient_norm(steps: list[dict[str, Any]]) -> Check:
    norms = np.array([line["grad_norm"] for line in steps if line["grad_norm"] is not None])
    _, second, _, last = (float(np.median(part)) if len(part) else 0.0 for part in np.array_split(norms, 4))
    told = f"The gradient's norm was {second:.2f} in the second quarter and {last:.2f} in the last (medians)."
    return Check("gradient norm", told, "noisy_gradient" if last > GROWTH * second else "")


def _about_floor(steps: list[dict[str, Any]]) -> Check:
    rates = np.array([line["learning_rate"] for line in steps])
    peak = int(rates.argmax())
    share = float((rates[peak:] < FLOOR * rates[peak]).sum() / len(rates))
    told = f"In {share:.0%} of the steps the learning rate was below {FLOOR:.0%} of its peak, after it."
    return Check("end of the rate", told, "rate_floor" if share > FLOOR_SHARE else "")


def _smooth(values: list[float]) -> np.ndarray:
    width = max(1, len(values) // 10)
    return np.convolve(values, np.ones(width) / width, mode="valid")
