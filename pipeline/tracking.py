"""Who else is told how a run goes? Trackers that the user names: each is optional, and none can stop the run."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pipeline.config import FIELDS, field_value
from pipeline.config_parts import split_names
from pipeline.runs import Run

log = logging.getLogger(__name__)

PROJECT = "volta"
FOLDER = "trackers"                                                     # in the run's; trackio has a place of its own
LOGINS = {"wandb": "~/.netrc", "swanlab": "~/.swanlab/.netrc"}          # where a login is kept


def tracking_notes(track: str) -> list[str]:
    """A sentence for each tracker that is not there, or will keep on this machine what it would else send."""
    notes = []
    for name in split_names(track):
        if not is_installed(name):
            notes.append(f"The tracker {name} is not installed: the run does without. To have it: pip install {name}.")
        elif _mode(name) == "offline":
            notes.append(f"The tracker {name} is not logged in: it writes to the run's folder {FOLDER} alone.")
    return notes


def is_installed(package: str) -> bool:
    """Asked of the installed ones: wandb makes folders of its own name, which could be imported."""
    try:
        return bool(version(package))
    except PackageNotFoundError:
        return False


def _mode(name: str) -> str | None:
    """Of a tracker that may send what it is told: as its own variable says, else offline unless logged in."""
    if name not in LOGINS or os.environ.get(f"{name.upper()}_API_KEY"):
        return None
    try:
        logged_in = name in Path(LOGINS[name]).expanduser().read_text(encoding="utf-8")
    except OSError:
        logged_in = False
    return os.environ.get(f"{name.upper()}_MODE") or (None if logged_in else "offline")


class Trackers:
    """Those of a run that could be started. What one of them raises is told once, and it is told nothing more."""

    def __init__(self, run: Run, first_step: int) -> None:
        """first_step: 0, or where a resumed run goes on, in the same run of a tracker where it has one."""
        self.started: dict[str, Any] = {}
        for note in tracking_notes(run.config.track):
            log.warning("%s", note)
        for name in filter(is_installed, split_names(run.config.track)):
            self._safely(name, partial(self._start, name, run, first_step))

    def _start(self, name: str, run: Run, first_step: int) -> None:
        from accelerate.tracking import LOGGER_TYPE_TO_CLASS

        # What the run prints is not theirs: they would read along by taking the place of stdout and stderr.
        os.environ |= {"SWANLAB_TERMINAL_PROXY_TYPE": "none", "WANDB_CONSOLE": "off"}
        folder = run.folder / FOLDER
        folder.mkdir(exist_ok=True)
        began = run.written_status().started_at or 0
        same = {"name": run.name, "id": f"{run.name}-{began:.0f}", "resume": "allow", "mode": _mode(name)}
        options: dict[str, Any] = {
            "trackio": {"name": run.name, "resume": "allow" if first_step else "never"},
            "swanlab": {**same, "log_dir": str(folder)},
            "wandb": {**same, "dir": str(folder)},
            "tensorboard": {"logging_dir": folder, "purge_step": first_step + 1 if first_step else None},
        }
        tracker = LOGGER_TYPE_TO_CLASS[name](run.name if name == "tensorboard" else PROJECT, **options[name])
        tracker.start()
        values = {field: field_value(run.config, field) for field in FIELDS}
        tracker.store_init_configuration({field: "" if value is None else value for field, value in values.items()})
        self.started[name] = tracker

    def tell(self, line: dict[str, Any]) -> None:
        """A line of metrics.jsonl, its single numbers, by split."""
        split = line.get("split", "train")
        numbers = {f"{split}/{name}": value for name, value in line.items() if isinstance(value, int | float)}
        step = numbers.pop(f"{split}/step")
        for name, tracker in list(self.started.items()):
            self._safely(name, partial(tracker.log, numbers, step=step))

    def finish(self) -> None:
        for name, tracker in list(self.started.items()):
            # The package's own, where it has one: accelerate's leaves swanlab running, and trackio to print at the end.
            self._safely(name, getattr(sys.modules.get(name), "finish", tracker.finish))

    def _safely(self, name: str, act: Callable[[], None]) -> None:
        try:
            with redirect_stdout(sys.stderr):
                act()
        except Exception as exception:
            self.started.pop(name, None)
            told = f"{type(exception).__name__}: {exception}".splitlines()[0]
            log.warning("The tracker %s failed (%s): the run goes on without it.", name, told)
