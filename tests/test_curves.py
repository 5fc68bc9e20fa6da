"""Curves of a run: read as its file grows, thinned to a screen, right after a resume has cut the file."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from reports import curves as curves_module
from reports.curves import MAX_POINTS, Curves, read_curves, smoothed


def step_line(step: int, loss: float | None = 0.5, **values: Any) -> str:
    return json.dumps({"step": step, "loss": loss, "examples_per_second": 100.25 + step, **values}) + "\n"


def evaluation_line(step: int, split: str = "validation") -> str:
    return json.dumps({"step": step, "split": split, "loss": 0.4, "accuracy": 0.8, "macro_f1": 0.7}) + "\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metrics.jsonl"


def test_steps_and_evaluations_are_told_apart(path: Path) -> None:
    lines = [evaluation_line(0), step_line(1, 0.9), step_line(2, 0.8), evaluation_line(2), evaluation_line(2, "test")]
    path.write_text("".join(lines))
    curves = read_curves(path)
    assert (curves.steps, curves.losses) == ([1, 2], [0.9, 0.8])
    assert [point["step"] for point in curves.evaluations] == [0, 2]


def test_only_what_was_appended_is_parsed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_text("".join(step_line(step) for step in range(1, 101)))
    read_curves(path)
    parsed: list[int] = []
    loads = json.loads
    monkeypatch.setattr(curves_module.json, "loads", lambda data: parsed.append(len(data)) or loads(data))
    with open(path, "a") as file:
        file.write(step_line(101))
    assert read_curves(path).steps[-1] == 101
    assert parsed == [len(step_line(101)) + 1]      # in brackets, without its newline


def test_a_line_still_being_written_waits_for_its_end(path: Path) -> None:
    path.write_text(step_line(1) + step_line(2)[:10])
    assert read_curves(path).steps == [1]
    path.write_text(step_line(1) + step_line(2))
    assert read_curves(path).steps == [1, 2]


def test_a_file_that_a_resume_has_cut_is_read_anew(path: Path) -> None:
    path.write_text("".join(step_line(step) for step in range(1, 51)))
    read_curves(path)
    path.write_text("".join(step_line(step) for step in range(1, 21)))
    assert read_curves(path).steps == list(range(1, 21))


def test_a_file_that_was_cut_and_has_grown_past_its_old_length_is_read_anew(path: Path) -> None:
    path.write_text("".join(step_line(step) for step in range(1, 51)))
    read_curves(path)
    again = "".join(step_line(step, examples_per_second=90.5 + step) for step in range(21, 81))
    path.write_text("".join(step_line(step) for step in range(1, 21)) + again)
    assert read_curves(path).steps == list(range(1, 81))


def test_a_run_without_metrics_has_empty_curves(path: Path) -> None:
    assert read_curves(path).version == Curves().version


def test_a_long_run_has_at_most_a_thousand_points_that_stay_where_they_are() -> None:
    def of(num_steps: int) -> Curves:
        return Curves(steps=list(range(1, num_steps + 1)), losses=[float(step) for step in range(1, num_steps + 1)])

    steps, losses = of(3_000).train_loss()
    assert len(steps) <= MAX_POINTS
    assert (steps[:2], losses[:2]) == ([4, 8], [2.5, 6.5])     # the mean of four steps stands at the last of them
    assert steps[-1] == 3_000
    assert of(3_400).train_loss()[0][:750] == steps
    assert of(800).train_loss()[0] == list(range(1, 801))


def test_a_loss_that_is_no_number_leaves_a_gap_in_the_mean_alone() -> None:
    curves = Curves(steps=list(range(1, 2_001)), losses=[None, 1.0, *[0.5] * 1_998])
    assert curves.train_loss()[1][:2] == [1.0, 0.5]


def test_many_evaluations_are_thinned_and_the_last_one_stays() -> None:
    points = Curves(evaluations=[{"step": step} for step in range(2_500)]).evaluation_points()
    assert len(points) <= MAX_POINTS
    assert points[-1] == {"step": 2_499}


def test_smoothing_keeps_a_constant_and_starts_at_the_first_value() -> None:
    assert smoothed([2.0, 2.0, 2.0]) == pytest.approx([2.0, 2.0, 2.0])
    assert smoothed([None, 4.0, None, 0.0]) == [None, 4.0, 4.0, pytest.approx(4 * 0.09 / 0.19)]


def test_two_hundred_thousand_lines_open_in_about_a_second(path: Path) -> None:
    rates = {"tokens_per_second": 4567.8, "memory_bytes": 10**9, "seconds": 1.5}
    line = step_line(100_000, 0.123456789, epoch=1.0, learning_rate=1e-5, grad_norm=1.2345678, **rates)
    path.write_text(line * 200_000)
    started = time.process_time()
    assert len(read_curves(path).steps) == 200_000
    opened = time.process_time()
    assert opened - started < 3         # about 1 s of computing; room for a busy machine
    read_curves(path).train_loss()
    assert time.process_time() - opened < 0.3
