"""Who taught it this, and which labels look wrong? Training sentences by influence and nearness; doubtful labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import gradio as gr

from analysis.neighbors import Taught, influences, nearest
from analysis.training_index import build_index, open_index
from pipeline.predictor import Predictor
from reports.words import say
from tabs.access import owner_only, telling
from tabs.errors_data import Opened, open_predictions
from tabs.errors_view import cluster_blocks
from tabs.shared import (
    FOLLOWING,
    QUIET,
    Block,
    blocks_view,
    column,
    columns,
    count,
    find_run,
    number,
    table,
    text,
    the_run,
)

DOUBTFUL_SHOWN = 20
CONFLICTS_SHOWN = 10


@telling(...)
def who_taught(place: dict[str, Any], name: str, file: str) -> list[Block]:
    """The training sentences that have most to do with the open one."""
    run, example_id = find_run(name), place.get("example")
    if run is None or not file or not example_id:
        return [text(say("errors.choose"), "hint")]
    opened, index = open_predictions(run, file), open_index(run)
    if index is None:
        return [text(say("taught.no_index"), "hint")]
    predictions, predictor = opened.examples.predictions, Predictor.load(run.name)
    row = opened.row_of[example_id]
    words, gold_id = predictions.texts[row], int(predictions.gold_ids[row])
    near = nearest(index, predictor, words, gold_id)
    proponents, opponents = influences(index, predictor, words, gold_id)
    gold = predictions.label_names[gold_id]
    return [
        _taught_table(say("taught.against", label=gold), opponents),
        _taught_table(say("taught.towards", label=gold), proponents),
        _taught_table(say("taught.nearest"), near),
        text(say("taught.explained"), "note"),
    ]


def _taught_table(label: str, taught: Sequence[Taught]) -> Block:
    rows = [
        (each.label, f"{each.score:.2f}", each.text, say("page.yes") if each.opposite_nearby else "") for each in taught
    ]
    heads = [column("label"), column("score", "number"), column("text", "text"), column("opposite")]
    return table(label, heads, rows)


@owner_only(...)
def read_training(profile: gr.OAuthProfile | None, name: str) -> Iterator[list[Block]]:
    """Build the index, once."""
    run = the_run(name, say("errors.choose"))
    yield [text(say("taught.beginning"), "hint")]
    for done, total in build_index(run):
        yield [text(say("taught.going_on", done=count(done), total=count(total)), "hint")]
    yield []


def doubt_labels(name: str, file: str) -> Iterator[list[Block]]:
    """The gold labels that an out-of-sample model believes least, and texts that say the same with two labels."""
    yield from _computed(name, file, say("taught.judging"), doubtful_blocks)


def group_errors(name: str, file: str) -> Iterator[list[Block]]:
    """The errors by meaning: from then on each group is a rule."""
    yield from _computed(
        name, file, say("taught.grouping"),
        lambda opened: cluster_blocks(opened.clusters, opened.examples.predictions.texts),
    )


@telling(...)
def _computed(
    name: str, file: str, meanwhile: str, blocks: Callable[[Opened], list[Block]]
) -> Iterator[list[Block]]:
    """What takes a while, after a word of patience."""
    run = find_run(name)
    if run is None or not file:
        yield [text(say("errors.choose"), "hint")]
        return
    yield [text(meanwhile, "hint")]
    yield blocks(open_predictions(run, file))


def doubtful_blocks(opened: Opened) -> list[Block]:
    predictions, judged = opened.examples.predictions, opened.judged
    shown = [each for each in judged.ranked if each.is_issue][:DOUBTFUL_SHOWN]
    names, ids = predictions.label_names, predictions.example_ids
    rows = [
        (number(each.score), names[each.given_id], names[each.suggested_id], predictions.texts[each.row])
        for each in shown
    ]
    heads = [column("belief", "number"), *columns("", "gold", "suggested"), column("text", "text")]
    picks = [[None, None, None, {"example": ids[each.row]}] for each in shown]
    total = sum(each.is_issue for each in judged.ranked)
    told = say("taught.doubtful_told", n=count(total), all=count(len(judged.ranked)), encoder=judged.encoder)
    blocks = [{**table(say("taught.doubtful"), heads, rows), "picks": picks}, text(told, "note")]
    if judged.seen_labels:
        blocks.append(text(say("taught.seen_labels"), "problem"))
    if judged.conflicts:
        same = [
            (names[predictions.gold_ids[row]], predictions.texts[row])
            for group in judged.conflicts[:CONFLICTS_SHOWN] for row in group
        ]
        blocks.append(table(say("taught.conflicts"), [column("gold"), column("text", "text")], same))
    if judged.fragments.any():
        fragments = [(ids[row], predictions.texts[row]) for row in judged.fragments.nonzero()[0][:DOUBTFUL_SHOWN]]
        blocks.append(table(say("taught.fragments"), [column("example_id"), column("text", "text")], fragments))
    return blocks


def build_taught_fold(place: gr.JSON, run: gr.Dropdown, file: gr.Dropdown) -> dict[str, Any]:
    """The fold under a sentence. Returns the event that fills it for the open example."""
    with gr.Accordion(say("taught.title"), open=False, elem_id="taught-fold"):
        taught = blocks_view("errors-taught")
        build = gr.Button(say("taught.read"), size="sm", elem_id="index-button", scale=0, min_width=240)
        message = blocks_view("index-message", live=True)
    filled: dict[str, Any] = {"fn": who_taught, "inputs": [place, run, file], "outputs": taught, **FOLLOWING}
    build.click(read_training, run, message, concurrency_limit=1, **QUIET).then(**filled)
    return filled


def build_asked_fold(name: str, fn: Callable[..., Any], inputs: list[Any]) -> gr.HTML:
    """A fold that is computed at the press of its button. Returns its view, whose clicks mean something."""
    with gr.Accordion(say(f"asked.{name}.title"), open=False, elem_id=f"{name}-fold"):
        gr.Markdown(say(f"asked.{name}.help"))
        button = gr.Button(say(f"asked.{name}.button"), size="sm", elem_id=f"{name}-button", scale=0, min_width=200)
        view = blocks_view(f"errors-{name}", live=True)
    button.click(fn, inputs, view, concurrency_limit=1, **QUIET)
    return view
