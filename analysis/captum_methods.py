"""What do other methods say of the words? Gradient x input, occlusion and KernelSHAP, by Captum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.attribution import Attribution, Question

if TYPE_CHECKING:
    import torch

NUM_COALITIONS = 200        # of words, by which KernelSHAP judges
PER_BATCH = 32


def gradient_x_input(question: Question) -> Attribution:
    """The slope of the log-odds at the text, times its embeddings: one pass; the scores need not add up to anything.

    Source: Shrikumar et al. 2016, https://arxiv.org/abs/1605.01713; Captum's InputXGradient.
    """
    from captum.attr import InputXGradient

    model, ids = question.predictor.model, question.input_ids()
    embed: Any = model.get_input_embeddings()

    def forward(embeddings: torch.Tensor) -> torch.Tensor:
        return question.log_odds(model(inputs_embeds=embeddings).logits.float())

    scores = InputXGradient(forward).attribute(embed(ids).detach().requires_grad_())     # (1, T, H)
    by_piece = scores.sum(dim=2)[0].detach().double().cpu().numpy()
    return _found(question, "gradient_x_input", question.by_word(by_piece), num_points=1)


def occlusion(question: Question) -> Attribution:
    """What the log-odds lose when a word is hidden behind [MASK], each by itself.

    Source: Zeiler and Fergus 2014, https://arxiv.org/abs/1311.2901; Captum's FeatureAblation.
    """
    from captum.attr import FeatureAblation

    ids, mask, hidden = _features(question)
    scores = FeatureAblation(_forward(question)).attribute(
        ids, baselines=hidden, feature_mask=mask, perturbations_per_eval=PER_BATCH
    )
    return _found(question, "occlusion", _first_pieces(question, scores), num_points=len(question.pieces.words) + 1)


def kernel_shap(question: Question) -> Attribution:
    """Shapley values of the words, estimated from coalitions of them, the others hidden behind [MASK].

    They add up to the difference between the text and the text with every word hidden. The coalitions are drawn with
    a seed of their own, so that the same question has the same answer.
    Source: Lundberg and Lee 2017, https://arxiv.org/abs/1705.07874; Captum's KernelShap.
    """
    import torch
    from captum.attr import KernelShap

    if len(question.pieces.words) < 2:      # nothing to share out: no regression has an answer
        return occlusion(question)
    ids, mask, hidden = _features(question)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        random_state = np.random.get_state()
        np.random.seed(0)
        scores = KernelShap(_forward(question)).attribute(
            ids, baselines=hidden, feature_mask=mask, n_samples=NUM_COALITIONS, perturbations_per_eval=PER_BATCH
        )
        np.random.set_state(random_state)
    with torch.no_grad():
        baseline = float(_forward(question)(hidden)[0])
    return _found(question, "kernel_shap", _first_pieces(question, scores), NUM_COALITIONS, baseline)


def _features(question: Question) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(1, T) each: the pieces, the number of the word that each belongs to, and the pieces with every word hidden.

    Special pieces are in no word: they count to the first one, and stand there hidden or not.
    """
    import torch

    tokenizer: Any = question.predictor.tokenizer
    ids = question.input_ids()
    mask, hidden = torch.zeros_like(ids), ids.clone()
    blank = tokenizer.pad_token_id if tokenizer.mask_token_id is None else tokenizer.mask_token_id
    for number, word in enumerate(question.pieces.words):
        mask[0, list(word.pieces)] = number
        hidden[0, list(word.pieces)] = blank
    return ids, mask, hidden


def _forward(question: Question) -> Any:
    import torch

    model = question.predictor.model

    def forward(ids: torch.Tensor) -> torch.Tensor:
        return question.log_odds(model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits.float())

    return forward


def _first_pieces(question: Question, scores: torch.Tensor) -> np.ndarray:
    """(1, T) to (N,): Captum gives every piece of a word the word's whole score."""
    by_piece = scores[0].detach().double().cpu().numpy()
    return np.array([by_piece[word.pieces[0]] for word in question.pieces.words])


def _found(
    question: Question, method: str, scores: np.ndarray, num_points: int, baseline: float | None = None
) -> Attribution:
    import torch

    with torch.no_grad():
        log_odds = float(_forward(question)(question.input_ids())[0])
    return question.answer(method, scores, log_odds, baseline, num_points)
