"""Why is this one predicted so? One sentence under examination, step by step as each is computed, and its edits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from analysis.attribution import Attribution, attribute, rank_agreement
from analysis.context import predicted_by_others, what_others_say
from analysis.edits import examine, smallest_flips
from analysis.faithfulness import faithfulness
from analysis.findings import findings
from analysis.masked_words import masked_words
from analysis.training_index import open_index
from pipeline.exceptions import RunError, WorkbenchError
from pipeline.jobs import is_taken
from pipeline.predictor import Predictor
from pipeline.runs import Run
from reports.words import say
from tabs.access import telling
from tabs.errors_data import Opened, open_predictions
from tabs.errors_view import example_block, faithfulness_block, finding_blocks, flip_blocks, pieces_block
from tabs.predict_tab import one_sentence, predict
from tabs.shared import Block, find_run, text
from tabs.why_view import why_blocks, words_block


@dataclass(frozen=True)
class Asked:
    """What the words are asked about: a label, against another or all others, by a method, and by a second one."""

    label: str | None
    against: str | None
    method: str
    second: str         # empty: none


def sentence_to_edit(place: dict[str, Any], run: str, file: str, shown: list[Any]) -> tuple[Any, list[Any]]:
    """The open sentence for the box of edits, once: what is typed there stays until another one is opened."""
    record, now = find_run(run), [run, file, place.get("example")]
    if record is None or not file or now == shown:
        return gr.skip(), shown
    try:
        opened = open_predictions(record, file)
    except WorkbenchError:      # told beside the list
        return gr.skip(), shown
    row = opened.row_of.get(place.get("example", ""))
    return "" if row is None else opened.examples.predictions.texts[row], now


@telling(...)
def open_example(
    place: dict[str, Any], run: str, file: str, beside: str, label: str, against: str, method: str, second: str
) -> Iterator[list[Block]]:
    """The sentence in colour, then whether its words matter, then what experiments find, then what flips it."""
    record = find_run(run)
    if record is None or not file or not place.get("example"):
        yield [text(say("errors.choose"), "hint")]
        return
    opened = open_predictions(record, file)
    if (row := opened.row_of.get(place["example"])) is None:
        raise RunError(say("errors.no_example", id=place["example"]))
    asked = Asked(label or None, against or None, method, second)
    yield from _examined(opened, row, file, find_run(beside), asked)


def _examined(opened: Opened, row: int, file: str, beside: Run | None, asked: Asked) -> Iterator[list[Block]]:
    run, predictions = opened.run, opened.examples.predictions
    sentence_text, gold = predictions.texts[row], predictions.label_names[predictions.gold_ids[row]]
    blocks = [example_block(opened.examples, row)]
    if is_taken("cpu"):
        yield [*blocks, text(sentence_text), text(say("predict.words_wait"), "hint")]
    predictor = Predictor.load(run.name)
    found = attribute(predictor, sentence_text, asked.label, asked.against, asked.method)
    blocks = [*blocks, *why_blocks(found)]
    yield blocks
    told = faithfulness_block(faithfulness(predictor, found), found.label)
    if asked.second:
        told += _second_method(predictor, found, asked)
    if beside:
        told += _beside(beside, sentence_text, found.label, asked.method)
    sentence = examine(predictor, sentence_text, gold, masked_words(run))
    experiments = list(findings(sentence))
    yield [*blocks, *told, *finding_blocks(sentence, experiments)]
    data, split = file.split("/")
    others = predicted_by_others(run, data, split, predictions.example_ids[row])
    index = open_index(run)
    known = list(what_others_say(sentence, found, index, others))
    blocks = [*blocks, *told, *finding_blocks(sentence, [*experiments, *known])]
    if index is None and sentence.is_error:
        blocks.append(text(say("errors.unread"), "note"))
    yield blocks
    yield [*blocks, *flip_blocks(smallest_flips(sentence)), pieces_block(found, predictor.tokenizer)]


@telling(...)
def try_edit(
    typed: str, place: dict[str, Any], run: str, file: str, label: str, method: str
) -> Iterator[list[Block]]:
    """What becomes of an edited sentence: prediction at once, then its colours. Nothing before it is edited."""
    edited = " ".join(typed.split())
    original, _ = sentence_to_edit(place, run, file, [])
    if not edited or edited == " ".join(str(original).split()):
        yield []
        return
    [prediction], seconds = predict([edited], run)
    blocks = one_sentence(prediction, seconds)
    yield blocks
    yield [*blocks, words_block(attribute(Predictor.load(run), edited, label or None, method=method))]


def _beside(run: Run, sentence: str, label: str, method: str) -> list[Block]:
    """The same words as another run sees them."""
    predictor = Predictor.load(run.name)
    [prediction] = predictor.predict([sentence])
    told = say("errors.beside_says", run=run.name, label=prediction.label, p=prediction.probabilities[prediction.label])
    if label not in predictor.label_names:
        return [text(told)]
    return [text(told), words_block(attribute(predictor, sentence, label, method=method))]


def _second_method(predictor: Predictor, first: Attribution, asked: Asked) -> list[Block]:
    """The same label by another method, and how far the two order the words alike."""
    other = attribute(predictor, first.pieces.text, first.label, asked.against, asked.second)
    told = say("errors.agreement", method=say(f"why.methods.{asked.second}"), agreement=rank_agreement(first, other))
    return [text(told), words_block(other)]
