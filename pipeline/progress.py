"""How far is a run? Keeps status.json and log.txt up to date while it trains, and says when a state is due."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psutil

from pipeline.runs import Run, State

if TYPE_CHECKING:
    from pipeline.training import EvaluationResult, StepResult, Training

log = logging.getLogger(__name__)

STATUS_SECONDS = 1.0  # between two writes of status.json
LOG_SECONDS = 10.0  # between two lines of log.txt
DEFAULT_STATE_SECONDS = 60.0  # between two saved states; $VOLTA_STATE_SECONDS
STATE_SHARE = 0.05  # saving states takes at most this share of the time


class Progress:
    """Keeps status.json and log.txt up to date; decides when a state is due."""

    def __init__(self, run: Run) -> None:
        self.run = run
        written = run.written_status()
        self.status = replace(
            written,
            pid=os.getpid(),
            process_started=start_of(psutil.Process()),
            started_at=written.started_at or time.time(),
            eta_seconds=None,
        )
        self.earlier_seconds = written.elapsed_seconds
        self.state_seconds = float(os.environ.get("VOLTA_STATE_SECONDS", DEFAULT_STATE_SECONDS))
        self.began = self.saved = self.logged = self.written = time.monotonic()
        self.first_step = 0

    def change(self, state: State, **values: Any) -> None:
        self.status = replace(self.status, state=state, updated_at=time.time(), **values)
        if state in ("stopped", "finished", "failed"):
            self.status = replace(self.status, eta_seconds=None)
            log.info("%s at step %d. %s", state.capitalize(), self.status.step, self.status.reason or "")
        self.run.write_status(self.status)

    def fail(self, reason: str) -> None:
        try:
            self.change("failed", reason=reason)
        except OSError as exception:  # a full or read-only disk: stderr has the reason
            log.error("status.json could not be written: %s", exception.strerror)

    def begin(self, training: Training) -> None:
        self.began = self.saved = time.monotonic()
        self.first_step = training.step
        self._count(training)
        self.change("running")
        epochs = self.run.config.optim.epochs
        log.info("%d steps in %d epochs, on %s.", training.total_steps, epochs, training.model.device)

    def note(self, training: Training, result: StepResult | EvaluationResult) -> None:
        now = time.monotonic()
        self._count(training)
        evaluated = not hasattr(result, "learning_rate")
        if evaluated or now - self.logged > LOG_SECONDS:
            self.logged = now
            log.info("%s", _log_line(result))
        if evaluated or now - self.written > STATUS_SECONDS:
            self.written = now
            self.change("running")

    def _count(self, training: Training) -> None:
        seconds = time.monotonic() - self.began
        done = training.step - self.first_step
        self.status = replace(
            self.status,
            step=training.step,
            total_steps=training.total_steps,
            epoch=training.epoch,
            best=training.best,
            elapsed_seconds=self.earlier_seconds + seconds,
            eta_seconds=seconds / done * (training.total_steps - training.step) if done else None,
        )

    def save_if_due(self, training: Training) -> None:
        started = time.monotonic()
        if started - self.saved < self.state_seconds:
            return
        self.run.save_state(training.state())
        self.saved = time.monotonic()
        if self.state_seconds > 0:
            self.state_seconds = max(self.state_seconds, (self.saved - started) / STATE_SHARE)


def start_of(process: psutil.Process) -> float:
    """When a process started, as no later change of the clock moves it.

    Linux counts from the boot, and psutil adds the time of the boot, which moves with the clock; other systems keep the
    time of day at which it started.
    """
    return process.create_time() - (psutil.boot_time() if psutil.LINUX else 0.0)


def metrics_line(result: StepResult | EvaluationResult) -> dict[str, Any]:
    """The line of metrics.jsonl for a step or an evaluation."""
    values = {name: value for name, value in vars(result).items() if name not in ("logits", "is_best", "metrics")}
    return {**values, **getattr(result, "metrics", {})}


def _log_line(result: StepResult | EvaluationResult) -> str:
    line = metrics_line(result)
    if "split" in line:
        words = {"accuracy": "accuracy", "macro_f1": "macro F1", "perplexity": "perplexity"}
        scores = [f", {words[name]} {line[name]:.4f}" for name in words if name in line]
        return f"Step {line['step']}: {line['split']} loss {line['loss']:.4f}{''.join(scores)}"
    return f"Step {line['step']}: loss {line['loss']:.4f}, {line['examples_per_second']:.0f} examples/s"


@contextmanager
def logging_to(run: Run) -> Iterator[None]:
    """log.txt gets what stderr gets; a detached process has log.txt for its stderr already."""
    logging.getLogger("pipeline").setLevel(logging.INFO)
    run.log_path.touch()
    if os.path.samestat(os.fstat(2), os.stat(run.log_path)):
        yield
        return
    handler = logging.FileHandler(run.log_path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()
