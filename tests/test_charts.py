"""Figures: valid for plotly, whose zoom outlives an update, and which say on how many examples they stand."""

from __future__ import annotations

import plotly.graph_objects as go
import pytest

from reports.charts import loss_chart, plotly_script, score_chart
from reports.curves import Curves

CURVES = Curves(
    steps=[1, 2, 3],
    losses=[0.9, None, 0.70000001],
    evaluations=[{"step": step, "loss": 0.8, "accuracy": 0.5 + step / 10, "macro_f1": 0.4} for step in (0, 3)],
)


@pytest.mark.parametrize("make_chart", [loss_chart, score_chart])
def test_a_figure_is_valid_for_plotly(make_chart) -> None:
    figure = make_chart("quick-1", CURVES, 872)["figure"]
    assert len(go.Figure(figure).data) == len(figure["data"])


def test_a_figure_keeps_its_zoom_for_one_run_and_loses_it_for_another() -> None:
    revisions = [loss_chart(name, CURVES, None)["figure"]["layout"]["uirevision"] for name in ("a", "a", "b")]
    assert revisions == ["a", "a", "b"]


def test_the_loss_is_shown_as_it_was_smoothed_and_on_validation() -> None:
    faint, bold, validation = loss_chart("quick-1", CURVES, 872)["figure"]["data"]
    assert (faint["x"], faint["y"]) == ([1, 2, 3], [0.9, None, 0.7])
    assert bold["name"] == "train (smoothed)"
    assert (validation["x"], validation["y"]) == ([0, 3], [0.8, 0.8])


def test_a_chart_says_on_how_many_examples_it_stands() -> None:
    assert score_chart("quick-1", CURVES, 1000)["title"] == "Macro F1 and accuracy, validation n = 1,000"
    assert loss_chart("quick-1", CURVES, None)["title"] == "Loss"


def test_a_chart_without_points_says_when_there_will_be_some() -> None:
    chart = loss_chart("quick-1", Curves(), None)
    assert chart["figure"] is None
    assert "first step" in chart["empty"]


def test_plotlys_own_script_is_at_hand() -> None:
    assert b"Plotly" in plotly_script().read_bytes()[:10_000]
