"""Several processes: one curve with a single one, one record, stop and resume, and no end that is not told."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from pipeline import processes
from pipeline.catalog import create_run
from pipeline.config import make_config
from pipeline.config_parts import HardwareConfig
from pipeline.exceptions import ConfigError
from pipeline.jobs import StopRequested, carry_out, check_startable, start_command, start_detached, stop
from pipeline.processes import helpers, process_devices
from pipeline.runs import Run
from tests.test_jobs import wait_until

CPU = torch.device("cpu")


@pytest.fixture
def values(tiny_values: dict[str, Any]) -> dict[str, Any]:
    """Two processes; 13 steps an epoch, one of a single example; layers that wake up, an average of the weights."""
    return {
        **tiny_values,
        "data": {**tiny_values["data"], "validation_ratio": 0.0958},
        "model": {**tiny_values["model"], "dropout": 0, "unfreeze_each_epoch": 1},
        "optim": {**tiny_values["optim"], "epochs": 8, "ema_decay": 0.9},
        "hardware": {**tiny_values["hardware"], "processes": 2},
    }


def started(values: dict[str, Any]) -> tuple[Run, psutil.Process]:
    """A run that has taken some steps, and the process that does not carry it out."""
    run = create_run(make_config({**values, "name": "two"}))
    leader = psutil.Process(start_detached(run))
    wait_until(lambda: len(run.metrics()) > 3)
    [helper] = leader.children()
    return run, helper


def test_two_processes_stopped_and_resumed_draw_the_curve_of_one(run_root: Path, values: dict[str, Any]) -> None:
    alone = create_run(make_config({**values, "name": "one", "hardware": {**values["hardware"], "processes": 1}}))
    assert carry_out(alone) == 0
    run, helper = started(values)
    stopped = stop(run)
    assert stopped.state == "stopped" and 0 < stopped.step < 104
    assert not helper.is_running()
    assert carry_out(run) == 0
    assert (run.status().state, run.environment()["processes"]) == ("finished", 2)
    assert [line for line in run.log_tail().splitlines() if " INFO " not in line] == []
    lines, expected = run.metrics(), alone.metrics()
    assert [line["step"] for line in lines] == [line["step"] for line in expected]
    for name in ("loss", "grad_norm", "accuracy"):
        one, two = ([line[name] for line in each if name in line] for each in (expected, lines))
        assert two == pytest.approx(one, abs=1e-4)


def test_a_process_that_is_killed_fails_the_run_in_a_sentence(run_root: Path, values: dict[str, Any]) -> None:
    run, helper = started(values)
    helper.kill()
    wait_until(lambda: run.status().state == "failed")
    assert run.status().reason == (
        "Process 2 of 2 failed. It ended with signal 9 (9: most often, memory ran out); the log may say more. "
        "Resume to go on."
    )


def test_a_process_whose_leader_is_gone_ends_even_where_it_waits_for_it(
    run_root: Path, values: dict[str, Any], tmp_path: Path
) -> None:
    create_run(make_config(values))
    meeting_point = tmp_path / "store"
    helper = start_command(["join", "--", "tiny", "1", "2", str(meeting_point)], stdin=subprocess.PIPE)
    store = torch.distributed.FileStore(str(meeting_point), 2)
    wait_until(lambda: store.check(["ready-1"]))
    assert helper.stdin is not None and helper.poll() is None
    helper.stdin.close()        # as the system does for who is killed
    assert helper.wait(10) == 0


def started_instead(script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the place of each other process, one that does this."""
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    command = [sys.executable, "-c", script]
    monkeypatch.setattr(processes, "start_command", lambda *_, **__: subprocess.Popen(command, **pipes))


@pytest.mark.parametrize("script, told", [
    ("print('The disk is full.'); exit(1)", "The disk is full."),
    ("exit(3)", "It ended with exit status 3; the log may say more. Resume to go on."),
])
def test_a_process_that_fails_before_the_first_step_says_why(
    run_root: Path, values: dict[str, Any], monkeypatch: pytest.MonkeyPatch, script: str, told: str
) -> None:
    started_instead(script, monkeypatch)
    run = create_run(make_config({**values, "hardware": {**values["hardware"], "processes": 3}}))
    assert carry_out(run) == 1
    assert run.status().reason == f"Process 2 of 3 failed. {told}"


def test_a_run_that_waits_for_its_processes_can_be_stopped(
    run_root: Path, values: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    started_instead("import time; time.sleep(60)", monkeypatch)
    stop = threading.Event()
    stop.set()
    run = create_run(make_config(values))
    with pytest.raises(StopRequested), helpers(run, [CPU, CPU], stop) as let_them_join:
        let_them_join(Any)


def test_processes_on_one_cpu_share_its_threads() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(5)
    try:
        with processes.threads_of_one([CPU, CPU]):
            assert torch.get_num_threads() == 2
        assert torch.get_num_threads() == 5
    finally:
        torch.set_num_threads(before)


@pytest.fixture
def three_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: torch.device("cuda"))
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 3)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)


@pytest.mark.parametrize("device, number, expected", [
    ("auto", 1, ["cuda:0"]), ("auto", 2, ["cuda:0", "cuda:1"]), ("cuda", 0, ["cuda:0", "cuda:1", "cuda:2"]),
    ("cuda:1", 0, ["cuda:1"]), ("cpu", 0, ["cpu"]), ("cpu", 2, ["cpu", "cpu"]),
])
def test_each_process_has_a_gpu_of_its_own_or_all_compute_on_the_cpu(
    three_gpus: None, device: str, number: int, expected: list[str]
) -> None:
    assert list(map(str, process_devices(HardwareConfig(device=device, processes=number)))) == expected


@pytest.mark.parametrize("device, number, there", [("auto", 4, 3), ("cuda:1", 2, 1)])
def test_more_processes_than_gpus_are_refused_before_anything_is_written(
    three_gpus: None, values: dict[str, Any], device: str, number: int, there: int
) -> None:
    config = make_config({**values, "hardware": {"device": device, "processes": number}})
    with pytest.raises(ConfigError, match=f"processes is {number}, a GPU for each; .* '{device}' there are {there}"):
        check_startable(config)
