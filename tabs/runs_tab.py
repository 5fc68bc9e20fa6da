"""How did it go, and which is better? All runs, their curves over each other, their figures, and their records."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import gradio as gr

from pipeline.archive import delete_run, pack_run, packed_files, size_in_bytes, unpack_run
from pipeline.calibration import read_calibration
from pipeline.catalog import all_runs
from pipeline.models import CALIBRATION_FILE
from pipeline.predictions import predictions_path
from pipeline.runs import Run
from reports.charts import SMOOTHING, Axis, Drawn, View, loss_chart, score_chart, training_charts
from reports.curves import read_curves
from reports.words import say
from tabs.access import owner_only
from tabs.combine_fold import build_combine_fold
from tabs.experiments_view import build_experiments_fold
from tabs.run_panel import FAST_SECONDS, LOG_LINES, SLOW_SECONDS, log_blocks, num_validation
from tabs.runs_view import (
    chosen_runs,
    compared_blocks,
    detail_blocks,
    record_blocks,
    run_list,
    test_predictions,
    test_sentence,
    when_written,
)
from tabs.shared import (
    FOLLOWING,
    QUIET,
    Block,
    begin_command,
    blocks_view,
    chart_view,
    count,
    download_folder,
    find_run,
    finish_command,
    tab_heading,
    text,
    the_run,
    view,
)

NUM_CHARTS = 2 + len(training_charts([]))
NUM_DETAILS = 5
PARTS = ("metrics", "calibration", "predictions", "test", "log", "notes")
CHOSEN = "volta.chosen()"       # what is ticked is known to the browser alone
MAX_NOTE = 10_000


def look(chosen: list[str] | None, axis: Any, smoothing: float, focus: str | None, seen: dict[str, Any]) -> list[Any]:
    """The list of runs, charts, comparisons, picker and details of one run, seconds to the next look: what has changed.

    `chosen` are the names that are ticked, or None while nobody has ticked any.
    """
    every = all_runs()
    listed = run_list(every)
    runs = chosen_runs(every, chosen)
    names = [run.name for run in runs]
    curves = [read_curves(run.metrics_path) for run in runs]
    active = any(row["active"] for row in listed["rows"])
    shown = focus if focus in names else next(iter(names), None)
    versions: dict[str, Any] = {
        "list": listed,
        "charts": (names, axis, smoothing, [curve.version for curve in curves]),
        "compared": [_written(run, "metrics", "predictions") for run in runs],
        "picker": names,
        "details": [_written(run, *PARTS) for run in runs if run.name == shown],
        "seconds": FAST_SECONDS if active else SLOW_SECONDS,
    }
    new = {key for key, version in versions.items() if seen.get(key) != version}
    charts: list[Any] = [gr.skip()] * NUM_CHARTS
    if "charts" in new:
        drawn = [Drawn(run.name, of_run, num_validation(run)) for run, of_run in zip(runs, curves, strict=True)]
        as_asked = View(axis, smoothing)
        charts = [loss_chart(drawn, as_asked), score_chart(drawn, as_asked), *training_charts(drawn, as_asked)]
    # A choice is left alone where it can stay: another may have been made meanwhile.
    picker = gr.Dropdown(choices=names) if focus == shown else gr.Dropdown(choices=names, value=shown)
    return [
        listed if "list" in new else gr.skip(),
        *charts,
        compared_blocks(runs) if "compared" in new else gr.skip(),
        picker if "picker" in new else gr.skip(),
        *(show_run(shown) if "details" in new else [gr.skip()] * NUM_DETAILS),
        gr.Timer(versions["seconds"]) if "seconds" in new else gr.skip(),
        versions if new else gr.skip(),
    ]


def _written(run: Run, *parts: str) -> tuple[Any, ...]:
    """Changes when the run's evaluations or its files do: not with every step."""
    paths = {
        "metrics": run.best_folder / "model.safetensors",
        "calibration": run.best_folder / CALIBRATION_FILE,
        "predictions": predictions_path(run, "validation"),
        "test": predictions_path(run, "test"),
        "log": run.log_path,
        "notes": run.folder / "notes.jsonl",
    }
    return (run.name, run.written_status().best, *(when_written(paths[part]) for part in parts))


def show_run(name: str | None) -> list[Any]:
    """Figures, config, environment, notes and log of one run."""
    run = find_run(name)
    log = log_blocks(run) if run else []
    return [detail_blocks(run), *record_blocks(run), log]


@owner_only(...)
def show_test(profile: gr.OAuthProfile | None, name: str | None) -> Iterator[Any]:
    """Evaluate on test, and keep the predictions: they are shown from then on."""
    run = the_run(name, say("runs.none_chosen"))
    process = begin_command(["evaluate", "--split", "test", "--save", "--", run.name])
    yield [text(say("runs.predicting", run=run.name), "note")]
    finish_command(process)
    predictions = test_predictions(run)     # none where its weights have changed meanwhile
    yield [text(test_sentence(predictions))] if predictions else []


@owner_only(...)
def calibrate_run(profile: gr.OAuthProfile | None, name: str | None) -> Iterator[list[Block]]:
    """Fit a temperature; take it away again where there is one. What it does is then told with the figures."""
    run = the_run(name, say("runs.none_chosen"))
    undo = ["--remove"] if read_calibration(run) else []
    process = begin_command(["calibrate", *undo, "--", run.name])
    yield [text(say("runs.calibrating", run=run.name), "note")]
    finish_command(process)
    yield []


@owner_only(None, ...)      # it takes disk, and may hold texts that are not everybody's
def zip_run(profile: gr.OAuthProfile | None, name: str | None) -> tuple[Any, list[Block]]:
    """A zip of the run's record, for the browser to fetch, and what there is to say."""
    packed = pack_run(the_run(name, say("runs.none_chosen")), download_folder())
    words = say("runs.zipped", file=packed.name, megabytes=f"{packed.stat().st_size / 1e6:,.1f}")
    return gr.DownloadButton(value=str(packed)), [text(words, "note")]


@owner_only(...)
def bring_in(profile: gr.OAuthProfile | None, path: str) -> list[Block]:
    run = unpack_run(Path(path))
    return [text(say("runs.brought", run=run.name), "note")]


def ask_to_delete(name: str | None) -> tuple[list[Block], Any, str | None]:
    """Say what would go, and show the button that does it: for the run that it names, whatever is chosen since."""
    run = find_run(name)
    if run is None:
        return [text(say("runs.none_chosen"), "problem")], gr.Button(visible=False), None
    button = gr.Button(say("runs.delete_run", run=run.name), visible=True)
    return [text(_what_goes(run), "problem")], button, run.name


def _what_goes(run: Run) -> str:
    there = {path.parts[0].removesuffix(".jsonl") for path in packed_files(run)}
    named = [say(f"runs.parts.{part}") for part in ("best", "predictions", "notes") if part in there]
    parts = say("page.comma").join([say("runs.always_there"), *named])
    return say("runs.what_goes", run=run.name, megabytes=f"{size_in_bytes(run) / 1e6:,.0f}", parts=parts)


@owner_only(..., gr.update(visible=False))
def delete_for_good(profile: gr.OAuthProfile | None, name: str | None) -> tuple[list[Block], Any]:
    delete_run(the_run(name, say("runs.gone")))
    return [text(say("runs.deleted", run=name), "note")], gr.Button(visible=False)


@owner_only(..., gr.skip())
def write_note(profile: gr.OAuthProfile | None, name: str | None, words: str) -> tuple[list[Block], str]:
    """Keep a note in the run's record. Returns the message, and what is left in the box."""
    run = the_run(name, say("runs.none_chosen"))
    if not words.strip():
        return [text(say("runs.empty_note"), "problem")], words
    if len(words) > MAX_NOTE:
        return [text(say("runs.long_note", n=count(len(words)), max=count(MAX_NOTE)), "problem")], words
    run.append_note("note", {"text": words.strip()})
    return [], ""


def build_runs_tab(demo: gr.Blocks, tab: gr.Tab) -> gr.Timer:
    """How did it go, and which is better? Returns the timer that looks anew while the tab is in sight."""
    tab_heading(say("runs.question"))
    none_yet = {"columns": [], "rows": [], "chosen": [], "empty": say("runs.reading")}
    listed = view("runs-list", none_yet, "volta.runs(element, props, watch, trigger)")
    with gr.Row(elem_classes="volta-controls"):
        axes = [(say(f"chart.{name}"), name) for name in get_args(Axis)]
        axis = gr.Radio(axes, value="step", label=say("runs.axis"), elem_id="runs-axis", min_width=240)
        smoothing = gr.Slider(
            0, 0.99, value=SMOOTHING, step=0.01, label=say("runs.smoothing"), elem_id="runs-smoothing", min_width=240
        )
    empty = [loss_chart([]), score_chart([]), *training_charts([])]
    with gr.Row(elem_classes="volta-charts"):
        charts = [chart_view(f"runs-chart-{index}", chart) for index, chart in enumerate(empty[:2])]
    with gr.Accordion(say("runs.more_charts"), open=False, elem_id="charts-fold"), gr.Row(elem_classes="volta-charts"):
        charts += [chart_view(f"runs-chart-{index}", chart) for index, chart in enumerate(empty[2:], 2)]
    compared = blocks_view("runs-compared")
    with gr.Row(elem_classes="volta-controls"):
        focus = gr.Dropdown(
            [], label=say("runs.details_of"), allow_custom_value=True, elem_id="runs-focus", scale=2, min_width=200
        )
        test = gr.Button(say("runs.test"), elem_id="test-button", scale=1, min_width=140)
        calibrate = gr.Button(say("runs.calibrate"), elem_id="calibrate-button", scale=1, min_width=190)
        pack = gr.Button(say("runs.zip"), elem_id="zip-button", scale=1, min_width=120)
        zipped = gr.DownloadButton(visible="hidden", elem_id="zip-file")
        doomed = gr.Button(say("runs.delete"), elem_id="delete-button", scale=1, min_width=100)
    message = blocks_view("runs-message", live=True)
    doom = say("runs.delete_sure")
    sure = gr.Button(doom, variant="stop", visible=False, elem_id="delete-sure", scale=0, min_width=200)
    details = blocks_view("runs-details")
    with gr.Accordion(say("runs.notes"), open=False, elem_id="notes-fold"):
        notes = blocks_view("runs-notes")
        note = gr.Textbox(label=say("runs.note"), lines=2, elem_id="note-text")
        add = gr.Button(say("runs.add_note"), size="sm", elem_id="note-button", scale=0, min_width=140)
        noted = blocks_view("note-message", live=True)
    with gr.Accordion(say("runs.config"), open=False, elem_id="config-fold"):
        config = blocks_view("runs-config")
    with gr.Accordion(say("runs.environment"), open=False, elem_id="environment-fold"):
        environment = blocks_view("runs-environment")
    with gr.Accordion(say("runs.log", n=LOG_LINES), open=False, elem_id="runs-log-fold"):
        log = blocks_view("runs-log")
    with gr.Row(elem_classes="volta-controls"):
        upload = gr.UploadButton(
            say("runs.bring_in"), size="sm", file_types=[".zip"], elem_id="unzip-button", scale=0, min_width=200
        )
    brought = blocks_view("unzip-message", live=True)
    timer = gr.Timer(SLOW_SECONDS, active=False)
    build_combine_fold(CHOSEN)
    build_experiments_fold(timer, tab)
    seen, asked, to_delete = gr.State({}), gr.JSON(visible=False), gr.State(None)
    described = [details, config, environment, notes, log]

    quiet, following = ({**each, "concurrency_limit": None} for each in (QUIET, FOLLOWING))
    looked: dict[str, Any] = {
        "fn": look,
        "inputs": [asked, axis, smoothing, focus, seen],
        "outputs": [listed, *charts, compared, focus, *described, timer, seen],
        # The slider's box may be empty for a moment, or hold more than the slider does.
        "js": f"(asked, axis, smooth, ...rest) => [{CHOSEN}, axis, Math.min(Math.max(smooth ?? 0, 0), 0.99), ...rest]",
        **following,
    }
    shown = (show_run, focus, described)
    # One event for all, so that an answer to an older question never comes last.
    gr.on([demo.load, tab.select, listed.input, axis.input, smoothing.input, timer.tick], **looked)
    focus.input(*shown, **following).then(lambda: ([], gr.Button(visible=False)), None, [message, sure], **quiet)
    tab.select(None, None, None, js=f"() => volta.remember('runs', ({CHOSEN} ?? []).join(','))")
    test.click(show_test, focus, message, **quiet).then(*shown, **quiet)
    calibrate.click(calibrate_run, focus, message, **quiet).then(*shown, **quiet)
    pack.click(zip_run, focus, [zipped, message], **quiet).then(
        None, zipped, js="(file) => void (file && document.getElementById('zip-file').click())"
    )
    doomed.click(ask_to_delete, focus, [message, sure, to_delete], **quiet)
    sure.click(delete_for_good, to_delete, [message, sure], **quiet).then(**looked)
    add.click(write_note, [focus, note], [noted, note], **quiet).then(*shown, **quiet)
    upload.upload(bring_in, upload, brought, **quiet).then(**looked)
    return timer
