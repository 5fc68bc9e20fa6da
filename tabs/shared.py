"""What do the tabs share? Blocks that are safe to draw, numbers and times in words, run names, commands."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import gradio as gr

from pipeline.catalog import all_runs, load_run
from pipeline.exceptions import RunError, WorkbenchError
from pipeline.jobs import start_command
from pipeline.runs import Run
from pipeline.sources import DATA_SUFFIXES
from reports.words import meaning, say

Block = dict[str, Any]  # one drawn thing; tabs/page.js has a function of its `kind` for it
Column = dict[str, str]
Tone = Literal["plain", "hint", "note", "problem"]
ColumnKind = Literal["", "number", "text", "state"]
COMMAND_SECONDS = 600

# For an event that shows no progress of its own. Without the empty list every component that ever was an output hears
# of every step of every event, in the browser (gradio searches the page for each): a quarter of its work at opening.
QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "show_progress_on": []}
# Likewise, for one that shows what is chosen: where that changes meanwhile, it is asked again. gradio's own default
# leaves out what comes meanwhile, as is right for a button that does something.
FOLLOWING: dict[str, Any] = {**QUIET, "trigger_mode": "always_last"}


class CommandError(WorkbenchError):
    """A command that the page asked ended without an answer."""


# Blocks: tabs/page.js puts every text of them on the page by textContent, so data cannot become markup


def text(words: str, tone: Tone = "plain", help: str = "") -> Block:
    """A paragraph; its help explains a term in it."""
    return {"kind": "text", "text": words, "tone": tone, "help": help}


def link(words: str, **values: str) -> Block:
    """To another view of this page, by the values of its address."""
    return {"kind": "link", "text": words, **values}


def heading(words: str) -> Block:
    return {"kind": "heading", "text": words}


def problem(exception: WorkbenchError) -> Block:
    return text(str(exception), "problem")


def table(label: str, columns: Sequence[Column], rows: Iterable[Sequence[Any]]) -> Block:
    """A table of texts; `number` columns stand right-aligned, `text` columns may wrap."""
    return {"kind": "table", "label": label, "columns": columns, "rows": [[str(cell) for cell in row] for row in rows]}


def column(key: str, kind: ColumnKind = "") -> Column:
    """A column that the page names, with what its term means."""
    return {"name": say(f"columns.{key}"), "kind": kind, "help": meaning(key)}


def columns(kind: ColumnKind, *keys: str) -> list[Column]:
    return [column(key, kind) for key in keys]


def named(name: str, kind: ColumnKind = "") -> Column:
    """A column that has its name from the data."""
    return {"name": name, "kind": kind, "help": ""}


def matrix(label: str, names: Sequence[str], counts: Sequence[Sequence[int]]) -> Block:
    """A confusion matrix: rows gold, columns predicted, each cell as dark as its share of its row."""
    heads = [column("gold_predicted"), *(named(name, "number") for name in names)]
    rows = [[name, *map(count, row)] for name, row in zip(names, counts, strict=True)]
    return {**table(label, heads, rows), "shares": [[cell / max(sum(row), 1) for cell in row] for row in counts]}


def per_label_table(label: str, labels: dict[str, dict[str, Any]]) -> Block:
    """Precision, recall and F1 of each label, with their averages; `labels` is `per_label` of the metrics."""
    names = ("precision", "recall", "f1")
    supports = [values["support"] for values in labels.values()]
    rows = [
        [name, *(number(values[key]) for key in names), count(values["support"])] for name, values in labels.items()
    ]
    for average, weights in {"macro_average": [1] * len(labels), "weighted_average": supports}.items():
        total = sum(weights)
        means = (sum(w * v[key] for w, v in zip(weights, labels.values(), strict=True)) / total for key in names)
        rows.append([say(f"runs.{average}"), *map(number, means), count(sum(supports))])
    return table(label, [column("label"), *columns("number", "precision", "recall", "f1", "n")], rows)


def code(label: str, words: str) -> Block:
    return {"kind": "log", "label": label, "text": words}


def folded(summary: str, words: str) -> Block:
    return {"kind": "folded", "summary": summary, "text": words}


def bars(label: str, values: dict[str, float], order: Sequence[str] = (), whole: float = 1.0) -> Block:
    """A bar, as a share of the whole, and its number per name, in the order given, else largest first."""
    by_size = sorted(values.items(), key=lambda item: -item[1])
    items = sorted(by_size, key=lambda item: order.index(item[0]) if item[0] in order else len(order))
    return {
        "kind": "bars",
        "label": label,
        "items": [{"name": name, "share": x / whole, "number": number(x)} for name, x in items],
    }


def view(elem_id: str, value: Any, script: str, css_class: str = "volta-blocks") -> gr.HTML:
    """A component that a function of tabs/page.js draws."""
    return gr.HTML(
        value,
        html_template="",
        js_on_load=script,
        apply_default_css=False,
        elem_id=elem_id,
        elem_classes=css_class,
    )


def blocks_view(elem_id: str, value: list[Block] | None = None, live: bool = False) -> gr.HTML:
    """A component whose value is a list of blocks; `live` ones are read out when they change."""
    return view(elem_id, value or [], f"volta.blocks(element, props, watch, trigger, {str(live).lower()})")


def chart_view(elem_id: str, value: dict[str, Any]) -> gr.HTML:
    """A component whose value is one chart of reports/charts.py; its zoom survives updates."""
    return view(elem_id, value, "volta.chart(element, props, watch)", "volta-chart")


def upload_button(words: str, elem_id: str) -> gr.UploadButton:
    """Takes a file of data."""
    return gr.UploadButton(
        words, size="sm", file_types=list(DATA_SUFFIXES), elem_id=elem_id, scale=0, min_width=160
    )


def tab_heading(question: str) -> gr.Markdown:
    """The question that the tab answers."""
    return gr.Markdown(f"## {question}", elem_classes="volta-question")


# Numbers and times, the same everywhere


def number(value: float) -> str:
    """0.9123 to 0.912."""
    return f"{value:.3f}"


def p_value(p: float) -> str:
    return "< 0.001" if p < 0.001 else number(p)


def count(value: int) -> str:
    """1980 to 1,980."""
    return f"{value:,}"


def duration(seconds: float) -> str:
    """200 to "3 min 20 s"; from ten minutes on without seconds."""
    whole = round(seconds)
    if whole >= 600:
        whole = 60 * round(seconds / 60)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    parts = {"hours": hours, "minutes": minutes, "seconds": rest}
    return " ".join(say(f"page.{unit}", n=n) for unit, n in parts.items() if n) or say("page.seconds", n=0)


# Runs


def runs_to_predict_with() -> list[str]:
    """Names of the runs that have a classifier, newest first."""
    return [run.name for run in all_runs() if predicts(run)]


def predicts(run: Run) -> bool:
    """Has it a best model, and one that tells labels?"""
    return run.config.task == "classify" and run.best_folder.is_dir()


def find_run(name: str | None) -> Run | None:
    """The run, or None: a name in an old address or list may be of a run that is no more, or damaged."""
    try:
        return load_run(name) if name else None
    except WorkbenchError:
        return None


def the_run(name: str | None, otherwise: str) -> Run:
    """The run. Raises: RunError that says `otherwise`."""
    run = find_run(name)
    if run is None:
        raise RunError(otherwise)
    return run


def asked_run(request: gr.Request, tab: str) -> str | None:
    """The run that the page's address names for this tab."""
    query = request.query_params
    return query.get("run") if query.get("tab", "predict") == tab else None


def remember_in_url(tab: str) -> str:
    """Script of an event whose input is a run picker: keeps tab and run in the address."""
    return f"(run) => volta.remember('{tab}', run)"


# What the browser keeps: gr.BrowserState is read too late inside a tab that is not the first


def kept_by_browser() -> gr.JSON:
    """The input of a load event whose script is `read_kept`."""
    return gr.JSON(visible=False)


def read_kept(key: str) -> str:
    return f"() => [volta.kept('{key}')]"


def write_kept(key: str, names: Sequence[str] = ()) -> str:
    """Script of an event: keeps its only input, or all its inputs by these names."""
    value = (
        f"Object.fromEntries({json.dumps(list(names))}.map((name, i) => [name, values[i]]))" if names else "values[0]"
    )
    return f"(...values) => volta.keep('{key}', {value})"


# Downloads


def download_folder() -> Path:
    """A new folder for a file that the browser will fetch; gone when the app ends."""
    return Path(tempfile.mkdtemp(dir=_downloads().name))


@lru_cache(maxsize=1)
def _downloads() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="volta-downloads-")


# Commands: the page does nothing to a run that a terminal could not do


def begin_command(arguments: list[str]) -> subprocess.Popen[str]:
    """Start `python -m pipeline ...`; it outlives the page, and the app."""
    return start_command(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def answer_of_command(arguments: list[str]) -> dict[str, Any]:
    """The line of JSON that a command prints. Raises: CommandError with the sentence it left on stderr."""
    process = start_command(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        answer: dict[str, Any] = json.loads(finish_command(process, "command.slow"))
    finally:
        process.kill()      # one that has ended stays as it is
    return answer


def finish_command(process: subprocess.Popen[str], if_slow: str = "command.slow_on_run") -> str:
    """Wait for the command. Returns its stdout. Raises: CommandError with the sentence it left on stderr."""
    try:
        stdout, stderr = process.communicate(timeout=COMMAND_SECONDS)
    except subprocess.TimeoutExpired:
        raise CommandError(say(if_slow, time=duration(COMMAND_SECONDS))) from None
    if process.returncode:
        lines = [line for line in stderr.splitlines() if line.strip()]
        raise CommandError(lines[-1] if lines else say("command.silent", status=process.returncode))
    return stdout
