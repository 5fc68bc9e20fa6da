"""How did a run go, step by step? Reads metrics.jsonl as it grows, and thins it to what a screen can show."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

MAX_POINTS = 1_000
SMOOTHING = 0.9  # weight of the past in the smoothed loss
RUNS_KEPT = 4  # curves in memory at once
TAIL_BYTES = 512  # compared before reading on; timings make any 512 bytes of the file its own


@dataclass
class Curves:
    """What is drawn of a run, read so far. `evaluations` are those on validation."""

    steps: list[int] = field(default_factory=list)  # N
    losses: list[float | None] = field(default_factory=list)  # N, train; None where it was no number
    evaluations: list[dict[str, Any]] = field(default_factory=list)
    num_bytes: int = 0  # of the file, up to the last whole line
    tail: bytes = b""  # the last bytes before there

    @property
    def version(self) -> tuple[int, int, int]:
        """Changes whenever what is drawn may have changed."""
        return len(self.steps), len(self.evaluations), self.num_bytes

    def train_loss(self) -> tuple[list[int], list[float | None]]:
        """At most 1,000 points (step, mean loss of the steps since the point before)."""
        size = 1
        while len(self.steps) > size * MAX_POINTS:
            size *= 2  # by doubling, so that points stay where they are while the run goes on
        if size == 1:
            return self.steps[:], self.losses[:]
        starts = range(0, len(self.steps), size)
        return [self.steps[min(start + size, len(self.steps)) - 1] for start in starts], [
            _mean(self.losses[start : start + size]) for start in starts
        ]

    def evaluation_points(self) -> list[dict[str, Any]]:
        """At most 1,000 evaluations, the last one always among them."""
        stride = -(-len(self.evaluations) // MAX_POINTS) or 1
        return self.evaluations[::-1][::stride][::-1]


def smoothed(values: list[float | None]) -> list[float | None]:
    """Exponential moving average, corrected for its start, so that the first value is not overweighted."""
    average, weight = 0.0, 0.0
    result: list[float | None] = []
    for value in values:
        if value is not None:
            average = SMOOTHING * average + (1 - SMOOTHING) * value
            weight = SMOOTHING * weight + (1 - SMOOTHING)
        result.append(average / weight if weight else None)
    return result


_known: OrderedDict[Path, Curves] = OrderedDict()
_reading = threading.Lock()


def read_curves(path: Path) -> Curves:
    """The curves of a metrics.jsonl. Only lines that were appended since the last call are parsed.

    A resume cuts the file back, and it may have grown past its old length since: then it is read anew.
    """
    with _reading:
        curves = _known.setdefault(path, Curves())
        _known.move_to_end(path)
        while len(_known) > RUNS_KEPT:
            _known.popitem(last=False)
        try:
            with open(path, "rb") as file:
                file.seek(curves.num_bytes - len(curves.tail))
                if file.read(len(curves.tail)) != curves.tail:
                    curves = _known[path] = Curves()
                    file.seek(0)
                _append(curves, file.read())
        except FileNotFoundError:
            curves = _known[path] = Curves()
        # A copy: another thread may read on while this one draws.
        return replace(curves, steps=curves.steps[:], losses=curves.losses[:], evaluations=curves.evaluations[:])


def _append(curves: Curves, data: bytes) -> None:
    end = data.rfind(b"\n") + 1  # a last line may still be in the making
    if not end:
        return
    for line in json.loads(b"[" + data[: end - 1].replace(b"\n", b",") + b"]"):
        if "split" not in line:
            curves.steps.append(line["step"])
            curves.losses.append(line["loss"])
        elif line["split"] == "validation":
            curves.evaluations.append(
                {name: line.get(name) for name in ("step", "epoch", "loss", "accuracy", "macro_f1")}
            )
    curves.num_bytes += end
    curves.tail = (curves.tail + data[:end])[-TAIL_BYTES:]


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
