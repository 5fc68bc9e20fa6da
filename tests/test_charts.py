"""Figures: valid for plotly, whose zoom outlives an update, and which say on how many examples they stand."""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from reports.charts import FIRST_VIEW, Drawn, View, loss_chart, plotly_script, score_chart, training_charts
from reports.curves import EVALUATION_COLUMNS, STEP_COLUMNS, Curves, smoothed, thinned


def curves(losses: list[float]) -> Curves:
    steps = np.arange(1.0, len(losses) + 1)
    ends = np.array([0.0, len(losses)])
    return Curves(
        steps={**{name: steps for name in STEP_COLUMNS}, "seconds": 60 * steps, "loss": np.array(losses)},
        evaluations={
            **{name: ends for name in EVALUATION_COLUMNS},
            "loss": np.array([0.8, 0.7]),
            "seconds": 60 * ends,
        },
    )


ONE = Drawn("quick-1", curves([0.9, np.nan, 0.70000001]), 872)
OTHER = Drawn("quick-2", curves([0.5, 0.4]), 872)


def all_charts(runs: list[Drawn], view: View = FIRST_VIEW) -> list[dict[str, Any]]:
    return [loss_chart(runs, view), score_chart(runs, view), *training_charts(runs, view)]


@pytest.mark.parametrize("runs", [[ONE], [ONE, OTHER]])
def test_every_figure_is_valid_for_plotly_and_json(runs: list[Drawn]) -> None:
    for chart in all_charts(runs):
        assert len(go.Figure(chart["figure"]).data) == len(chart["figure"]["data"])
        json.dumps(chart, allow_nan=False)


def test_a_figure_keeps_its_zoom_for_the_same_runs_on_the_same_axis() -> None:
    def revision(runs: list[Drawn], view: View = FIRST_VIEW) -> str:
        return loss_chart(runs, view)["figure"]["layout"]["uirevision"]

    assert revision([ONE]) == revision([Drawn("quick-1", curves([0.9, 0.8]))], View(smoothing=0.5))
    assert len({revision([ONE]), revision([OTHER]), revision([ONE, OTHER]), revision([ONE], View("epoch"))}) == 4


def test_the_loss_of_one_run_is_shown_as_it_was_smoothed_and_on_validation() -> None:
    faint, bold, validation = loss_chart([ONE])["figure"]["data"]
    assert (faint["x"], faint["y"]) == ([1, 2, 3], [0.9, None, 0.7])
    assert bold["name"] == "train (smoothed)"
    assert (validation["x"], validation["y"]) == ([0, 3], [0.8, 0.7])


def test_several_runs_have_a_colour_each_and_are_named() -> None:
    traces = loss_chart([ONE, OTHER])["figure"]["data"]
    assert [trace["name"] for trace in traces] == [
        "quick-1, train (smoothed)", "quick-1, validation", "quick-2, train (smoothed)", "quick-2, validation",
    ]
    colors = [trace["line"]["color"] for trace in traces]
    assert colors[0] == colors[1] != colors[2] == colors[3]
    assert [trace["line"]["dash"] for trace in traces] == ["solid", "dot"] * 2


def test_the_axis_is_steps_epochs_or_minutes() -> None:
    for axis, last in {"step": 3, "epoch": 3, "minutes": 3}.items():
        figure = score_chart([ONE], View(axis))["figure"]
        assert figure["data"][0]["x"] == [0, last]
        assert axis in figure["layout"]["xaxis"]["title"]["text"]


def test_without_smoothing_the_loss_is_drawn_once_as_it_was() -> None:
    train, _ = loss_chart([ONE], View(smoothing=0.0))["figure"]["data"]
    assert (train["name"], train["y"]) == ("train", [0.9, None, 0.7])


def test_a_curve_is_smoothed_before_it_is_thinned() -> None:
    """Else the same weight would mean another thing for a longer run, or beside more of them."""
    long = Drawn("long", curves(list(np.random.default_rng(0).random(9_000))))
    steps = long.curves.steps
    expected = thinned({**steps, "smoothed": smoothed(steps["loss"], 0.9)}, 1_000)["smoothed"]
    assert loss_chart([long])["figure"]["data"][1]["y"] == pytest.approx(expected.tolist(), rel=1e-4)


def test_a_chart_says_on_how_many_examples_it_stands_where_that_is_the_same_for_all() -> None:
    assert score_chart([ONE, OTHER])["title"] == "Macro F1 and accuracy, validation n = 872"
    assert score_chart([ONE, Drawn("a", OTHER.curves, 1000)])["title"] == "Macro F1 and accuracy"
    assert loss_chart([Drawn("a", OTHER.curves)])["title"] == "Loss"


@pytest.mark.parametrize("runs, expected", [
    ([], "Choose a run"), ([Drawn("a", Curves())], "The curve begins with the first"),
])
def test_a_chart_without_points_says_when_there_will_be_some(runs: list[Drawn], expected: str) -> None:
    for chart in all_charts(runs):
        assert chart["figure"] is None
        assert chart["empty"].startswith(expected)


def test_two_hundred_runs_are_drawn_in_about_a_second() -> None:
    many = [Drawn(f"run-{index}", curves([0.5] * 2_000)) for index in range(200)]
    started = time.process_time()
    charts = all_charts(many)
    assert time.process_time() - started < 4        # about a second of computing; room for a busy machine
    assert len(json.dumps(charts)) < 5e6


def test_plotlys_own_script_is_at_hand() -> None:
    assert b"Plotly" in plotly_script().read_bytes()[:10_000]
