"""What is there to say about runs? Their list, what tells them apart, each one's figures: as blocks for the page."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from analysis.compare import accuracy_estimate, compare, macro_f1_estimate
from pipeline.calibration import read_calibration
from pipeline.config import differing_fields, field_value
from pipeline.data import slug
from pipeline.exceptions import RunError, WorkbenchError
from pipeline.metrics import compute_metrics, is_better
from pipeline.models import CALIBRATION_FILE
from pipeline.predictions import Predictions, current_test_path, predictions_path, read_predictions
from pipeline.runs import Run, Status
from reports.words import say
from tabs.run_panel import metric_words
from tabs.shared import (
    Block,
    code,
    column,
    columns,
    count,
    duration,
    link,
    matrix,
    named,
    number,
    p_value,
    per_label_table,
    table,
    text,
)

STALE_SECONDS = 60.0        # a run at work that has written nothing for this long is pointed out
MAX_COMPARED = 12           # runs in one table
MAX_MATRIX_LABELS = 20


def run_list(runs: Sequence[Run]) -> dict[str, Any]:
    """Value of the list of runs: columns, a row per run, and the run that is shown until somebody ticks one."""
    rows = [_row(run) for run in runs]
    heads = [
        column("state", "state"), *columns("", "name", "data", "base"), *columns("number", "best", "test", "took"),
        column("started"),
    ]
    return {"columns": heads, "rows": rows, "chosen": [row["name"] for row in rows[:1]], "empty": say("runs.none")}


def _row(run: Run) -> dict[str, Any]:
    status = run.status()
    best, started = status.best or {}, status.started_at
    took = status.elapsed_seconds or None
    test = test_value(run)
    return {
        "name": run.name,
        "state": status.state,
        "active": status.is_active,
        "cells": [
            state_words(status),
            run.name,
            _short(run.config.data.source),
            _short(run.config.model.base),
            f"{metric_words(best['metric'])} {number(best['value'])}" if best else "",
            "" if test is None else f"{metric_words(run.config.stop.metric)} {number(test)}",
            duration(took) if took else "",
            datetime.fromtimestamp(started).strftime("%Y-%m-%d %H:%M") if started else "",
        ],
        "keys": [
            status.state, run.name, run.config.data.source, run.config.model.base, best.get("value"), test, took,
            started,
        ],
    }


def _short(place: str) -> str:
    """The last part of a path: the whole is in the config."""
    return Path(place).name if place.startswith(("/", "~")) else place


def state_words(status: Status) -> str:
    words = say(f"states.{status.state}")
    silent = time.time() - status.updated_at if status.updated_at else 0.0
    if status.state in ("running", "stopping") and silent > STALE_SECONDS:
        return say("runs.silent", state=words, time=duration(60 * (silent // 60)))
    return words


def compared_blocks(runs: Sequence[Run]) -> list[Block]:
    """Before and best of each, what differs between them, and how sure a difference in quality is."""
    if not runs:
        return []
    blocks = [before_and_best(runs[:MAX_COMPARED]), *cautions(runs[:MAX_COMPARED])]
    if len(runs) > MAX_COMPARED:
        blocks.append(text(say("runs.first_of", shown=MAX_COMPARED, n=count(len(runs))), "note"))
    if len(runs) > 1:
        blocks += [differences_table(runs[:MAX_COMPARED]), *quality_blocks(runs[:MAX_COMPARED])]
    return blocks


def before_and_best(runs: Sequence[Run]) -> Block:
    """Validation metrics before the first step, and where they were best."""
    numbers = ("n", "loss_before", "best", "accuracy_before", "best", "macro_f1_before", "best", "at_step")
    rows = []
    for run in runs:
        first, best = first_and_best(run)
        n = sum(label["support"] for label in best.get("per_label", {}).values()) if best else None
        cells = [
            number(line[name]) if line and name in line else ""
            for name in ("loss", "accuracy", "macro_f1") for line in (first, best)
        ]
        rows.append([run.name, count(n) if n else "", *cells, count(best["step"]) if best else ""])
    return table(say("runs.before_and_best"), [column("run"), *columns("number", *numbers)], rows)


def cautions(runs: Sequence[Run]) -> list[Block]:
    """Where these figures do not mean what they seem to: other examples, or a training that made it worse."""
    found = []
    examples = {run.environment().get("data", {}).get("validation", {}).get("sha256") for run in runs} - {None}
    if len(examples) > 1:
        found.append(say("runs.other_examples"))
    for run in runs:
        first, best = first_and_best(run)
        metric = run.config.metric
        if first and best and metric in first and is_better(metric, first[metric], best[metric]):
            found.append(say("runs.worse", run=run.name, metric=metric_words(metric)))
    return [text(words, "problem") for words in found]


def first_and_best(run: Run) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """The evaluation before the first step, and the one whose weights were kept."""
    lines = _evaluations(run, when_written(run.metrics_path))
    best_step = (run.written_status().best or {}).get("step")
    first = next((line for line in lines if line["step"] == 0), None)
    return first, next((line for line in lines if line["step"] == best_step), None)


@lru_cache(maxsize=64)
def _evaluations(run: Run, written: tuple[int, int]) -> list[dict[str, Any]]:
    return run.evaluations()


def when_written(path: Path) -> tuple[int, int]:
    """Changes with the file: size and time."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return 0, 0
    return found.st_size, found.st_mtime_ns


def when_predicted(run: Run, path: Path) -> tuple[int, ...]:
    """Changes with a file of predictions, and with the temperature that their logits are divided by."""
    return *when_written(path), *when_written(run.best_folder / CALIBRATION_FILE)


def differences_table(runs: Sequence[Run]) -> Block:
    """The fields of the config in which the runs differ, name and note aside."""
    first, *others = (run.config for run in runs)
    rows = [
        [name, *(_shown(field_value(run.config, name)) for run in runs)]
        for name in differing_fields(first, *others) if name not in ("name", "note")
    ]
    if not rows:
        return text(say("runs.no_difference"), "note")
    return table(say("runs.differences"), [column("field"), *(named(run.name) for run in runs)], rows)


def _shown(value: Any) -> str:
    if value is None or value == "":
        return say("runs.not_given")
    return str(value).lower() if isinstance(value, bool) else str(value)


def quality_blocks(runs: Sequence[Run]) -> list[Block]:
    """Each run beside the first, on the validation examples that both predicted."""
    first, *others = runs
    rows, refused = [], []
    for other in others:
        try:
            pair = compare(*map(_validation_predictions, (first, other)))
        except WorkbenchError as exception:
            refused.append(text(say("runs.pair", other=other.name, first=first.name, reason=exception), "note"))
            continue
        accuracy, macro_f1 = pair.differences["accuracy"], pair.differences["macro_f1"]
        cells = [count(pair.n), count(pair.fixed), count(pair.broken), p_value(pair.p_value)]
        rows.append([other.name, *cells, *(say("runs.interval", x=x) for x in (accuracy, macro_f1))])
    if not rows:
        return refused
    heads = [column("run"), *columns("number", "n", "fixed", "broken", "p", "accuracy_interval", "macro_f1_interval")]
    found = table(say("runs.beside", first=first.name), heads, rows)
    explained = text(say("runs.beside_explained", first=first.name), "note")
    return [found, explained, *(_read_them(first, row[0], row[2], row[3]) for row in rows), *refused]


def _read_them(first: Run, other: str, fixed: str, broken: str) -> Block:
    """A link to the very sentences, in the Errors tab."""
    data = slug(first.config.data.source)
    shown = {"tab": "errors", "run": other, "data": data, "split": "validation", "beside": first.name}
    words = say("runs.read_them", other=other, fixed=fixed, broken=broken)
    return link(words, **shown, show="all", rule="fixed" if broken == "0" else "broken")


def _validation_predictions(run: Run) -> Predictions:
    path = predictions_path(run, "validation")
    if not path.exists():
        raise RunError(say("runs.no_predictions", run=run.name))
    return read_predictions(path)


def detail_blocks(run: Run | None) -> list[Block]:
    """The figures of one run's best model on validation, and on test where somebody has asked for them."""
    if run is None:
        return [text(say("runs.tick"), "hint")]
    first, best = first_and_best(run)
    if best is None:
        blocks = [text(say("runs.no_figures"), "hint")]
    elif run.config.task == "mlm":
        blocks = mlm_blocks(run, first or best, best)
    else:
        blocks = figures("validation", best)
    if calibration := read_calibration(run):
        blocks.insert(0, text(say("runs.calibrated", x=calibration, n=count(calibration.n)), "note"))
    if predictions := test_predictions(run):
        metrics = compute_metrics(predictions.logits, predictions.gold_ids, predictions.label_names)
        return [text(test_sentence(predictions)), *blocks, *figures("test", metrics)]
    return blocks


def test_predictions(run: Run) -> Predictions | None:
    """What the best model says about test, where somebody has asked since it was saved."""
    path = current_test_path(run)
    return _read_predictions(path, when_predicted(run, path)) if path else None


def test_value(run: Run) -> float | None:
    """On test, the metric that the run selects on: it stands beside its best on validation."""
    path = current_test_path(run)
    return _test_value(path, when_predicted(run, path), run.config.stop.metric) if path else None


@lru_cache(maxsize=4)       # texts and all
def _read_predictions(path: Path, written: tuple[int, ...]) -> Predictions | None:
    try:
        return read_predictions(path)
    except RunError:        # damaged: as if nobody had asked
        return None


@lru_cache(maxsize=1024)
def _test_value(path: Path, written: tuple[int, ...], metric: str) -> float | None:
    predictions = _read_predictions(path, written)
    if predictions is None:
        return None
    metrics = compute_metrics(predictions.logits, predictions.gold_ids, predictions.label_names)
    value: float | None = metrics.get(metric)       # a run brought in may name one that its labels do not have
    return value


def test_sentence(predictions: Predictions) -> str:
    n = len(predictions.gold_ids)
    accuracy = accuracy_estimate(int((predictions.logits.argmax(axis=1) == predictions.gold_ids).sum()), n)
    return say("runs.on_test", n=count(n), accuracy=accuracy, macro_f1=macro_f1_estimate(predictions))


def mlm_blocks(run: Run, first: dict[str, Any], best: dict[str, Any]) -> list[Block]:
    """How well masks are filled, before the first step and at the best one, and what should be known of that."""
    heads = [column("what"), *columns("number", "before", "best")]
    rows = [
        [say(f"metrics.{name}"), *(number(line[name]) for line in (first, best))]
        for name in ("perplexity", "masked_accuracy")
    ]
    found = table(say("runs.masked", n=count(best["masked"])), heads, rows)
    about = run.environment().get("about")
    return [found, *([text(about, "note")] if about else []), text(say("runs.as_base"), "note")]


def figures(split: str, metrics: dict[str, Any]) -> list[Block]:
    """Per label with averages, and the confusion matrix."""
    labels = metrics["per_label"]
    on = {"split": say(f"splits.{split}"), "n": count(sum(label["support"] for label in labels.values()))}
    blocks = [per_label_table(say("runs.per_label", **on), labels)]
    if len(labels) <= MAX_MATRIX_LABELS:
        blocks.append(matrix(say("runs.confusion", **on), list(labels), metrics["confusion_matrix"]))
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
    notes = notes or [text(say("runs.no_notes"), "hint")]
    return [code(say("runs.config"), config)], [code(say("runs.environment"), environment)], notes


def chosen_runs(runs: Sequence[Run], names: Sequence[str] | None) -> list[Run]:
    """The runs of these names, as far as there are; without names, the newest."""
    by_name = {run.name: run for run in runs}
    return list(runs[:1]) if names is None else [by_name[name] for name in names if name in by_name]
