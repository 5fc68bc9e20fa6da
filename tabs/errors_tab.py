"""Which sentences does it get wrong, and why? The errors of a run, its slices, and one sentence under examination."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any
from urllib.parse import parse_qs

import gradio as gr

from analysis.attribution import DEFAULT_METHOD, METHODS
from analysis.errors import reliability
from analysis.slices import changes_by_slice
from pipeline.judgements import judgements
from reports.charts import reliability_chart
from reports.words import say
from tabs.access import telling
from tabs.errors_data import (
    asked_rows,
    became,
    file_choices,
    open_predictions,
    runs_with_predictions,
)
from tabs.errors_export import build_export
from tabs.errors_view import (
    ROWS_ON_A_PAGE,
    became_block,
    list_blocks,
    matrix_blocks,
    quality_blocks,
    slice_blocks,
    told_of,
)
from tabs.judge_form import build_judge_form
from tabs.sentence_view import open_example, sentence_to_edit, try_edit
from tabs.shared import FOLLOWING, QUIET, blocks_view, chart_view, find_run, tab_heading, text
from tabs.suite_view import ask_suite
from tabs.taught_view import build_asked_fold, build_taught_fold, doubt_labels, group_errors
from tabs.why_view import PREDICTED, explained_labels

SHOWN, SORTS = ("errors", "all", "correct"), ("loss", "probability", "words", "row")
# The scripts of the events: what the browser alone knows, and what it keeps in the address
WITH_ADDRESS = "(asked, ...values) => [location.search, ...values]"
REMEMBER = "(...values) => volta.rememberErrors(values)"
FIELDS = ("run", "file", "beside", "show", "search", "regex", "rule", "sort")
DEFAULTS = {"show": "errors", "search": "", "regex": False, "rule": "", "sort": "loss", "beside": ""}


def enter(asked: str, *values: Any) -> list[Any]:
    """What the tab shows when it is opened: what the address asks for, else what was shown before, else the newest."""
    query = {key: found[-1] for key, found in parse_qs((asked or "").lstrip("?")).items()}
    before = dict(zip(FIELDS, values, strict=True))
    wanted: dict[str, Any] = {**DEFAULTS, **query} if query.get("tab") == "errors" else {**before}
    names = runs_with_predictions()
    name = wanted.get("run") if wanted.get("run") in names else next(iter(names), None)
    file = f"{query.get('data')}/{query.get('split')}" if "data" in query else wanted.get("file")
    page = query.get("at", "1")     # "page" is gradio's own
    place = {"page": int(page) if page.isdigit() else 1, "example": query.get("example")}
    if "split" in query and file not in file_choices(find_run(name)):
        gr.Info(escape(say("errors.no_file", run=name, file=file)))
    file_picker, beside_picker, *label_pickers = choose_run(name, file, wanted["beside"], PREDICTED)
    return [
        gr.Dropdown(choices=names, value=name),
        file_picker,
        beside_picker,
        wanted["show"] if wanted["show"] in SHOWN else "errors",
        wanted["search"] or "",
        str(wanted["regex"]).lower() == "true",
        wanted["rule"] or "",
        wanted["sort"] if wanted["sort"] in SORTS else "loss",
        *label_pickers,
        place,
    ]


def choose_run(name: str | None, file: str | None, beside: str | None, label: str) -> list[Any]:
    """The pickers of what there is of a run: its predictions, runs beside it, its labels. A known choice stays."""
    run = find_run(name)
    files = file_choices(run)
    file = file if file in files else next(iter(files), None)
    # Only runs that have predicted the same can stand beside it.
    others = [other for other in runs_with_predictions() if other != name and file in file_choices(find_run(other))]
    names = open_predictions(run, file).examples.predictions.label_names if run and file else []
    return [
        gr.Dropdown(choices=files, value=file),
        gr.Dropdown(
            choices=[(say("page.none"), ""), *((other, other) for other in others)],
            value=beside if beside in others else "",
        ),
        gr.Dropdown(choices=explained_labels(names), value=label if label in names else PREDICTED),
        gr.Dropdown(choices=[(say("errors.all_others"), PREDICTED), *names], value=PREDICTED),
    ]


@telling(..., gr.skip(), gr.skip())
def look(place: dict[str, Any], *values: Any) -> list[Any]:
    """Summary, list, place. The open sentence is kept; where there is none, the first one is opened."""
    found = asked_rows(*values)
    if found is None:
        return [[text(say("errors.no_predictions"), "hint")], [], {"page": 1, "example": None}]
    opened, rows, meant = found
    shown = dict(zip(FIELDS, values, strict=True))
    first, *others = told_of(opened.examples, meant, shown["rule"], shown["search"])
    summary = [text(first), *(text(other, "note") for other in others)]
    last = max(1, -(-len(rows) // ROWS_ON_A_PAGE))
    page = min(max(int(place.get("page") or 1), 1), last)
    example = place.get("example")
    if example and example not in opened.row_of:
        summary.append(text(say("errors.no_example", id=example), "problem"))
    if example not in opened.row_of:
        example = opened.examples.predictions.example_ids[rows[0]] if len(rows) else None
    judged = judgements(opened.run, *shown["file"].split("/"))
    listed = list_blocks(opened.examples, rows, page, example, judged)
    return [summary, listed, {"page": page, "example": example}]


@telling(..., [], [], gr.skip())
def look_around(run: str, file: str, beside: str) -> Iterator[tuple[Any, Any, Any, Any]]:
    """Confusion matrix, slices, quality and reliability: of all predictions of the file, whatever is filtered."""
    record, other = find_run(run), find_run(beside)
    if record is None or not file:
        yield [], [], [], reliability_chart([])
        return
    opened = open_predictions(record, file)
    matrix = matrix_blocks(opened.examples)
    chart = reliability_chart(reliability(opened.examples))
    yield matrix, [text(say("errors.finding_slices"), "hint")], gr.skip(), chart
    slices = slice_blocks(*opened.slices)
    if other:
        by_slice = changes_by_slice(became(opened, other, file), opened.examples, opened.phenomena)
        slices = [became_block(other.name, by_slice), *slices]
    yield matrix, slices, quality_blocks(opened.examples), chart


def build_errors_tab(tab: gr.Tab) -> None:
    """Which sentences does it get wrong, and why?"""
    tab_heading(say("errors.question"))
    place = gr.JSON({"page": 1, "example": None}, visible=False)
    small: dict[str, Any] = {"min_width": 180}
    with gr.Row(elem_classes="volta-controls"):
        run = gr.Dropdown([], label=say("errors.run"), allow_custom_value=True, elem_id="errors-run", **small)
        file = gr.Dropdown([], label=say("errors.file"), allow_custom_value=True, elem_id="errors-file", **small)
        beside = gr.Dropdown([], label=say("errors.beside"), allow_custom_value=True, elem_id="errors-beside", **small)
    with gr.Row(elem_classes="volta-controls"):
        rule = gr.Textbox(
            label=say("errors.rule"), info=say("errors.rule_help"), max_lines=1, scale=3, elem_id="errors-rule",
            min_width=260,
        )
        search = gr.Textbox(label=say("errors.search"), max_lines=1, scale=2, elem_id="errors-search", min_width=200)
    with gr.Row(elem_classes="volta-controls"):
        shown = [(say(f"errors.show.{name}"), name) for name in SHOWN]
        show = gr.Radio(shown, value="errors", label=say("errors.shown"), elem_id="errors-show", min_width=260)
        sorts = [(say(f"errors.sort.{name}"), name) for name in SORTS]
        sort = gr.Dropdown(sorts, value="loss", label=say("errors.sorted"), elem_id="errors-sort", **small)
        regex = gr.Checkbox(label=say("errors.regex"), elem_id="errors-regex", min_width=220)
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            summary = blocks_view("errors-summary", live=True)
            matrix = blocks_view("errors-matrix")
        with gr.Column(scale=3, min_width=300):
            slices = blocks_view("errors-slices")
    with gr.Row():
        with gr.Column(min_width=300):
            listed = blocks_view("errors-list")
        with gr.Column(min_width=300):
            sentence = blocks_view("errors-sentence")
            with gr.Accordion(say("errors.more_words"), open=False, elem_id="errors-words-fold"):
                label = gr.Dropdown(
                    [(say("predict.predicted_label"), PREDICTED)], value=PREDICTED, label=say("predict.label"),
                    elem_id="errors-label",
                )
                names = [(say(f"why.methods.{name}"), name) for name in METHODS]
                against = gr.Dropdown(
                    [(say("errors.all_others"), PREDICTED)], value=PREDICTED, label=say("errors.against"),
                    elem_id="errors-against",
                )
                method = gr.Dropdown(names, value=DEFAULT_METHOD, label=say("why.method"), elem_id="errors-method")
                none = [(say("page.none"), "")]
                second = gr.Dropdown(
                    [*none, *names], value="", label=say("errors.second_method"), elem_id="errors-second"
                )
            whatif = gr.Textbox(label=say("errors.whatif"), lines=2, elem_id="errors-whatif")
            answer = blocks_view("errors-answer", live=True)
            taught = build_taught_fold(place, run, file)
            judged = build_judge_form(place, run, file, whatif)
    with gr.Accordion(say("errors.quality"), open=False, elem_id="errors-quality-fold"):
        calibration = chart_view("errors-reliability", reliability_chart([]))
        quality = blocks_view("errors-quality")
    clusters = build_asked_fold("clusters", group_errors, [run, file])
    doubtful = build_asked_fold("labels", doubt_labels, [run, file])
    build_asked_fold("suite", ask_suite, [run])
    inputs = [run, file, beside, show, search, regex, rule, sort]
    build_export(inputs)

    quiet, following = ({**each, "concurrency_limit": None} for each in (QUIET, FOLLOWING))
    looked: dict[str, Any] = {"fn": look, "inputs": [place, *inputs], "outputs": [summary, listed, place], **following}
    examined: dict[str, Any] = {
        "fn": open_example, "inputs": [place, run, file, beside, label, against, method, second], "outputs": sentence,
        **following,
    }
    # What is open: run, file, example. Only where that changes are the boxes of edits and notes filled anew.
    asked, opened = gr.JSON(visible=False), gr.State([])
    edited: dict[str, Any] = {
        "fn": sentence_to_edit, "inputs": [place, run, file, opened], "outputs": [whatif, opened], **following
    }
    remembered: dict[str, Any] = {"fn": None, "inputs": [place, *inputs], "outputs": None, "js": REMEMBER}
    around: dict[str, Any] = {
        "fn": look_around, "inputs": [run, file, beside],
        "outputs": [matrix, slices, quality, calibration], **following,
    }
    entered = tab.select(enter, [asked, *inputs], [*inputs, label, against, place], js=WITH_ADDRESS, **quiet)
    chosen = run.input(choose_run, [run, file, beside, label], [file, beside, label, against], **following)
    for event in (entered, chosen, file.input(None, None, None)):
        looking = event.then(**looked)
        looking.then(**remembered)
        looking.then(**edited)
        looking.then(**around)
    asking = gr.on(
        [search.change, regex.input, show.input, sort.input, rule.submit, rule.blur, beside.input, listed.input,
         doubtful.input],
        js="volta.askErrors", **looked,
    )  # fmt: skip
    asking.then(**remembered)
    asking.then(**edited)
    gr.on([matrix.input, slices.input, clusters.input], None, [rule, show], [rule, show], js="volta.ruleWith")
    opened.change(**examined)
    opened.change(**judged).then(**taught)
    beside.input(**around)
    gr.on([label.input, against.input, method.input, second.input, beside.input], **examined)
    # Not `input`, which a paste does not fire.
    whatif.change(try_edit, [whatif, place, run, file, label, method], answer, **following)
