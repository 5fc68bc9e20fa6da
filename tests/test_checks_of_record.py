"""What a record says of its training: bands of the loss in units of ln C, overfitting, gradients, the rate's end."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.checks_of_record import about_course, checks_of_record
from pipeline.catalog import create_run
from pipeline.config import make_config

STEPS = 100


def symptoms(
    course: Callable[[float], float],
    validation: Callable[[float], float] | None = None,
    norm: Callable[[float], float] = lambda share: 1.0,
    rate: Callable[[float], float] = lambda share: 1 - share,
    **config: Any,
) -> dict[str, str]:
    """Of a run whose figures are functions of the share of its steps that are done, four epochs long."""
    run = create_run(make_config({"name": "x", **config}))
    for step in range(1, STEPS + 1):
        share = step / STEPS
        values = {"loss": course(share), "learning_rate": rate(share), "grad_norm": norm(share)}
        run.append_metrics({"step": step, "epoch": 4 * share, **values})
        if step % 25 == 0:
            values = {"loss": (validation or course)(share), "accuracy": 0.5}
            run.append_metrics({"step": step, "epoch": 4 * share, "split": "validation", **values})
    return {check.name: check.symptom for check in checks_of_record(run, num_labels=2) if check.symptom}


LN_2 = math.log(2)


@pytest.mark.parametrize(("loss", "found"), [
    (lambda share: LN_2, {"course of the loss": "not_learning"}),
    (lambda share: LN_2 * (1 - 0.2 * share), {"course of the loss": "slow"}),
    (lambda share: LN_2 * (1 - 0.7 * share), {}),
    (lambda share: LN_2 * (1 + 2 * share), {"course of the loss": "rate_large"}),
    (lambda share: LN_2 * (1 if share > 0.8 else 1 - share), {"course of the loss": "rate_large"}),
])
def test_the_loss_is_read_in_units_of_what_knowing_nothing_costs(
    run_root: Path, loss: Callable[[float], float], found: dict[str, str]
) -> None:
    assert symptoms(loss) == found


def test_the_share_of_ln_c_is_said_in_plain_words(run_root: Path) -> None:
    steps = [{"loss": 0.99 * LN_2}] * 20
    assert about_course(make_config({"name": "x"}), steps, [], LN_2).told == (
        "Loss went from 0.686 to 0.686, which is 0.99 of what knowing nothing costs (ln C = 0.693)."
    )


def test_overfitting_is_a_validation_loss_that_rises_while_the_training_loss_falls(run_root: Path) -> None:
    falls = lambda share: LN_2 * (1 - 0.9 * share)      # noqa: E731
    rises = lambda share: 0.3 + abs(share - 0.5)        # noqa: E731
    assert symptoms(falls, rises) == {"overfitting": "overfitting"}
    assert symptoms(falls, falls, name="y") == {}


def test_a_gradient_that_grows_and_a_rate_that_ends_early_are_told(run_root: Path) -> None:
    falls = lambda share: LN_2 * (1 - 0.9 * share)      # noqa: E731
    assert symptoms(falls, norm=lambda share: 1 + 9 * share**2) == {"gradient norm": "noisy_gradient"}
    early = symptoms(falls, rate=lambda share: max(1e-3, 1 - 3 * share), name="y")
    assert early == {"end of the rate": "rate_floor"}


def test_steps_that_are_left_out_are_an_overflow(run_root: Path) -> None:
    falls = lambda share: LN_2 * (1 - 0.9 * share)      # noqa: E731
    assert symptoms(falls, norm=lambda share: np.inf if share < 0.3 else 1.0) == {"numbers": "fp16_overflow"}
    assert symptoms(falls, norm=lambda share: np.inf if share < 0.03 else 1.0, name="y") == {}


def test_of_another_objective_the_validation_loss_is_read(run_root: Path) -> None:
    focal = {"loss": {"name": "focal"}}
    assert symptoms(lambda share: 0.1, lambda share: LN_2, **focal) == {"course of the loss": "not_learning"}


def test_a_run_of_few_steps_tells_nothing(run_root: Path) -> None:
    run = create_run(make_config({"name": "new"}))
    assert list(checks_of_record(run, 2)) == []
