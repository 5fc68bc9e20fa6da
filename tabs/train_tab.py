"""Teach a model: choose data, model and settings, look at the data, start a run, and follow it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from pipeline.budgets import BUDGETS
from pipeline.catalog import run_names
from pipeline.config import FIELDS, all_presets
from pipeline.exceptions import WorkbenchError
from pipeline.experiments import experiment_presets
from pipeline.sources import data_names, model_names, run_root
from reports.words import say
from tabs.access import check_may_change, owner_only
from tabs.data_view import copies_blocks, data_blocks
from tabs.plan_view import plan_blocks
from tabs.preset_view import start_from
from tabs.run_panel import build_run_panel, look_anew
from tabs.shared import (
    FOLLOWING,
    QUIET,
    Block,
    answer_of_command,
    begin_command,
    blocks_view,
    finish_command,
    kept_by_browser,
    problem,
    read_kept,
    remember_in_url,
    tab_heading,
    text,
    upload_button,
    write_kept,
)
from tabs.train_form import (
    FIRST_BUDGET,
    FIRST_PRESET,
    changed_fields,
    component_for,
    config_arguments,
    config_of,
    config_problem,
    elem_id_of,
    field_groups,
    form_fields,
    free_name,
    group_label,
    is_suggested,
    kept_values,
    shown_command,
    train_arguments,
)

Values = Any  # of one component; a handler gets preset and budget, then a value per field of form_fields()


def open_form(kept: Any) -> list[Values]:
    """Preset and budget (chosen and applied), the words beside them, and the values, as the browser kept them; data and
    models found now."""
    preset, budget, values = kept_values(kept)
    main = {
        "data.source": gr.Dropdown(choices=data_names(), value=values["data.source"]),
        "model.base": gr.Dropdown(choices=model_names(), value=values["model.base"]),
    }
    form = (main.get(name, values[name]) for name in form_fields())
    return [preset, budget, [preset, budget], start_from(preset, budget)[0], *form]


def pick_preset(preset: str, budget: str, applied: list[str], name: str) -> list[Values]:
    """The words beside a preset, and its values; a name that the user has chosen stays. Nothing where it is the one
    that is applied: a picker also tells of an input when it is merely left."""
    if [preset, budget] == applied:
        return [gr.skip()] * (2 + len(form_fields()))
    words, values = start_from(preset, budget)
    if name and not is_suggested(name):
        values["name"] = name
    return [[preset, budget], words, *(values[name] for name in form_fields())]


def show_fields(preset: str) -> list[Any]:
    """What stands for one run is hidden beside a preset of several."""
    return [gr.update(visible="hidden" if preset in experiment_presets() else True)] * 4


def describe(preset: str, budget: str, *form: Values) -> list[Any]:
    """What the form stands for: the command, what is wrong with it, titles of the groups."""
    values = _values(form)
    changed = changed_fields(preset, values, budget)
    wrong = config_problem(values)
    return [
        shown_command(train_arguments(preset, values, budget)),
        [{**problem(wrong), "field": elem_id_of(wrong.field)}] if wrong else [],
        *(gr.Accordion(label=group_label(group, changed)) for group in field_groups()),
    ]


@owner_only(...)    # a source may be any file that this machine can read
def report_data(profile: gr.OAuthProfile | None, *form: Values) -> Iterator[list[Block]]:
    yield [text(say("train.reading"), "hint")]
    values = _values(form)
    yield data_blocks(config_of({**values, "name": values["name"] or "unnamed"}))


@owner_only(...)
def show_copies(profile: gr.OAuthProfile | None, *form: Values) -> Iterator[list[Block]]:
    yield [text(say("train.reading"), "hint")]
    values = _values(form)
    yield copies_blocks(config_of({**values, "name": values["name"] or "unnamed"}))


def plan_run(
    profile: gr.OAuthProfile | None, preset: str, budget: str, *form: Values
) -> Iterator[tuple[list[Block], list[str]]]:
    """Run `plan` with what the form stands for: a few real steps, thrown away. Yields what it was for, too."""
    arguments = config_arguments(preset, _values(form), budget)
    try:
        check_may_change(profile)
        yield [text(say("train.measuring"), "hint")], arguments
        yield plan_blocks(answer_of_command(["plan", *arguments])), arguments
    except WorkbenchError as exception:
        yield [problem(exception)], arguments


def drop_outdated_plan(planned_for: list[str], preset: str, budget: str, *form: Values) -> Any:
    """No plan, where the form has become another since."""
    return gr.skip() if planned_for == config_arguments(preset, _values(form), budget) else []


@owner_only(gr.skip(), ...)
def keep_upload(profile: gr.OAuthProfile | None, path: str) -> tuple[Any, list[Block]]:
    """Keep an uploaded file in the run root, where a resume will still find it, and make it the source."""
    source = Path(path)
    kept = run_root() / "_uploads" / source.parent.name[:16] / source.name  # gradio's folder is a hash of the content
    kept.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, kept)
    return str(kept), []


@owner_only(..., gr.skip(), gr.skip(), gr.skip())
def start_run(
    profile: gr.OAuthProfile | None, preset: str, budget: str, *form: Values
) -> Iterator[tuple[Any, ...]]:
    """Run the command that is shown. Yields the message, the run picker, the name for the next run, and no plan."""
    values = _values(form)
    name = values["name"]
    process = begin_command(train_arguments(preset, values, budget))
    yield [text(say("train.starting"), "note")], gr.skip(), gr.skip(), []
    finish_command(process)
    several = preset in experiment_presets()
    message = [text(say("train.started_several" if several else "train.started", run=name), "note")]
    # The first of several may not be there yet.
    yield message, gr.skip() if several else gr.Dropdown(choices=run_names(), value=name), free_name(preset), []


def _values(form: tuple[Values, ...]) -> dict[str, Values]:
    values = dict(zip(form_fields(), form, strict=True))
    for name, value in values.items():
        if value is None and not FIELDS[name].optional and FIELDS[name].kind == "text":
            values[name] = ""
    return values


def build_train_tab(demo: gr.Blocks, tab: gr.Tab) -> gr.Timer:
    """Teach a model. Returns the timer that looks anew at the run while the tab is in sight."""
    kept = kept_by_browser()
    words, usual = start_from(FIRST_PRESET, FIRST_BUDGET)
    tab_heading(say("train.question"))
    with gr.Row(elem_classes="volta-main-fields"):
        preset = gr.Dropdown(
            sorted(all_presets()), value=FIRST_PRESET, label=say("train.preset"), elem_id="train-preset", min_width=160
        )
        budget = gr.Dropdown(
            [(say(f"budgets.{name}"), name) for name in BUDGETS],
            value=FIRST_BUDGET,
            label=say("train.budget"),
            elem_id="train-budget",
            min_width=120,
        )
        source, base = (
            gr.Dropdown(
                [usual[field]],
                value=usual[field],
                label=say(words),
                allow_custom_value=True,
                elem_id=elem_id_of(field),
                min_width=160,
            )
            for field, words in {"data.source": "train.data", "model.base": "train.base"}.items()
        )
        name = gr.Textbox(usual["name"], label=say("train.name"), elem_id="train-name", min_width=160, max_lines=1)
    note = blocks_view("preset-note", words)
    fields: dict[str, Any] = {"data.source": source, "model.base": base, "name": name}
    folds = []
    with gr.Column(elem_classes="volta-folds") as folded:
        for group in field_groups():
            with (
                gr.Accordion(group.title, open=False, elem_id=f"group-{group.prefix}") as fold,
                gr.Row(elem_classes="volta-fields"),
            ):
                for field in group.fields:
                    fields[field.name] = component_for(field, usual[field.name])
            folds.append(fold)
        with gr.Accordion(say("train.your_data"), open=False, elem_id="data-fold") as data_fold:
            with gr.Row(elem_classes="volta-controls"):
                look = gr.Button(say("train.read_data"), size="sm", elem_id="data-button", scale=0, min_width=160)
                upload = upload_button(say("train.upload"), "upload-button")
                copies = gr.Button(say("train.show_copies"), size="sm", elem_id="copies-button", scale=0, min_width=160)
            shown_copies = blocks_view("copies")
            report = blocks_view("data-report", [text(say("train.data_hint"), "hint")])
    form = [fields[name] for name in form_fields()]
    planned_for = gr.State([])
    applied = gr.State([FIRST_PRESET, FIRST_BUDGET])  # those whose values the form began with
    command = gr.Code(
        shown_command(train_arguments(FIRST_PRESET, usual)),
        label=say("train.command"),
        interactive=False,
        lines=1,
        wrap_lines=True,
        show_line_numbers=False,
        buttons=["copy"],
        elem_id="train-command",
    )
    wrong = blocks_view("train-problem")
    planned = blocks_view("train-plan", live=True)
    with gr.Row(elem_classes="volta-controls"):
        plan = gr.Button(say("train.plan"), elem_id="plan-button", scale=0, min_width=180)
        start = gr.Button(say("train.start"), variant="primary", elem_id="start-button", scale=0, min_width=160)
    message = blocks_view("start-message", live=True)
    panel = build_run_panel(demo, tab)

    quiet, following = ({**each, "concurrency_limit": None} for each in (QUIET, FOLLOWING))
    chosen = [preset, budget]
    described = ([*chosen, *form], [command, wrong, *folds])
    of_one_run = [source, base, folded, plan]
    keep: dict[str, Any] = {
        "fn": None,
        "inputs": [*chosen, *form],
        "js": write_kept("train-form", ["preset", "budget", *form_fields()]),
    }
    # Only what the user does: while a page is being opened, values change by themselves. A paste is no `input` of a
    # text box, but it is seen when the box is left.
    edits = [component.input for component in form] + [field.blur for field in form if isinstance(field, gr.Textbox)]
    opened = demo.load(open_form, kept, [*chosen, applied, note, *form], js=read_kept("train-form"), **quiet)
    picks = [preset.input, budget.input]
    picked = gr.on(picks, pick_preset, [*chosen, applied, name], [applied, note, *form], **following)
    for begun in (opened, picked):
        begun.then(show_fields, preset, of_one_run, **following).then(describe, *described, **following).then(**keep)
    gr.on(edits, **keep)
    gr.on([*edits, *picks, plan.click], lambda: [], None, message, **quiet)
    gr.on(edits, describe, *described, **following)
    gr.on([look.click, data_fold.expand], report_data, form, report, **following)
    copies.click(show_copies, form, shown_copies, **following)
    upload.upload(keep_upload, upload, [source, report], **quiet).then(describe, *described, **following).then(**keep)
    checked = (drop_outdated_plan, [planned_for, *chosen, *form], planned)
    planning = plan.click(plan_run, [*chosen, *form], [planned, planned_for], **quiet)
    planning.then(*checked, **quiet)
    command.change(*checked, **quiet)
    started = start.click(
        start_run, [*chosen, *form], [message, panel.run, name, planned], cancels=[planning], **quiet
    )
    started.then(None, panel.run, None, js=remember_in_url("train"))
    started.then(look_anew, panel.run, panel.followed, **quiet).then(describe, *described, **quiet).then(**keep)
    return panel.timer
