"""Who computes along with a run's own process? Others that it starts, one for each part of a step, and ends.

When it ends, however, their standard input is closed, and they end; when one of them ends, the run has failed.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING

import psutil

from pipeline.augmentation import COPIES_FILE, augmented
from pipeline.catalog import load_run
from pipeline.config_parts import HardwareConfig
from pipeline.exceptions import ConfigError, RunError
from pipeline.jobs import StopRequested, log_failure, start_command
from pipeline.runs import Run
from pipeline.team import ProcessLost, Team
from pipeline.unlabelled import load_examples

if TYPE_CHECKING:
    import torch

    from pipeline.training import Training

LOSS_SECONDS = 10.0     # when a connection is closed, the process that closed it has ended within this time


def process_devices(hardware: HardwareConfig) -> list[torch.device]:
    """The device of each process, the leader's first: a GPU each, or the CPU for all of them.

    Raises: ConfigError where there are too few; ModelError.
    """
    import torch

    from pipeline.models import choose_device

    first = choose_device(hardware.device)
    if first.type == "cpu":
        return [first] * (hardware.processes or 1)
    any_gpu = first.type == "cuda" and hardware.device in ("auto", "cuda")
    devices = [torch.device("cuda", index) for index in range(torch.cuda.device_count())] if any_gpu else [first]
    if hardware.processes > len(devices):
        raise ConfigError(
            f"hardware.processes is {hardware.processes}, a GPU for each; with hardware.device '{hardware.device}' "
            f"there are {len(devices)}. Lower it, or set it to 0.",
            "hardware.processes",
        )
    return devices[: hardware.processes or len(devices)]


@contextmanager
def helpers(run: Run, devices: list[torch.device], stop: threading.Event) -> Iterator[Callable[[Training], None]]:
    """Start the other processes of a run, and end them. Yields what lets them join its training, ready by then or soon.

    Raises: RunError when one of them ends before this one; StopRequested.
    """
    size = len(devices)
    if size == 1:
        yield lambda training: None
        return
    with tempfile.TemporaryDirectory() as folder, open(run.log_path, "ab") as log, threads_of_one(devices):
        meeting_point = Path(folder, "store")
        others = [_start(run, rank, size, meeting_point, log) for rank in range(1, size)]

        def let_them_join(training: Training) -> None:
            _await(others, meeting_point, stop)
            _meet(training, meeting_point, Team(0, size))

        try:
            yield let_them_join
        except ProcessLost:
            raise _why_lost(others) from None
        finally:
            _part(others)


def _start(run: Run, rank: int, size: int, meeting_point: Path, log: IO[bytes]) -> subprocess.Popen[str]:
    arguments = ["join", "--", run.name, str(rank), str(size), str(meeting_point)]
    return start_command(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)


def _await(others: list[subprocess.Popen[str]], meeting_point: Path, stop: threading.Event) -> None:
    from torch.distributed import FileStore

    store = FileStore(str(meeting_point), len(others) + 1)
    while not store.check([_ready(rank) for rank, _ in enumerate(others, 1)]):
        if stop.is_set():
            raise StopRequested
        if any(process.poll() is not None for process in others):
            raise ProcessLost
        time.sleep(0.05)


def _ready(rank: int) -> str:
    return f"ready-{rank}"


def _meet(training: Training, meeting_point: Path, team: Team) -> None:
    """Connect with the others, and go on from the leader's state."""
    from torch import distributed

    # Without a name, gloo listens wherever the machine's own name leads to.
    loopback = next(
        name for name, found in psutil.net_if_addrs().items() if any(each.address == "127.0.0.1" for each in found)
    )
    os.environ.setdefault("GLOO_SOCKET_IFNAME", loopback)
    distributed.init_process_group(
        "cpu:gloo,cuda:nccl" if training.model.device.type == "cuda" else "gloo",
        store=distributed.FileStore(str(meeting_point), team.size),
        rank=team.rank,
        world_size=team.size,
        timeout=timedelta(days=30),         # the others wait while the leader evaluates
    )
    training.load_state(team.shared(training.state()))
    training.team = team


def _why_lost(others: list[subprocess.Popen[str]]) -> RunError:
    """What ended the first that ended by itself; those that lost it end quietly."""
    deadline = time.monotonic() + LOSS_SECONDS
    while time.monotonic() < deadline:
        for rank, process in enumerate(others, 1):
            if status := process.poll():
                told = process.stdout.read().strip() if process.stdout else ""
                how = f"signal {-status} (9: most often, memory ran out)" if status < 0 else f"exit status {status}"
                told = told or f"It ended with {how}; the log may say more. Resume to go on."
                return RunError(f"Process {rank + 1} of {len(others) + 1} failed. {told}")
        time.sleep(0.05)
    return RunError("A process of the run can no longer be reached. Resume to go on.")


def _part(others: list[subprocess.Popen[str]]) -> None:
    from torch import distributed

    for process in others:
        process.kill()      # it has nothing to save
        process.communicate()
    if distributed.is_initialized():
        with suppress(RuntimeError):
            distributed.destroy_process_group()


def join(run_name: str, rank: int, size: int, meeting_point: Path) -> int:
    """Compute along with a run's own process until that ends. Returns the exit status."""
    for number in (signal.SIGTERM, signal.SIGINT):      # they may come to all processes: the leader finishes the step
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_leader, daemon=True).start()
    logging.getLogger("pipeline").setLevel(logging.WARNING)
    try:
        _compute_along(load_run(run_name), Team(rank, size), meeting_point)
    except ProcessLost:
        os._exit(0)         # torch's threads would print that they are not done
    except Exception as exception:
        print(log_failure(exception))
    return 1


def _end_with_the_leader() -> None:
    sys.stdin.read()
    os._exit(0)         # whatever its main thread waits for


def _compute_along(run: Run, team: Team, meeting_point: Path) -> None:
    import torch

    from pipeline.hardware import keep_freed_memory
    from pipeline.training import prepare_training

    devices = process_devices(run.config.hardware)
    device = devices[team.rank]
    if device.type == "cuda":
        torch.cuda.set_device(device)
    with threads_of_one(devices):
        splits = augmented(load_examples(run.config), run.config, run.folder / COPIES_FILE)
        training, _ = prepare_training(run.config, splits, splits.train, device)
        torch.distributed.FileStore(str(meeting_point), team.size).set(_ready(team.rank), "")
        _meet(training, meeting_point, team)
        keep_freed_memory()
        while True:
            training.take_step()


@contextmanager
def threads_of_one(devices: list[torch.device]) -> Iterator[None]:
    """Processes on the CPU share its cores."""
    import torch

    before = torch.get_num_threads()
    if devices[0].type == "cpu":
        torch.set_num_threads(max(1, before // len(devices)))
    try:
        yield
    finally:
        torch.set_num_threads(before)
