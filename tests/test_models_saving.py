"""Where weights go to: a folder that transformers itself loads, and that a crash at any moment leaves whole."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.config_parts import ModelConfig
from pipeline.models import label_names_of, load_base_model, load_classifier, save_model
from tests.tiny_encoders import FAMILIES, LABELS, SENTENCES, build, equal, logits_of, saved, weights_of

CPU = torch.device("cpu")


def test_what_is_saved_is_loaded_by_transformers_itself(tiny_model: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model, tokenizer = load_base_model(ModelConfig(base=str(tiny_model)), LABELS, CPU)
    save_model(model, tokenizer, tmp_path / "best")
    theirs = AutoModelForSequenceClassification.from_pretrained(tmp_path / "best")
    assert theirs.config.id2label == {0: "negative", 1: "positive"}
    assert equal(weights_of(theirs), weights_of(model))
    their_tokenizer = AutoTokenizer.from_pretrained(tmp_path / "best")
    assert their_tokenizer(SENTENCES)["input_ids"] == tokenizer(SENTENCES)["input_ids"]
    assert [path.name for path in tmp_path.iterdir()] == ["best"]


def test_what_is_saved_is_loaded_as_a_classifier_in_eval_mode(tiny_classifier: Path, tiny_model: Path) -> None:
    model, tokenizer = load_classifier(str(tiny_classifier), CPU)
    assert not model.training
    assert label_names_of(model.config) == LABELS
    assert torch.equal(logits_of(model, tokenizer), logits_of(build(tiny_model), tokenizer))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_classifier_of_each_family_comes_back_as_it_was_saved(
    family: str, tiny_bases: dict[str, Path], tmp_path: Path
) -> None:
    folder = saved(tiny_bases[family], tmp_path / "best")
    assert equal(weights_of(load_classifier(str(folder), CPU)[0]), weights_of(build(tiny_bases[family])))


def test_a_later_save_replaces_the_weights(tiny_model: Path, tmp_path: Path) -> None:
    saved(tiny_model, tmp_path / "best", seed=1)
    saved(tiny_model, tmp_path / "best", seed=2)
    assert equal(weights_of(load_classifier(str(tmp_path / "best"), CPU)[0]), weights_of(build(tiny_model, seed=2)))
    assert [path.name for path in tmp_path.iterdir()] == ["best"]


def test_weights_kept_in_fp16_are_computed_with_in_fp32(tiny_classifier: Path, tmp_path: Path) -> None:
    model, tokenizer = load_classifier(str(tiny_classifier), CPU)
    save_model(model.half(), tokenizer, tmp_path / "half")
    size, halved = ((folder / "model.safetensors").stat().st_size for folder in (tiny_classifier, tmp_path / "half"))
    assert halved < 0.6 * size
    for load in (lambda: load_classifier(str(tmp_path / "half"), CPU)[0], lambda: build(tmp_path / "half")):
        loaded = load()
        assert {weight.dtype for weight in loaded.parameters()} == {torch.float32}
        assert equal(weights_of(loaded.half()), weights_of(model))


class Crash(BaseException):
    """The power goes."""


def crash_in(monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    def crash(*_: Any, **__: Any) -> None:
        raise Crash

    from transformers import PreTrainedModel

    target, name = {"writing": (PreTrainedModel, "save_pretrained"), "replacing": (os, "replace")}[moment]
    monkeypatch.setattr(target, name, crash)


@pytest.mark.parametrize("moment", ["writing", "replacing"])
def test_a_crash_while_saving_leaves_the_old_weights_and_the_next_save_works(
    moment: str, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    best = saved(tiny_model, tmp_path / "best", seed=1)
    with monkeypatch.context() as patch, pytest.raises(Crash):
        crash_in(patch, moment)
        saved(tiny_model, best, seed=2)
    assert equal(weights_of(load_classifier(str(best), CPU)[0]), weights_of(build(tiny_model, seed=1)))
    saved(tiny_model, best, seed=2)
    assert equal(weights_of(load_classifier(str(best), CPU)[0]), weights_of(build(tiny_model, seed=2)))
    assert [path.name for path in tmp_path.iterdir()] == ["best"]


@pytest.mark.parametrize("moment", ["writing", "replacing"])
def test_a_crash_in_the_first_save_leaves_no_half_model(
    moment: str, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    best = tmp_path / "best"
    with monkeypatch.context() as patch, pytest.raises(Crash):
        crash_in(patch, moment)
        saved(tiny_model, best)
    assert not best.exists()
    (tmp_path / ".best.tmp").mkdir(exist_ok=True)
    (tmp_path / ".best.tmp/left-behind").touch()
    saved(tiny_model, best)
    assert not (best / "left-behind").exists()
    assert equal(weights_of(load_classifier(str(best), CPU)[0]), weights_of(build(tiny_model)))
