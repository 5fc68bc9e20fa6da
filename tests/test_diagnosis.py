"""The doctor: twelve sick trainings get the right verdict first, healthy ones none but healthy."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.check import Check
from analysis.diagnosis import HEALTHY, IN_ORDER, SYMPTOMS, Diagnosis, conclude, examine, try_in_order
from analysis.patient import Patient, patient_of
from pipeline.config import RunConfig, make_config
from pipeline.encoding import encode
from pipeline.exceptions import ConfigError
from tests.conftest import BAD, FILLERS, GOOD

NAMES = ["one", "two", "three", "four"]


def write_data(path: Path, rows: int, labels: int = 2, share_of_first: float | None = None) -> Path:
    """Texts of a label's own words and of any: easily learnt."""
    chance = random.Random(0)
    words = [GOOD[:5], BAD[:5], GOOD[5:], BAD[5:]][:labels]
    lines = []
    for number in range(rows):
        label = number % labels if share_of_first is None else int(number >= share_of_first * rows)
        text = chance.choices(words[label], k=3) + chance.choices(FILLERS, k=chance.randint(1, 9))
        chance.shuffle(text)
        lines.append(json.dumps({"text": " ".join(text), "label": NAMES[label]}) + "\n")
    chance.shuffle(lines)
    path.write_text("".join(lines))
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("data")
    return {
        "usual": write_data(folder / "usual.jsonl", 400),
        "four": write_data(folder / "four.jsonl", 400, labels=4),
        "one-sided": write_data(folder / "one-sided.jsonl", 1000, share_of_first=0.99),
        "tiny": write_data(folder / "tiny.jsonl", 24),
    }


def config_with(base: Path, source: Path, **changes: dict[str, Any]) -> RunConfig:
    values: dict[str, Any] = {
        "name": "patient", "data": {"source": str(source), "split": "random"}, "model": {"base": str(base)},
        "optim": {"learning_rate": 1e-3, "batch_size": 16, "epochs": 8},
        "hardware": {"precision": "fp32", "device": "cpu"},
    }
    return make_config({**values, **{group: {**values.get(group, {}), **fields} for group, fields in changes.items()}})


def diagnosed(config: RunConfig, make_ill: Callable[[Patient], None] = lambda patient: None) -> Diagnosis:
    patient = patient_of(config)
    make_ill(patient)
    return conclude(examine(patient), patient.config)


def with_gold_ids(patient: Patient, gold_ids: np.ndarray) -> None:
    patient.training.train = replace(patient.training.train, gold_ids=gold_ids)


def with_tokenizer(patient: Patient, tokenizer: Any, texts: list[str]) -> None:
    patient.tokenizer = tokenizer
    patient.training.train = replace(patient.training.train, encoded=encode(texts, tokenizer, 64))


def shuffle_labels(patient: Patient) -> None:
    with_gold_ids(patient, np.random.default_rng(0).permutation(patient.gold_ids))


def empty_texts(patient: Patient) -> None:
    with_tokenizer(patient, patient.tokenizer, [""] * len(patient.texts))


def foreign_tokenizer(patient: Patient) -> None:
    from transformers import BertTokenizer

    vocabulary = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "[MASK]": 4, "le": 5, "film": 6}
    with_tokenizer(patient, BertTokenizer(vocab=vocabulary), patient.texts)


def cut_the_graph(patient: Patient) -> None:
    encoder = patient.model.base_model
    forward = encoder.forward

    def detached(*inputs: Any, **named: Any) -> Any:
        outputs = forward(*inputs, **named)
        return type(outputs)({key: value.detach() for key, value in outputs.items() if hasattr(value, "detach")})

    encoder.forward = detached


def overflow(patient: Patient) -> None:
    """As fp16 does on a GPU: above 65,504 there is only infinity."""
    patient.config = patient.config.model_copy(
        update={"hardware": patient.config.hardware.model_copy(update={"precision": "fp16"})}
    )
    forward = patient.model.forward

    def in_half(*inputs: Any, **named: Any) -> Any:
        outputs = forward(*inputs, **named)
        outputs.logits = (outputs.logits * 1e8).half()
        return outputs

    patient.model.forward = in_half


SICK: dict[str, tuple[str, dict[str, Any], Callable[[Patient], None] | None]] = {
    "frozen": ("usual", {"model": {"freeze": "encoder"}, "optim": {"learning_rate": 1e-3}}, None),
    "rate_small": ("usual", {"optim": {"learning_rate": 1e-8}}, None),
    "rate_large": ("usual", {"optim": {"learning_rate": 1.0}}, None),
    "unrelated_labels": ("usual", {}, shuffle_labels),
    "label_ids": ("usual", {}, lambda patient: with_gold_ids(patient, patient.gold_ids + 1)),
    "empty_texts": ("usual", {}, empty_texts),
    "tokenizer": ("usual", {}, foreign_tokenizer),
    "dropout": ("usual", {"model": {"dropout": 0.99}}, None),
    "detached": ("usual", {}, cut_the_graph),
    "fp16_overflow": ("usual", {}, overflow),
    "imbalance": ("one-sided", {}, None),
    "few_examples": ("tiny", {"optim": {"epochs": 20}}, None),
}


@pytest.mark.parametrize("symptom", SICK)
def test_a_sick_training_gets_the_right_verdict_first(symptom: str, tiny_model: Path, data: dict[str, Path]) -> None:
    source, changes, make_ill = SICK[symptom]
    found = diagnosed(config_with(tiny_model, data[source], **changes), make_ill or (lambda patient: None))
    assert (found.symptom, found.verdict) == (symptom, SYMPTOMS[symptom].verdict)
    assert found.evidence


@pytest.mark.parametrize(("source", "changes"), [
    ("usual", {}),
    ("four", {"loss": {"name": "focal"}, "optim": {"schedule": "cosine"}}),
    ("usual", {"model": {"freeze": "embeddings", "head": "mean"}}),
    ("usual", {"model": {"head": "mlp-batchnorm"}, "optim": {"head_multiplier": 3, "layer_decay": 0.9}}),
])
def test_a_healthy_training_is_called_healthy(
    source: str, changes: dict[str, Any], tiny_model: Path, data: dict[str, Path]
) -> None:
    found = diagnosed(config_with(tiny_model, data[source], **changes))
    assert (found.symptom, found.verdict, found.remedies) == ("", HEALTHY, ()), found.evidence


@pytest.mark.parametrize(("epochs", "freeze", "symptom", "first"), [
    (1, "embeddings", "not_learning", "all three"),
    (3, "none", "slow", "rate 1e-4"),
])
def test_a_run_that_ends_before_it_has_learnt_is_no_healthy_one(
    epochs: int, freeze: str, symptom: str, first: str, tiny_model: Path, data: dict[str, Path]
) -> None:
    changes = {"optim": {"epochs": epochs}, "model": {"freeze": freeze}}
    found = diagnosed(config_with(tiny_model, data["usual"], **changes))
    assert (found.symptom, found.remedies[0].title) == (symptom, first)
    assert f"Rehearsed, all {20 * epochs} steps." in found.evidence
    assert [check.name for check in found.checks if check.symptom] == ["rehearsal"]


def test_of_several_symptoms_the_one_that_explains_the_others_is_the_verdict() -> None:
    checks = [Check("a", "Late.", "not_learning"), Check("b", "Frozen.", "frozen"), Check("c", "Fine.")]
    found = conclude(checks, make_config({"name": "x", "model": {"freeze": "encoder"}}))
    assert (found.symptom, found.evidence) == ("frozen", "Frozen.")
    assert [remedy.title for remedy in found.remedies] == ["unfreeze", "rate 1e-4", "linear head"]


@pytest.mark.parametrize(("share", "evidence"), [
    (0.08, "Stays. And 92% of its parameters are frozen: a likely cause."),
    (0.8, "Stays."),            # the embeddings alone: few suffer from it
])
def test_where_most_is_frozen_the_evidence_of_not_learning_says_so(share: float, evidence: str) -> None:
    checks = [Check("parameters", "", values={"share": share}), Check("course", "Stays.", "not_learning")]
    assert conclude(checks, make_config({"name": "x"})).evidence == evidence


def test_a_remedy_that_changes_nothing_is_none_and_one_that_does_is_a_whole_config() -> None:
    config = make_config({"name": "x", "optim": {"learning_rate": 1.0}})
    found = conclude([Check("a", "Large.", "rate_large"), Check("b", "", "frozen")], config)
    [remedy] = found.remedies
    mended = remedy.applied(config, "x-mended")
    assert (mended.name, mended.optim.learning_rate, mended.data) == ("x-mended", 5e-5, config.data)
    assert conclude([Check("a", "", "frozen")], make_config({"name": "x"})).remedies[0].title != "unfreeze"


@pytest.mark.parametrize(("optim", "titles"), [
    ({"learning_rate": 1e-4, "batch_size": 16}, ["linear head"]),
    ({"learning_rate": 1e-4, "batch_size": 64}, ["batch 16", "linear head"]),       # all three would be the same
    ({"learning_rate": 1e-5, "batch_size": 64}, ["all three", "rate 1e-4", "batch 16", "linear head"]),
])
def test_of_two_remedies_that_come_to_the_same_the_simpler_is_offered(
    optim: dict[str, Any], titles: list[str]
) -> None:
    found = conclude([Check("a", "", "not_learning")], make_config({"name": "x", "optim": optim}))
    assert [remedy.title for remedy in found.remedies] == titles


@pytest.mark.parametrize("symptom", ["not_learning", "slow"])
def test_adversarial_training_is_the_first_to_be_taken_away_where_there_is_any(symptom: str) -> None:
    for name, is_first in {"fgm": True, "none": False}.items():
        config = make_config({"name": "x", "adversarial": {"name": name}})
        first = conclude([Check("a", "", symptom)], config).remedies[0]
        assert (first.title == "no adversarial training") == is_first
    assert [remedy.title for remedy in IN_ORDER][-2:] == ["no adversarial training", "all three"]


def test_every_symptom_that_a_check_can_have_has_a_verdict_and_its_remedies_are_configs() -> None:
    sources = "".join(path.read_text() for path in Path("analysis").glob("checks_of_*.py"))
    assert all(f'"{symptom}"' in sources for symptom in SYMPTOMS)
    for symptom in SYMPTOMS.values():
        for remedy in symptom.remedies:
            assert remedy.applied(make_config({"name": "x"}), "y").name == "y"


def test_a_run_that_learns_no_labels_is_refused(tiny_model: Path, data: dict[str, Path]) -> None:
    with pytest.raises(ConfigError, match=r"^The task is mlm: it learns no labels, which is what is examined here\. "):
        patient_of(make_config({"name": "a", "task": "mlm", "data": {"source": str(data["usual"])}}))


def test_the_patient_is_left_as_it_was(tiny_model: Path, data: dict[str, Path]) -> None:
    patient = patient_of(config_with(tiny_model, data["usual"], model={"freeze": "encoder", "dropout": 0.4}))
    before = {name: value.clone() for name, value in patient.model.state_dict().items()}
    list(examine(patient))
    assert all(value.equal(before[name]) for name, value in patient.model.state_dict().items())
    assert {each.requires_grad for each in patient.model.base_model.encoder.parameters()} == {False}
    assert patient.model.dropout.p == 0.4


def test_the_batch_has_as_many_of_each_label_as_can_be(tiny_model: Path, data: dict[str, Path]) -> None:
    patient = patient_of(config_with(tiny_model, data["four"]))
    assert np.bincount(patient.gold_ids[patient.batch_rows()]).tolist() == [4, 4, 4, 4]


def test_remedies_are_tried_in_order_to_the_first_that_learns(tiny_model: Path, data: dict[str, Path]) -> None:
    sick = config_with(tiny_model, data["usual"], model={"freeze": "encoder"}, optim={"epochs": 10})
    tried = list(try_in_order(sick))
    assert [each.remedy for each in tried] == [remedy for remedy in IN_ORDER][: len(tried)]
    assert tried[-1].learnt and tried[-1].accuracy > 0.9 and not any(each.learnt for each in tried[:-1])
    refused = list(try_in_order(config_with(tiny_model, data["usual"], data={"source": "nowhere"})))
    assert len(refused) == 3 and all("nowhere" in each.failed for each in refused)
