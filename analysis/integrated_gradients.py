"""How much of the way from blanks to the text is each word's own? Integrated gradients, at as many points as needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.attribution import DEFAULT_METHOD, SMALLEST_WHOLE, Attribution, Question

if TYPE_CHECKING:
    import torch

MAX_DELTA = 0.01            # share of the whole that the words may miss
FIRST_STRETCHES = 6         # of the way from baseline to text
HALVED_AT_ONCE = 0.5        # those stretches are halved that make up so much of what is missed
MAX_POINTS = 400
TOKENS_PER_BATCH = 4096

Stretch = tuple[float, float]       # where it begins and ends, 0 at the baseline and 1 at the text


def integrated_gradients(question: Question) -> Attribution:
    """Scores that add up to the difference in log-odds between the text and a baseline, to within MAX_DELTA of it.

    The baseline has the embedding of padding in place of every piece of a word. The integral along the straight line
    to the text is taken by Simpson's rule in stretches. What a stretch should add up to is known (the log-odds at its
    two ends), so those that miss most are halved until the whole is within MAX_DELTA: the model's log-odds bend
    sharply in a few places, and evenly spaced points, as Captum's IntegratedGradients has them, are wasted elsewhere.
    Source: Sundararajan, Taly and Yan 2017, https://arxiv.org/abs/1703.01365; completeness is their axiom.
    """
    line = _Line(question)
    stretches = [(n / FIRST_STRETCHES, (n + 1) / FIRST_STRETCHES) for n in range(FIRST_STRETCHES)]
    while True:
        line.visit(stretches)
        missed = {stretch: line.missed(stretch) for stretch in stretches}
        whole = max(abs(line.log_odds[1.0] - line.log_odds[0.0]), SMALLEST_WHOLE)
        if abs(sum(missed.values())) <= MAX_DELTA * whole or len(line.log_odds) >= MAX_POINTS:
            break
        stretches = _halved(missed)
    scores = sum((line.integral(stretch) for stretch in stretches), np.zeros(len(question.pieces.words)))
    return question.answer(DEFAULT_METHOD, scores, line.log_odds[1.0], line.log_odds[0.0], len(line.log_odds))


class _Line:
    """The way from baseline to text: log-odds and their slopes by word, at each point visited."""

    def __init__(self, question: Question) -> None:
        import torch

        self.question, self.model = question, question.predictor.model
        embed: Any = self.model.get_input_embeddings()
        ids = question.input_ids()
        blank = ids.clone()
        for word in question.pieces.words:
            blank[0, list(word.pieces)] = int(question.predictor.tokenizer.pad_token_id)
        with torch.no_grad():
            self.baseline, self.change = embed(blank), embed(ids) - embed(blank)        # (1, T, H) each
        self.log_odds: dict[float, float] = {}
        self.slopes: dict[float, np.ndarray] = {}       # (N,): how fast the log-odds grow by each word

    def logits(self, embeddings: torch.Tensor) -> torch.Tensor:
        """(B, T, H) to (B, C)."""
        import torch

        mask = torch.ones(embeddings.shape[:2], dtype=torch.long, device=embeddings.device)
        return self.model(inputs_embeds=embeddings, attention_mask=mask).logits.float()

    def visit(self, stretches: list[Stretch]) -> None:
        """Compute what is not known yet at both ends and in the middle of each stretch."""
        import torch

        points = sorted({x for a, b in stretches for x in (a, (a + b) / 2, b)} - self.log_odds.keys())
        at_once = max(1, TOKENS_PER_BATCH // self.change.shape[1])
        for some in (points[i : i + at_once] for i in range(0, len(points), at_once)):
            embeddings = self.baseline + torch.tensor(some, device=self.model.device)[:, None, None] * self.change
            values = self.question.log_odds(self.logits(embeddings.requires_grad_()))
            [gradients] = torch.autograd.grad(values.sum(), embeddings)         # (B, T, H)
            by_piece = (gradients * self.change).sum(dim=2).double().cpu().numpy()
            for point, value, slopes in zip(some, values.tolist(), by_piece, strict=True):
                self.log_odds[point] = value
                self.slopes[point] = self.question.by_word(slopes)

    def integral(self, stretch: Stretch) -> np.ndarray:
        """What each word adds on the way, (N,): Simpson's rule."""
        a, b = stretch
        return (b - a) / 6 * (self.slopes[a] + 4 * self.slopes[(a + b) / 2] + self.slopes[b])

    def missed(self, stretch: Stretch) -> float:
        return float(self.integral(stretch).sum()) - (self.log_odds[stretch[1]] - self.log_odds[stretch[0]])


def _halved(missed: dict[Stretch, float]) -> list[Stretch]:
    """The same stretches, those that miss most cut in two."""
    left = HALVED_AT_ONCE * sum(map(abs, missed.values()))
    found: list[Stretch] = []
    for a, b in sorted(missed, key=lambda stretch: -abs(missed[stretch])):
        found += [(a, (a + b) / 2), ((a + b) / 2, b)] if left > 0 else [(a, b)]
        left -= abs(missed[a, b])
    return found
