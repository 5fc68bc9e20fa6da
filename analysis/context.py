"""What do others say of this sentence? Other runs, its neighbours in training, and how its words stood there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress

import numpy as np

from analysis.attribution import Attribution
from analysis.edits import WORD, Sentence
from analysis.findings import Finding
from analysis.neighbors import NUM_NEAREST, Taught, nearest, word_counts
from analysis.training_index import TrainingIndex
from pipeline.catalog import all_runs
from pipeline.exceptions import RunError
from pipeline.predictions import read_predictions
from pipeline.runs import Run

MIN_OTHERS, MAX_OTHERS = 2, 10     # runs: of one other, nothing follows
MIN_NEAR, MIN_COSINE = 3, 0.6      # examples, and how near they are, that may doubt a gold label
NUM_WORDS = 3
MIN_WORD_SHARE = 0.1        # of the largest score: words with less are not counted


def predicted_by_others(run: Run, data: str, split: str, example_id: str) -> dict[str, str]:
    """What the newest other runs say of the same example, by name; only that row of their files is read.

    Args: data: as its folder is called, the slug of the source.
    """
    found = {}
    for other in [each for each in all_runs() if each.name != run.name][:MAX_OTHERS]:
        with suppress(RunError):        # none there, or damaged
            predictions = read_predictions(other.folder / "predictions" / data / f"{split}.parquet", example_id)
            if predictions.example_ids:
                found[other.name] = predictions.label_names[int(predictions.logits[0].argmax())]
    return found


def what_others_say(
    sentence: Sentence, found: Attribution, index: TrainingIndex | None, predicted: Mapping[str, str]
) -> Iterator[Finding]:
    """What there is to say: of training only where its index was built."""
    yield from about_other_runs(sentence, predicted)
    if index is not None:
        names = sentence.predictor.label_names
        gold_id = names.index(sentence.gold if sentence.gold is not None else sentence.label)
        yield from about_gold_label(sentence, nearest(index, sentence.predictor, sentence.text, gold_id, NUM_NEAREST))
        yield from about_words_in_training(index, found, names)


def about_other_runs(sentence: Sentence, predicted: Mapping[str, str]) -> Iterator[Finding]:
    """Is it this run's own error? `predicted`: what other runs say of the same example, by their names."""
    if not sentence.is_error or not predicted:
        return
    right = [name for name, label in predicted.items() if label == sentence.gold]
    own = 2 * len(right) >= len(predicted)
    several = len(predicted) >= MIN_OTHERS
    yield Finding(
        kind="other runs",
        claim="It is this run's own error: others get it right." if own
        else "Not this run alone: others err here, too.",
        test="Fewer than half of the other runs would get it right." if several else "",
        held=own if several else None,
        evidence=f"{len(right)} of {len(predicted)} other runs say {sentence.gold}"
                 + (f": {', '.join(right[:5])}." if right else "."),
    )


def about_gold_label(sentence: Sentence, neighbours: list[Taught]) -> Iterator[Finding]:
    """Do the training examples next to it doubt its gold label, and does one with another label sit close by?"""
    if sentence.gold is None or not neighbours:
        return
    yield _about_doubt(sentence, neighbours)
    opposite = next((each for each in neighbours if not each.agrees), None)
    if opposite and sentence.is_error:
        close = opposite is neighbours[0]
        yield Finding(
            kind="opposite neighbour",
            claim="The training example next to it has another label." if close
            else "Not its nearest training example: that has the gold label.",
            test="The nearest training example would have the gold label.",
            held=close,
            evidence=f"'{opposite.text}' ({opposite.label}, cosine {opposite.score:.2f}).",
        )


def _about_doubt(sentence: Sentence, neighbours: list[Taught]) -> Finding:
    nearest = f"the nearest: '{neighbours[0].text}' ({neighbours[0].label}, cosine {neighbours[0].score:.2f})."
    near = [each for each in neighbours if each.score >= MIN_COSINE]
    if len(near) < MIN_NEAR:
        claim = "No training examples are near enough to tell whether its gold label is right."
        return Finding("gold label", claim, test="", held=None, evidence=nearest.capitalize())
    agree = sum(each.agrees for each in near)
    doubtful = 2 * agree < len(near)
    return Finding(
        kind="gold label",
        claim=f"The gold label {sentence.gold} may be wrong." if doubtful
        else "Not the gold label: its neighbours share it.",
        test=f"At least half of the {len(near)} training examples near it would have the label {sentence.gold}.",
        held=doubtful,
        evidence=f"{agree} of {len(near)} have it; {nearest}",
    )


def about_words_in_training(index: TrainingIndex, found: Attribution, label_names: list[str]) -> Iterator[Finding]:
    """How often did the words that count most stand in training, and with which labels?"""
    strongest = np.argsort(-np.abs(found.scores))[:NUM_WORDS]
    largest = np.abs(found.scores).max(initial=0.0)
    words = [
        match.group() for row in strongest if abs(found.scores[row]) >= MIN_WORD_SHARE * largest
        for match in [WORD.search(found.words[row])] if match
    ]
    for word in words:
        [by_label] = word_counts(index.texts, index.label_ids, [word])
        n = int(by_label.sum())
        shares = ", ".join(f"{count / max(n, 1):.0%} {name}" for name, count in zip(label_names, by_label, strict=True))
        yield Finding(
            kind="word in training",
            claim=f"'{word}' stood in {n:,} of {len(index.texts):,} training texts" + (f": {shares}." if n else "."),
            test="",
            held=None,
        )


