"""What does the model say? A sentence, or one per line, to labels and probabilities."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import gradio as gr

from pipeline.exceptions import ModelError, WorkbenchError
from pipeline.serving import DEFAULT_MODEL, MAX_SENTENCES
from tabs.predict_file import build_predict_file
from tabs.shared import (
    Block,
    asked_run,
    bars,
    blocks_view,
    count,
    number,
    problem,
    remember_in_url,
    runs_to_predict_with,
    tab_heading,
    table,
    text,
    write_kept,
)
from tabs.why_view import PREDICTED, why_blocks

if TYPE_CHECKING:
    from pipeline.predictor import Prediction

FIRST_EXAMPLE = "I LOVE YOU but you dnt love me"
EXAMPLES = {
    "… but you dnt love me": FIRST_EXAMPLE,
    "… but you don't love me": "I LOVE YOU but you don't love me",
    "… bt you don't love me": "I LOVE YOU bt you don't love me",
    "a late turn": "It is lovely to look at, the cast is warm and the songs are good, but nothing happens.",
    "plain": "A warm, funny and clever film.",
}
NO_MODEL = (
    "There is no trained model yet. Open the Train tab and press Start; "
    "the model appears here once it has been evaluated."
)
KEPT_TEXT = "predict-text"  # the browser's key of what was typed last
MAX_TRIES = 10
NOBODY = ""  # value of the picker of a second model
LOADING = "Loading the model …"
NO_TEXT = "Type a sentence, or several with one on each line, or choose an example."

_ready: set[str] = set()  # runs that have predicted in this process: the others are announced as loading


def predict_page(typed: str, run: str | None) -> Iterator[list[Block]]:
    """The blocks under the text box; first a word of patience where the model is not loaded yet."""
    sentences = [line.strip() for line in typed.splitlines() if line.strip()]
    if not run:
        yield [text(LOADING if runs_to_predict_with() else NO_MODEL, "hint")]  # the first: no run is chosen yet
        return
    if not sentences:
        yield [text(NO_TEXT, "hint")]
        return
    if run not in _ready:
        yield [text(f"Loading the model {run} …", "hint")]
    try:
        predictions, seconds = predict(sentences, run)
    except WorkbenchError as exception:
        yield [problem(exception)]
        return
    yield one_sentence(predictions[0], seconds) if len(predictions) == 1 else many_sentences(predictions, seconds)


def predict(sentences: list[str], run: str) -> tuple[list[Prediction], float]:
    """Predictions and the seconds they took, loading left out. Raises: WorkbenchError."""
    if len(sentences) > MAX_SENTENCES:
        raise ModelError(
            f"These are {count(len(sentences))} sentences; at most {count(MAX_SENTENCES)} at a time fit here."
        )
    if run not in runs_to_predict_with():  # a visitor names runs, never folders of this machine
        raise ModelError(f"There is no run '{run[:80]}' with a trained model. Choose another one under 'Model'.")
    from pipeline.predictor import Predictor

    predictor = Predictor.load(run)
    started = time.perf_counter()
    predictions = predictor.predict(sentences)
    _ready.add(run)
    return predictions, time.perf_counter() - started


def one_sentence(prediction: Prediction, seconds: float) -> list[Block]:
    truncated = "yes" if prediction.truncated else "no"
    facts = f"Truncated: {truncated} · {count(prediction.num_pieces)} pieces · {milliseconds(seconds)}"
    return [bars("Probability of each label", prediction.probabilities), text(facts, "note")]


def many_sentences(predictions: list[Prediction], seconds: float) -> list[Block]:
    rows = [(p.text, p.label, number(p.probabilities[p.label]), "yes" if p.truncated else "no") for p in predictions]
    num_truncated = sum(p.truncated for p in predictions)
    return [
        table("Predictions", [("text", "text"), ("predicted", ""), ("probability", "number"), ("truncated", "")], rows),
        text(
            f"{count(len(predictions))} sentences · {count(num_truncated)} truncated · {milliseconds(seconds)}", "note"
        ),
    ]


def explain_page(typed: str, run: str | None, label: str) -> list[Block]:
    """Which words speak for and against a label, where one sentence is asked about."""
    sentences = [line.strip() for line in typed.splitlines() if line.strip()]
    if not run or not sentences:
        return []
    if len(sentences) > 1:
        return [text("Words are explained for one sentence at a time: leave a single line above.", "hint")]
    if run not in runs_to_predict_with():
        return []       # told by the prediction
    try:
        from analysis.attribution import integrated_gradients
        from pipeline.predictor import Predictor

        return why_blocks(integrated_gradients(Predictor.load(run), sentences[0], label or None))
    except WorkbenchError as exception:
        return [problem(exception)]


def compare_page(typed: str, other: str, label: str) -> list[Block]:
    """What a second model says about the same sentences, and which words made it say so."""
    if not other:
        return []
    *_, said = predict_page(typed, other)
    return [{"kind": "heading", "text": f"{other} says"}, *said, *explain_page(typed, other, label)]


def other_choices(other: str) -> Any:
    runs = runs_to_predict_with()
    choices = [("none", NOBODY), *((run, run) for run in runs)]
    return gr.Dropdown(choices=choices, value=other if other in runs else NOBODY)


def label_choices(run: str | None, label: str) -> Any:
    """The labels that can be explained: the predicted one, or one of the model's by name. A known one stays chosen."""
    from pipeline.predictor import Predictor

    try:
        names = Predictor.load(run).label_names if run in runs_to_predict_with() and run else []
    except WorkbenchError:
        names = []          # told by the prediction
    choices = [("the predicted label", PREDICTED), *((name, name) for name in names)]
    return gr.Dropdown(choices=choices, value=label if label in names else PREDICTED)


def keep_try(typed: str, run: str | None, tries: list[dict[str, str]]) -> tuple[list[dict[str, str]], list[Block]]:
    """Put the sentence and what the model says about it on top of the list of tries."""
    sentences = [line.strip() for line in typed.splitlines() if line.strip()]
    if len(sentences) != 1 or not run:
        return tries, [*tries_blocks(tries), text("One sentence at a time is kept: leave a single line above.", "hint")]
    try:
        [prediction], _ = predict(sentences, run)
    except WorkbenchError as exception:
        return tries, [*tries_blocks(tries), problem(exception)]
    verdict = f"{prediction.label} {number(prediction.probabilities[prediction.label])} · {run}"
    newest = {"text": sentences[0], "verdict": verdict}
    tries = [newest, *(earlier for earlier in tries if earlier != newest)][:MAX_TRIES]
    return tries, tries_blocks(tries)


def tries_blocks(tries: list[dict[str, str]]) -> list[Block]:
    return [{"kind": "tries", "label": "Tries", "items": tries}] if tries else []


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
    """Load the model that the page shows first, so that the first prediction is quick."""
    if run := default_run(runs_to_predict_with()):
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
    curl = (
        f"# asks {os.environ.get('VOLTA_MODEL', DEFAULT_MODEL)}; set VOLTA_MODEL before `make app` to ask another\n"
        f"curl {address}/query -H 'Content-Type: application/json' \\\n  -d '{json.dumps({'sentences': [sentence]})}'"
    )
    python = (
        "# in Volta's folder\nfrom pipeline import Predictor\n\n"
        f'Predictor.load("{run or DEFAULT_MODEL}").predict([{json.dumps(sentence)}])'
    )
    return curl, python


def build_predict_tab(demo: gr.Blocks, tab: gr.Tab) -> None:
    """What does the model say, and which words made it say so?"""
    tab_heading("What does the model say, and which words made it say so?")
    with gr.Row():
        typed = gr.Textbox(
            FIRST_EXAMPLE,
            label="A sentence, or one per line",
            lines=3,
            max_lines=12,
            scale=3,
            min_width=280,
            placeholder=NO_TEXT,
            elem_id="predict-text",
        )
        with gr.Column(scale=1, min_width=200):
            run = gr.Dropdown([], label="Model", elem_id="predict-run")
            other = gr.Dropdown([("none", NOBODY)], value=NOBODY, label="Compare with", elem_id="predict-other")
            button = gr.Button("Predict", variant="primary", elem_id="predict-button")
    with gr.Row(elem_classes="volta-examples"):
        gr.Markdown("Examples:", elem_classes="volta-examples-label")
        for index, (words, example) in enumerate(EXAMPLES.items(), 1):
            chip = gr.Button(words, size="sm", min_width=0, elem_id=f"example-{index}")
            chip.click(None, None, typed, js=f"() => {json.dumps(example)}")
    result = blocks_view("predict-result", [text(LOADING, "hint")], live=True)
    with gr.Row(elem_classes="volta-controls"):
        label = gr.Dropdown(
            [("the predicted label", PREDICTED)], value=PREDICTED, label="Which words speak for", elem_id="why-label",
            scale=0, min_width=240,
        )
        keep = gr.Button("Keep this try", size="sm", elem_id="keep-button", scale=0, min_width=140)
    why = blocks_view("predict-why")
    beside = blocks_view("predict-beside")
    kept, tries = blocks_view("predict-tries"), gr.State([])
    code: dict[str, Any] = {"interactive": False, "wrap_lines": True, "show_line_numbers": False, "lines": 1}
    build_predict_file(run)
    with gr.Accordion("Use it from code", open=False):
        curl = gr.Code(label="From a terminal", buttons=["copy"], **code)
        python = gr.Code(label="From Python", buttons=["copy"], **code)

    quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    shown = ([typed, run], result)
    explained: dict[str, Any] = {"fn": explain_page, "inputs": [typed, run, label], "outputs": why, **quiet}
    # By the browser alone: what came from the server a moment later would undo what is typed meanwhile.
    demo.load(None, typed, typed, js=f"(first) => volta.kept('{KEPT_TEXT}') || first")
    demo.load(refresh_runs, run, run, **quiet).then(predict_page, *shown, **quiet).then(
        label_choices, [run, label], label, **quiet
    ).then(**explained).then(code_examples, run, [curl, python], **quiet)
    gr.on(
        [typed.change, typed.submit, run.change, button.click],
        predict_page,
        *shown,
        trigger_mode="always_last",
        concurrency_limit=None,
        **quiet,
    )
    # Beside the prediction, not behind it: of what is typed meanwhile only the last is explained.
    gr.on(
        [typed.change, typed.submit, button.click, label.input],
        trigger_mode="always_last",
        concurrency_limit=None,
        **explained,
    )
    run.change(label_choices, [run, label], label, **quiet).then(**explained)
    compared: dict[str, Any] = {"fn": compare_page, "inputs": [typed, other, label], "outputs": beside, **quiet}
    gr.on(
        [typed.change, typed.submit, other.input, button.click, label.input],
        trigger_mode="always_last",
        concurrency_limit=None,
        **compared,
    )
    keep.click(keep_try, [typed, run, tries], [tries, kept], **quiet)
    gr.on([typed.input, typed.blur], None, typed, None, js=write_kept(KEPT_TEXT))
    run.input(None, run, None, js=remember_in_url("predict"))
    run.change(code_examples, run, [curl, python], **quiet)
    tab.select(None, run, None, js=remember_in_url("predict"))
    tab.select(refresh_runs, run, run, **quiet)
    gr.on([demo.load, tab.select], other_choices, other, other, **quiet)
    gr.api(predict_endpoint, api_name="predict", concurrency_limit=None)
