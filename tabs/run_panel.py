"""How is the run doing? Follows its record, and asks its process to stop or to go on; a run outlives the page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import gradio as gr

from pipeline.catalog import all_runs, run_names
from pipeline.runs import Run, Status
from reports.charts import Drawn, loss_chart, score_chart
from reports.curves import read_curves
from reports.words import say, translate
from tabs.access import owner_only
from tabs.shared import (
    QUIET,
    Block,
    asked_run,
    begin_command,
    blocks_view,
    chart_view,
    count,
    duration,
    find_run,
    finish_command,
    link,
    number,
    predicts,
    remember_in_url,
    text,
    the_run,
)

FAST_SECONDS = 1.5  # between two looks at a run that is going on
SLOW_SECONDS = 5.0  # at one that is not: somebody may resume it from elsewhere
LOG_LINES = 200


class Panel(NamedTuple):
    """What the Train tab must know of a run panel."""

    run: gr.Dropdown
    followed: list[Any]     # the components that `follow` fills
    timer: gr.Timer


def follow(name: str | None, seen: dict[str, Any]) -> list[Any]:
    """Values for `Panel.followed`, each only where it differs from what this page has seen.

    Those are run picker, status, loss, score, log, Stop, Resume, timer, and what was sent: nothing is sent twice.
    """
    run = find_run(name)
    runs = all_runs()
    names = [each.name for each in runs]
    status = run.status() if run else Status()
    others = {each.name: each.status() for each in runs if each.name != name}
    waiting = [other for other, its in others.items() if its.state == "queued"]
    busy = any(its.state in ("running", "stopping") for its in others.values())
    curves = read_curves(run.metrics_path) if run else None
    log_size = run.log_path.stat().st_size if run and run.log_path.exists() else 0
    versions: dict[str, Any] = {
        "names": names,
        "status": (name, status, bool(run and predicts(run)), waiting, busy),
        "curves": (name, curves and curves.version),
        "log": (name, log_size),
        "stop": bool(run) and status.is_active,
        "resume": bool(run) and status.state in ("stopped", "interrupted", "failed"),
        "seconds": FAST_SECONDS if run and status.is_active else SLOW_SECONDS,
    }
    new = {key for key, version in versions.items() if key not in seen or seen[key] != version}
    drawn = [Drawn(run.name, curves, num_validation(run))] if run and curves else []
    return [
        _picker(names, name) if "names" in new else gr.skip(),
        (run_blocks(run, status, waiting, busy) if run else no_run()) if "status" in new else gr.skip(),
        loss_chart(drawn) if "curves" in new else gr.skip(),
        score_chart(drawn) if "curves" in new else gr.skip(),
        (log_blocks(run) if run else []) if "log" in new else gr.skip(),
        gr.Button(interactive=versions["stop"]) if "stop" in new else gr.skip(),
        gr.Button(interactive=versions["resume"]) if "resume" in new else gr.skip(),
        gr.Timer(versions["seconds"]) if "seconds" in new else gr.skip(),
        versions if new else gr.skip(),
    ]


def _picker(names: list[str], name: str | None) -> Any:
    """The runs there are now; a choice that is no more gives way to the newest."""
    return gr.Dropdown(choices=names) if name in names else gr.Dropdown(choices=names, value=next(iter(names), None))


def num_validation(run: Run) -> int | None:
    rows: int | None = run.environment().get("data", {}).get("validation", {}).get("rows")
    return rows


def no_run() -> list[Block]:
    return [text(say("run.none"), "hint")]


def run_blocks(run: Run, status: Status, waiting: Sequence[str] = (), busy: bool = True) -> list[Block]:
    """State, progress and best figure of a run in a line; below, what it is, why it ended as it did, who waits.

    busy: another run is at work; a queued one waits for no device where none is, but is getting ready.
    """
    line = {
        "kind": "run",
        "name": run.name,
        "state": status.state,
        "state_words": say("run.starting" if status.state == "queued" and not busy else f"states.{status.state}"),
        "facts": run_facts(status),
        "share": min(status.progress, 1.0),
    }
    what = {"base": run.config.model.base, "data": run.config.data.source, "time": duration(status.elapsed_seconds)}
    blocks = [line, text(say("run.what_and_time" if status.elapsed_seconds >= 1 else "run.what", **what), "note")]
    if run.config.note:
        blocks.append(text(run.config.note, "note"))
    if status.state == "interrupted":
        blocks.append(text(say("run.interrupted"), "problem"))
    if status.reason:
        blocks.append(text(status.reason, "problem" if status.state == "failed" else "note"))
    if waiting:
        blocks.append(text(say("run.waiting", runs=say("page.comma").join(waiting)), "note"))
    if predicts(run):
        blocks.append(link(say("run.predict"), tab="predict", run=run.name))
    return blocks


def run_facts(status: Status) -> list[str]:
    facts = []
    if status.total_steps:
        facts.append(say("run.step", step=count(status.step), total=count(status.total_steps)))
    if status.state == "running" and not status.step:
        facts.append(say("run.measuring" if status.total_steps else "run.loading"))
    if status.eta_seconds is not None and status.state == "running":
        facts.append(say("run.left", time=duration(status.eta_seconds)))
    if status.best:
        value, step = number(status.best["value"]), count(status.best["step"])
        metric = metric_words(status.best["metric"])
        if status.total_steps:
            facts.append(say("run.best", metric=metric, value=value, step=step))
        else:       # made of other runs, in no steps of its own
            facts.append(say("run.figure", metric=metric, value=value))
    return facts


def metric_words(metric: str) -> str:
    return translate(f"metrics.{metric}", metric)


def log_blocks(run: Run) -> list[Block]:
    tail = run.log_tail(LOG_LINES)
    return [{"kind": "log", "text": tail}] if tail else [text(say("run.no_log"), "hint")]


def look_anew(name: str | None) -> list[Any]:
    """All of a run, whatever this page has seen before."""
    return follow(name, {})


def open_panel(request: gr.Request) -> Any:
    """The run that the page's address names, else the newest."""
    names = run_names()
    asked = asked_run(request, "train")
    return gr.Dropdown(choices=names, value=asked if asked in names else next(iter(names), None))


@owner_only(...)
def stop_run(profile: gr.OAuthProfile | None, name: str | None) -> Iterator[list[Block]]:
    """Ask the run to stop. The command is started before anything is shown, so that it also outlives the page."""
    yield from _command_on_run(name, ["stop"], "run.asked_to_stop")


@owner_only(...)
def resume_run(profile: gr.OAuthProfile | None, name: str | None) -> Iterator[list[Block]]:
    yield from _command_on_run(name, ["resume", "--detach"], "run.resuming")


def _command_on_run(name: str | None, command: list[str], begun: str) -> Iterator[list[Block]]:
    run = the_run(name, say("run.none_to_command"))
    process = begin_command([*command, "--", run.name])  # --: a run's name may begin with a dash
    yield [text(say(begun, run=run.name), "note")]
    finish_command(process)
    yield []


def build_run_panel(demo: gr.Blocks, tab: gr.Tab) -> Panel:
    """Run picker, state, Stop and Resume, curves, log; the address names the run while its tab is looked at."""
    with gr.Row(elem_classes="volta-controls"):
        # Any value is taken: a run may be deleted while it is chosen, which is no mistake of the reader's.
        run = gr.Dropdown(
            [], label=say("run.run"), allow_custom_value=True, elem_id="train-run", scale=3, min_width=200
        )
        stop = gr.Button(say("run.stop"), interactive=False, elem_id="stop-button", scale=1, min_width=100)
        resume = gr.Button(say("run.resume"), interactive=False, elem_id="resume-button", scale=1, min_width=100)
    message = blocks_view("run-message", live=True)
    status = blocks_view("run-status", no_run())
    with gr.Row():
        with gr.Column(min_width=280):
            loss = chart_view("loss-chart", loss_chart([]))
        with gr.Column(min_width=280):
            score = chart_view("score-chart", score_chart([]))
    with gr.Accordion(say("run.log"), open=False, elem_id="run-log-fold"):
        log = blocks_view("run-log")
    timer = gr.Timer(SLOW_SECONDS, active=False)
    seen = gr.State({})
    followed = [run, status, loss, score, log, stop, resume, timer, seen]

    quiet = {**QUIET, "concurrency_limit": None}
    timer.tick(follow, [run, seen], followed, trigger_mode="once", **quiet)
    run.change(look_anew, run, followed, trigger_mode="always_last", **quiet)
    run.input(lambda: [], None, message, **quiet)
    stop.click(stop_run, run, message, **quiet).then(look_anew, run, followed, **quiet)
    resume.click(resume_run, run, message, **quiet).then(look_anew, run, followed, **quiet)
    demo.load(open_panel, None, run, **quiet).then(look_anew, run, followed, **quiet)
    gr.on([run.input, tab.select], None, run, None, js=remember_in_url("train"))
    return Panel(run, followed, timer)
