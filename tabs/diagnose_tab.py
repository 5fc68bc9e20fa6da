"""Why does it not learn? A run or a preset under examination, its verdict, and remedies at a button's press."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs

import gradio as gr

from analysis.diagnosis import IN_ORDER, SYMPTOMS
from pipeline.catalog import run_names
from pipeline.config import preset_names
from pipeline.exceptions import RunError
from pipeline.jobs import start_command
from pipeline.runs import Run
from reports.words import say
from tabs.access import owner_only
from tabs.diagnose_view import PRESET, RUN, Found, evidence_blocks, subject_name, tried_blocks, verdict_blocks
from tabs.preset_view import stand_in
from tabs.shared import (
    QUIET,
    Block,
    CommandError,
    begin_command,
    blocks_view,
    finish_command,
    link,
    tab_heading,
    text,
    the_run,
)
from tabs.train_form import free_name, settings

TOLD = {"fine", *SYMPTOMS, *(remedy.title for remedy in IN_ORDER)}     # how a line of the command begins


def subjects() -> list[tuple[str, str]]:
    """Runs, newest first, then presets that have not been trained."""
    named = [*(f"{RUN}/{name}" for name in run_names()), *(f"{PRESET}/{name}" for name in preset_names())]
    return [(subject_name(subject), subject) for subject in named]


def enter(asked: str, shown: str | None) -> Any:
    """The picker: what the address names, else what was chosen, else the newest run."""
    query = {key: found[-1] for key, found in parse_qs((asked or "").lstrip("?")).items()}
    choices = subjects()
    names = [value for _, value in choices]
    wanted = f"{RUN}/{query['run']}" if query.get("tab") == "diagnose" and "run" in query else shown
    return gr.Dropdown(choices=choices, value=wanted if wanted in names else names[0])


@owner_only(..., gr.skip(), gr.skip())      # it reads the data, and computes for a minute
def examine(profile: gr.OAuthProfile | None, subject: str) -> Iterator[tuple[list[Block], Any, Any]]:
    """Run `diagnose`; its checks are told as they are made. Yields verdict, evidence, and what was found."""
    yield [text(say("diagnose.examining"), "hint")], [], None
    told: list[Block] = []
    for line in _diagnose(subject):
        if isinstance(line, str):
            told.append(text(line, "note"))
            yield [text(say("diagnose.examining"), "hint"), *told], [], None
        else:
            found = line
    yield [*_replaced(subject), *verdict_blocks(found)], evidence_blocks(found), found


def forget_others(subject: str, found: Found | None) -> Any:
    """Verdict, evidence and what was found, if of something else than is to be tried now; and what was started."""
    return (gr.skip(), gr.skip(), gr.skip(), []) if _is_of(subject, found) else ([], [], None, [])


def _is_of(subject: str, found: Found | None) -> bool:
    return found is not None and found["subject"] == subject


@owner_only(...)
def try_remedies(profile: gr.OAuthProfile | None, subject: str, found: Found | None) -> Iterator[list[Block]]:
    """Run `diagnose --try`: short trainings, to the first that learns; `found` stands above them if of this subject."""
    yield [text(say("diagnose.trying"), "hint")]
    told: list[Block] = []
    for line in _diagnose(subject, "--try"):
        if isinstance(line, str):
            told.append(text(line, "note"))
            yield [text(say("diagnose.trying"), "hint"), *told[-1:]]
        else:
            answer = line
    yield [*([] if _is_of(subject, found) else _replaced(subject)), *tried_blocks(answer)]


@owner_only(...)
def run_remedy(
    profile: gr.OAuthProfile | None, picked: dict[str, Any] | None, subject: str, found: Found | None
) -> Iterator[list[Block]]:
    """Start a run with the changes of the remedy whose button was pressed."""
    if not found or not picked or not _is_of(subject, found):
        raise RunError(say("diagnose.examine_first"))
    remedy = found["remedies"][int(picked["remedy"])]
    kind, _, name = subject.partition("/")
    mended = free_name(f"{name}-{remedy['title'].replace(' ', '-')}"[:56])
    changes = [f"--set={field}={'' if value is None else value}" for field, value in remedy["changes"].items()]
    start = _preset(name) if kind == PRESET else ["--config", str(_run(name).folder / "run_config.json")]
    process = begin_command(["train", *start, *changes, "--name", mended, "--detach"])
    yield [text(say("train.starting"), "note")]
    finish_command(process)
    yield [text(say("train.started", run=mended), "note"), link(say("diagnose.follow"), tab="train", run=mended)]


def _run(name: str) -> Run:
    return the_run(name, say("page.no_run", run=name))


def _replaced(subject: str) -> list[Block]:
    """What to say of a preset that cannot be had here as it is."""
    kind, _, name = subject.partition("/")
    return stand_in(name, "diagnose")[0] if kind == PRESET else []


def _preset(name: str) -> list[str]:
    """Options of a command: the preset, with what it can run on here."""
    return ["--preset", name, *settings(stand_in(name)[1])]


def _diagnose(subject: str, *options: str) -> Iterator[str | Found]:
    """What the command says as it goes, then its answer. Raises: CommandError with the sentence it left on stderr."""
    kind, _, name = (subject or "").partition("/")
    examined = _preset(name) if kind == PRESET else ["--", _run(name).name]
    with tempfile.TemporaryFile("w+", encoding="utf-8") as answer:      # a pipe would have to be read meanwhile
        process = start_command(["diagnose", *options, *examined], module="analysis", stdout=answer, stderr=-1)
        last = ""
        try:
            for line in process.stderr or ():
                last = line.strip() or last
                if line.partition(": ")[0] in TOLD:     # else a library's word
                    yield line.strip()
        finally:
            if process.poll() is None and process.stderr and not process.stderr.closed:
                process.stderr.close()      # the page is gone: nobody reads what it finds
        if process.wait():
            raise CommandError(last or say("command.silent", status=process.returncode))
        answer.seek(0)
        yield {**json.loads(answer.read()), "subject": subject}


def build_diagnose_tab(tab: gr.Tab) -> None:
    """Why does it not learn?"""
    tab_heading(say("diagnose.question"))
    with gr.Row(elem_classes="volta-controls"):
        subject = gr.Dropdown(
            [], label=say("diagnose.subject"), allow_custom_value=True, elem_id="diagnose-subject", scale=2,
            min_width=240,
        )
        button = gr.Button(say("diagnose.examine"), variant="primary", elem_id="diagnose-button", min_width=140)
        trial = gr.Button(say("diagnose.try"), elem_id="diagnose-try", min_width=200)
    verdict = blocks_view("diagnose-verdict", [text(say("diagnose.hint"), "hint")], live=True)
    started = blocks_view("diagnose-started", live=True)
    tried = blocks_view("diagnose-tried", live=True)
    with gr.Accordion(say("diagnose.evidence"), open=False, elem_id="evidence-fold"):
        evidence = blocks_view("diagnose-evidence")
    found, asked, picked = gr.State(None), gr.JSON(visible=False), gr.JSON(visible=False)

    address = "(asked, shown) => [location.search, shown]"
    entered = tab.select(enter, [asked, subject], subject, js=address, **QUIET)
    remember = "(subject) => volta.remember('diagnose', subject?.startsWith('run/') ? subject.slice(4) : '')"
    entered.then(None, subject, None, js=remember)
    subject.input(None, subject, None, js=remember)
    button.click(lambda: ([], []), None, [tried, started], **QUIET)
    button.click(examine, subject, [verdict, evidence, found], concurrency_limit=1, **QUIET)
    trial.click(forget_others, [subject, found], [verdict, evidence, found, started], **QUIET)
    trial.click(try_remedies, [subject, found], tried, concurrency_limit=1, **QUIET)
    verdict.input(
        run_remedy, [picked, subject, found], started, js="(_, ...rest) => [volta.picked(), ...rest]", **QUIET
    )
