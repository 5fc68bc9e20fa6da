"""What do you make of this sentence? A mark, a corrected label, tags, a note; and what to train on next time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from pipeline.judgements import MARKS, Fix, Judgement, add_fix, fix_list, judge, judgements, take_back_fix
from pipeline.runs import Run
from reports.words import say
from tabs.access import owner_only
from tabs.errors_data import open_predictions
from tabs.shared import QUIET, Block, blocks_view, column, find_run, table, text, the_run

Place = dict[str, Any]      # {"page", "example"} of the Errors tab


@dataclass(frozen=True)
class Drafts:
    """What is typed of an example and not kept yet comes back when the example is opened again."""

    open: str = ""                                                  # whose form it is
    filled: tuple[str, ...] = ()                                    # what stood in it at first
    typed: dict[str, tuple[str, ...]] = field(default_factory=dict)     # of others: mark, label, tags and note


def fill_form(place: Place, name: str, file: str, drafts: Drafts, *typed: str) -> list[Any]:
    """Mark, corrected label, tags and note of the open example, and the label that a fix begins with."""
    run, example_id = find_run(name), place.get("example")
    others = drafts.typed | ({drafts.open: typed} if typed != drafts.filled else {})
    if run is None or not file or not example_id:
        nothing = ["", gr.Dropdown(choices=[("", "")], value=""), "", "", gr.Dropdown(choices=[], value=None), [], []]
        return [*nothing, Drafts("", typed, others)]
    predictions = open_predictions(run, file).examples.predictions
    labels = predictions.label_names
    known = judgements(run, *file.split("/")).get(example_id, Judgement())
    row = open_predictions(run, file).row_of.get(example_id)
    right = known.label or (labels[predictions.gold_ids[row]] if row is not None else None)
    kept = (
        known.mark if known.mark in MARKS else "", known.label if known.label in labels else "",
        say("page.comma").join(known.tags), known.note,
    )
    opened = f"{name} {file} {example_id}"
    mark, label, tags, note = others.pop(opened, kept)
    return [
        mark,
        gr.Dropdown(choices=[(say("page.none"), ""), *labels], value=label),
        tags,
        note,
        gr.Dropdown(choices=labels, value=right if right in labels else None),
        [text(say("judge.not_kept"), "note")] if (mark, label, tags, note) != kept else [],
        fix_blocks(run),
        Drafts(opened, kept, others),
    ]


@owner_only(..., gr.skip())
def save_judgement(
    profile: gr.OAuthProfile | None, place: Place, name: str, file: str, mark: str, label: str, tags: str, note: str
) -> tuple[list[Block], Any]:
    """Keep it. Returns the message, and the label that a fix begins with from then on."""
    run, example_id = the_run(name, say("errors.choose")), place.get("example")
    if not example_id:
        return [text(say("errors.choose"), "problem")], gr.skip()
    each = (tag.strip() for tag in tags.replace("，", ",").split(","))
    data, split = file.split("/")
    judge(run, data, split, example_id, Judgement(mark, label, tuple(tag for tag in each if tag), note.strip()))
    return [text(say("judge.saved", id=example_id), "note")], label or gr.skip()


@owner_only(...)
def save_fix(profile: gr.OAuthProfile | None, name: str, words: str, label: str | None) -> list[Block]:
    run = the_run(name, say("errors.choose"))
    add_fix(run, Fix(words, label or ""))
    return fix_blocks(run)


@owner_only(...)
def remove_fix(profile: gr.OAuthProfile | None, picked: dict[str, str] | None, name: str) -> list[Block]:
    """Of the sentence whose button was pressed."""
    run = the_run(name, say("errors.choose"))
    if picked and picked.get("fix"):
        take_back_fix(run, picked["fix"])
    return fix_blocks(run)


def fix_blocks(run: Run) -> list[Block]:
    """What is on the fix list, each with a button that takes it back, and how to train on it."""
    fixes = fix_list(run)
    if not fixes:
        return []
    rows = [(fix.label, fix.text, say("judge.take_back")) for fix in fixes]
    listed = table(say("judge.fixes", run=run.name), [column("label"), column("text", "text"), column("act")], rows)
    command = say("judge.train_on", run=run.name)
    return [{**listed, "picks": [[None, None, {"fix": fix.text}] for fix in fixes]}, text(command, "note")]


def build_judge_form(place: gr.JSON, run: gr.Dropdown, file: gr.Dropdown, whatif: gr.Textbox) -> dict[str, Any]:
    """The folds under a sentence. Returns the event that fills them for the open example."""
    with gr.Accordion(say("judge.title"), open=False, elem_id="judge-fold"):
        marks = [(say("judge.nothing"), ""), *((say(f"judge.marks.{mark}"), mark) for mark in MARKS)]
        mark = gr.Radio(marks, value="", label=say("judge.mark"), elem_id="judge-mark")
        label = gr.Dropdown([("", "")], value="", label=say("judge.label"), elem_id="judge-label")
        tags = gr.Textbox(label=say("judge.tags"), max_lines=1, elem_id="judge-tags")
        note = gr.Textbox(label=say("judge.note"), lines=2, elem_id="judge-note")
        save = gr.Button(say("judge.save"), size="sm", elem_id="judge-save", scale=0, min_width=140)
        saved = blocks_view("judge-message", live=True)
    with gr.Accordion(say("judge.fix_title"), open=False, elem_id="fix-fold"):
        gr.Markdown(say("judge.fix_help"))
        right = gr.Dropdown([], label=say("judge.fix_label"), elem_id="fix-label")
        fix = gr.Button(say("judge.fix"), size="sm", elem_id="fix-button", scale=0, min_width=200)
        fixes = blocks_view("fix-list", live=True)
    save.click(save_judgement, [place, run, file, mark, label, tags, note], [saved, right], **QUIET)
    fix.click(save_fix, [run, whatif, right], fixes, **QUIET)
    picked, drafts = gr.JSON(visible=False), gr.State(Drafts())
    fixes.input(remove_fix, [picked, run], fixes, js="(_, run) => [volta.picked(), run]", **QUIET)
    return {
        "fn": fill_form,
        "inputs": [place, run, file, drafts, mark, label, tags, note],
        "outputs": [mark, label, tags, note, right, saved, fixes, drafts],
        **QUIET,
    }
