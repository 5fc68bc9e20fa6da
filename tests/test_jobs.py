"""Processes: kill -9 and resume, stop, queue, failures that say what to do, and never a stranger's process."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from benchmarks.crash import differences, finish, start, train_undisturbed, train_with_kills
from pipeline import jobs
from pipeline.catalog import create_run, load_run
from pipeline.config import make_config
from pipeline.exceptions import ConfigError, RunError
from pipeline.jobs import carry_out, check_startable, device_lock, failure_sentence, is_taken, start_detached, stop
from pipeline.progress import start_of
from pipeline.runs import Run, Status
from tests.command import training_arguments


def wait_until(condition: Any, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


@pytest.fixture
def long_values(tiny_values: dict) -> dict:
    """A run of 600 steps, a few seconds."""
    return {
        **tiny_values,
        "name": "long",
        "optim": {**tiny_values["optim"], "epochs": 50},
        "stop": {"evaluate_every": 5},
    }


def test_a_run_killed_at_random_moments_and_resumed_equals_its_undisturbed_twin(
    run_root: Path, tiny_values: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOLTA_STATE_SECONDS", "0")
    values = {**tiny_values, "optim": {**tiny_values["optim"], "epochs": 4}, "stop": {"evaluate_every": 7}}
    twin, seconds = train_undisturbed(values)
    moments = [
        random.uniform(0, seconds),
        random.uniform(0.5 * seconds, seconds),
        random.uniform(0.3 * seconds, 0.9 * seconds),
    ]
    run, steps = train_with_kills({**values, "name": "killed"}, moments)
    assert differences(run, twin) == [], f"killed after {moments} seconds, at steps {steps}"


def test_the_comparison_with_the_twin_sees_a_difference(run_root: Path, tiny_values: dict) -> None:
    one = create_run(make_config({**tiny_values, "name": "one"}))
    other = create_run(make_config({**tiny_values, "name": "other", "seed": 1}))
    assert carry_out(one) == carry_out(other) == 0
    assert {"best weights", "last weights", "metric lines", "predictions"} <= set(differences(one, other))


def test_a_finished_run_has_a_whole_record(run_root: Path, tiny_values: dict) -> None:
    from transformers import AutoModelForSequenceClassification

    run = create_run(make_config(tiny_values))
    assert carry_out(run) == 0
    status = run.status()
    assert (status.state, status.step, status.total_steps, status.progress) == ("finished", 24, 24, 1.0)
    steps = [line for line in run.metrics() if "split" not in line]
    assert [line["step"] for line in steps] == list(range(1, 25))
    assert set(steps[0]) == {
        "step",
        "epoch",
        "loss",
        "learning_rate",
        "grad_norm",
        "examples_per_second",
        "tokens_per_second",
        "memory_bytes",
        "micro_batch_tokens",
        "seconds",
    }
    evaluations = [line for line in run.metrics() if "split" in line]
    assert [line["step"] for line in evaluations] == [0, 12, 24]
    assert {"loss", "accuracy", "macro_f1", "f1", "ece", "per_label", "confusion_matrix"} <= set(evaluations[0])
    assert AutoModelForSequenceClassification.from_pretrained(run.best_folder).config.id2label == {
        0: "negative",
        1: "positive",
    }
    environment = run.environment()
    assert environment["threads"] > 0 and environment["data"]["train"]["rows"] == 192
    assert [path.name for path in run.folder.glob("predictions/*/*")] == ["validation.parquet"]
    assert "Finished at step 24." in run.log_tail()


@pytest.mark.parametrize("decay", [0, 0.9])
def test_the_best_model_evaluates_to_the_metrics_of_its_line(run_root: Path, tiny_values: dict, decay: float) -> None:
    from pipeline.evaluation import evaluate_run

    tiny_values["optim"]["ema_decay"] = decay
    run = create_run(make_config(tiny_values))
    carry_out(run)
    best = run.status().best
    assert best is not None
    line = next(line for line in run.metrics() if "split" in line and line["step"] == best["step"])
    result = evaluate_run(run)
    assert result["loss"] == pytest.approx(line["loss"], abs=1e-5)
    assert result["confusion_matrix"] == line["confusion_matrix"]


def test_stop_finishes_the_step_saves_and_resume_goes_on_to_the_same_end(run_root: Path, long_values: dict) -> None:
    values = {**long_values, "optim": {**long_values["optim"], "epochs": 10}}
    twin, run = create_run(make_config({**values, "name": "twin"})), create_run(make_config(values))
    assert carry_out(twin) == 0
    start_detached(run)
    wait_until(lambda: len(run.metrics()) > 3)
    status = stop(run)
    assert status.state == "stopped" and 0 < status.step < 120
    assert max(line["step"] for line in run.metrics()) == status.step
    assert carry_out(run) == 0
    assert differences(run, twin) == []


def test_a_detached_run_outlives_who_started_it_and_is_stopped_although_the_clock_was_set_meanwhile(
    run_root: Path, long_values: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish(start([*training_arguments(long_values), "--detach"]))
    run = load_run("long")
    wait_until(lambda: len(run.metrics()) > 3)
    assert run.is_alive()
    create_time, boot_time = psutil.Process.create_time, psutil.boot_time()
    monkeypatch.setattr(psutil, "boot_time", lambda: boot_time + 3600)  # as systems tell it after the clock was set
    monkeypatch.setattr(psutil.Process, "create_time", lambda process: create_time(process) + 3600)
    assert stop(run).state == "stopped"


def test_a_run_that_does_not_stop_is_ended_by_force_and_shows_as_interrupted(run_root: Path, long_values: dict) -> None:
    run = create_run(make_config(long_values))
    script = """
import signal, time
from pipeline.jobs import Progress
from pipeline.catalog import load_run
run = load_run("long")
signal.signal(signal.SIGTERM, signal.SIG_IGN)
with run.locked():
    Progress(run).change("running")
    print("deaf", flush=True)
    time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "deaf\n"
    assert stop(run, grace_seconds=0.5).state == "interrupted"
    assert not psutil.pid_exists(process.pid)


def test_another_process_with_the_old_pid_is_never_touched(run_root: Path, tiny_values: dict) -> None:
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        run = create_run(make_config(tiny_values))
        run.write_status(
            Status(
                state="running",
                pid=stranger.pid,
                process_started=start_of(psutil.Process(stranger.pid)) - 100,
            )
        )
        with pytest.raises(RunError, match="'tiny' is interrupted: there is nothing to stop."):
            stop(run)
        with run.locked(), pytest.MonkeyPatch.context() as patch:  # even when somebody does hold the run
            patch.setattr(jobs, "IDENTITY_SECONDS", 0.2)
            with pytest.raises(RunError, match="there is nothing to stop"):
                stop(run)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_second_process_on_the_same_run_is_refused(
    run_root: Path, tiny_values: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.runs.LOCK_WAIT_SECONDS", 0.1)
    run = create_run(make_config(tiny_values))
    with (
        run.locked(),
        pytest.raises(RunError, match="'tiny' is already being worked on by a living process. Stop it first"),
    ):
        carry_out(run)
    with run.locked(), pytest.raises(RunError, match="'tiny' is already being worked on by a living process"):
        start_detached(run)
    assert run.log_tail() == ""


def test_a_run_waits_for_its_device_as_queued_and_starts_when_it_is_free(run_root: Path, tiny_values: dict) -> None:
    run = create_run(make_config(tiny_values))
    with device_lock("cpu", threading.Event()):
        start_detached(run)
        wait_until(lambda: run.status().state == "queued" and run.status().pid)
        time.sleep(1)
        assert run.status().state == "queued" and run.metrics() == []
        locks = Path(tempfile.gettempdir()) / "volta-devices"
        assert locks.stat().st_mode & 0o777 == 0o777    # other users' runs wait there, too
    wait_until(lambda: run.status().state == "finished")


def test_a_device_is_taken_while_a_run_holds_it() -> None:
    assert not is_taken("cpu")
    with device_lock("cpu", threading.Event()):
        assert is_taken("cpu") and not is_taken("cuda:0")
    assert not is_taken("cpu")


def test_a_queued_run_can_be_stopped_even_one_whose_name_begins_with_a_dash(run_root: Path, tiny_values: dict) -> None:
    run = create_run(make_config({**tiny_values, "name": "-queued"}))
    with device_lock("cpu", threading.Event()):
        start_detached(run)
        assert stop(run).state == "stopped"
    assert run.metrics() == []


def test_resume_without_any_state_starts_from_step_0(run_root: Path, tiny_values: dict) -> None:
    run = create_run(make_config(tiny_values))
    run.append_metrics({"step": 1, "loss": 9.0})  # of a process killed before its first state
    assert carry_out(run) == 0
    assert [line["step"] for line in run.metrics()][:2] == [0, 1]


@pytest.mark.parametrize("what", ["threads", "processes"])
def test_other_numbers_of_threads_or_processes_are_a_warning(run_root: Path, tiny_values: dict, what: str) -> None:
    run = create_run(make_config(tiny_values))
    carry_out(run)
    environment = json.loads((run.folder / "environment.json").read_text())
    (run.folder / "environment.json").write_text(json.dumps({**environment, what: 99}))
    run.write_status(replace(run.status(), state="stopped"))
    assert carry_out(run) == 0
    assert f"{what}, the run began with 99: it goes on, but not bit for bit" in run.log_tail()


def test_changed_data_are_refused_on_resume(run_root: Path, tiny_values: dict, tmp_path: Path) -> None:
    copy = tmp_path / "copy.jsonl"
    lines = Path(tiny_values["data"]["source"]).read_text().splitlines()
    copy.write_text("\n".join(lines))
    run = create_run(make_config({**tiny_values, "data": {**tiny_values["data"], "source": str(copy)}}))
    carry_out(run)
    run.write_status(replace(run.status(), state="stopped"))
    copy.write_text("\n".join(lines[:-10]))
    assert carry_out(run) == 1
    assert "The data of 'tiny' changed since it began" in str(run.status().reason)


def test_a_loss_that_is_no_number_fails_the_run_with_its_reason(run_root: Path, tiny_values: dict) -> None:
    values = {
        **tiny_values,
        "optim": {**tiny_values["optim"], "learning_rate": 1.0, "max_grad_norm": 1e38, "warmup_ratio": 0, "epochs": 40},
    }
    run = create_run(make_config(values))
    run.append_metrics({})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("torch.nn.functional.cross_entropy", lambda logits, *_, **__: logits.sum() * float("nan"))
        assert carry_out(run) == 1
    assert run.status().state == "failed"
    assert "The loss became nan at step 1; the last good state is kept." in str(run.status().reason)


def test_a_full_disk_ends_the_process_with_status_1_and_earlier_states_load(run_root: Path, tiny_values: dict) -> None:
    """A file-size limit stands for the full disk: the system refuses to write a larger file, with an error alike."""
    run = create_run(make_config(tiny_values))
    script = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({40_000}, {40_000}));"
        "import runpy; sys.argv = ['pipeline', 'resume', 'tiny']; runpy.run_module('pipeline', run_name='__main__')"
    )
    small = {**os.environ, "VOLTA_STATE_SECONDS": "1000"}
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=small, timeout=120)
    assert process.returncode == 1
    assert "The disk is full" in process.stderr and "Free some space, then resume." in process.stderr
    status = run.status()
    assert status.state == "failed" and "The disk is full" in str(status.reason)
    assert carry_out(run) == 0
    assert run.status().state == "finished"


def test_a_read_only_record_ends_the_process_with_status_1_and_the_reason(
    run_root: Path, tiny_values: dict, monkeypatch: Any, caplog: Any
) -> None:
    run = create_run(make_config(tiny_values))

    def refuse(*_: Any) -> None:
        raise OSError(30, "Read-only file system", str(run.folder / "status.json"))

    monkeypatch.setattr(Run, "write_status", refuse)
    assert carry_out(run) == 1
    assert "status.json cannot be written; earlier states still load." in caplog.text


@pytest.mark.parametrize(
    "exception, expected",
    [
        (
            OSError(28, "No space left on device", "x"),
            "The disk is full (x); earlier states still load. Free some space, then resume.",
        ),
        (
            OSError(13, "Permission denied", "x"),
            "x cannot be written; earlier states still load. Make it writable",
        ),
        (RuntimeError("I/O error: No space left on device (os error 28)"), "The disk is full (the run record);"),
        (RuntimeError("PytorchStreamWriter failed writing file data/0"), "The disk is full"),
        (type("OutOfMemoryError", (RuntimeError,), {})(), "The device ran out of memory, however a step is cut. Set"),
        (RunError("One sentence."), "One sentence."),
        (KeyError("k"), "Unexpected KeyError: 'k'. The log has the details."),
    ],
)
def test_failures_are_told_in_a_sentence(exception: Exception, expected: str) -> None:
    assert failure_sentence(exception).startswith(expected)


def test_a_loss_that_does_not_fit_the_labels_is_refused_before_anything_is_written(tiny_values: dict) -> None:
    config = make_config({**tiny_values, "loss": {"name": "weighted", "class_weights": "great=2"}})
    with pytest.raises(ConfigError, match="loss.class_weights is 'great=2'; .* labels are: negative, positive"):
        check_startable(config)


def test_a_detached_run_works_in_the_folder_it_was_started_from(
    run_root: Path, tiny_values: dict, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(tiny_data, tmp_path / "reviews.jsonl")
    (tmp_path / "pipeline").mkdir()     # a folder of the same name is not taken for Volta's
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VOLTA_HOME", "runs")
    run = create_run(make_config({**tiny_values, "data": {"source": "reviews.jsonl"}}))
    start_detached(run)
    wait_until(lambda: run.status().state == "finished")
