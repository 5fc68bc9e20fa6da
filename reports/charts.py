"""What does a chart show? Figures in plotly's own JSON, as plain dicts: importing plotly keeps the page waiting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np

from analysis.errors import ReliabilityBin
from reports.curves import Curves, smoothed, thinned
from reports.words import say

# Middle tones: each has at least 3:1 on a white and on a black page. Never told apart by colour alone: names, dashes.
TEAL = "#0d9488"
ORANGE = "#d97706"
RUN_COLORS = (TEAL, ORANGE, "#6d7fd6", "#d1558f", "#6f8f1f", "#a1724a", "#2b8ccc", "#b56ad0")
MAX_MARKERS = 100               # more of them would hide the line
MAX_POINTS = 1_000              # of one line
MAX_POINTS_OF_ALL = 10_000      # of the lines of one chart that are alike: with many runs each has fewer
MIN_POINTS = 50
SMOOTHING = 0.9                 # weight of the past, unless the reader chooses another

Chart = dict[str, Any]  # title, figure (plotly's data and layout) or None, and what to say while there is none
Axis = Literal["step", "epoch", "minutes"]


@dataclass(frozen=True)
class Drawn:
    """A run to be drawn."""

    name: str
    curves: Curves
    num_validation: int | None = None


@dataclass(frozen=True)
class View:
    """How the reader looks at the runs."""

    axis: Axis = "step"
    smoothing: float = SMOOTHING


FIRST_VIEW = View()


@dataclass(frozen=True)
class _Line:
    """One line of a chart for each run: a column of its steps, or of its evaluations."""

    column: str
    words: str                  # key of its name
    of_evaluations: bool = False
    dash: str = "solid"
    scale: float = 1.0
    is_smoothed: bool = False
    is_noisy: bool = False      # shown as it is, too, faintly


TRAIN_LOSS = _Line("loss", "train", is_smoothed=True, is_noisy=True)
VALIDATION_LOSS = _Line("loss", "validation", of_evaluations=True, dash="dot")
MACRO_F1 = _Line("macro_f1", "macro_f1", of_evaluations=True)
ACCURACY = _Line("accuracy", "accuracy", of_evaluations=True, dash="dot")
MASKED_ACCURACY = _Line("masked_accuracy", "masked_accuracy", of_evaluations=True)


def plotly_script() -> Path:
    """plotly's own bundled plotly.min.js."""
    spec = find_spec("plotly")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / "package_data" / "plotly.min.js"


def loss_chart(runs: Sequence[Drawn], view: View = FIRST_VIEW) -> Chart:
    """Loss of the training steps and of the evaluations on validation, in nats per example."""
    return _chart(_on("loss_title", runs), runs, view, [TRAIN_LOSS, VALIDATION_LOSS], say("chart.nats"), "step")


def score_chart(runs: Sequence[Drawn], view: View = FIRST_VIEW) -> Chart:
    """Macro F1 and accuracy on validation; of a run that fills masks, how often it is right."""
    lines = [MACRO_F1, ACCURACY, MASKED_ACCURACY]
    return _chart(_on("score_title", runs), runs, view, lines, "", "evaluation")


def training_charts(runs: Sequence[Drawn], view: View = FIRST_VIEW) -> list[Chart]:
    """Learning rate, gradient norm, speed and memory of the training steps."""
    lines = [
        _Line("learning_rate", "learning_rate"),
        _Line("grad_norm", "norm", is_smoothed=True),
        _Line("examples_per_second", "examples", is_smoothed=True),
        _Line("tokens_per_second", "tokens", is_smoothed=True),
        _Line("memory_bytes", "memory", scale=1e-9),
    ]
    return [
        _chart(say(f"chart.{line.words}_title"), runs, view, [line], "GB" if line.words == "memory" else "", "step")
        for line in lines
    ]


def reliability_chart(bins: Sequence[ReliabilityBin]) -> Chart:
    """How often it is right where it is so sure, beside the line on which confidence tells the truth."""
    title = say("chart.reliability")
    if not bins:
        return {"title": title, "figure": None, "empty": say("chart.reliability_empty")}
    confidence = [each.confidence for each in bins]
    shown = [say("chart.reliability_hover", n=f"{each.n:,}") for each in bins]
    traces = [
        {"type": "scatter", "name": say("chart.as_sure_as_right"), "x": [0, 1], "y": [0, 1], "mode": "lines",
         "line": {"color": "#8b8b93", "width": 1, "dash": "dot"}, "hoverinfo": "skip", "showlegend": False},
        {"type": "scatter", "name": say("chart.accuracy"), "x": confidence, "y": [each.accuracy for each in bins],
         "mode": "lines+markers", "line": {"color": TEAL, "width": 2}, "marker": {"color": TEAL, "size": 7},
         "text": shown, "hovertemplate": "%{y:.3f} %{text}"},
    ]
    layout = {
        "uirevision": "reliability", "height": 280, "margin": {"l": 8, "r": 8, "t": 8, "b": 8}, "showlegend": False,
        "xaxis": {"title": {"text": say("chart.confidence")}, "range": [min(confidence) - 0.02, 1.02]},
        "yaxis": {"title": {"text": say("chart.accuracy")}, "range": [0, 1.05]},
    }
    return {"title": title, "figure": {"data": traces, "layout": layout}, "empty": ""}


def _on(title: str, runs: Sequence[Drawn]) -> str:
    """The title, and on how many examples the figures stand, where it is the same for all."""
    sizes = {run.num_validation for run in runs}
    size = sizes.pop() if len(sizes) == 1 else None
    words = say(f"chart.{title}")
    return say("chart.on_validation", title=words, n=f"{size:,}") if size else words


def _chart(title: str, runs: Sequence[Drawn], view: View, lines: Sequence[_Line], y_title: str, first: str) -> Chart:
    traces: list[dict[str, Any]] = []
    for index, run in enumerate(runs):
        for line in lines:
            traces += _traces(run, index, len(runs), line, view)
    traces = [trace for trace in traces if any(value is not None for value in trace["y"])]
    if not traces:
        return {"title": title, "figure": None, "empty": say(f"chart.begins_with_{first}" if runs else "chart.choose")}
    layout = {
        # Constant while the same runs are drawn: the reader's zoom outlives an update.
        "uirevision": " ".join([view.axis, *(run.name for run in runs)]),
        "height": 280,
        "margin": {"l": 8, "r": 8, "t": 8, "b": 8},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "maxheight": 0.5},
        "hovermode": "x unified",
        "xaxis": _x_axis(view.axis),
        "yaxis": {"title": {"text": y_title}, "exponentformat": "e" if lines[0].column == "learning_rate" else "B"},
    }
    return {"title": title, "figure": {"data": traces, "layout": layout}, "empty": ""}


def _x_axis(axis: Axis) -> dict[str, Any]:
    title = {"text": say(f"chart.{axis}_axis")}
    if axis == "step":  # at least ten steps wide: a single point would have an axis of fractions
        return {"title": title, "tickformat": ",d", "autorangeoptions": {"include": [0, 10]}}
    return {"title": title, "rangemode": "tozero"}


def _traces(run: Drawn, index: int, num_runs: int, line: _Line, view: View) -> list[dict[str, Any]]:
    max_points = max(MIN_POINTS, min(MAX_POINTS, MAX_POINTS_OF_ALL // num_runs))
    whole = run.curves.evaluations if line.of_evaluations else run.curves.steps
    smooth = view.smoothing if line.is_smoothed else 0.0
    # Smoothed first and thinned then: the same curve, however many are drawn beside it.
    series = thinned({**whole, "smoothed": smoothed(whole[line.column], smooth)}, max_points)
    x = series["seconds"] / 60 if view.axis == "minutes" else series[view.axis]
    y = series[line.column] * line.scale
    alone = num_runs == 1
    # One run: its lines differ by colour, too. Several: a colour each, and lines differ by their dashes.
    color = RUN_COLORS[index % len(RUN_COLORS)] if not alone else ORANGE if line.dash == "dot" else TEAL
    plain = say(f"chart.{line.words}")
    name = say("chart.smoothed", name=plain) if smooth else plain
    trace = {
        "type": "scatter",
        "name": name if alone else say("chart.of_run", run=run.name, name=name),
        "x": _json(x),
        "y": _json(series["smoothed"] * line.scale),
        "mode": "lines+markers" if line.of_evaluations and len(x) <= MAX_MARKERS else "lines",
        "line": {"color": color, "width": 2, "dash": line.dash},
        "marker": {"color": color, "size": 6},
        "hovertemplate": "%{y:.3~g}" if line.column == "learning_rate" else "%{y:.3f}",
    }
    if not (line.is_noisy and smooth and alone):
        return [trace]
    faint = {"opacity": 0.25, "showlegend": False, "hoverinfo": "skip"}
    return [{**trace, "name": plain, "y": _json(y), **faint}, trace]


def _json(values: np.ndarray) -> list[float | None]:
    """Five digits; whole numbers as such, and null for what is no number, which JSON cannot hold."""
    return [None if not np.isfinite(value) else float(f"{value:.5g}") if value % 1 else int(value) for value in values]
