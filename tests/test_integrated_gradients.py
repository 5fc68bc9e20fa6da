"""Integrated gradients: complete, as Captum has them, and asked at as many points as the sentence needs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from captum.attr import IntegratedGradients

from analysis import integrated_gradients as module
from analysis.attribution import Attribution, Question
from analysis.integrated_gradients import MAX_DELTA, integrated_gradients
from analysis.text_spans import text_pieces
from pipeline.predictor import Predictor

TEXT = "I love the warm film, but not the dull story"


@pytest.fixture(scope="module")
def question(sharp_model: Path) -> Question:
    predictor = Predictor.load(str(sharp_model), device="cpu")
    label_id = predictor.predict([TEXT])[0].label_id
    return Question(predictor, text_pieces(TEXT, predictor.tokenizer, predictor.max_length), label_id)


@pytest.fixture(scope="module")
def found(question: Question) -> Attribution:
    return integrated_gradients(question)


def test_the_log_odds_are_those_of_the_prediction(question: Question, found: Attribution) -> None:
    probability = question.predictor.predict([TEXT])[0].probabilities[found.label]
    assert found.log_odds == pytest.approx(np.log(probability / (1 - probability)), abs=1e-4)


def test_the_scores_add_up_to_what_the_words_change(found: Attribution) -> None:
    whole = found.log_odds - found.baseline_log_odds
    assert found.scores.sum() == pytest.approx(whole, abs=MAX_DELTA * abs(whole))
    assert found.delta <= MAX_DELTA


def test_the_scores_are_captums_own(question: Question, found: Attribution) -> None:
    model, tokenizer = question.predictor.model, question.predictor.tokenizer
    ids = tokenizer(TEXT, return_tensors="pt")["input_ids"]
    blank = ids.clone()
    blank[0, 1:-1] = tokenizer.pad_token_id
    embed = model.get_input_embeddings()
    expected = IntegratedGradients(lambda inputs: question.log_odds(model(inputs_embeds=inputs).logits)).attribute(
        embed(ids), embed(blank), n_steps=300
    )
    by_piece = expected.sum(dim=2)[0].detach().numpy()
    by_word = [by_piece[list(word.pieces)].sum() for word in found.pieces.words]
    assert found.scores == pytest.approx(by_word, abs=MAX_DELTA * float(np.abs(by_word).max()))


def test_points_are_added_where_the_log_odds_bend(question: Question, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_STRETCHES", 1)
    coarse = integrated_gradients(question)
    monkeypatch.setattr(module, "MAX_DELTA", 1e-5)
    fine = integrated_gradients(question)
    assert coarse.num_points < fine.num_points
    assert coarse.delta <= MAX_DELTA and fine.delta <= 1e-5


def test_only_the_stretches_that_miss_most_are_halved() -> None:
    missed = {(0.0, 0.25): 0.01, (0.25, 0.5): -0.5, (0.5, 0.75): 0.2, (0.75, 1.0): 0.02}
    assert sorted(module._halved(missed)) == [(0.0, 0.25), (0.25, 0.375), (0.375, 0.5), (0.5, 0.75), (0.75, 1.0)]
    missed[0.5, 0.75] = -0.6
    assert {(0.25, 0.5), (0.5, 0.625)} <= set(module._halved(missed))
