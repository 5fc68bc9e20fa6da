"""What do several runs say together? Experiments: queue one, follow it, read what each change is worth."""

from __future__ import annotations

import re
from statistics import mean
from typing import Any

import gradio as gr

from analysis.experiment import Result, measure
from pipeline.budgets import BUDGETS
from pipeline.config import FIELDS, preset_names
from pipeline.exceptions import ConfigError, RunError, WorkbenchError
from pipeline.experiments import Experiment, experiment_names, load_experiment, members_of, within_budget
from pipeline.sweeping import Standing, is_swept, standings, start_sweep, stop_sweep
from reports.experiment_report import KINDS, cautions, sentences, tables
from reports.words import say
from tabs.access import owner_only, telling
from tabs.run_panel import metric_words
from tabs.shared import (
    FOLLOWING,
    QUIET,
    Block,
    blocks_view,
    column,
    columns,
    count,
    download_folder,
    duration,
    named,
    number,
    problem,
    table,
    text,
)

NUMERIC = re.compile(r"[<×+\-−]?\s*[\d.,]")
NEXT_FIELD = re.compile(r",(?=\s*(?:seed|[a-z_]+(?:\.[a-z_]+)+)\s*=)")     # a comma may also stand in a value
NAMED_CHANGE = re.compile(r"([A-Za-z0-9][\w.+-]*)\s*:\s+(.*)")      # a colon and a space: a path may have a colon


def look(name: str | None, seen: Any) -> list[Any]:
    """Picker, where its runs stand, what they say together, and what was seen: nothing where that is the same."""
    names = experiment_names()
    shown = name if name in names else next(iter(names), None)
    # Left alone where it can stay: it may be open.
    picker = gr.skip() if seen and seen[:2] == [names, shown] else gr.Dropdown(choices=names, value=shown)
    if shown is None:
        return [picker, [text(say("sweeps.none"), "hint")], [], [names, shown]]
    try:
        experiment = load_experiment(shown)
        stands = standings(experiment)
        now = [names, shown, is_swept(shown), list(map(str, stands))]
        if now == seen:
            return [gr.skip()] * 4
        return [picker, standing_blocks(experiment, stands), _result_blocks(experiment, stands), now]
    except WorkbenchError as exception:
        return [picker, [problem(exception)], [], [names, shown]]


def standing_blocks(experiment: Experiment, stands: list[Standing]) -> list[Block]:
    """A row for each run, and how far the whole is."""
    done = sum(each.is_done for each in stands)
    state = "going" if is_swept(experiment.name) else "done" if done == len(stands) else "resting"
    told = say(f"sweeps.{state}", done=count(done), n=count(len(stands)))
    took = [each.seconds for each in stands if each.seconds]
    if took and state == "going" and done < len(stands):
        told += " " + say("sweeps.left", time=duration(mean(took) * (len(stands) - done)))

    def beginning(each: Standing) -> bool:
        return state == "going" and each.state == "interrupted"     # it is there, and its process not yet

    rows = [
        (
            each.variant, each.seed, say("run.starting" if beginning(each) else f"states.{each.state}"),
            f"{metric_words(each.best['metric'])} {number(each.best['value'])}" if each.best else "",
            each.reason or "",
        )
        for each in stands
    ]
    heads = [column("change"), column("seed", "number"), *columns("", "state", "best"), column("note", "text")]
    return [text(told, "note"), table(say("sweeps.runs"), heads, rows)]


def _result_blocks(experiment: Experiment, stands: list[Standing]) -> list[Block]:
    try:
        result = _result(experiment, stands)
    except RunError as exception:       # none has finished
        return [text(str(exception), "hint")]
    doubts = [text(sentence, "problem") for sentence in cautions(result)]
    blocks = [_block_of(each.title, each.heads, each.rows) for each in tables(result)]
    return [*doubts, *blocks, *(text(sentence, "note") for sentence in sentences(result))]


def _result(experiment: Experiment, stands: list[Standing]) -> Result:
    if all(each.state != "finished" for each in stands):
        raise RunError(say("sweeps.no_result"))
    return measure(experiment)


def _block_of(title: str, heads: list[str], rows: list[list[str]]) -> Block:
    cells = list(zip(*rows, strict=True))
    kinds = ["number" if any(map(NUMERIC.match, of_column)) else "text" for of_column in cells]
    kinds[0] = ""
    return table(title, [named(head, kind) for head, kind in zip(heads, kinds, strict=True)], rows)     # type: ignore


def experiment_of(
    name: str, base: str, budget: str, common: str, changes: str, seeds: str, test: bool
) -> Experiment:
    """From what is typed: `field=value, field=value` for all, the same for each change on a line of its own.

    Raises: ConfigError for what cannot be read, or is no field or value.
    """
    if not name.strip():
        raise ConfigError(say("sweeps.no_name"))
    lines = [line.strip() for line in changes.splitlines() if line.strip()]
    if not lines:
        raise ConfigError(say("sweeps.no_changes"))
    named_changes = [NAMED_CHANGE.fullmatch(line) for line in lines]
    if any(named_changes) and not all(named_changes):
        raise ConfigError(say("sweeps.half_named"))
    names = [match[1] for match in named_changes if match]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ConfigError(say("sweeps.twice", name=twice[0]))
    listed: Any = {match[1]: _fields(match[2]) for match in named_changes if match} or list(map(_fields, lines))
    try:
        numbers = tuple(int(seed) for seed in re.split(r"[,\s]+", seeds.strip()) if seed)
    except ValueError:
        raise ConfigError(say("sweeps.bad_seeds", found=seeds[:80])) from None
    values = {"name": name.strip(), "base": base, "set": _fields(common), "changes": listed, "seeds": numbers}
    try:
        experiment = Experiment.model_validate({**values, "test": test})
    except ValueError:                  # only the name can be wrong here
        raise ConfigError(say("sweeps.bad_name", found=name[:80])) from None
    experiment = within_budget(experiment, budget, experiment.set)
    members_of(experiment)
    return experiment


def _fields(typed: str) -> dict[str, Any]:
    parts = [part.strip() for part in NEXT_FIELD.split(typed) if part.strip()]
    found: dict[str, Any] = {}
    for part in parts:
        field, equals, value = part.partition("=")
        if not equals:
            raise ConfigError(say("sweeps.bad_change", found=part[:80]))
        found[field.strip()] = _number(field.strip(), value.strip())
    return found


def _number(field: str, value: str) -> Any:
    """A number where the field is one: runs are named by what differs, "bs8" and "lr5e-5"."""
    kind = FIELDS[field].kind if field in FIELDS else "text"
    if kind not in ("integer", "number"):
        return value
    try:
        return int(value) if kind == "integer" else float(value)
    except ValueError:      # refused by the config, in its own words
        return value


@owner_only(..., gr.skip())
def queue(profile: gr.OAuthProfile | None, *typed: Any) -> tuple[list[Block], Any]:
    """Keep the experiment that is typed and begin it, in a process of its own. Returns the message and the picker."""
    experiment = experiment_of(*typed)
    if experiment.name in experiment_names():
        raise ConfigError(say("sweeps.taken", name=experiment.name))
    start_sweep(experiment)             # keeps it, once it is known that it can begin
    n = count(len(members_of(experiment)))
    return [text(say("sweeps.begun", n=n), "note")], gr.Dropdown(choices=experiment_names(), value=experiment.name)


def _chosen(name: str | None) -> Experiment:
    if not name:
        raise ConfigError(say("sweeps.none_chosen"))
    return load_experiment(name)


@owner_only(...)
def go_on(profile: gr.OAuthProfile | None, name: str | None) -> list[Block]:
    start_sweep(_chosen(name), again=True)
    return [text(say("sweeps.goes_on"), "note")]


@owner_only(...)
def stop(profile: gr.OAuthProfile | None, name: str | None) -> list[Block]:
    stop_sweep(_chosen(name).name)
    return [text(say("sweeps.stopped"), "note")]


@telling(..., gr.update(visible=False))
def report(name: str | None, kind: str) -> tuple[list[Block], Any]:
    """The report as a file for the browser to fetch."""
    experiment = _chosen(name)
    result = _result(experiment, standings(experiment))
    target = download_folder() / f"{result.name}.{kind}"
    target.write_text(KINDS[kind](result), encoding="utf-8", newline="")
    return [], gr.DownloadButton(say("sweeps.download", name=target.name), value=str(target), visible=True)


def build_experiments_fold(timer: gr.Timer, tab: gr.Tab) -> None:
    """The fold in the Runs tab; looked at anew whenever the timer of the tab ticks."""
    with gr.Accordion(say("sweeps.title"), open=False, elem_id="experiments-fold"):
        gr.Markdown(say("sweeps.help"))
        with gr.Row(elem_classes="volta-controls"):
            picker = gr.Dropdown(
                [], label=say("sweeps.picker"), allow_custom_value=True, elem_id="experiment-picker", scale=2,
                min_width=200,
            )
            again = gr.Button(say("sweeps.go_on"), elem_id="experiment-again", min_width=120)
            end = gr.Button(say("sweeps.stop"), elem_id="experiment-stop", min_width=100)
        message = blocks_view("experiment-message", live=True)
        stands, result = blocks_view("experiment-runs"), blocks_view("experiment-result")
        with gr.Row(elem_classes="volta-controls"):
            kinds = [(say(f"sweeps.kinds.{kind}"), kind) for kind in KINDS]
            kind = gr.Radio(kinds, value="html", label=say("sweeps.report"), elem_id="experiment-kind", min_width=240)
            make = gr.Button(say("sweeps.make"), size="sm", elem_id="experiment-report", scale=0, min_width=160)
            download = gr.DownloadButton(visible=False, elem_id="experiment-download", scale=0, min_width=200)
        with gr.Accordion(say("sweeps.new"), open=False, elem_id="experiment-new"):
            with gr.Row(elem_classes="volta-controls"):
                name = gr.Textbox(label=say("sweeps.name"), max_lines=1, elem_id="experiment-name", min_width=200)
                base = gr.Dropdown(
                    preset_names(), value="quick", label=say("sweeps.base"), elem_id="experiment-base", min_width=200
                )
                seeds = gr.Textbox(
                    "1, 2, 3", label=say("sweeps.seeds"), placeholder=say("sweeps.no_seeds"), min_width=140,
                    elem_id="experiment-seeds",
                )
                budget = gr.Dropdown(
                    [(say(f"budgets.{budget}"), budget) for budget in BUDGETS], value="full",
                    label=say("train.budget"), elem_id="experiment-budget", min_width=120,
                )
            common = gr.Textbox(
                label=say("sweeps.common"), info=say("sweeps.common_help"), max_lines=1, elem_id="experiment-common"
            )
            changes = gr.Textbox(
                label=say("sweeps.changes"), info=say("sweeps.changes_help"), lines=3, elem_id="experiment-changes"
            )
            test = gr.Checkbox(True, label=say("sweeps.test"), elem_id="experiment-test")
            begin = gr.Button(
                say("sweeps.begin"), variant="primary", elem_id="experiment-begin", scale=0, min_width=160
            )
            begun = blocks_view("experiment-begun", live=True)
    seen = gr.State(None)
    outputs = [picker, stands, result, seen]
    looked: dict[str, Any] = {"fn": look, "inputs": [picker, seen], "outputs": outputs, **FOLLOWING}
    gr.on([timer.tick, tab.select, picker.input], **looked)
    begin.click(queue, [name, base, budget, common, changes, seeds, test], [begun, picker], **QUIET).then(**looked)
    again.click(go_on, picker, message, **QUIET).then(**looked)
    end.click(stop, picker, message, **QUIET).then(**looked)
    gr.on([picker.change, kind.change], lambda: ([], gr.update(visible=False)), None, [message, download], **QUIET)
    make.click(report, [picker, kind], [message, download], **QUIET)
