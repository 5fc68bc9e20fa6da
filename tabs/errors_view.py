"""What is there to say about wrong predictions? Their list and matrix, slices, the findings on one: as blocks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from analysis.attribution import Attribution
from analysis.compare import accuracy_estimate
from analysis.edits import Sentence, Trial
from analysis.examples import Examples
from analysis.faithfulness import Faithfulness
from analysis.findings import Finding, main_cause, mending
from analysis.phenomena import PHENOMENA
from analysis.rules import is_about_text, label_condition, readable
from analysis.slices import Cluster, Slice, SliceChange
from pipeline.judgements import MARKS, Judgement
from pipeline.metrics import compute_metrics
from reports.words import say
from tabs.runs_view import MAX_MATRIX_LABELS
from tabs.shared import (
    Block,
    column,
    columns,
    count,
    folded,
    heading,
    matrix,
    number,
    p_value,
    per_label_table,
    table,
    text,
)

ROWS_ON_A_PAGE = 20
SLICES_SHOWN = 8
SIGNIFICANT = 0.05
MENDS_TOLD = 3
MATTERS = 0.05              # of probability: what words cost that are left out, beyond what random ones do
MAX_SHOWN = 300             # characters of a text in a list
VERDICTS = {True: "held", False: "refuted", None: "told"}


def told_of(examples: Examples, meant: np.ndarray, rule: str, search: str) -> list[str]:
    """How many are wrong: of all, and of the rows that rule and search mean."""
    told = [_wrong_of(say("errors.all_examples"), examples.wrong)]
    searched = say("errors.searched", search=search.strip()) if search.strip() else ""
    conditions = [words for words in (readable(rule) if rule.strip() else "", searched) if words]
    if conditions:
        told.append(_wrong_of(say("errors.with_rule", rule=say("errors.and").join(conditions)), examples.wrong[meant]))
    return told


def _wrong_of(what: str, wrong: np.ndarray) -> str:
    if not len(wrong):
        return say("errors.none_of", what=what)
    right = accuracy_estimate(int((~wrong).sum()), len(wrong))
    return say("errors.wrong_of", what=what, wrong=count(int(wrong.sum())), n=count(len(wrong)), accuracy=right)


def list_blocks(
    examples: Examples, rows: np.ndarray, page: int, current: str | None, judged: Mapping[str, Judgement]
) -> list[Block]:
    """One page of the chosen rows; each is opened by a click. What people said of them stands beside the gold label."""
    start = (page - 1) * ROWS_ON_A_PAGE
    shown = rows[start : start + ROWS_ON_A_PAGE].tolist()
    if not shown:
        return [text(say("errors.nothing"), "hint")]
    predictions = examples.predictions
    ids = [predictions.example_ids[row] for row in shown]
    cells = [
        (
            number(float(examples.losses[row])),
            predictions.label_names[predictions.gold_ids[row]] + _marked(judged.get(example_id)),
            f"{predictions.label_names[examples.predicted_ids[row]]} {number(float(examples.probability[row]))}",
            _short(predictions.texts[row]),
        )
        for row, example_id in zip(shown, ids, strict=True)
    ]
    heads = [column("loss", "number"), *columns("", "gold", "predicted"), column("text", "text")]
    listed = table(say("errors.list"), heads, cells)
    picks = [[None, None, None, {"example": example_id}] for example_id in ids]
    words = say(
        "errors.page", first=count(start + 1), last=count(start + len(shown)), n=count(len(rows))
    )
    before = {"page": page - 1} if page > 1 else None
    after = {"page": page + 1} if start + len(shown) < len(rows) else None
    pager = {"kind": "pager", "words": words, "before": before, "after": after}
    return [{**listed, "picks": picks, "current": ids.index(current) if current in ids else -1}, pager]


def _marked(judgement: Judgement | None) -> str:
    if judgement is None:
        return ""
    mark = say(f"judge.marks.{judgement.mark}") if judgement.mark in MARKS else say("judge.noted")
    return f" ({mark}: {judgement.label})" if judgement.label else f" ({mark})"


def matrix_blocks(examples: Examples) -> list[Block]:
    """The confusion matrix; a click on a cell sets the rule."""
    predictions = examples.predictions
    names, n = predictions.label_names, len(predictions.texts)
    if len(names) > MAX_MATRIX_LABELS:
        return [text(say("errors.many_labels", n=count(len(names))), "hint")]
    counts = np.zeros((len(names), len(names)), int)
    np.add.at(counts, (predictions.gold_ids, examples.predicted_ids), 1)
    picks = [[None, *(_cell_pick(gold, predicted) for predicted in names)] for gold in names]
    return [{**matrix(say("errors.confusion", n=count(n)), names, counts.tolist()), "picks": picks}]


def _cell_pick(gold: str, predicted: str) -> dict[str, str]:
    rule = f"{label_condition('gold', gold)} & {label_condition('predicted', predicted)}"
    return {"rule": rule, "show": "all"} if gold == predicted else {"rule": rule}     # right ones are no errors


def slice_blocks(known: Sequence[Slice], found: Sequence[Slice]) -> list[Block]:
    """Where it fails more than elsewhere; a click on a rule sets it."""
    worse = [each for each in known if each.difference > 0]
    # What may be chance comes last, and before it what tells no reason: its confidence, its labels.
    worse = sorted(worse, key=lambda each: (each.p_value > SIGNIFICANT, not is_about_text(each.rule)))[:SLICES_SHOWN]
    blocks = [_slice_table(say("errors.slices"), worse)] if worse else [text(say("errors.no_slices"), "note")]
    known_rules = {each.rule for each in known}
    found = [each for each in found if each.rule not in known_rules]
    if found:
        blocks.append(_slice_table(say("errors.found_slices"), found[:SLICES_SHOWN]))
    return [*blocks, text(say("errors.slices_explained"), "note")]


def _slice_table(label: str, slices: Sequence[Slice]) -> Block:
    shares = "in_training" if any(each.train_share is not None for each in slices) else None
    heads = [column("slice", "text"), *columns("number", "n", "error_rate", "to_rest", "p", *filter(None, [shares]))]
    rows = [
        (
            readable(each.rule),
            count(each.n),
            say("errors.rate", x=each),
            f"{each.difference:+.3f}",
            p_value(each.p_value),
            *([] if shares is None else ["" if each.train_share is None else number(each.train_share)]),
        )
        for each in slices
    ]
    return {**table(label, heads, rows), "picks": [[_rule_pick(each.rule)] for each in slices]}


def _rule_pick(rule: str) -> dict[str, str]:
    """What a click sets, and on hover what a phenomenon's own rule says."""
    known = PHENOMENA.get(rule)
    return {"rule": rule, "help": known.rule} if known else {"rule": rule}


def became_block(other: str, by_slice: Sequence[SliceChange]) -> Block:
    """What became of the errors of another run, in all and by slice; a click shows them."""
    rows, picks = [], []
    for each in sorted(by_slice, key=lambda each: each.rule != "")[: SLICES_SHOWN + 1]:     # all of them first
        changed = {"fixed": each.fixed, "broken": each.broken, "still_wrong": each.still_wrong}
        named = readable(each.rule) if each.rule else say("errors.all")
        rows.append([named, count(each.n), *map(count, changed.values()), p_value(each.p_value)])
        shown = ({"rule": f"{each.rule} & {what}" if each.rule else what, "show": "all"} for what in changed)
        picks.append([_rule_pick(each.rule) if each.rule else None, None, *shown, None])
    heads = [column("slice", "text"), *columns("number", "n", "fixed", "broken", "still_wrong", "p")]
    return {**table(say("errors.became", other=other), heads, rows), "picks": picks}


def cluster_blocks(clusters: Sequence[Cluster], texts: Sequence[str]) -> list[Block]:
    """Errors grouped by meaning, each with the one in its middle; a click shows a group."""
    if not clusters:
        return [text(say("errors.no_errors"), "hint")]
    rows = [
        (", ".join(each.words) or "…", count(len(each.rows)), number(each.share), _short(texts[each.central]))
        for each in clusters
    ]
    picks = [[{"rule": f"cluster_{index}"}] for index in range(len(clusters))]
    heads = [column("typical", "text"), *columns("number", "n", "share"), column("central", "text")]
    return [{**table(say("errors.clusters"), heads, rows), "picks": picks}]


def quality_blocks(examples: Examples) -> list[Block]:
    """Per label, which way the errors go, and whether its confidence can be believed."""
    predictions = examples.predictions
    metrics = compute_metrics(predictions.logits, predictions.gold_ids, predictions.label_names)
    ece = say("errors.ece", ece=number(metrics["ece"]))
    return [
        per_label_table(say("errors.per_label", n=count(len(predictions.texts))), metrics["per_label"]),
        *([text(_which_way(examples), "note")] if len(predictions.label_names) == 2 else []),
        text(ece, "note"),
    ]


def _which_way(examples: Examples) -> str:
    negative, positive = examples.predictions.label_names
    predicted = examples.predicted_ids[examples.wrong]
    negatives, positives = (count(int((predicted == label_id).sum())) for label_id in (0, 1))
    values = {"false_positives": positives, "false_negatives": negatives}
    return say("errors.which_way", negative=negative, positive=positive, **values)


# One sentence


def example_block(examples: Examples, row: int) -> Block:
    predictions = examples.predictions
    source_split, _, source_row = predictions.example_ids[row].partition(":")
    return heading(
        say(
            "errors.example",
            split=source_split, row=source_row,
            gold=predictions.label_names[predictions.gold_ids[row]],
            predicted=predictions.label_names[examples.predicted_ids[row]],
            probability=number(float(examples.probability[row])),
        )
    )


def faithfulness_block(measured: Faithfulness | None, label: str) -> list[Block]:
    if measured is None:
        return []
    words = ", ".join(f"“{word}”" for word in measured.words)
    cost, chance = measured.comprehensiveness, measured.random_comprehensiveness
    told = say("errors.faithful", words=words, label=label, change=0.0 - round(cost, 2), chance=0.0 - round(chance, 2))
    if measured.beats_chance:
        matters = say("errors.is_faithful" if cost - chance >= MATTERS else "errors.matters_little")
        return [text(f"{matters} {told}", "note")]
    return [text(f"{told} {say('errors.not_faithful')}", "problem")]


def finding_blocks(sentence: Sentence, found: Sequence[Finding]) -> list[Block]:
    """The named cause of an error first, else that there is none; each claim has its experiment behind a click."""
    blocks: list[Block] = []
    cause = main_cause(found)
    if sentence.is_error and cause is None:
        blocks.append(text(cause_told(found)))
    in_order = sorted(found, key=lambda finding: finding is not cause)
    findings = [finding_block(finding, sentence.is_error) for finding in in_order]
    return [*blocks, *findings, *([text(say("errors.legend"), "note")] if findings else [])]


def cause_told(found: Sequence[Finding]) -> str:
    """Of an error: its confirmed cause, else what else mends it, else that nothing does."""
    if cause := main_cause(found):
        return say("errors.cause", cause=cause.claim)
    mends = "; ".join(mending(found)[:MENDS_TOLD])
    return say("errors.no_cause_but", mends=mends) if mends else say("errors.no_cause")


def finding_block(finding: Finding, is_error: bool) -> Block:
    """Of a right prediction there is nothing to rule out: what did not hold is only told."""
    held = None if finding.held is False and not is_error else finding.held
    verdict = "cause" if finding.is_cause else VERDICTS[held]
    sign = {"cause": "✓", "held": "✓", "refuted": "✗", "told": "·"}[verdict]
    lines = [finding.evidence, say("errors.test", test=finding.test)] if finding.test else [finding.evidence]
    return {
        "kind": "finding",
        "verdict": verdict,
        "mark": {"sign": sign, "meaning": say(f"errors.verdict.{verdict}")},
        "claim": say("errors.cause", cause=finding.claim) if finding.is_cause else finding.claim,
        "lines": [line for line in lines if line],
        "tried": trials_table(say("errors.tried"), finding.trials) if finding.trials else None,
    }


def trials_table(label: str, trials: Iterable[Trial]) -> Block:
    rows = [(trial.what, f"{trial.label} {number(trial.probability)}", trial.text) for trial in trials]
    return table(label, [column("edit"), column("predicted"), column("text", "text")], rows)


def flip_blocks(flips: Sequence[Trial]) -> list[Block]:
    if not flips:
        return [text(say("errors.no_flip"), "note")]
    return [trials_table(say("errors.flips"), flips)]


def pieces_block(found: Attribution, tokenizer: Any) -> Block:
    """How the tokenizer sees the sentence, behind a click."""
    ids = found.pieces.input_ids
    unknown = sum(piece == tokenizer.unk_token_id for piece in ids)
    read = found.pieces.words[-1].end if found.pieces.words else 0
    truncated = say("page.yes" if found.pieces.text[read:].strip() else "page.no")
    told = say("errors.pieces_told", n=count(len(ids)), unknown=count(unknown), truncated=truncated)
    return folded(say("errors.pieces"), f"{told} {' · '.join(tokenizer.convert_ids_to_tokens(ids))}")


def _short(words: str) -> str:
    return words if len(words) <= MAX_SHOWN else f"{words[:MAX_SHOWN]} …"
