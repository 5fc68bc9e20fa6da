"""What is known of a run? The run record: one folder on disk, all that is handed over from training to its readers."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import math
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal

from filelock import FileLock, Timeout
from pydantic import AfterValidator, TypeAdapter, ValidationError

from pipeline.config import RunConfig
from pipeline.exceptions import RunError

log = logging.getLogger(__name__)

State = Literal["queued", "running", "stopping", "stopped", "finished", "failed", "interrupted"]
STATES_KEPT = 2
LOCK_WAIT_SECONDS = 5.0  # a reader that asks "is it alive?" holds the lock for a moment


def _checked_best(best: dict[str, Any]) -> dict[str, Any]:
    kinds = {"metric": str, "value": int | float, "step": int}
    if not all(isinstance(best.get(name), kind) for name, kind in kinds.items()):
        raise ValueError("a metric, its value and its step are needed")
    return best


@dataclass(frozen=True)
class Status:
    """Where a run stands. Written by the run's own process; `interrupted` is derived by readers, never written."""

    state: State = "queued"
    pid: int | None = None
    process_started: float | None = None  # seconds, by progress.start_of: with the pid, it names one process for good
    step: int = 0
    total_steps: int | None = None
    epoch: float = 0.0
    elapsed_seconds: float = 0.0  # in training steps, over all its processes
    eta_seconds: float | None = None
    best: Annotated[dict[str, Any], AfterValidator(_checked_best)] | None = None  # {"metric", "value", "step"}
    reason: str | None = None  # of a failure, or why it ended early: one sentence
    started_at: float | None = None  # Unix seconds, of the first start
    updated_at: float | None = None  # Unix seconds

    @property
    def progress(self) -> float:
        """0 to 1."""
        return self.step / self.total_steps if self.total_steps else 0.0

    @property
    def is_active(self) -> bool:
        return self.state in ("queued", "running", "stopping")


_STATUS = TypeAdapter(Status)


@dataclass(frozen=True)
class Run:
    """One run record. Reading it needs no agreement with the process that writes it."""

    folder: Path
    config: RunConfig = field(repr=False)

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def best_folder(self) -> Path:
        return self.folder / "best"

    @property
    def metrics_path(self) -> Path:
        return self.folder / "metrics.jsonl"

    @property
    def log_path(self) -> Path:
        return self.folder / "log.txt"

    # Reading

    def status(self) -> Status:
        """The status as written, or `interrupted` when it tells of a process that is no more."""
        status = self.written_status()
        if status.is_active and not self.is_alive():
            status = self.written_status()  # it may have ended between the two looks
            if status.is_active:
                return replace(status, state="interrupted", eta_seconds=None)
        return status

    def written_status(self) -> Status:
        try:
            return _STATUS.validate_json((self.folder / "status.json").read_bytes())
        except (FileNotFoundError, ValidationError):    # not begun; of a later version, or damaged
            return Status()

    def is_alive(self) -> bool:
        """Does a process hold this run's lock?"""
        path = self.folder / ".lock"
        try:
            return path.exists() and is_held(FileLock(path))
        except OSError:  # a read-only record, say of a colleague: nobody writes there
            return False

    def metrics(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl; a last line still being written is left out."""
        return _json_lines(self.metrics_path)

    def evaluations(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl that are evaluations on validation."""
        lines = _json_lines(self.metrics_path, containing=b'"split"')
        return [line for line in lines if line.get("split") == "validation"]

    def environment(self) -> dict[str, Any]:
        """What it computes on; empty before it has begun."""
        try:
            values = json.loads((self.folder / "environment.json").read_bytes())
        except (FileNotFoundError, ValueError):
            return {}
        return values if isinstance(values, dict) else {}

    def log_tail(self, num_lines: int = 200) -> str:
        try:
            return "\n".join(self.log_path.read_text(encoding="utf-8", errors="replace").splitlines()[-num_lines:])
        except FileNotFoundError:
            return ""

    def notes(self, kind: str = "note") -> list[dict[str, Any]]:
        """Of one kind, oldest first, with `at` in Unix seconds; a "note" has a `text`, others are of judgements.py."""
        lines = _json_lines(self.folder / "notes.jsonl", containing=f'"{kind}"'.encode())
        return [line for line in lines if line.get("kind") == kind]

    def append_note(self, kind: str, values: dict[str, Any]) -> None:
        line = {"kind": kind, **values, "at": time.time()}
        with open(self.folder / "notes.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")

    def summary(self) -> dict[str, Any]:
        """The line of `python -m pipeline runs`."""
        status = self.status()
        return {
            "name": self.name,
            "state": status.state,
            "data": self.config.data.source,
            "base": self.config.model.base,
            "best": status.best,
            "step": status.step,
            "total_steps": status.total_steps,
            "elapsed_seconds": round(status.elapsed_seconds, 1),
            "started_at": status.started_at,
            "reason": status.reason,
        }

    # Writing, by the run's own process

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Raises: RunError when another process works on this run."""
        try:
            with FileLock(self.folder / ".lock", timeout=LOCK_WAIT_SECONDS):
                yield
        except Timeout:
            raise already_worked_on(self.name) from None

    def write_status(self, status: Status) -> None:
        write_json(self.folder / "status.json", asdict(status))

    def append_metrics(self, line: dict[str, Any]) -> None:
        """One write per line, so that a reader sees whole lines and at most one that is still being written."""
        data = json.dumps(_finite(line), ensure_ascii=False).encode() + b"\n"
        with open(self.metrics_path, "ab", buffering=0) as file:
            if file.write(data) != len(data):  # how a disk that has just become full answers
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.metrics_path))

    def save_state(self, state: dict[str, Any]) -> None:
        """Save `state/<step>/` atomically with its sha256 and the length of metrics.jsonl; keep the last two."""
        import torch

        target = self.folder / "state" / str(state["step"])
        if target.exists():     # at most an evaluation came since, which a resume repeats to the last bit
            return
        temporary = target.with_name(".tmp")    # always the same: what a killed process left is cleared away
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            temporary.mkdir(parents=True)
            with open(temporary / "state.pt", "wb") as file:
                torch.save(state, file)
                _sync(file)
            manifest = {
                "step": state["step"],
                "sha256": _sha256(temporary / "state.pt"),
                "metrics_bytes": self._sync_metrics(),
            }
            write_json(temporary / "manifest.json", manifest)
            os.replace(temporary, target)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)  # gives a full disk its space back for the status
            raise
        for old in self.states()[STATES_KEPT:]:
            shutil.rmtree(old, ignore_errors=True)

    def _sync_metrics(self) -> int:
        """The length of metrics.jsonl, all of which is then on the disk."""
        with open(self.metrics_path, "ab") as file:
            _sync(file)
            return file.tell()

    def states(self) -> list[Path]:
        """Newest first."""
        folders = [path for path in (self.folder / "state").glob("*") if path.name.isdigit()]
        return sorted(folders, key=lambda path: int(path.name), reverse=True)

    def load_newest_state(self) -> dict[str, Any] | None:
        """The newest undamaged state, or None; cuts metrics.jsonl back to where it ended, sets damaged ones aside."""
        import torch

        for folder in self.states():
            try:
                manifest = json.loads((folder / "manifest.json").read_bytes())
                if manifest["sha256"] != _sha256(folder / "state.pt"):
                    raise ValueError("its sha256 does not match")
                if self._sync_metrics() < manifest["metrics_bytes"]:
                    raise ValueError("metrics.jsonl has lost lines from before it")
                state: dict[str, Any] = torch.load(folder / "state.pt", map_location="cpu", weights_only=True)
            except (OSError, ValueError, KeyError, TypeError) as exception:
                log.warning("State %s is damaged (%s): set aside, the one before is used.", folder.name, exception)
                shutil.rmtree(folder.with_name(folder.name + ".damaged"), ignore_errors=True)
                folder.rename(folder.with_name(folder.name + ".damaged"))
                continue
            os.truncate(self.metrics_path, manifest["metrics_bytes"])
            return state
        self.metrics_path.write_bytes(b"")
        return None


def is_held(lock: FileLock) -> bool:
    """Does some process hold it?"""
    try:
        with lock.acquire(timeout=0):
            return False
    except Timeout:
        return True


def already_worked_on(name: str) -> RunError:
    return RunError(f"'{name}' is already being worked on by a living process. Stop it first: stop {name}.")


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Replace a JSON file atomically."""
    temporary = path.with_name(f".{path.name}.tmp")     # always the same: what a killed process left is written over
    try:
        with open(temporary, "wb") as file:
            file.write(json.dumps(_finite(values), indent=2, ensure_ascii=False).encode() + b"\n")
            _sync(file)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _json_lines(path: Path, containing: bytes = b"") -> list[dict[str, Any]]:
    """The whole lines of a file that are JSON objects; one still being written, or damaged, is left out."""
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []
    found = []
    for line in lines:
        if containing in line:
            with suppress(ValueError):
                found.append(json.loads(line))
    return [line for line in found if isinstance(line, dict)]


def _finite(value: Any) -> Any:
    """JSON knows no NaN or infinity: null."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
