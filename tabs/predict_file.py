"""Many sentences? A file of texts goes in, the same rows with predictions come out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import pyarrow as pa

from pipeline.exceptions import ModelError, WorkbenchError
from reports.words import say
from tabs.access import check_may_change
from tabs.shared import (
    QUIET,
    Block,
    blocks_view,
    column,
    count,
    download_folder,
    named,
    number,
    runs_to_predict_with,
    table,
    text,
    upload_button,
)

PREVIEWED, MAX_PREVIEWED = 5, 300       # rows, and characters of each


def predict_upload(
    profile: gr.OAuthProfile | None, path: str, text_column: str, encoding: str, run: str | None
) -> Iterator[tuple[list[Block], Any]]:
    """Say how far it is; in the end, offer the file."""
    hidden = gr.DownloadButton(visible=False)
    try:
        check_may_change(profile)       # a file of many rows keeps the machine busy for minutes
        if run not in runs_to_predict_with() or not run:
            raise ModelError(say("file.no_model"))
        yield [text(say("file.reading", file=Path(path).name), "hint")], hidden
        yield from _predictions(Path(path), text_column.strip() or None, encoding.strip() or "utf-8", run)
    except WorkbenchError as exception:
        words = str(exception)      # of a config's fields; here they stand in two boxes
        for field, box in {"data.text_column": "file.column", "data.encoding": "file.encoding"}.items():
            words = words.replace(field, f"'{say(box)}'")
        yield [text(words, "problem")], hidden


def _predictions(path: Path, text_column: str | None, encoding: str, run: str) -> Iterator[tuple[list[Block], Any]]:
    from pipeline.prediction_files import predict_file, save_csv
    from pipeline.predictor import Predictor

    for step in predict_file(path, Predictor.load(run), text_column, encoding):
        told = {"done": count(step.done), "total": count(step.total), "run": run, "column": step.text_column}
        if step.table is None:
            yield [text(say("file.going_on", **told), "hint")], gr.skip()
            continue
        target = download_folder() / f"{path.stem}-{run}.csv"
        save_csv(step.table, target)
        empty = step.table.num_rows - step.total
        words = say("file.done", **told) + (f" {say('file.empty', n=count(empty))}" if empty else "")
        button = gr.DownloadButton(say("file.download_file", file=target.name), value=str(target), visible=True)
        yield [text(words, "note"), preview(step.table, step.text_column)], button


def preview(predicted: pa.Table, text_column: str) -> Block:
    """The first rows of the file that comes back."""
    heads = [named(text_column, "text"), column("predicted"), column("probability", "number")]
    rows = [
        ("" if text is None else str(text)[:MAX_PREVIEWED], label or "", "" if label is None else number(probability))
        for text, label, probability in zip(
            *(predicted[name].slice(0, PREVIEWED).to_pylist() for name in (text_column, "predicted", "probability")),
            strict=True,
        )
    ]
    return table(say("file.preview"), heads, rows)


def build_predict_file(run: gr.Dropdown) -> None:
    """The fold under the sentence."""
    with gr.Accordion(say("file.title"), open=False, elem_id="file-fold"):
        message = blocks_view("file-message", [text(say("file.how"), "hint")], live=True)
        with gr.Row(elem_classes="volta-controls"):
            text_column = gr.Textbox(
                label=say("file.column"), placeholder=say("file.by_itself"), max_lines=1, elem_id="file-column",
                scale=0, min_width=240,
            )
            encoding = gr.Textbox(
                "utf-8", label=say("file.encoding"), max_lines=1, elem_id="file-encoding", scale=0, min_width=160
            )
            upload = upload_button(say("file.choose"), "file-button")
        download = gr.DownloadButton(visible=False, elem_id="file-download", scale=0, min_width=240)
    # One file at a time: until its turn comes, another one says so.
    upload.upload(lambda: [text(say("file.waiting"), "hint")], None, message, **QUIET)
    upload.upload(
        predict_upload,
        [upload, text_column, encoding, run],
        [message, download],
        concurrency_limit=1,
        **QUIET,
    )
