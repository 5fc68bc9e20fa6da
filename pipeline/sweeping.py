"""How is an experiment carried out? Run by run, each in a process of its own; swept again, it goes on where it was."""

from __future__ import annotations

import logging
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from pipeline import jobs
from pipeline.catalog import create_run, load_run, run_names
from pipeline.config import differing_fields, field_value
from pipeline.exceptions import ConfigError, RunError, WorkbenchError
from pipeline.experiments import Experiment, Member, experiments_root, members_of, save_experiment
from pipeline.jobs import start_command, start_detached
from pipeline.predictions import current_test_path, predictions_path
from pipeline.runs import LOCK_WAIT_SECONDS, Run, is_held
from pipeline.sources import find_data, find_model, is_only_on_hub
from pipeline.stand_ins import hub_answers

log = logging.getLogger(__name__)

POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Standing:
    """Where a member stands; the line that `sweep` prints of it."""

    run: str
    variant: str
    seed: int
    state: str                          # a run's state, or "pending" where there is no run yet
    best: dict[str, Any] | None = None  # {"metric", "value", "step"} on validation
    reason: str | None = None           # why it failed, was not begun, or has no predictions of test
    seconds: float | None = None        # in training steps, of one that is finished

    @property
    def is_done(self) -> bool:
        return self.state == "finished" and not self.reason


def standings(experiment: Experiment) -> list[Standing]:
    """Of all its members, as their records tell."""
    return [_standing(member) for member in members_of(experiment)]


def _standing(member: Member, reason: str | None = None) -> Standing:
    about = (member.run, member.variant, member.seed)
    if (run := _run(member.run)) is None:
        return Standing(*about, "pending", None, reason)
    status = run.status()
    reason = status.reason if status.state == "failed" else reason
    seconds = status.elapsed_seconds if status.state == "finished" else None
    return Standing(*about, status.state, status.best, reason, seconds)


def _run(name: str) -> Run | None:
    return load_run(name) if name in run_names() else None


def sweep(experiment: Experiment, asked_to_stop: threading.Event, again: bool = False) -> Iterator[Standing]:
    """Carry its members out, and say where each stands then; a failed one does not keep the rest.

    What is finished is left as it is, what was interrupted or stopped is resumed, what failed is told, and resumed only
    if `again`. A member that some process is carrying out already is waited for.
    Raises: ConfigError as `members_of`; RunError when a member's run is there with another config, or another process
        sweeps the experiment; DataError, ModelError or ConfigError when a source or base model cannot be found.
    """
    members = _checked(experiment)
    try:
        with _lock(experiment.name).acquire(LOCK_WAIT_SECONDS):
            save_experiment(experiment)
            _stop_mark(experiment.name).unlink(missing_ok=True)
            for number, member in enumerate(members, 1):
                log.info("%s: %d of %d", member.run, number, len(members))
                yield _carried_out(experiment, member, asked_to_stop, again)
    except Timeout:
        raise _already_swept(experiment.name) from None


def _checked(experiment: Experiment) -> list[Member]:
    members = members_of(experiment)
    for member in members:
        _refuse_other_config(member)
        if member.variant != members[0].variant and member.seed == members[0].seed:
            _refuse_what_changes_nothing(member, members[0])
    _refuse_what_is_lacking([member for member in members if _run(member.run) is None])
    return members


def _refuse_what_is_lacking(members: list[Member]) -> None:
    """Else all of them would fail, one after the other. Nothing is loaded: what else is wrong shows in a run."""
    data = dict.fromkeys(member.config.data.source for member in members)
    models = dict.fromkeys(member.config.model.base for member in members if not member.base_run)
    for name in data:
        find_data(name)
    for name in models:
        find_model(name)
    lacking = [name for name in data if is_only_on_hub(name, "dataset")]
    lacking += [name for name in models if is_only_on_hub(name, "model")]
    if lacking and not hub_answers():
        raise ConfigError(
            f"The experiment needs {', '.join(lacking)} from the Hub, which is out of reach. Name others, or, while "
            f"there is a network, type: python -m pipeline fetch {' '.join(lacking)}"
        )


def _refuse_what_changes_nothing(member: Member, first: Member) -> None:
    """Where it has begun it goes on."""
    if _run(member.run) is None and not set(differing_fields(first.config, member.config)) - {"name", "note"}:
        raise ConfigError(
            f"The change '{member.variant}' has no field that differs from '{first.variant}': the same would be "
            "trained twice. Give a field another value, or take the change out."
        )


def _refuse_other_config(member: Member) -> None:
    if (run := _run(member.run)) is None:
        return
    if differing := [name for name in differing_fields(member.config, run.config) if name != "note"]:
        there, wanted = (field_value(config, differing[0]) for config in (run.config, member.config))
        raise RunError(
            f"There is already a run '{run.name}', with {differing[0]} {there}; the experiment wants {wanted}. Give "
            "the experiment another name, or delete the run."
        )


def _carried_out(experiment: Experiment, member: Member, asked_to_stop: threading.Event, again: bool) -> Standing:
    def stopped() -> bool:
        return asked_to_stop.is_set() or _stop_mark(experiment.name).exists()

    base = _run(member.base_run) if member.base_run else None
    if stopped():
        return _standing(member)
    if member.base_run and (base is None or base.status().state != "finished"):
        return _standing(member, f"It goes on from '{member.base_run}', which is not finished.")
    try:
        run = _run(member.run) or create_run(member.config)
        state = run.status().state
        if state in ("interrupted", "stopped") or (state == "failed" and again):
            start_detached(run)
        _wait_for(run, stopped)
        if experiment.test and run.status().state == "finished":
            _evaluate_on_test(run)
    except WorkbenchError as exception:
        return _standing(member, str(exception))
    return _standing(member)


def _wait_for(run: Run, stopped: Callable[[], bool]) -> None:
    while run.is_alive():
        if stopped():
            with suppress(RunError):        # it has ended a moment ago
                jobs.stop(run)
        time.sleep(POLL_SECONDS)


def _evaluate_on_test(run: Run) -> None:
    predicts_labels = predictions_path(run, "test").parent.exists()     # not a first stage on unlabelled text
    if not predicts_labels or current_test_path(run):
        return
    streams: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    process = start_command(["evaluate", "--split", "test", "--save", "--", run.name], **streams)
    _, stderr = process.communicate()
    if process.returncode:
        raise RunError(f"It could not be evaluated on test: {stderr.strip().rpartition(chr(10))[2]}")


# From another process


def start_sweep(experiment: Experiment, again: bool = False) -> None:
    """Sweep it in a process of its own, which outlives this one and keeps a log beside the experiment.

    Raises: as `sweep`; RunError when the process ends before it has begun.
    """
    name = experiment.name
    if is_swept(name):
        raise _already_swept(name)
    _checked(experiment)
    save_experiment(experiment)
    log_path = experiments_root() / f"{name}.log"
    with open(log_path, "wb") as file:
        process = start_command(["sweep", *(["--again"] if again else []), "--", name], stdout=file, stderr=file)
    while not is_swept(name) and process.poll() is None:
        time.sleep(0.05)
    if process.poll() == RunError.exit_status:
        raise RunError(log_path.read_text(encoding="utf-8", errors="replace").strip().rpartition("\n")[2])


def is_swept(name: str) -> bool:
    """Does a living process sweep it?"""
    return is_held(_lock(name))


def stop_sweep(name: str) -> None:
    """Let the run that is at work save and end, begin no other, and wait for that. Sweep again to go on.

    Raises: RunError when no process sweeps it.
    """
    if not is_swept(name):
        raise RunError(f"'{name}' is not being swept: there is nothing to stop.")
    _stop_mark(name).touch()
    while is_swept(name):
        time.sleep(POLL_SECONDS)


def _already_swept(name: str) -> RunError:
    return RunError(f"'{name}' is already being swept by a living process. Wait, or stop it: sweep {name} --stop.")


def _lock(name: str) -> FileLock:
    experiments_root().mkdir(parents=True, exist_ok=True)
    return FileLock(experiments_root() / f".{name}.lock")


def _stop_mark(name: str) -> Path:
    return experiments_root() / f".{name}.stop"
