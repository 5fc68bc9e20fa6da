"""ONNX Runtime says what torch says, or is not used."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification

from pipeline import onnx_forward as module
from pipeline.encoding import encode
from pipeline.onnx_forward import onnx_forward
from pipeline.predictor import CALLS_IN_TORCH, Predictor, predict_logits
from tests.tiny_encoders import FAMILIES, saved, tiny_config

TEXTS = ["good film", "", "the actor was very good but i love you", "a", "bad " * 40]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_of_encoders_has_the_logits_of_torch(family: str) -> None:
    torch.manual_seed(1)
    model = AutoModelForSequenceClassification.from_config(tiny_config(family)).eval()
    forward = onnx_forward(model)
    assert forward is not None
    for shape in ((1, 2), (1, 31), (7, 12)):
        ids = torch.randint(4, model.config.vocab_size, shape)
        mask = (torch.arange(shape[1]) < torch.randint(1, shape[1] + 1, (shape[0], 1))).long()
        expected = model(input_ids=ids, attention_mask=mask).logits.detach().numpy()
        assert forward({"input_ids": ids, "attention_mask": mask}) == pytest.approx(expected, abs=1e-5)


def test_a_predictor_that_is_asked_again_says_the_same(
    sharp_model: Path, tmp_path: Path, calls: list[Callable[..., object]]
) -> None:
    predictor = Predictor.load(str(saved(sharp_model, tmp_path / "best")), device="cpu")
    answers = [predictor.logits(TEXTS)[0] for _ in range(CALLS_IN_TORCH + 2)]
    assert len(calls) == 1
    assert predictor._forward is not None
    for later in answers[1:]:
        assert later == pytest.approx(answers[0], abs=1e-5)
    encoded = encode(TEXTS, predictor.tokenizer, predictor.max_length)
    assert np.array_equal(answers[0], predict_logits(predictor.model, encoded))


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Callable[..., object]]:
    """What ONNX Runtime was asked for."""
    made: list[Callable[..., object]] = []

    def noted(model: object) -> object:
        made.append(onnx_forward)
        return onnx_forward(model)      # type: ignore[arg-type]

    monkeypatch.setattr("pipeline.predictor.onnx_forward", noted)
    return made


def test_where_its_logits_differ_it_is_not_used(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model = AutoModelForSequenceClassification.from_config(tiny_config("bert")).eval()
    monkeypatch.setattr(module, "_difference", lambda model, forward: 0.01)
    with caplog.at_level(logging.INFO):
        assert onnx_forward(model) is None
    assert "its logits differ from torch's by 0.01" in caplog.text


def test_a_model_that_cannot_be_exported_goes_on_in_torch(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, sharp_model: Path, tmp_path: Path
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise RuntimeError("no operator for this")

    monkeypatch.setattr(torch.onnx, "export", refuse)
    predictor = Predictor.load(str(saved(sharp_model, tmp_path / "best")), device="cpu")
    with caplog.at_level(logging.INFO):
        labels = {tuple(each.label for each in predictor.predict(TEXTS)) for _ in range(CALLS_IN_TORCH + 2)}
    assert len(labels) == 1
    assert "ONNX Runtime is not used: no operator for this" in caplog.text
