"""What does the model say? A sentence, or one per line, to labels and probabilities."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from typing import Any

import gradio as gr

from pipeline.exceptions import ModelError, WorkbenchError
from pipeline.jobs import is_taken
from pipeline.predictor import CALLS_IN_TORCH, Prediction, Predictor
from pipeline.serving import DEFAULT_MODEL, MAX_SENTENCES
from reports.words import meaning, say
from tabs.access import telling
from tabs.predict_file import build_predict_file
from tabs.shared import (
    FOLLOWING,
    QUIET,
    Block,
    asked_run,
    bars,
    blocks_view,
    column,
    count,
    heading,
    kept_by_browser,
    number,
    problem,
    read_kept,
    runs_to_predict_with,
    tab_heading,
    table,
    text,
    write_kept,
)
from tabs.why_view import PREDICTED, explained_labels, why_blocks

FIRST_EXAMPLE = "I LOVE YOU but you dnt love me"
EXAMPLES = {
    "typo": FIRST_EXAMPLE,
    "spelled": "I LOVE YOU but you don't love me",
    "two_typos": "I LOVE YOU bt you don't love me",
    "late_turn": "It is lovely to look at, the cast is warm and the songs are good, but nothing happens.",
    "plain": "A warm, funny and clever film.",
}
KEPT_TEXT, KEPT_TRIES = "predict-text", "predict-tries"     # the browser's keys of what was typed last, and kept
MAX_TRIES = 10
REMEMBER = "(run, other) => volta.remember('predict', run, other)"
NOBODY = ""  # value of the picker of a second model

_ready: set[str] = set()  # runs that have predicted in this process: the others are announced as loading


@telling(...)
def predict_page(typed: str, run: str | None, order: Sequence[str] = ()) -> Iterator[list[Block]]:
    """The blocks under the text box; first a word of patience where the model is not loaded yet.

    order: in which the labels stand, where not the likeliest comes first.
    """
    sentences = [line.strip() for line in typed.splitlines() if line.strip()]
    if not run:
        # Loading: no run is chosen yet.
        yield [text(say("predict.loading" if runs_to_predict_with() else "predict.no_model"), "hint")]
        return
    if not sentences:
        yield [text(say("predict.no_text"), "hint")]
        return
    if run not in _ready:
        yield [text(say("predict.loading_run", run=run), "hint")]
    predictions, seconds = predict(sentences, run)
    one = len(predictions) == 1
    told = one_sentence(predictions[0], seconds, order) if one else many_sentences(predictions, seconds)
    yield [heading(say("predict.says", run=run)), *told]


def predict(sentences: list[str], run: str) -> tuple[list[Prediction], float]:
    """Predictions and the seconds they took, loading left out. Raises: WorkbenchError."""
    if len(sentences) > MAX_SENTENCES:
        raise ModelError(say("predict.too_many", n=count(len(sentences)), max=count(MAX_SENTENCES)))
    if run not in runs_to_predict_with():  # a visitor names runs, never folders of this machine
        raise ModelError(say("predict.unknown_run", run=run[:80]))

    predictor = Predictor.load(run)
    started = time.perf_counter()
    predictions = predictor.predict(sentences)
    _ready.add(run)
    return predictions, time.perf_counter() - started


def one_sentence(prediction: Prediction, seconds: float, order: Sequence[str] = ()) -> list[Block]:
    pieces = count(prediction.num_pieces)
    facts = say("predict.facts", truncated=yes_or_no(prediction.truncated), pieces=pieces, time=milliseconds(seconds))
    return [bars(say("predict.probabilities"), prediction.probabilities, order), text(facts, "note", meaning("pieces"))]


def many_sentences(predictions: list[Prediction], seconds: float) -> list[Block]:
    rows = [(p.text, p.label, number(p.probabilities[p.label]), yes_or_no(p.truncated)) for p in predictions]
    n, truncated = count(len(predictions)), count(sum(p.truncated for p in predictions))
    facts = say("predict.many_facts", n=n, truncated=truncated, time=milliseconds(seconds))
    heads = [column("text", "text"), column("predicted"), column("probability", "number"), column("truncated")]
    return [table(say("predict.predictions"), heads, rows), text(facts, "note")]


def yes_or_no(value: bool) -> str:
    return say("page.yes" if value else "page.no")


@telling(...)
def explain_page(typed: str, run: str | None, label: str) -> list[Block]:
    """Which words speak for and against a label, where one sentence is asked about."""
    sentences = [line.strip() for line in typed.splitlines() if line.strip()]
    if not run or not sentences:
        return []
    if len(sentences) > 1:
        return [text(say("predict.one_explained"), "hint")]
    if run not in runs_to_predict_with():
        return []       # told by the prediction
    from analysis.attribution import attribute

    return why_blocks(attribute(Predictor.load(run), sentences[0], label or None))


def words_page(typed: str, run: str | None, other: str, label: str) -> Iterator[tuple[Any, Any]]:
    """Which words the model goes by; beside it what a second model says about the same, where one is chosen.

    Both tell of one label, the one that the first predicts unless another is chosen, and in one order: what looks
    different is different.
    """
    beside: list[Block] = []
    order = _labels_by_probability(typed, run) if other != NOBODY else []
    if other != NOBODY:
        *_, beside = predict_page(typed, other, order)
    if is_taken("cpu"):     # explanations rest between each other, and those of the text before are not of this one
        yield [text(say("predict.words_wait"), "hint")], beside
    yield explain_page(typed, run, label), beside
    if other != NOBODY:
        yield gr.skip(), [*beside, *explain_page(typed, other, label or next(iter(order), ""))]


def _labels_by_probability(typed: str, run: str | None) -> list[str]:
    try:
        [prediction], _ = predict([typed.strip()], run or "")
    except WorkbenchError:      # told by the prediction
        return []
    return sorted(prediction.probabilities, key=lambda name: -prediction.probabilities[name])


def other_choices(run: str | None, other: str) -> Any:
    if run is None:         # not chosen yet; a list that gets shorter while it is open is one that gradio cannot draw
        return gr.skip()
    runs = [name for name in runs_to_predict_with() if name != run]
    choices = [(say("page.none"), NOBODY), *((run, run) for run in runs)]
    # A choice is left alone where it can stay: the one of the address may come meanwhile.
    known = other == NOBODY or other in runs
    return gr.Dropdown(choices=choices) if known else gr.Dropdown(choices=choices, value=NOBODY)


def asked_other(run: str | None, request: gr.Request) -> Any:
    """The second model that the page's address names."""
    query = request.query_params
    asked = query.get("beside") if query.get("tab", "predict") == "predict" else None
    if asked is None or asked == run or asked not in runs_to_predict_with():
        return gr.skip()
    return gr.Dropdown(choices=[(say("page.none"), NOBODY), (asked, asked)], value=asked)


def label_choices(run: str | None, label: str) -> Any:
    """The labels that can be explained."""
    try:
        names = Predictor.load(run).label_names if run in runs_to_predict_with() and run else []
    except WorkbenchError:      # told by the prediction
        names = []
    # A choice is left alone where it can stay: the visitor may choose while this is on its way.
    known = label in (PREDICTED, *names)
    choices = explained_labels(names)
    return gr.Dropdown(choices=choices) if known else gr.Dropdown(choices=choices, value=PREDICTED)


def keep_try(typed: str, run: str | None, kept: Any) -> tuple[list[dict[str, str]], list[Block]]:
    """Put the sentence and what the model says about it on top of the list of tries."""
    tries, _ = show_kept_tries(kept)
    sentences = [line.strip() for line in typed.splitlines() if line.strip()]
    if len(sentences) != 1 or not run:
        return tries, [*tries_blocks(tries), text(say("predict.one_kept"), "hint")]
    try:
        [prediction], _ = predict(sentences, run)
    except WorkbenchError as exception:
        return tries, [*tries_blocks(tries), problem(exception)]
    verdict = f"{prediction.label} {number(prediction.probabilities[prediction.label])} · {run}"
    newest = {"text": sentences[0], "verdict": verdict}
    tries = [newest, *(earlier for earlier in tries if earlier != newest)][:MAX_TRIES]
    return tries, tries_blocks(tries)


def show_kept_tries(kept: Any) -> tuple[list[dict[str, str]], list[Block]]:
    """The tries that the browser has kept; what a browser says need not be what this page once told it."""
    tries = [
        {key: str(each[key])[:1_000] for key in ("text", "verdict")}
        for each in (kept if isinstance(kept, list) else [])[:MAX_TRIES]
        if isinstance(each, dict) and {"text", "verdict"} <= each.keys()
    ]
    return tries, tries_blocks(tries)


def tries_blocks(tries: list[dict[str, str]]) -> list[Block]:
    return [{"kind": "tries", "label": say("predict.tries"), "items": tries}] if tries else []


def milliseconds(seconds: float) -> str:
    return f"{count(round(1000 * seconds))} ms"


def predict_endpoint(sentences: list[str], run: str = DEFAULT_MODEL) -> list[dict]:
    """Predict each sentence with a run's best model: text, label, label_id, probabilities by label, truncated."""
    try:
        predictions, _ = predict(sentences, run)
    except WorkbenchError as exception:
        raise gr.Error(str(exception), print_exception=False) from None
    keys = ("text", "label", "label_id", "probabilities", "truncated")
    return [{key: getattr(prediction, key) for key in keys} for prediction in predictions]


def warm_up() -> None:
    """Load the model that the page shows first, and let it find its quickest way to compute."""
    if run := default_run(runs_to_predict_with()):
        for _ in range(CALLS_IN_TORCH + 1):
            predict(["A first sentence."], run)


def default_run(runs: list[str]) -> str | None:
    """The bundled run, else the newest."""
    return DEFAULT_MODEL if DEFAULT_MODEL in runs else next(iter(runs), None)


def refresh_runs(run: str | None, request: gr.Request) -> Any:
    """The runs there are now, and the one that is shown: the chosen one, else that of the address, else a default."""
    runs = runs_to_predict_with()
    wanted = run or asked_run(request, "predict")
    return gr.Dropdown(choices=runs, value=wanted if wanted in runs else default_run(runs))


def code_examples(run: str | None, request: gr.Request) -> tuple[str, str]:
    """The same question from a terminal, and from Python."""
    sentence = FIRST_EXAMPLE
    address = f"{request.url.scheme}://{request.url.netloc}"
    asked = os.environ.get("VOLTA_MODEL", DEFAULT_MODEL)
    curl = (
        f"# {say('predict.terminal_note', run=asked)}\n"
        f"curl {address}/query -H 'Content-Type: application/json' \\\n  -d '{json.dumps({'sentences': [sentence]})}'"
    )
    python = (
        f"# {say('predict.python_note')}\nfrom pipeline import Predictor\n\n"
        f'Predictor.load("{run or DEFAULT_MODEL}").predict([{json.dumps(sentence)}])'
    )
    return curl, python


def build_predict_tab(demo: gr.Blocks, tab: gr.Tab) -> None:
    """What does the model say, and which words made it say so?"""
    tab_heading(say("predict.question"))
    with gr.Row():
        typed = gr.Textbox(
            FIRST_EXAMPLE,
            label=say("predict.text"),
            lines=3,
            max_lines=12,
            scale=3,
            min_width=280,
            placeholder=say("predict.no_text"),
            elem_id="predict-text",
        )
        with gr.Column(scale=1, min_width=200):
            run = gr.Dropdown([], label=say("predict.model"), elem_id="predict-run")
            none = [(say("page.none"), NOBODY)]
            other = gr.Dropdown(none, value=NOBODY, label=say("predict.compare_with"), elem_id="predict-other")
            button = gr.Button(say("predict.button"), variant="primary", elem_id="predict-button")
    with gr.Row(elem_classes="volta-examples"):
        gr.Markdown(say("predict.examples"), elem_classes="volta-examples-label")
        for index, (name, example) in enumerate(EXAMPLES.items(), 1):
            chip = gr.Button(say(f"predict.example.{name}"), size="sm", min_width=0, elem_id=f"example-{index}")
            chip.click(None, None, typed, js=f"() => {json.dumps(example)}")
    with gr.Row():
        with gr.Column(min_width=280, elem_classes="volta-tight"):
            result = blocks_view("predict-result", [text(say("predict.loading"), "hint")], live=True)
            why = blocks_view("predict-why")
        with gr.Column(min_width=280, elem_id="beside-column"):
            beside = blocks_view("predict-beside")
    with gr.Row(elem_classes="volta-controls"):
        label = gr.Dropdown(
            [(say("predict.predicted_label"), PREDICTED)], value=PREDICTED, label=say("predict.label"),
            elem_id="why-label", scale=0, min_width=240,
        )
        keep = gr.Button(say("predict.keep"), size="sm", elem_id="keep-button", scale=0, min_width=140)
    kept, tries = blocks_view("predict-tries"), kept_by_browser()
    code: dict[str, Any] = {"interactive": False, "wrap_lines": True, "show_line_numbers": False, "lines": 1}
    build_predict_file(run)
    with gr.Accordion(say("predict.code"), open=False):
        curl = gr.Code(label=say("predict.terminal"), buttons=["copy"], **code)
        python = gr.Code(label=say("predict.python"), buttons=["copy"], **code)

    shown = ([typed, run], result)
    explained: dict[str, Any] = {
        "fn": words_page, "inputs": [typed, run, other, label], "outputs": [why, beside], **FOLLOWING
    }
    # By the browser alone: what came from the server a moment later would undo what is typed meanwhile.
    demo.load(None, typed, typed, js=f"(first) => volta.kept('{KEPT_TEXT}') || first")
    demo.load(show_kept_tries, tries, [tries, kept], js=read_kept(KEPT_TRIES), **QUIET)
    opened = demo.load(refresh_runs, run, run, **QUIET).then(predict_page, *shown, **QUIET)
    opened = opened.then(label_choices, [run, label], label, **QUIET).then(asked_other, run, other, **QUIET)
    opened = opened.then(other_choices, [run, other], other, **QUIET).then(**explained)
    opened.then(code_examples, run, [curl, python], **QUIET)
    gr.on(
        [typed.change, typed.submit, run.change, button.click],
        predict_page,
        *shown,
        concurrency_limit=None,
        **FOLLOWING,
    )
    # Beside the prediction, not behind it: of what is typed meanwhile only the last is explained.
    gr.on(
        [typed.change, typed.submit, other.input, button.click, label.input],
        concurrency_limit=None,
        **explained,
    )
    run.change(label_choices, [run, label], label, **QUIET).then(**explained)
    keep.click(keep_try, [typed, run, tries], [tries, kept], **QUIET).then(
        None, tries, None, js=write_kept(KEPT_TRIES)
    )
    gr.on([typed.input, typed.blur], None, typed, None, js=write_kept(KEPT_TEXT))
    gr.on([run.input, other.input, tab.select], None, [run, other], None, js=REMEMBER)
    run.change(code_examples, run, [curl, python], **QUIET)
    tab.select(refresh_runs, run, run, **QUIET)
    gr.on([demo.load, tab.select, run.change], other_choices, [run, other], other, **FOLLOWING)
    gr.api(predict_endpoint, api_name="predict", concurrency_limit=None)
