"""Which runs become one? On the page: an ensemble of the ticked ones, or the mean of their weights."""

from __future__ import annotations

from collections.abc import Iterator

import gradio as gr

from reports.words import say
from tabs.access import owner_only
from tabs.shared import QUIET, Block, answer_of_command, blocks_view, number, text

WAYS = ("ensemble", "average")      # commands of python -m pipeline


@owner_only(...)
def combine(profile: gr.OAuthProfile | None, chosen: list[str] | None, way: str, name: str) -> Iterator[list[Block]]:
    """Make a run of the ticked ones, and say how good it is on validation."""
    if not chosen or not name.strip():
        yield [text(say("combine.needs"), "problem")]
        return
    yield [text(say("combine.working", runs=say("page.comma").join(chosen)), "note")]
    made = answer_of_command([way, "--", name.strip(), *chosen])
    yield [text(say("combine.made", run=made["run"], n=f"{made['n']:,}", macro_f1=number(made["macro_f1"])))]


def build_combine_fold(ticked: str) -> None:
    """The fold in the Runs tab; `ticked` is JavaScript that tells the names. The tab's own next look finds the run."""
    with gr.Accordion(say("combine.title"), open=False, elem_id="combine-fold"):
        gr.Markdown(say("combine.help"))
        with gr.Row(elem_classes="volta-controls"):
            ways = [(say(f"combine.ways.{way}"), way) for way in WAYS]
            way = gr.Radio(ways, value=WAYS[0], label=say("combine.way"), elem_id="combine-way", min_width=240)
            name = gr.Textbox(label=say("combine.name"), max_lines=1, elem_id="combine-name", min_width=200)
            button = gr.Button(say("combine.button"), elem_id="combine-button", min_width=140)
        message = blocks_view("combine-message", live=True)
    chosen = gr.JSON(visible=False)
    gr.on(
        [button.click, name.submit],
        combine,
        [chosen, way, name],
        message,
        js=f"(_, ...rest) => [{ticked}, ...rest]",
        concurrency_limit=None,
        **QUIET,
    )
