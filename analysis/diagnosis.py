"""Why does it not learn? Checks of data, model, optimizer and record; a verdict in plain words, and its remedies."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.check import Check
from analysis.checks_of_data import checks_of_data
from analysis.checks_of_learning import MOSTLY_FROZEN, checks_of_learning
from analysis.checks_of_record import checks_of_record
from analysis.checks_of_rehearsal import about_rehearsal
from analysis.patient import Patient, patient_of
from pipeline.config import RunConfig, field_value, make_config, set_field
from pipeline.config_parts import CleanConfig
from pipeline.exceptions import WorkbenchError

Changes = dict[str, Any]        # new values by the dotted names of fields


@dataclass(frozen=True)
class Remedy:
    """A change of the config that may mend it."""

    title: str
    changes: Changes

    def applied(self, config: RunConfig, name: str) -> RunConfig:
        """Raises: ConfigError for a change that does not fit the rest of the config."""
        values = config.model_dump()
        for field, value in {**self.changes, "name": name, "note": self.title}.items():
            set_field(values, field, value)
        return make_config(values)


@dataclass(frozen=True)
class Symptom:
    """A sickness: the verdict in a sentence, and what may help; without remedies, what the config cannot mend."""

    verdict: str
    remedies: tuple[Remedy, ...] = ()


_UNFREEZE = Remedy("unfreeze", {"model.freeze": "none", "model.unfreeze_each_epoch": 0})
_USUAL_RATE = Remedy("rate 5e-5", {"optim.learning_rate": 5e-5, "optim.groups": "", "optim.layer_decay": 1.0})
_RATE = Remedy("rate 1e-4", {**_USUAL_RATE.changes, "optim.learning_rate": 1e-4})
_BATCH = Remedy("batch 16", {"optim.batch_size": 16})
_ALL_THREE = Remedy("all three", {**_UNFREEZE.changes, **_RATE.changes, **_BATCH.changes})
_HEAD = Remedy("linear head", {"model.head": "linear"})
_NO_FP16 = Remedy("no fp16", {"hardware.precision": "auto"})
_NO_ADVERSARIAL = Remedy("no adversarial training", {"adversarial.name": "none"})
_FEWER_EPOCHS = Remedy("stop early", {"stop.patience": 2, "optim.epochs": 3})
_DROPOUT = Remedy("dropout 0.1", {"model.dropout": 0.1})

# The gravest and surest first: what comes before explains what comes after.
SYMPTOMS = {
    "label_ids": Symptom("The labels are not encoded 0 to C - 1, so the loss counts other labels than are meant."),
    "empty_texts": Symptom(
        "The texts are empty, or cleaning leaves nothing of them.",
        (Remedy("no cleaning", {f"data.clean.{step}": False for step in CleanConfig.model_fields}),),
    ),
    "tokenizer": Symptom("The tokenizer does not fit texts or model: the model is given pieces it does not know."),
    "fp16_overflow": Symptom("Numbers overflow in fp16, so steps are lost.", (_NO_FP16,)),
    "not_finite": Symptom(
        "Loss or gradient is no number.", (_USUAL_RATE, Remedy("fp32", {"hardware.precision": "fp32"}))
    ),
    "dropout": Symptom("So much is dropped that hardly anything is left to learn from.", (_DROPOUT,)),
    "detached": Symptom("The gradient does not reach parts of the model that ought to learn: the graph is cut."),
    "not_in_optimizer": Symptom("Some parameters are in no group of the optimizer, or in two."),
    "rate_large": Symptom("The learning rate is too large: each step throws the weights away.", (_USUAL_RATE,)),
    "rate_small": Symptom("The learning rate is too small: the weights hardly move.", (_USUAL_RATE, _RATE)),
    "frozen": Symptom("So much is frozen that what is left cannot learn the task.", (_UNFREEZE, _RATE, _HEAD)),
    "imbalance": Symptom(
        "Nearly all examples have one label: saying it always is nearly always right.",
        (Remedy("weighted loss", {"loss.name": "weighted", "stop.metric": "macro_f1"}),),
    ),
    "few_examples": Symptom("There are too few examples: they are learnt by heart.", (_FEWER_EPOCHS,)),
    "unrelated_labels": Symptom("The labels do not go with the texts: not even simple models find anything to learn."),
    "not_learning": Symptom(
        "It does not learn: the loss stays at what knowing nothing costs.",
        (_NO_ADVERSARIAL, _ALL_THREE, _UNFREEZE, _RATE, _BATCH, _HEAD),
    ),
    "overfitting": Symptom(
        "It learns by heart: validation loss rises while training loss falls.",
        (
            _FEWER_EPOCHS, Remedy("more dropout", {"model.dropout": 0.2}),
            Remedy("weight decay", {"optim.weight_decay": 0.1}),
        ),
    ),
    "warmup": Symptom(
        "Most steps are spent warming up.",
        (Remedy("short warm-up", {"optim.warmup_ratio": 0.06, "optim.warmup_steps": None}),),
    ),
    "rate_floor": Symptom(
        "The learning rate is at its floor long before the end.",
        (Remedy("linear schedule", {"optim.schedule": "linear"}),),
    ),
    "noisy_gradient": Symptom(
        "The gradient's norm keeps growing: steps are noisy.", (Remedy("batch 64", {"optim.batch_size": 64}),)
    ),
    "slow": Symptom("It learns slowly.", (_NO_ADVERSARIAL, _RATE, Remedy("more epochs", {"optim.epochs": 5}))),
}
FATAL = ("label_ids",)          # after these nothing else can be computed
IN_ORDER = (_UNFREEZE, _RATE, _BATCH, _HEAD, _NO_FP16, _NO_ADVERSARIAL, _ALL_THREE)
SHORT_STEPS = 120
LEARNT = 0.9                    # of ln C: a validation loss below it
HEALTHY = "Nothing is wrong that these checks can see."


@dataclass(frozen=True)
class Diagnosis:
    """The verdict, what speaks for it, and what may mend it."""

    symptom: str                # empty: healthy
    verdict: str
    evidence: str
    remedies: tuple[Remedy, ...]
    before: Changes             # what the config has in the fields that remedies change
    checks: tuple[Check, ...]


def examine(patient: Patient) -> Iterator[Check]:
    """All checks, in the order in which one would ask; as each is made. Nothing found, and no record: a rehearsal."""
    found = []
    for check in _quick_checks(patient):
        yield check
        found.append(check.symptom)
        if check.symptom in FATAL:
            return
    recorded = list(checks_of_record(patient.run, len(patient.label_names))) if patient.run else []
    yield from recorded
    if not recorded and not any(found):
        yield about_rehearsal(patient)


def _quick_checks(patient: Patient) -> Iterator[Check]:
    yield from checks_of_data(patient)
    yield from checks_of_learning(patient)


def conclude(checks: Iterable[Check], config: RunConfig) -> Diagnosis:
    """The first of SYMPTOMS that a check speaks for, and its remedies, as far as they change the config."""
    checks = tuple(checks)
    first_of = {check.symptom: check for check in reversed(checks)}
    symptom = next((symptom for symptom in SYMPTOMS if symptom in first_of), "")
    if not symptom:
        return Diagnosis("", HEALTHY, "", (), {}, checks)
    remedies = _that_change(config, SYMPTOMS[symptom].remedies)
    evidence = first_of[symptom].told + (_told_of_frozen(checks) if symptom == "not_learning" else "")
    before = {field: field_value(config, field) for remedy in remedies for field in remedy.changes}
    return Diagnosis(symptom, SYMPTOMS[symptom].verdict, evidence, remedies, before, checks)


def _told_of_frozen(checks: tuple[Check, ...]) -> str:
    shares = [check.values["share"] for check in checks if check.name == "parameters"]
    likely = shares and shares[0] <= MOSTLY_FROZEN
    return f" And {1 - shares[0]:.0%} of its parameters are frozen: a likely cause." if likely else ""


def _that_change(config: RunConfig, remedies: tuple[Remedy, ...]) -> tuple[Remedy, ...]:
    """Those that change something; of two that come to the same, the simpler."""
    simplest: dict[str, Remedy] = {}
    for remedy in sorted(remedies, key=lambda each: len(each.changes)):
        effect = [(field, value) for field, value in remedy.changes.items() if field_value(config, field) != value]
        if effect:
            simplest.setdefault(str(effect), remedy)
    return tuple(remedy for remedy in remedies if remedy in simplest.values())


# Try in order


@dataclass(frozen=True)
class Tried:
    """A short training with a remedy, judged on validation."""

    remedy: Remedy
    loss: float
    chance_loss: float
    accuracy: float
    steps: int
    seconds: float
    failed: str = ""            # why it could not be tried

    @property
    def learnt(self) -> bool:
        return not self.failed and self.loss < LEARNT * self.chance_loss


def try_in_order(config: RunConfig) -> Iterator[Tried]:
    """Short trainings, each with one remedy, until the first that learns; each on the same sample of the data."""
    for remedy in _that_change(config, IN_ORDER):
        tried = _try(remedy, config)
        yield tried
        if tried.learnt:
            return


def _try(remedy: Remedy, config: RunConfig) -> Tried:
    started = time.monotonic()
    try:
        training = patient_of(remedy.applied(config, config.name)).training
        while training.step < min(SHORT_STEPS, training.total_steps):
            training.take_step()
    except WorkbenchError as exception:
        return Tried(remedy, np.nan, np.nan, np.nan, 0, time.monotonic() - started, failed=str(exception))
    metrics, _ = training.validation.evaluate(training.evaluated_model.eval())
    chance = float(np.log(len(training.label_names)))
    accuracy = metrics.get("accuracy", np.nan)      # a logit may be no number
    return Tried(remedy, metrics["loss"], chance, accuracy, training.step, time.monotonic() - started)
