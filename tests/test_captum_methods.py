"""Gradient x input, occlusion and KernelSHAP: each held against what it is by definition."""

from __future__ import annotations

from itertools import combinations
from math import comb
from pathlib import Path

import numpy as np
import pytest
import torch

from analysis.attribution import Question
from analysis.captum_methods import gradient_x_input, kernel_shap, occlusion
from analysis.text_spans import text_pieces
from pipeline.predictor import Predictor

TEXT = "lovely lovelys but not dull"       # the second word has two pieces


@pytest.fixture(scope="module")
def question(sharp_model: Path) -> Question:
    predictor = Predictor.load(str(sharp_model), device="cpu")
    return Question(predictor, text_pieces(TEXT, predictor.tokenizer, predictor.max_length), label_id=1)


def log_odds_with(question: Question, words: tuple[int, ...]) -> float:
    """Of the text in which only these words can be read."""
    ids = torch.tensor([question.pieces.input_ids])
    for number, word in enumerate(question.pieces.words):
        if number not in words:
            ids[0, list(word.pieces)] = question.predictor.tokenizer.mask_token_id
    with torch.no_grad():
        return float(question.log_odds(question.predictor.model(ids).logits)[0])


ALL = (0, 1, 2, 3, 4)


def test_occlusion_is_what_is_lost_when_a_word_is_hidden(question: Question) -> None:
    assert [len(word.pieces) for word in question.pieces.words] == [1, 2, 1, 1, 1]
    whole = log_odds_with(question, ALL)
    expected = [whole - log_odds_with(question, tuple(n for n in ALL if n != hidden)) for hidden in ALL]
    assert occlusion(question).scores == pytest.approx(expected, abs=1e-4)


def test_kernel_shap_comes_near_the_shapley_values(question: Question) -> None:
    values = {words: log_odds_with(question, words) for size in range(6) for words in combinations(ALL, size)}
    exact = [
        sum(
            (values[tuple(sorted((*words, word)))] - values[words]) / (5 * comb(4, len(words)))
            for words in values if word not in words
        )
        for word in ALL
    ]
    found = kernel_shap(question)
    assert found.scores.sum() == pytest.approx(sum(exact), abs=1e-3)
    assert found.delta < 1e-3
    assert found.scores == pytest.approx(exact, abs=0.25 * float(np.abs(exact).max()))
    assert (kernel_shap(question).scores == found.scores).all()


def test_gradient_x_input_is_the_slope_at_the_text(question: Question) -> None:
    """Held against the log-odds of a text whose embeddings are all a little longer."""
    model = question.predictor.model
    embeddings = model.get_input_embeddings()(torch.tensor([question.pieces.input_ids])).detach()
    words = [piece for word in question.pieces.words for piece in word.pieces]
    longer = embeddings.clone()
    longer[0, words] *= 1 + 1e-3
    with torch.no_grad():
        before, after = (float(question.log_odds(model(inputs_embeds=x).logits)[0]) for x in (embeddings, longer))
    assert gradient_x_input(question).scores.sum() == pytest.approx((after - before) / 1e-3, rel=0.1, abs=0.05)
