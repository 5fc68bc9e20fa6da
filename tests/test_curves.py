"""Curves of a run: read as its file grows, thinned to a screen, right after a resume has cut the file."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reports import curves as curves_module
from reports.curves import Curves, Series, read_curves, smoothed, thinned


def step_line(step: int, loss: float | None = 0.5, **values: Any) -> str:
    return json.dumps({"step": step, "loss": loss, "examples_per_second": 100.25 + step, **values}) + "\n"


def evaluation_line(step: int, split: str = "validation") -> str:
    return json.dumps({"step": step, "split": split, "loss": 0.4, "accuracy": 0.8, "macro_f1": 0.7}) + "\n"


def steps_of(curves: Curves) -> list[float]:
    return curves.steps["step"].tolist()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metrics.jsonl"


def test_steps_and_evaluations_are_told_apart(path: Path) -> None:
    lines = [evaluation_line(0), step_line(1, 0.9), step_line(2, 0.8), evaluation_line(2), evaluation_line(2, "test")]
    path.write_text("".join(lines))
    curves = read_curves(path)
    assert (steps_of(curves), curves.steps["loss"].tolist()) == ([1, 2], [0.9, 0.8])
    assert curves.evaluations["step"].tolist() == [0, 2]
    assert curves.evaluations["accuracy"].tolist() == [0.8, 0.8]


def test_every_column_of_a_step_is_read_and_a_loss_that_is_no_number_is_nan(path: Path) -> None:
    path.write_text(step_line(1, None, seconds=2.5, memory_bytes=10**10, note="a later version's own"))
    steps = read_curves(path).steps
    assert np.isnan(steps["loss"][0])
    assert {name: steps[name][0] for name in ("seconds", "memory_bytes", "examples_per_second")} == {
        "seconds": 2.5, "memory_bytes": 1e10, "examples_per_second": 101.25,
    }


def test_an_evaluation_stands_at_the_seconds_of_the_steps_before_it(path: Path) -> None:
    path.write_text(evaluation_line(0) + step_line(1, seconds=3.0) + step_line(2, seconds=5.0) + evaluation_line(2))
    assert read_curves(path).evaluations["seconds"].tolist() == [0.0, 5.0]


def test_only_what_was_appended_is_parsed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_text("".join(step_line(step) for step in range(1, 101)))
    read_curves(path)
    parsed: list[int] = []
    parse = curves_module._parsed
    monkeypatch.setattr(curves_module, "_parsed", lambda lines: parsed.append(len(lines)) or parse(lines))
    with open(path, "a") as file:
        file.write(step_line(101))
    assert steps_of(read_curves(path))[-1] == 101
    assert parsed == [len(step_line(101))]


def test_a_line_still_being_written_waits_for_its_end(path: Path) -> None:
    path.write_text(step_line(1) + step_line(2)[:10])
    assert steps_of(read_curves(path)) == [1]
    path.write_text(step_line(1) + step_line(2))
    assert steps_of(read_curves(path)) == [1, 2]


def test_a_file_that_a_resume_has_cut_is_read_anew(path: Path) -> None:
    path.write_text("".join(step_line(step) for step in range(1, 51)))
    read_curves(path)
    path.write_text("".join(step_line(step) for step in range(1, 21)))
    assert steps_of(read_curves(path)) == list(range(1, 21))


def test_a_file_that_was_cut_and_has_grown_past_its_old_length_is_read_anew(path: Path) -> None:
    path.write_text("".join(step_line(step) for step in range(1, 51)))
    read_curves(path)
    again = "".join(step_line(step, examples_per_second=90.5 + step) for step in range(21, 81))
    path.write_text("".join(step_line(step) for step in range(1, 21)) + again)
    assert steps_of(read_curves(path)) == list(range(1, 81))


def test_a_run_without_metrics_has_empty_curves(path: Path) -> None:
    assert read_curves(path).version == Curves().version


def series(num_rows: int) -> Series:
    steps = np.arange(1.0, num_rows + 1)
    return {"step": steps, "seconds": steps * 2, "loss": steps}


def test_a_long_run_is_thinned_to_means_that_stay_where_they_are() -> None:
    points = thinned(series(3_000), 1_000)
    assert len(points["step"]) <= 1_000
    assert points["step"][:2].tolist() == [4, 8]
    assert points["seconds"][:2].tolist() == [8, 16]
    assert points["loss"][:2].tolist() == [2.5, 6.5]       # the mean of four steps stands at the last of them
    assert points["step"][-1] == 3_000
    assert thinned(series(3_400), 1_000)["step"][:750].tolist() == points["step"].tolist()
    assert thinned(series(800), 1_000)["step"].tolist() == list(range(1, 801))


def test_a_loss_that_is_no_number_is_left_out_of_its_mean() -> None:
    losses = {"step": np.arange(1.0, 7), "loss": np.array([np.nan, 1.0, np.nan, np.nan, 2.0, 4.0])}
    assert np.array_equal(thinned(losses, 3)["loss"], [1.0, np.nan, 3.0], equal_nan=True)


def test_smoothing_keeps_a_constant_and_starts_at_the_first_value() -> None:
    assert smoothed(np.array([2.0, 2.0, 2.0]), 0.9) == pytest.approx([2.0, 2.0, 2.0])
    averages = smoothed(np.array([np.nan, 4.0, np.nan, 0.0]), 0.9)
    assert averages == pytest.approx([np.nan, 4.0, 4.0, 4 * 0.09 / 0.19], nan_ok=True)


def test_two_hundred_thousand_lines_open_in_about_a_second(path: Path) -> None:
    rates = {"tokens_per_second": 4567.8, "memory_bytes": 10**9, "seconds": 1.5}
    line = step_line(100_000, 0.123456789, epoch=1.0, learning_rate=1e-5, grad_norm=1.2345678, **rates)
    path.write_text(line * 200_000)
    started = time.process_time()
    curves = read_curves(path)
    assert len(steps_of(curves)) == 200_000
    assert len(thinned(curves.steps, 1_000)["step"]) <= 1_000
    assert time.process_time() - started < 3        # about half a second of computing; room for a busy machine
