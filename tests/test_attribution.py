"""Attributions: one score a word, about the label that was asked for, by any method, of every family of encoders."""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import nullcontext
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from analysis import attribution
from analysis.attribution import METHODS, Attribution, Question, attribute, rank_agreement
from analysis.integrated_gradients import MAX_DELTA
from analysis.text_spans import TextPieces
from pipeline.exceptions import ModelError
from pipeline.jobs import device_lock
from pipeline.predictor import Predictor
from tests.tiny_encoders import FAMILIES, saved

TEXT = "I love the warm film, but not the dull story"


@pytest.fixture(scope="module")
def predictor(sharp_model: Path) -> Predictor:
    return Predictor.load(str(sharp_model), device="cpu")


@pytest.fixture(scope="module")
def found(predictor: Predictor) -> Attribution:
    return attribute(predictor, TEXT)


def test_each_word_has_a_score_and_the_label_is_the_predicted_one(predictor: Predictor, found: Attribution) -> None:
    assert [TEXT[word.start : word.end] for word in found.pieces.words] == TEXT.split()
    assert found.scores.shape == (10,)
    assert np.abs(found.scores).max() > 0.01
    assert found.label == predictor.predict([TEXT])[0].label


def test_a_prediction_does_not_wait_for_an_explanation(predictor: Predictor) -> None:
    going_on = threading.Event()
    explaining = attribution._BEHIND_OTHERS.submit(going_on.wait, 30)
    try:
        assert predictor.predict([TEXT])[0].text == TEXT
        assert not explaining.done()
    finally:
        going_on.set()


@pytest.mark.parametrize("trains", [True, False])
def test_beside_a_run_each_explanation_is_followed_by_a_rest(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch, trains: bool
) -> None:
    began = []

    def explain(*arguments: object) -> None:
        began.append(time.monotonic())
        time.sleep(0.05)

    monkeypatch.setattr(attribution, "_attribute", explain)
    with device_lock("cpu", threading.Event()) if trains else nullcontext():
        for number in range(3):
            attribute(predictor, f"{TEXT} {trains} {number}")
    rested = [after - before - 0.05 for before, after in pairwise(began)]
    assert [rest >= 0.05 * attribution.REST for rest in rested] == [trains, trains]


@pytest.mark.skipif(sys.platform != "linux", reason="threads have no priority of their own")
def test_explanations_let_others_go_first() -> None:
    assert attribution._BEHIND_OTHERS.submit(os.nice, 0).result() == attribution.NICENESS + os.nice(0)


def test_evidence_for_one_of_two_labels_is_evidence_against_the_other(predictor: Predictor) -> None:
    for_one = attribute(predictor, TEXT, "positive")
    for_other = attribute(predictor, TEXT, "negative")
    assert (for_one.label, for_other.label) == ("positive", "negative")
    assert for_one.scores == pytest.approx(-for_other.scores, abs=0.02 * np.abs(for_one.scores).max())


def test_log_odds_of_several_labels_are_those_of_their_probabilities(predictor: Predictor) -> None:
    no_words = TextPieces("", [], [])
    logits = torch.tensor([[2.0, -1.0, 0.5], [0.0, 0.0, 0.0]])
    probs = logits.softmax(dim=1)
    for label_id in range(3):
        expected = torch.log(probs[:, label_id] / (1 - probs[:, label_id]))
        assert torch.allclose(Question(predictor, no_words, label_id).log_odds(logits), expected, atol=1e-6)
    against = Question(predictor, no_words, 0, against_id=2).log_odds(logits)
    assert torch.allclose(against, torch.log(probs[:, 0] / probs[:, 2]), atol=1e-6)


def test_other_weights_give_other_attributions(tiny_model: Path, tmp_path: Path, found: Attribution) -> None:
    """They follow the model, not the text alone (Adebayo et al. 2018, https://arxiv.org/abs/1810.03292)."""
    torch.manual_seed(5)
    other = attribute(Predictor.load(str(saved(tiny_model, tmp_path / "other")), device="cpu"), TEXT)
    assert abs(np.corrcoef(found.scores, other.scores)[0, 1]) < 0.9


def test_a_text_without_words_has_no_scores(predictor: Predictor) -> None:
    empty = attribute(predictor, "  ")
    assert empty.scores.shape == (0,)
    assert empty.log_odds == pytest.approx(empty.baseline_log_odds, abs=1e-5)


def test_the_weights_and_their_gradients_stay_as_they_are(predictor: Predictor) -> None:
    before = {name: weight.clone() for name, weight in predictor.model.state_dict().items()}
    attribute(predictor, TEXT)
    assert all(torch.equal(before[name], weight) for name, weight in predictor.model.state_dict().items())
    assert all(weight.grad is None for weight in predictor.model.parameters())


def test_an_unknown_label_is_told_with_those_there_are(predictor: Predictor) -> None:
    with pytest.raises(ModelError, match="does not know the label 'neutral'. It knows: negative, positive."):
        attribute(predictor, TEXT, "neutral")
    with pytest.raises(ModelError, match="no method 'LIME' of attribution. There are: integrated_gradients, "):
        attribute(predictor, TEXT, method="LIME")
    with pytest.raises(ModelError, match="'positive' cannot be explained against itself"):
        attribute(predictor, TEXT, "positive", against="positive")


def test_the_same_question_is_answered_once(predictor: Predictor, found: Attribution) -> None:
    assert attribute(predictor, TEXT) is found
    assert attribute(predictor, TEXT, "negative") is not attribute(predictor, TEXT, "positive")
    assert attribute(predictor, TEXT, method="occlusion").method == "occlusion"


def test_two_methods_agree_as_far_as_they_order_the_words_alike(found: Attribution) -> None:
    order = found.scores.argsort().argsort()
    assert rank_agreement(found, replace(found, scores=order)) == pytest.approx(1)
    assert rank_agreement(found, replace(found, scores=-order)) == pytest.approx(-1)
    assert np.isnan(rank_agreement(found, replace(found, scores=np.zeros(10))))


@pytest.mark.parametrize("method", ["gradient_x_input", "occlusion", "kernel_shap"])
def test_no_method_stumbles_over_a_text_of_no_word_or_one(predictor: Predictor, method: str) -> None:
    assert attribute(predictor, " ", "positive", method=method).scores.shape == (0,)
    assert attribute(predictor, "good", "positive", method=method).scores.shape == (1,)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_of_encoders_can_be_explained(tiny_bases: dict[str, Path], tmp_path: Path, family: str) -> None:
    folder = saved(tiny_bases[family], tmp_path / "best")
    predictor = Predictor.load(str(folder), device="cpu")
    for method in METHODS:
        explained = attribute(predictor, "a good film, but dull", method=method)
        assert explained.scores.shape == (5,)
    assert attribute(predictor, "a good film, but dull").delta <= MAX_DELTA
