"""How does a run start, stop and go on? Each in a process of its own, which holds locks while it lives."""

from __future__ import annotations

import errno
import logging
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from math import isclose
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from filelock import FileLock, Timeout

from pipeline.augmentation import COPIES_FILE, augmented, check_augmentation
from pipeline.command import stop_signals
from pipeline.config import RunConfig
from pipeline.data import Splits
from pipeline.environment import keep_environment
from pipeline.exceptions import RunError, WorkbenchError
from pipeline.objectives import make_objective
from pipeline.pretraining import about_head
from pipeline.progress import Progress, logging_to, metrics_line, start_of
from pipeline.runs import Run, Status, already_worked_on, is_held
from pipeline.sources import PROJECT_ROOT, find_model
from pipeline.tracking import Trackers
from pipeline.unlabelled import load_examples

if TYPE_CHECKING:
    from pipeline.training import EvaluationResult, Training

log = logging.getLogger(__name__)

STOP_GRACE_SECONDS = 60.0
UNFORESEEN = "Unexpected "
IDENTITY_SECONDS = 10.0  # a process that holds a run writes who it is within this time


class StopRequested(Exception):
    """The run was asked to stop while it waited for its device."""


def carry_out(run: Run) -> int:
    """Carry out a run from its newest state to its end, in this process. Returns the exit status: 0 done, 1 failed.

    Raises: RunError when another process works on it.
    """
    try:
        with run.locked(), logging_to(run), stop_signals() as stop:
            progress = Progress(run)
            try:
                progress.change("queued", reason=None)
                _train(run, progress, stop)
            except StopRequested:
                progress.change("stopped")
            except Exception as exception:
                progress.fail(log_failure(exception))
                return 1
    except OSError as exception:  # not even the lock, the log or the status could be written
        log_failure(exception)
        return 1
    return 0


def _train(run: Run, progress: Progress, stop: threading.Event) -> None:
    from pipeline.hardware import keep_freed_memory
    from pipeline.processes import helpers, process_devices
    from pipeline.training import EvaluationResult, prepare_training

    config = run.config
    splits = load_examples(config)
    devices = process_devices(config.hardware)
    with ExitStack() as held:
        for device in dict.fromkeys(devices):
            held.enter_context(device_lock(str(device), stop))
        splits = augmented(splits, config, run.folder / COPIES_FILE)
        let_helpers_join = held.enter_context(helpers(run, devices, stop))
        keep_environment(run, splits, str(devices[0]), len(devices), about_head(config))
        _log_counts(splits)
        progress.change("running")
        training, tokenizer = prepare_training(config, splits, splits.train, devices[0])
        _go_on(training, run)
        keep_freed_memory()
        let_helpers_join(training)
        trackers = Trackers(run, training.step)
        held.callback(trackers.finish)
        progress.begin(training)
        for result in training.results():
            run.append_metrics(line := metrics_line(result))
            trackers.tell(line)
            if isinstance(result, EvaluationResult) and result.is_best:
                _save_best(run, training, tokenizer, splits, result)
            progress.note(training, result)
            if stop.is_set():
                progress.change("stopping")
                run.save_state(training.state())
                progress.change("stopped")
                return
            progress.save_if_due(training)
        run.save_state(training.state())
        early = training.step < training.total_steps
        progress.change("finished", reason=f"No gain in {config.stop.patience} evaluations." if early else None)


def _log_counts(splits: Splits) -> None:
    for what, counts in {"Added to train": splits.added, "Left out": splits.dropped}.items():
        if counts:
            log.info("%s: %s.", what, ", ".join(f"{n:,} {why}" for why, n in counts.items()))


def _go_on(training: Training, run: Run) -> None:
    state = run.load_newest_state()
    if state is not None:
        training.load_state(state)
        log.info("Going on from step %d.", training.step)


def _save_best(run: Run, training: Training, tokenizer: Any, splits: Splits, result: EvaluationResult) -> None:
    from pipeline.models import save_model
    from pipeline.predictions import predictions_path, save_predictions

    save_model(training.evaluated_model, tokenizer, run.best_folder)
    if result.logits is not None:       # else it predicts no labels
        save_predictions(predictions_path(run, "validation"), splits.validation, result.logits, splits.label_names)


def log_failure(exception: Exception) -> str:
    """Log what happened and what to do, with a traceback if nobody foresaw it. Returns the sentence."""
    sentence = failure_sentence(exception)
    log.error("%s", sentence, exc_info=sentence.startswith(UNFORESEEN))
    return sentence


def failure_sentence(exception: Exception) -> str:
    """What happened and what to do, in a sentence or two, for status.json and stderr."""
    if isinstance(exception, WorkbenchError):
        return str(exception)
    where = getattr(exception, "filename", None) or "the run record"
    if (number := _errno_of(exception)) in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"The disk is full ({where}); earlier states still load. Free some space, then resume."
    if number in (errno.EROFS, errno.EACCES, errno.EPERM):
        return f"{where} cannot be written; earlier states still load. Make it writable, then resume."
    if type(exception).__name__ == "OutOfMemoryError":
        return (
            "The device ran out of memory, however a step is cut. Set hardware.gradient_checkpointing, lower "
            "data.max_length, or choose a smaller model.base."
        )
    return f"{UNFORESEEN}{type(exception).__name__}: {' '.join(str(exception).split())[:300]}. The log has the details."


def _errno_of(exception: Exception) -> int | None:
    """The system's error number: safetensors tells it in its message, torch's writer only that it failed."""
    if isinstance(exception, OSError):
        return exception.errno
    if told := re.search(r"\(os error (\d+)\)", str(exception)):
        return int(told[1])
    return errno.ENOSPC if "PytorchStreamWriter failed writing" in str(exception) else None


# Starting and stopping other processes


def start_detached(run: Run) -> int:
    """Carry the run out in a process of its own, which outlives this one. Returns its pid once it holds the run.

    Raises: RunError when it ends before that.
    """
    if run.is_alive():
        raise already_worked_on(run.name)
    with open(run.log_path, "ab") as file:
        # --: a name may begin with a dash
        process = start_command(["resume", "--", run.name], stdout=subprocess.DEVNULL, stderr=file)
    while not run.is_alive():
        if process.poll() is not None:
            if run.written_status().pid == process.pid:  # it has been and gone
                break
            raise RunError(f"'{run.name}' could not be started. Its log says: {run.log_tail(3) or '(nothing)'}")
        time.sleep(0.05)
    return process.pid


def start_command(arguments: list[str], module: str = "pipeline", **streams: Any) -> subprocess.Popen[str]:
    """Start `python -m MODULE ...` where the user works, to find the same files; it outlives this process."""
    python_path = [str(PROJECT_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.Popen(
        # -P: a folder named pipeline where the user works is not taken for this one
        [sys.executable, "-P", "-m", module, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(python_path)},
        start_new_session=True,
        text=True,
        errors="replace",
        **{"stdin": subprocess.DEVNULL, **streams},
    )


def check_startable(config: RunConfig) -> Splits:
    """Find and check data, base model and device before anything is written.

    Raises: ConfigError, DataError, ModelError; RunError for a run that would be its own base.
    """
    find_model(config.model.base)
    if config.name == config.model.base:    # once it has a model of its own, a resume would start from that one
        raise RunError(f"The run cannot have the name of its own base, '{config.name}'. Choose another name.")
    hardware = config.hardware
    if hardware.device not in ("auto", "cpu") or hardware.precision == "fp16" or hardware.processes != 1:
        # Else torch can wait.
        from pipeline.hardware import choose_precision
        from pipeline.processes import process_devices

        choose_precision(hardware.precision, process_devices(hardware)[0])
    splits = load_examples(config)
    if config.task == "classify":
        check_augmentation(config.augment, splits.label_names)
        make_objective(config.loss, splits.label_names, splits.train["label_id"].to_numpy())
    return splits


def stop(run: Run, grace_seconds: float = STOP_GRACE_SECONDS) -> Status:
    """Ask the run's process to finish its step, save and end; end it by force when the grace is over.

    Raises: RunError when the run has no living process.
    """
    process = _process_of(run)
    if process is None:
        raise RunError(f"'{run.name}' is {run.status().state}: there is nothing to stop.")
    with suppress(psutil.NoSuchProcess):
        process.terminate()
        deadline = time.monotonic() + grace_seconds
        while run.is_alive() and time.monotonic() < deadline:
            time.sleep(0.1)
        if run.is_alive() and (process := _process_of(run)) is not None:
            process.kill()
            process.wait(10)
    return run.status()


def _process_of(run: Run) -> psutil.Process | None:
    """The living process that holds the run, or None. A pid alone is not trusted: systems use them again."""
    deadline = time.monotonic() + IDENTITY_SECONDS
    while run.is_alive() and time.monotonic() < deadline:
        status = run.written_status()
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(status.pid)
            started = status.process_started
            if started is not None and isclose(start_of(process), started, abs_tol=0.005):  # systems count hundredths
                return process
        time.sleep(0.1)  # it holds the lock, but has not yet written who it is
    return None


@contextmanager
def device_lock(device: str, stop: threading.Event) -> Iterator[None]:
    """One run at a time on a device of this machine; the others wait, `queued`. Raises: StopRequested."""
    lock = _lock_of(device)
    while not lock.is_locked:
        if stop.is_set():
            raise StopRequested
        with suppress(Timeout):
            lock.acquire(timeout=0.2)
    try:
        yield
    finally:
        lock.release()


def is_taken(device: str) -> bool:
    """Does a run on this machine hold the device?"""
    return is_held(_lock_of(device))


def _lock_of(device: str) -> FileLock:
    folder = Path(tempfile.gettempdir()) / "volta-devices"
    if not folder.exists():
        folder.mkdir(exist_ok=True)
        folder.chmod(0o777)     # for all users of the machine: mkdir heeds the umask
    return FileLock(folder / f"{device.replace(':', '-')}.lock", mode=0o666)
