"""What is there to say about runs? Their list, what tells them apart, each one's figures: as blocks for the page."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from analysis.compare import Estimate, accuracy_estimate, compare, macro_f1_estimate
from pipeline.config import differing_fields, field_value
from pipeline.data import slug
from pipeline.exceptions import RunError, WorkbenchError
from pipeline.metrics import compute_metrics
from pipeline.predictions import Predictions, read_predictions
from pipeline.runs import Run, Status
from tabs.run_panel import METRIC_WORDS, STATE_WORDS
from tabs.shared import Block, ColumnKind, code, count, duration, explained, find_run, matrix, number, table, text

STALE_SECONDS = 60.0        # a run at work that has written nothing for this long is pointed out
MAX_COMPARED = 12           # runs in one table
MAX_MATRIX_LABELS = 20
COLUMNS: list[tuple[str, ColumnKind]] = [
    ("state", ""), ("name", ""), ("data", ""), ("base", ""), ("best", "number"), ("took", "number"), ("started", ""),
]
NO_RUNS = "There are no runs yet. Open the Train tab and press Start, or bring in a zip of a run below."


def run_list(runs: Sequence[Run]) -> dict[str, Any]:
    """Value of the list of runs: columns, a row per run, and the run that is shown until somebody ticks one."""
    rows = [_row(run) for run in runs]
    return {"columns": explained(COLUMNS), "rows": rows, "chosen": [row["name"] for row in rows[:1]], "empty": NO_RUNS}


def _row(run: Run) -> dict[str, Any]:
    status = run.status()
    best, started = status.best or {}, status.started_at
    metric = METRIC_WORDS.get(best.get("metric", ""), best.get("metric", ""))
    took = status.elapsed_seconds or None
    return {
        "name": run.name,
        "state": status.state,
        "active": status.is_active,
        "cells": [
            state_words(status),
            run.name,
            _short(run.config.data.source),
            _short(run.config.model.base),
            f"{metric} {number(best['value'])}" if best else "",
            duration(took) if took else "",
            datetime.fromtimestamp(started).strftime("%Y-%m-%d %H:%M") if started else "",
        ],
        "keys": [
            status.state, run.name, run.config.data.source, run.config.model.base, best.get("value"), took, started,
        ],
    }


def _short(place: str) -> str:
    """The last part of a path: the whole is in the config."""
    return Path(place).name if place.startswith(("/", "~")) else place


def state_words(status: Status) -> str:
    words = STATE_WORDS[status.state]
    silent = time.time() - status.updated_at if status.updated_at else 0.0
    if status.state in ("running", "stopping") and silent > STALE_SECONDS:
        return f"{words} · nothing new for {duration(60 * (silent // 60))}"
    return words


def compared_blocks(runs: Sequence[Run]) -> list[Block]:
    """Before and best of each, what differs between them, and how sure a difference in quality is."""
    if not runs:
        return []
    blocks = [before_and_best(runs[:MAX_COMPARED])]
    if len(runs) > MAX_COMPARED:
        blocks.append(text(f"The tables show the first {MAX_COMPARED} of {count(len(runs))} runs.", "note"))
    if len(runs) > 1:
        blocks += [differences_table(runs[:MAX_COMPARED]), *quality_blocks(runs[:MAX_COMPARED])]
    return blocks


def before_and_best(runs: Sequence[Run]) -> Block:
    """Validation metrics before the first step, and where they were best."""
    columns = ["n", "loss before", "best", "accuracy before", "best", "macro F1 before", "best", "at step"]
    rows = []
    for run in runs:
        first, best = first_and_best(run)
        n = sum(label["support"] for label in best["per_label"].values()) if best else None
        cells = [
            number(line[name]) if line else "" for name in ("loss", "accuracy", "macro_f1") for line in (first, best)
        ]
        rows.append([run.name, count(n) if n else "", *cells, count(best["step"]) if best else ""])
    heading = "On validation, before the first step and at the best one"
    return table(heading, [("run", ""), *((name, "number") for name in columns)], rows)


def first_and_best(run: Run) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """The evaluation before the first step, and the one whose weights were kept."""
    lines = _evaluations(run.folder, when_written(run.metrics_path))
    best_step = (run.written_status().best or {}).get("step")
    first = next((line for line in lines if line["step"] == 0), None)
    return first, next((line for line in lines if line["step"] == best_step), None)


@lru_cache(maxsize=64)
def _evaluations(folder: Path, written: tuple[int, int]) -> list[dict[str, Any]]:
    run = find_run(folder.name)
    return run.evaluations() if run else []


def when_written(path: Path) -> tuple[int, int]:
    """Changes with the file: size and time."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return 0, 0
    return found.st_size, found.st_mtime_ns


def differences_table(runs: Sequence[Run]) -> Block:
    """The fields of the config in which the runs differ, name and note aside."""
    first, *others = (run.config for run in runs)
    fields = dict.fromkeys(name for other in others for name in differing_fields(first, other))
    rows = [
        [name, *(_shown(field_value(run.config, name)) for run in runs)]
        for name in fields if name not in ("name", "note")
    ]
    if not rows:
        return text("Their configs differ in nothing but name and note.", "note")
    return table("What differs between them", [("field", ""), *((run.name, "") for run in runs)], rows)


def _shown(value: Any) -> str:
    if value is None or value == "":
        return "not given"
    return str(value).lower() if isinstance(value, bool) else str(value)


def quality_blocks(runs: Sequence[Run]) -> list[Block]:
    """Each run beside the first, on the validation examples that both predicted."""
    first, *others = runs
    rows, refused = [], []
    for other in others:
        try:
            pair = compare(*map(_validation_predictions, (first, other)))
        except WorkbenchError as exception:
            refused.append(text(f"{other.name} beside {first.name}: {exception}", "note"))
            continue
        accuracy, macro_f1 = pair.differences["accuracy"], pair.differences["macro_f1"]
        cells = [count(pair.n), count(pair.fixed), count(pair.broken), _p_value(pair.p_value)]
        rows.append([other.name, *cells, signed(accuracy), signed(macro_f1)])
    if not rows:
        return refused
    columns = ["n", "fixed", "broken", "p", "accuracy (95%)", "macro F1 (95%)"]
    heading = f"Beside {first.name}, on the same validation examples"
    explained = (
        "Fixed: wrong before, right now; broken: the other way round. p: how often two equally good models would "
        "differ as unevenly by chance (McNemar's test). An interval that holds 0 leaves the winner open."
    )
    found = table(heading, [("run", ""), *((name, "number") for name in columns)], rows)
    return [found, text(explained, "note"), *refused]


def _validation_predictions(run: Run) -> Predictions:
    if not validation_path(run).exists():
        raise RunError(f"{run.name} keeps no predictions of its validation examples.")
    return read_predictions(validation_path(run))


def signed(estimate: Estimate) -> str:
    return f"{estimate.value:+.3f} ({estimate.low:+.3f} to {estimate.high:+.3f})"


def _p_value(p: float) -> str:
    return "< 0.001" if p < 0.001 else number(p)


def validation_path(run: Run) -> Path:
    return run.folder / "predictions" / slug(run.config.data.source) / "validation.parquet"


def detail_blocks(run: Run | None) -> list[Block]:
    """The figures of one run's best model on validation, and on test where somebody has asked for them."""
    if run is None:
        return [text("Tick a run above to see its figures.", "hint")]
    _, best = first_and_best(run)
    if best is None:
        blocks = [text("The figures appear with the first evaluation after the start.", "hint")]
    else:
        blocks = figures("validation", best)
    path = run.folder / "predictions" / slug(run.config.data.source) / "test.parquet"
    return blocks + (test_blocks(path, when_written(path)) if is_of_the_best_model(path, run) else [])


def is_of_the_best_model(path: Path, run: Run) -> bool:
    """Were these predictions made since the best model was saved?"""
    weights = run.best_folder / "model.safetensors"
    return path.exists() and weights.exists() and path.stat().st_mtime >= weights.stat().st_mtime


@lru_cache(maxsize=16)
def test_blocks(path: Path, written: tuple[int, int]) -> list[Block]:
    predictions = read_predictions(path)
    metrics = compute_metrics(predictions.logits, predictions.gold_ids, predictions.label_names)
    return [text(test_sentence(predictions)), *figures("test", metrics)]


def test_sentence(predictions: Predictions) -> str:
    n = len(predictions.gold_ids)
    accuracy = accuracy_estimate(int((predictions.logits.argmax(axis=1) == predictions.gold_ids).sum()), n)
    macro_f1 = macro_f1_estimate(predictions)
    return (
        f"On test, n = {count(n)}: accuracy {number(accuracy.value)} (95%: {number(accuracy.low)} to "
        f"{number(accuracy.high)}), macro F1 {number(macro_f1.value)} (95%: {number(macro_f1.low)} to "
        f"{number(macro_f1.high)}). Choose by validation: a test set that is looked at often is one no longer."
    )


def figures(split: str, metrics: dict[str, Any]) -> list[Block]:
    """Per label with averages, and the confusion matrix."""
    labels = metrics["per_label"]
    n = sum(label["support"] for label in labels.values())
    names = ("precision", "recall", "f1")
    rows = [[name, *(number(label[key]) for key in names), count(label["support"])] for name, label in labels.items()]
    for average, weights in {
        "macro average": [1.0] * len(labels), "weighted average": [label["support"] for label in labels.values()],
    }.items():
        values = [np.average([label[key] for label in labels.values()], weights=weights) for key in names]
        rows.append([average, *map(number, values), count(n)])
    columns: list[Any] = [("label", ""), *((name, "number") for name in ("precision", "recall", "F1", "n"))]
    blocks = [table(f"Per label, {split}, n = {count(n)}", columns, rows)]
    if len(labels) <= MAX_MATRIX_LABELS:
        blocks.append(matrix(f"Confusion matrix, {split}, n = {count(n)}", list(labels), metrics["confusion_matrix"]))
    return blocks


def record_blocks(run: Run | None) -> tuple[list[Block], list[Block], list[Block]]:
    """Config, environment and notes of a run."""
    if run is None:
        return [], [], []
    config = json.dumps(run.config.model_dump(), indent=2, ensure_ascii=False)
    environment = json.dumps(run.environment(), indent=2, ensure_ascii=False)
    notes = [
        text(f"{datetime.fromtimestamp(note['at']):%Y-%m-%d %H:%M}  {note['text']}") for note in run.notes()
    ]
    if run.config.note:
        notes.insert(0, text(run.config.note, "note"))
    return [code("Config", config)], [code("Environment", environment)], notes or [text("No notes yet.", "hint")]


def chosen_runs(runs: Sequence[Run], names: Sequence[str] | None) -> list[Run]:
    """The runs of these names, as far as there are; without names, the newest."""
    by_name = {run.name: run for run in runs}
    return list(runs[:1]) if names is None else [by_name[name] for name in names if name in by_name]
