"""Which words made the model say so? Attributions in log-odds of a label, one per word."""

from __future__ import annotations

import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.text_spans import TextPieces, text_pieces
from pipeline.exceptions import ModelError
from pipeline.jobs import is_taken
from pipeline.predictor import Predictor

if TYPE_CHECKING:
    import torch

MAX_DELTA = 0.01            # share of the whole that the words may miss
SMALLEST_WHOLE = 0.1        # nats; a share of next to nothing would tell nothing
FIRST_STRETCHES = 6         # of the way from baseline to text
HALVED_AT_ONCE = 0.5        # those stretches are halved that make up so much of what is missed
MAX_POINTS = 400
TOKENS_PER_BATCH = 4096
REST = 5                    # times as long as an explanation took
NICENESS = 10               # of 19: predictions of the same app, and runs of the same session, go first


@dataclass(frozen=True)
class Attribution:
    """What each of N words adds to the log-odds of a label, log p / (1 - p), in nats: positive is evidence for it."""

    label: str
    pieces: TextPieces
    scores: np.ndarray          # (N,)
    log_odds: float             # of the label for this text
    baseline_log_odds: float    # for the text with nothing in the place of its words
    num_points: int             # on the way from the one to the other, at which gradients were computed

    @property
    def delta(self) -> float:
        """How far the scores miss the difference that they should add up to, as a share of it."""
        whole = self.log_odds - self.baseline_log_odds
        return abs(float(self.scores.sum()) - whole) / max(abs(whole), SMALLEST_WHOLE)


def integrated_gradients(predictor: Predictor, text: str, label: str | None = None) -> Attribution:
    """Attributions of a label, the predicted one unless another is named, at as many points as they need.

    The baseline has the embedding of padding in place of every piece of a word. The integral along the straight line
    to the text is taken by Simpson's rule in stretches. What a stretch should add up to is known (the log-odds at its
    two ends), so those that miss most are halved until the whole is within MAX_DELTA: the model's log-odds bend
    sharply in a few places, and evenly spaced points, as Captum's IntegratedGradients has them, are wasted elsewhere.
    Source: Sundararajan, Taly and Yan 2017, https://arxiv.org/abs/1703.01365; completeness is their axiom.
    Raises: ModelError for a label that the model does not know.
    """
    if predictor.model.device.type == "cpu":
        return _BEHIND_OTHERS.submit(_with_rests, predictor, text, label).result()
    with predictor.computing:
        return _integrated_gradients(predictor, text, label)


def _step_back() -> None:
    if sys.platform == "linux":     # where a thread has a priority of its own
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


# A CPU explains one text at a time, and lets others go first.
_BEHIND_OTHERS = ThreadPoolExecutor(1, "explaining", _step_back)
_rests_until = 0.0      # of time.monotonic()


def _with_rests(predictor: Predictor, text: str, label: str | None) -> Attribution:
    """Explain; where a run trains on the same cores only after a rest, since no priority keeps the two apart."""
    global _rests_until
    if is_taken("cpu"):
        time.sleep(max(0.0, _rests_until - time.monotonic()))
    began = time.monotonic()
    try:
        return _integrated_gradients(predictor, text, label)
    finally:
        ended = time.monotonic()
        _rests_until = ended + REST * (ended - began)


def _integrated_gradients(predictor: Predictor, text: str, label: str | None) -> Attribution:
    [text] = predictor.cleaned([text])
    pieces = text_pieces(text, predictor.tokenizer, predictor.max_length)
    line = _Line(predictor, pieces, label)
    stretches = [(n / FIRST_STRETCHES, (n + 1) / FIRST_STRETCHES) for n in range(FIRST_STRETCHES)]
    while True:
        line.visit(stretches)
        missed = {stretch: line.missed(stretch) for stretch in stretches}
        whole = max(abs(line.log_odds[1.0] - line.log_odds[0.0]), SMALLEST_WHOLE)
        if abs(sum(missed.values())) <= MAX_DELTA * whole or len(line.log_odds) >= MAX_POINTS:
            break
        stretches = _halved(missed)
    return Attribution(
        label=predictor.label_names[line.label_id or 0],
        pieces=pieces,
        scores=sum((line.integral(stretch) for stretch in stretches), np.zeros(len(pieces.words))),
        log_odds=line.log_odds[1.0],
        baseline_log_odds=line.log_odds[0.0],
        num_points=len(line.log_odds),
    )


Stretch = tuple[float, float]       # where it begins and ends, 0 at the baseline and 1 at the text


class _Line:
    """The way from baseline to text: log-odds and their slopes by word, at each point visited."""

    def __init__(self, predictor: Predictor, pieces: TextPieces, label: str | None) -> None:
        import torch

        self.model, self.pieces = predictor.model, pieces
        embed: Any = self.model.get_input_embeddings()
        ids = torch.tensor([pieces.input_ids], device=self.model.device)
        blank = ids.clone()
        for word in pieces.words:
            blank[0, list(word.pieces)] = int(predictor.tokenizer.pad_token_id)
        with torch.no_grad():
            self.baseline, self.change = embed(blank), embed(ids) - embed(blank)        # (1, T, H) each
        self.label_id = None if label is None else _label_id(predictor, label)
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

        points = sorted({x for a, b in stretches for x in (a, (a + b) / 2, b)} - self.log_odds.keys(), reverse=True)
        at_once = max(1, TOKENS_PER_BATCH // self.change.shape[1])
        for some in (points[i : i + at_once] for i in range(0, len(points), at_once)):
            embeddings = self.baseline + torch.tensor(some, device=self.model.device)[:, None, None] * self.change
            logits = self.logits(embeddings.requires_grad_())
            if self.label_id is None:       # the text itself comes first: the label is the one predicted for it
                self.label_id = int(logits[0].argmax())
            values = log_odds(logits, self.label_id)
            [gradients] = torch.autograd.grad(values.sum(), embeddings)         # (B, T, H)
            by_piece = (gradients * self.change).sum(dim=2).double().cpu().numpy()
            for point, value, slopes in zip(some, values.tolist(), by_piece, strict=True):
                self.log_odds[point] = value
                self.slopes[point] = np.array([slopes[list(word.pieces)].sum() for word in self.pieces.words])

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


def log_odds(logits: torch.Tensor, label_id: int) -> torch.Tensor:
    """Log p / (1 - p) of a label, (B, C) to (B,): with two labels, the difference of their logits."""
    import torch

    others = [other for other in range(logits.shape[1]) if other != label_id]
    return logits[:, label_id] - torch.logsumexp(logits[:, others], dim=1)


def _label_id(predictor: Predictor, label: str) -> int:
    if label not in predictor.label_names:
        known = ", ".join(predictor.label_names)
        raise ModelError(f"The model does not know the label '{label[:80]}'. It knows: {known}.")
    return predictor.label_names.index(label)
