"""Integrated gradients: complete, as Captum has them, one score a word, and about the label that was asked for."""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import nullcontext
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients

from analysis import attribution
from analysis.attribution import MAX_DELTA, Attribution, integrated_gradients, log_odds
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
    return integrated_gradients(predictor, TEXT)


def test_each_word_has_a_score_and_the_label_is_the_predicted_one(predictor: Predictor, found: Attribution) -> None:
    assert [TEXT[word.start : word.end] for word in found.pieces.words] == TEXT.split()
    assert found.scores.shape == (10,)
    assert np.abs(found.scores).max() > 0.01
    assert found.label == predictor.predict([TEXT])[0].label


def test_the_log_odds_are_those_of_the_prediction(predictor: Predictor, found: Attribution) -> None:
    probability = predictor.predict([TEXT])[0].probabilities[found.label]
    assert found.log_odds == pytest.approx(np.log(probability / (1 - probability)), abs=1e-4)


def test_the_scores_add_up_to_what_the_words_change(found: Attribution) -> None:
    whole = found.log_odds - found.baseline_log_odds
    assert found.scores.sum() == pytest.approx(whole, abs=MAX_DELTA * abs(whole))
    assert found.delta <= MAX_DELTA


def test_the_scores_are_captums_own(predictor: Predictor, found: Attribution) -> None:
    model, tokenizer = predictor.model, predictor.tokenizer
    ids = tokenizer(TEXT, return_tensors="pt")["input_ids"]
    blank = ids.clone()
    blank[0, 1:-1] = tokenizer.pad_token_id
    embed = model.get_input_embeddings()
    label_id = predictor.label_names.index(found.label)
    expected = IntegratedGradients(lambda inputs: log_odds(model(inputs_embeds=inputs).logits, label_id)).attribute(
        embed(ids), embed(blank), n_steps=300
    )
    by_piece = expected.sum(dim=2)[0].detach().numpy()
    by_word = [by_piece[list(word.pieces)].sum() for word in found.pieces.words]
    assert found.scores == pytest.approx(by_word, abs=MAX_DELTA * float(np.abs(by_word).max()))


def test_points_are_added_where_the_log_odds_bend(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attribution, "FIRST_STRETCHES", 1)
    coarse = integrated_gradients(predictor, TEXT)
    monkeypatch.setattr(attribution, "MAX_DELTA", 1e-5)
    fine = integrated_gradients(predictor, TEXT)
    assert coarse.num_points < fine.num_points
    assert coarse.delta <= MAX_DELTA and fine.delta <= 1e-5


def test_only_the_stretches_that_miss_most_are_halved() -> None:
    missed = {(0.0, 0.25): 0.01, (0.25, 0.5): -0.5, (0.5, 0.75): 0.2, (0.75, 1.0): 0.02}
    assert sorted(attribution._halved(missed)) == [(0.0, 0.25), (0.25, 0.375), (0.375, 0.5), (0.5, 0.75), (0.75, 1.0)]
    missed[0.5, 0.75] = -0.6
    assert {(0.25, 0.5), (0.5, 0.625)} <= set(attribution._halved(missed))


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

    monkeypatch.setattr(attribution, "_integrated_gradients", explain)
    with device_lock("cpu", threading.Event()) if trains else nullcontext():
        for _ in range(3):
            integrated_gradients(predictor, TEXT)
    rested = [after - before - 0.05 for before, after in pairwise(began)]
    assert [rest >= 0.05 * attribution.REST for rest in rested] == [trains, trains]


@pytest.mark.skipif(sys.platform != "linux", reason="threads have no priority of their own")
def test_explanations_let_others_go_first() -> None:
    assert attribution._BEHIND_OTHERS.submit(os.nice, 0).result() == attribution.NICENESS + os.nice(0)


def test_evidence_for_one_of_two_labels_is_evidence_against_the_other(predictor: Predictor) -> None:
    for_one = integrated_gradients(predictor, TEXT, "positive")
    for_other = integrated_gradients(predictor, TEXT, "negative")
    assert (for_one.label, for_other.label) == ("positive", "negative")
    assert for_one.scores == pytest.approx(-for_other.scores, abs=0.02 * np.abs(for_one.scores).max())


def test_log_odds_of_several_labels_are_those_of_their_probabilities() -> None:
    logits = torch.tensor([[2.0, -1.0, 0.5], [0.0, 0.0, 0.0]])
    probs = logits.softmax(dim=1)
    for label_id in range(3):
        expected = torch.log(probs[:, label_id] / (1 - probs[:, label_id]))
        assert torch.allclose(log_odds(logits, label_id), expected, atol=1e-6)


def test_other_weights_give_other_attributions(tiny_model: Path, tmp_path: Path, found: Attribution) -> None:
    """They follow the model, not the text alone (Adebayo et al. 2018, https://arxiv.org/abs/1810.03292)."""
    torch.manual_seed(5)
    other = integrated_gradients(Predictor.load(str(saved(tiny_model, tmp_path / "other")), device="cpu"), TEXT)
    assert abs(np.corrcoef(found.scores, other.scores)[0, 1]) < 0.9


def test_a_text_without_words_has_no_scores(predictor: Predictor) -> None:
    empty = integrated_gradients(predictor, "  ")
    assert empty.scores.shape == (0,)
    assert empty.log_odds == pytest.approx(empty.baseline_log_odds, abs=1e-5)


def test_the_weights_and_their_gradients_stay_as_they_are(predictor: Predictor) -> None:
    before = {name: weight.clone() for name, weight in predictor.model.state_dict().items()}
    integrated_gradients(predictor, TEXT)
    assert all(torch.equal(before[name], weight) for name, weight in predictor.model.state_dict().items())
    assert all(weight.grad is None for weight in predictor.model.parameters())


def test_an_unknown_label_is_told_with_those_there_are(predictor: Predictor) -> None:
    with pytest.raises(ModelError, match="does not know the label 'neutral'. It knows: negative, positive."):
        integrated_gradients(predictor, TEXT, "neutral")


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_of_encoders_can_be_explained(tiny_bases: dict[str, Path], tmp_path: Path, family: str) -> None:
    folder = saved(tiny_bases[family], tmp_path / "best")
    explained = integrated_gradients(Predictor.load(str(folder), device="cpu"), "a good film, but dull")
    assert explained.scores.shape == (5,)
    assert explained.delta <= MAX_DELTA
