"""How did a run go, step by step? Reads metrics.jsonl as it grows, and thins it to what a screen can show."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

RUNS_KEPT = 256  # curves in memory at once: 80 bytes a step
TAIL_BYTES = 512  # compared before reading on; timings make any 512 bytes of the file its own
STEP_COLUMNS = (
    "step",
    "epoch",
    "seconds",
    "loss",
    "learning_rate",
    "grad_norm",
    "examples_per_second",
    "tokens_per_second",
    "memory_bytes",
)
EVALUATION_COLUMNS = ("step", "epoch", "seconds", "loss", "accuracy", "macro_f1", "masked_accuracy")

Series = dict[str, np.ndarray]  # by column, each (N,) float64; NaN where the file has no number


def _empty(columns: tuple[str, ...]) -> Series:
    return {name: np.empty(0) for name in columns}


@dataclass(frozen=True)
class Curves:
    """What is drawn of a run, read so far."""

    steps: Series = field(default_factory=lambda: _empty(STEP_COLUMNS))  # of training
    evaluations: Series = field(default_factory=lambda: _empty(EVALUATION_COLUMNS))  # on validation
    num_bytes: int = 0  # of the file, up to the last whole line
    tail: bytes = b""  # the last bytes before there

    @property
    def version(self) -> tuple[int, int, int]:
        """Changes whenever what is drawn may have changed."""
        return len(self.steps["step"]), len(self.evaluations["step"]), self.num_bytes


def thinned(series: Series, max_points: int) -> Series:
    """At most `max_points` points: means over equally many rows, each standing at the last of them."""
    num_rows, size = len(series["step"]), 1
    while num_rows > size * max_points:
        size *= 2  # by doubling, so that points stay where they are while the run goes on
    if size == 1:
        return series
    starts = np.arange(0, num_rows, size)
    ends = np.minimum(starts + size, num_rows)
    return {
        name: values[ends - 1] if name in ("step", "epoch", "seconds") else _means(values, starts)
        for name, values in series.items()
    }


def _means(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Of the numbers from each start to the next; NaN where there is none."""
    known = np.isfinite(values)
    counts = np.add.reduceat(known.astype(float), starts)
    sums = np.add.reduceat(np.where(known, values, 0.0), starts)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def smoothed(values: np.ndarray, weight: float) -> np.ndarray:
    """Exponential moving average (`weight` of the past), corrected for its start: the first value is not overweighted.

    (N,) to (N,); where there is no number, the average so far. A weight of 0 leaves the values as they are.
    Source: Kingma and Ba 2015, https://arxiv.org/abs/1412.6980, section 3 (the correction).
    """
    if not weight:
        return values
    numbers = pd.Series(np.where(np.isfinite(values), values, np.nan))
    averages: np.ndarray = numbers.ewm(alpha=1 - weight, ignore_na=True).mean().to_numpy()
    return averages


_known: OrderedDict[Path, Curves] = OrderedDict()
_reading = threading.Lock()


def read_curves(path: Path) -> Curves:
    """The curves of a metrics.jsonl. Only lines that were appended since the last call are parsed.

    A resume cuts the file back, and it may have grown past its old length since: then it is read anew.
    """
    with _reading:
        curves = _known.get(path, Curves())
        try:
            with open(path, "rb") as file:
                file.seek(curves.num_bytes - len(curves.tail))
                if file.read(len(curves.tail)) != curves.tail:
                    curves = Curves()
                    file.seek(0)
                curves = _with_lines(curves, file.read())
        except FileNotFoundError:
            curves = Curves()
        _known[path] = curves
        _known.move_to_end(path)
        while len(_known) > RUNS_KEPT:
            _known.popitem(last=False)
        return curves


def _with_lines(curves: Curves, data: bytes) -> Curves:
    end = data.rfind(b"\n") + 1  # a last line may still be in the making
    if not end:
        return curves
    found = _parsed(data[:end])
    is_step = found["split"].is_null().to_numpy()
    on_validation = found["split"].to_numpy(zero_copy_only=False) == "validation"
    steps = _appended(curves.steps, found, is_step)
    evaluations = _appended(curves.evaluations, found, on_validation)
    if len(steps["step"]):  # an evaluation has no clock of its own: it stands where the steps before it ended
        evaluations["seconds"] = np.interp(evaluations["step"], steps["step"], steps["seconds"], left=0.0)
    return Curves(steps, evaluations, curves.num_bytes + end, (curves.tail + data[:end])[-TAIL_BYTES:])


def _parsed(lines: bytes) -> pa.Table:
    import pyarrow.json

    numbers = dict.fromkeys((*STEP_COLUMNS, *EVALUATION_COLUMNS))
    options = pyarrow.json.ParseOptions(
        explicit_schema=pa.schema([("split", pa.string()), *((name, pa.float64()) for name in numbers)]),
        unexpected_field_behavior="ignore",
    )
    reading = pyarrow.json.ReadOptions(block_size=8 * 2**20)  # longer than any line
    return pyarrow.json.read_json(pa.BufferReader(lines), reading, options)


def _appended(series: Series, found: pa.Table, rows: np.ndarray) -> Series:
    return {
        name: np.concatenate([values, found[name].to_numpy(zero_copy_only=False)[rows]])
        for name, values in series.items()
    }
