"""What does a chart show? Figures in plotly's own JSON, as plain dicts: importing plotly keeps the page waiting."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from reports.curves import Curves, smoothed

# Middle tones: each has at least 3:1 on a white and on a black page. Never told apart by colour alone: names, dashes.
TEAL = "#0d9488"
ORANGE = "#d97706"
MAX_MARKERS = 100               # more of them would hide the line

Chart = dict[str, Any]  # title, figure (plotly's data and layout) or None, and what to say while there is none


def plotly_script() -> Path:
    """plotly's own bundled plotly.min.js."""
    spec = find_spec("plotly")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / "package_data" / "plotly.min.js"


def loss_chart(run_name: str, curves: Curves, num_validation: int | None) -> Chart:
    """Loss of the training steps and of the evaluations on validation, in nats per example."""
    steps, losses = curves.train_loss()
    points = curves.evaluation_points()
    bold: list[dict[str, Any]] = [
        _line("train (smoothed)", steps, smoothed(losses), TEAL),
        _line("validation", *_column(points, "loss"), ORANGE, dash="dot", markers=True),
    ]
    faint = {**_line("train", steps, losses, TEAL), "opacity": 0.25, "showlegend": False, "hoverinfo": "skip"}
    title = f"Loss{_on(num_validation)}"
    return _chart(run_name, title, [faint, *bold], "nats per example", "The curve begins with the first step.")


def score_chart(run_name: str, curves: Curves, num_validation: int | None) -> Chart:
    """Macro F1 and accuracy on validation."""
    points = curves.evaluation_points()
    traces = [
        _line("macro F1", *_column(points, "macro_f1"), TEAL, markers=True),
        _line("accuracy", *_column(points, "accuracy"), ORANGE, dash="dot", markers=True),
    ]
    title = f"Macro F1 and accuracy{_on(num_validation)}"
    return _chart(run_name, title, traces, "", "The curve begins with the first evaluation.")


def no_chart(title: str, empty: str) -> Chart:
    return {"title": title, "figure": None, "empty": empty}


def _on(num_validation: int | None) -> str:
    return f", validation n = {num_validation:,}" if num_validation else ""


def _column(points: list[dict[str, Any]], name: str) -> tuple[list[int], list[float | None]]:
    return [point["step"] for point in points], [point[name] for point in points]


def _line(
    name: str, x: list[int], y: list[float | None], color: str, dash: str = "solid", markers: bool = False
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "name": name,
        "x": x,
        "y": [None if value is None else float(f"{value:.5g}") for value in y],
        "mode": "lines+markers" if markers and len(x) <= MAX_MARKERS else "lines",
        "line": {"color": color, "width": 2, "dash": dash},
        "marker": {"color": color, "size": 6},
        "hovertemplate": "%{y:.3f}",
    }


def _chart(run_name: str, title: str, traces: list[dict[str, Any]], y_title: str, empty: str) -> Chart:
    if not any(trace["x"] for trace in traces):
        return no_chart(title, empty)
    layout = {
        "uirevision": run_name,  # constant while a run is drawn: the reader's zoom outlives an update
        "height": 280,
        "margin": {"l": 8, "r": 8, "t": 8, "b": 8},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        "hovermode": "x unified",
        # At least ten steps wide: a single point would have an axis of fractions.
        "xaxis": {"title": {"text": "step"}, "tickformat": ",d", "autorangeoptions": {"include": [0, 10]}},
        "yaxis": {"title": {"text": y_title}},
    }
    return {"title": title, "figure": {"data": traces, "layout": layout}, "empty": empty}
