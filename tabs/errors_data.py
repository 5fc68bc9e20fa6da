"""What has been read of a run's predictions already? Files, masks and slices, kept while they are looked at."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from analysis.compare import changes
from analysis.examples import Examples, examples_of, predictions_files
from analysis.phenomena import PHENOMENA, phenomena_table
from analysis.slices import Slice, found_slices, known_slices
from pipeline.catalog import all_runs
from pipeline.exceptions import RunError
from pipeline.predictions import read_predictions
from pipeline.runs import Run
from reports.words import say
from tabs.runs_view import when_written

Written = tuple[int, int]


@dataclass(frozen=True)
class Opened:
    """A file of predictions, and what a rule may name in it."""

    examples: Examples

    @cached_property
    def row_of(self) -> dict[str, int]:
        return {example_id: row for row, example_id in enumerate(self.examples.predictions.example_ids)}

    @cached_property
    def phenomena(self) -> dict[str, np.ndarray]:
        """(N,) bool by name"""
        table = phenomena_table(self.examples.predictions.texts)
        return dict(zip(PHENOMENA, table.T, strict=True))

    @cached_property
    def slices(self) -> tuple[list[Slice], list[Slice]]:
        """Those known beforehand, and those found."""
        return known_slices(self.examples, self.phenomena), found_slices(self.examples, self.phenomena)


def runs_with_predictions() -> list[str]:
    """Names, newest first."""
    return [run.name for run in all_runs() if predictions_files(run)]


def file_choices(run: Run | None) -> list[str]:
    """`<data>/<split>`, newest first."""
    return [f"{file.data}/{file.split}" for file in predictions_files(run)] if run else []


def open_predictions(run: Run, file: str) -> Opened:
    """Raises: RunError when the run keeps no such predictions any more."""
    for kept in predictions_files(run):
        if f"{kept.data}/{kept.split}" == file:
            return _opened(kept.path, when_written(kept.path))
    raise RunError(say("errors.no_file", run=run.name, file=file))


@lru_cache(maxsize=4)
def _opened(path: Path, written: Written) -> Opened:
    return Opened(examples_of(read_predictions(path)))


def masks(opened: Opened, rule: str, file: str, beside: Run | None) -> dict[str, np.ndarray]:
    """What the rule may name, (N,) bool each: phenomena, and what became of the errors of another run."""
    if not rule:
        return {}
    if beside is None:
        return opened.phenomena
    return opened.phenomena | changes(open_predictions(beside, file).examples.predictions, opened.examples.predictions)
