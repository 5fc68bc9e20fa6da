"""How do I take the errors with me? The list as it is filtered, as CSV, JSON lines or HTML with coloured sentences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from analysis.attribution import Attribution, attribute
from analysis.edits import examine
from analysis.errors import lines
from analysis.findings import findings
from pipeline.judgements import Judgement, judgements
from pipeline.predictor import Predictor
from reports.errors_report import csv_of, html_of, json_lines_of
from reports.words import say
from tabs.access import telling
from tabs.errors_data import asked_rows
from tabs.errors_view import cause_told, told_of
from tabs.shared import QUIET, Block, blocks_view, count, download_folder, find_run, text

MAX_COLOURED = 100      # of a second or less each
TOLD_EVERY = 5


@telling(..., gr.update(visible=False))
def export(kind: str, *asked: Any) -> Iterator[tuple[list[Block], Any]]:
    """The list of the Errors tab, all its pages, as a file for the browser to fetch."""
    run, file = find_run(asked[0]), asked[1]
    found = asked_rows(*asked)
    if run is None or found is None:
        yield [text(say("errors.no_predictions"), "hint")], gr.DownloadButton(visible=False)
        return
    opened, rows, meant = found
    known = judgements(run, *file.split("/"))
    total = len(rows)
    told = [{**line, **_judged(known.get(line["example_id"]))} for line in lines(opened.examples, rows.tolist())]
    target = download_folder() / f"{run.name}-{file.replace('/', '-')}.{kind}"
    if kind == "html":
        told = told[:MAX_COLOURED]
        attributions: list[Attribution] = []
        for line in told:
            if len(attributions) % TOLD_EVERY == 0:
                words = say("export.going_on", done=count(len(attributions)), total=count(len(told)))
                yield [text(words, "hint")], gr.DownloadButton(visible=False)
            attributions.append(attribute(Predictor.load(run.name), line["text"]))
            line["cause"] = _cause(run.name, line)
        title = say("export.heading", run=run.name, file=file)
        summary = told_of(opened.examples, meant, rule=asked[6], search=asked[4])
        written = html_of(title, summary, told, attributions)
    else:
        written = csv_of(told) if kind == "csv" else json_lines_of(told)
    target.write_text(written, encoding="utf-8", newline="")
    capped = f" {say('export.capped', total=count(total))}" if len(told) < total else ""
    words = say("export.done", n=count(len(told)), file=target.name) + capped
    yield [text(words, "note")], gr.DownloadButton(target.name, value=str(target), visible=True)


def _judged(judgement: Judgement | None) -> dict[str, Any]:
    known = judgement or Judgement()
    return {"mark": known.mark, "label": known.label, "tags": list(known.tags), "note": known.note}


def _cause(run: str, line: dict[str, Any]) -> str:
    """What experiments on the sentence confirm, of an error."""
    if line["gold"] == line["predicted"]:
        return ""
    return cause_told(list(findings(examine(Predictor.load(run), line["text"], line["gold"]))))


def build_export(inputs: list[Any]) -> None:
    """The fold; `inputs` are what the list is filtered by."""
    with gr.Accordion(say("export.title"), open=False, elem_id="export-fold"):
        with gr.Row(elem_classes="volta-controls"):
            kinds = [(say(f"export.kinds.{kind}"), kind) for kind in ("csv", "jsonl", "html")]
            kind = gr.Radio(kinds, value="csv", label=say("export.kind"), elem_id="export-kind", min_width=260)
            button = gr.Button(say("export.make"), size="sm", elem_id="export-button", scale=0, min_width=160)
        message = blocks_view("export-message", live=True)
        download = gr.DownloadButton(visible=False, elem_id="export-download", scale=0, min_width=240)
    button.click(export, [kind, *inputs], [message, download], concurrency_limit=1, **QUIET)
