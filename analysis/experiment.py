"""What do an experiment's runs say together? Per change: metrics over seeds, gain beside cost, and is it worth it."""

from __future__ import annotations

from dataclasses import astuple, dataclass, field, replace
from typing import Any, Literal

import numpy as np
from scipy.stats import binomtest

from analysis.compare import Estimate, compare, holm, mean_gain, predicted_in_order
from pipeline.catalog import load_run
from pipeline.config import FIELDS, differing_fields, field_value
from pipeline.exceptions import RunError
from pipeline.experiments import Experiment, Member, members_of
from pipeline.metrics import compute_metrics
from pipeline.models import temperature_of
from pipeline.predictions import Predictions, predictions_path, read_predictions
from pipeline.runs import Run
from pipeline.sweeping import is_swept, standings

SIGNIFICANT = 0.05
ABOUT_THE_SAME = 1.25       # times the cost: the same run takes as much longer on a busy machine

Verdict = Literal[
    "baseline", "gain", "gain_dearer", "gain_of_one_seed", "loss",
    "noise", "noise_dearer", "noise_cheaper", "not_compared", "unfinished",
]


@dataclass(frozen=True)
class Spread:
    """Of one figure over runs that differ in their seed alone."""

    mean: float
    std: float | None       # of the sample; None of one run
    n: int


@dataclass(frozen=True)
class Cost:
    """What training took, on average over seeds."""

    seconds: float                  # with the run that it goes on from
    memory_bytes: float             # at its peak
    examples_per_second: float      # median of the steps


@dataclass(frozen=True)
class Gain:
    """In accuracy over the first variant, on the same N examples."""

    n: int
    by_seed: dict[int, float]       # of the seeds that both have finished
    mean: Estimate
    p_value: float                  # McNemar's of one seed; of several, a paired bootstrap's over the examples
    corrected: float | None         # for all variants of the experiment, by Holm; None until all runs are done


@dataclass(frozen=True)
class Variant:
    """One technique."""

    name: str
    fields: dict[str, Any]          # those in which variants differ
    runs: list[str]                 # that have finished
    unfinished: dict[str, str]      # state of the others
    metrics: dict[str, Spread]      # empty where it predicts no labels
    cost: Cost | None
    gain: Gain | None
    reason: str | None              # why there is no gain to tell
    guessing: float | None = None   # accuracy of always the most frequent label, where its own is hardly better
    cost_ratios: dict[str, float] = field(default_factory=dict)     # seconds and memory_bytes, over the first variant's
    verdict: Verdict = "not_compared"


@dataclass(frozen=True)
class Result:
    """All variants; the first is what the others are compared with."""

    name: str
    note: str
    split: str                      # test where all have been evaluated on it, else validation
    variants: list[Variant]
    seeds: list[int]
    shared: dict[str, Any]          # fields of all variants: model, data, and what is not as by default


@dataclass(frozen=True)
class _Records:
    """What is on the disk."""

    members: dict[str, list[Member]]    # by variant, in order
    finished: dict[str, Run]            # by name
    states: dict[str, str]              # of all members, by run
    split: str

    def predictions(self, variant: str) -> dict[int, Predictions]:
        """By seed, of the runs that have finished."""
        runs = {each.seed: self.finished[each.run] for each in self.members[variant] if each.run in self.finished}
        have = {seed: run for seed, run in runs.items() if predictions_path(run, self.split).exists()}
        return {seed: _as_trained(run, self.split) for seed, run in have.items()}


def measure(experiment: Experiment) -> Result:
    """From the records of those members that have finished.

    Raises: RunError when none has.
    """
    records = _records(experiment)
    first = next(iter(records.members))
    beside = records.predictions(first)     # in memory all the time; of the others one variant at a time
    variants = [_variant(name, records, None if name == first else beside) for name in records.members]
    judged = _judged(variants, _is_done(experiment, records.states))
    seeds = list(dict.fromkeys(each.seed for members in records.members.values() for each in members))
    return Result(experiment.name, experiment.note, records.split, judged, seeds, _shared(records))


def _is_done(experiment: Experiment, states: dict[str, str]) -> bool:
    """Nothing will change by itself: every run has finished or failed, or goes on from one that failed."""
    failed: set[str] = set()
    for member in members_of(experiment):
        if states[member.run] == "failed" or (states[member.run] == "pending" and member.base_run in failed):
            failed.add(member.run)
    done = all(state == "finished" or name in failed for name, state in states.items())
    return done and not is_swept(experiment.name)       # it may still evaluate the last one on test


def _as_trained(run: Run, split: str) -> Predictions:
    """By its weights alone: a temperature is given to some runs, and after the experiment."""
    found = read_predictions(predictions_path(run, split))
    return replace(found, logits=found.logits * temperature_of(run.best_folder))


def _records(experiment: Experiment) -> _Records:
    members: dict[str, list[Member]] = {}
    for member in members_of(experiment):
        members.setdefault(member.variant, []).append(member)
    states = {standing.run: standing.state for standing in standings(experiment)}
    finished = {name: load_run(name) for name, state in states.items() if state == "finished"}
    if not finished:
        raise RunError(f"No run of '{experiment.name}' has finished yet. Sweep it: sweep {experiment.name}.")
    predicting = [run for run in finished.values() if predictions_path(run, "validation").exists()]
    evaluated = bool(predicting) and all(predictions_path(run, "test").exists() for run in predicting)
    return _Records(members, finished, states, "test" if evaluated else "validation")


def _variant(name: str, records: _Records, beside: dict[int, Predictions] | None) -> Variant:
    members = records.members[name]
    runs = [each.run for each in members]
    done = [run for run in runs if run in records.finished]
    found = records.predictions(name)
    gain, reason = (None, None) if beside is None else _gain(beside, found)
    return Variant(
        name=name,
        fields={each: field_value(members[0].config, each) for each in _fields(records)},
        runs=done,
        unfinished={run: records.states[run] for run in runs if run not in done},
        metrics=_metrics(list(found.values())),
        cost=_mean_cost([_cost(run, records) for run in done]),
        gain=gain,
        reason=reason,
        guessing=_guessing(list(found.values())),
    )


def _fields(records: _Records) -> list[str]:
    """Those in which variants differ."""
    first, *others = (members[0].config for members in records.members.values())
    return [name for name in differing_fields(first, *others) if name not in ("name", "note", "seed")]


def _shared(records: _Records) -> dict[str, Any]:
    config = next(iter(records.members.values()))[0].config
    own = {"name", "note", "seed", *_fields(records)}
    values = {name: field_value(config, name) for name in FIELDS if name not in own}
    always = ("model.base", "data.source")
    return {name: value for name, value in values.items() if name in always or value != FIELDS[name].default}


def _metrics(found: list[Predictions]) -> dict[str, Spread]:
    measured = [compute_metrics(each.logits, each.gold_ids, each.label_names) for each in found]
    names = [name for name, value in measured[0].items() if isinstance(value, float)] if measured else []
    return {name: _spread([metrics[name] for metrics in measured]) for name in names}


def _guessing(found: list[Predictions]) -> float | None:
    """Accuracy of always the most frequent label, where chance may well be all that the models have over it."""
    if not found:
        return None
    gold_ids = found[0].gold_ids
    right = np.mean([np.sum(each.logits.argmax(axis=1) == each.gold_ids) for each in found])
    majority = float(np.bincount(gold_ids).max() / len(gold_ids))
    p_value = binomtest(round(right), len(gold_ids), majority, alternative="greater").pvalue
    return majority if p_value > SIGNIFICANT else None


def _spread(values: list[float]) -> Spread:
    std = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Spread(float(np.mean(values)), std, len(values))


def _cost(name: str, records: _Records) -> Cost:
    run = records.finished[name]
    steps = [line for line in run.metrics() if "split" not in line]
    before = [_cost(run.config.model.base, records)] if run.config.model.base in records.finished else []
    return Cost(
        seconds=run.status().elapsed_seconds + sum(cost.seconds for cost in before),
        memory_bytes=max((line["memory_bytes"] for line in steps), default=0),
        examples_per_second=float(np.median([line["examples_per_second"] for line in steps])) if steps else 0.0,
    )


def _mean_cost(costs: list[Cost]) -> Cost | None:
    return Cost(*np.mean([astuple(cost) for cost in costs], axis=0).tolist()) if costs else None


def _gain(first: dict[int, Predictions], other: dict[int, Predictions]) -> tuple[Gain | None, str | None]:
    """Not yet corrected; or why there is none."""
    seeds = [seed for seed in first if seed in other]
    if not seeds:
        return None, "No seed has predictions of both."
    try:
        right = {seed: _right(first[seeds[0]], first[seed]) for seed in seeds}
        other_right = {seed: _right(first[seeds[0]], other[seed]) for seed in seeds}
        if len(seeds) == 1:
            comparison = compare(first[seeds[0]], other[seeds[0]])
            mean, p_value = comparison.differences["accuracy"], comparison.p_value
        else:
            mean, p_value = mean_gain(np.stack([*right.values()]), np.stack([*other_right.values()]))
    except RunError as exception:
        return None, str(exception)
    by_seed = {seed: float(other_right[seed].mean() - right[seed].mean()) for seed in seeds}
    return Gain(len(right[seeds[0]]), by_seed, mean, p_value, None), None


def _right(first: Predictions, other: Predictions) -> np.ndarray:
    """(N,) bool, in the order of `first`."""
    right: np.ndarray = predicted_in_order(first, other) == first.gold_ids
    return right


def _judged(variants: list[Variant], is_done: bool) -> list[Variant]:
    """Before all is done nothing is: a verdict on the first seeds may not be that on all."""
    gains = [variant.gain for variant in variants if variant.gain]
    corrected = iter(holm(np.array([gain.p_value for gain in gains])).tolist() if is_done else [None] * len(gains))
    judged = []
    for variant in variants:
        gain = replace(variant.gain, corrected=next(corrected)) if variant.gain else None
        ratios = _ratios(variants[0].cost, variant.cost)
        verdict = _verdict(gain, ratios) if is_done else "unfinished"
        judged.append(replace(variant, gain=gain, cost_ratios=ratios, verdict=verdict))
    judged[0] = replace(judged[0], verdict="baseline")
    return judged


def _ratios(first: Cost | None, other: Cost | None) -> dict[str, float]:
    if first is None or other is None:
        return {}
    names = [name for name in ("seconds", "memory_bytes") if getattr(first, name)]
    return {name: getattr(other, name) / getattr(first, name) for name in names}


def _verdict(gain: Gain | None, ratios: dict[str, float]) -> Verdict:
    """A change counts where chance is unlikely to make it, and every seed has it in the same direction.

    Two runs of one seed are near twins: what one gains over the other on these examples may be the seed's alone.
    """
    if gain is None or gain.corrected is None:
        return "not_compared"
    dearer = max(ratios.values(), default=1.0) > ABOUT_THE_SAME
    cheaper = not dearer and min(ratios.values(), default=1.0) < 1 / ABOUT_THE_SAME
    agreed = len({np.sign(each) for each in gain.by_seed.values()}) == 1
    if gain.corrected < SIGNIFICANT and agreed:
        if gain.mean.value < 0:
            return "loss"
        return "gain_of_one_seed" if len(gain.by_seed) == 1 else "gain_dearer" if dearer else "gain"
    return "noise_dearer" if dearer else "noise_cheaper" if cheaper else "noise"
