"""Which words made the model say so? Attributions in log-odds of a label, one per word."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.text_spans import TextPieces, text_pieces
from pipeline.exceptions import ModelError
from pipeline.predictor import Predictor

if TYPE_CHECKING:
    import torch

MAX_DELTA = 0.01                        # share of the whole that the words may miss
STEPS = (6, 12, 24, 48, 96, 192)        # tried in turn until they miss less
SMALLEST_WHOLE = 0.1                    # nats; a share of next to nothing would tell nothing
TOKENS_PER_BATCH = 4096


@dataclass(frozen=True)
class Attribution:
    """What each of N words adds to the log-odds of a label, log p / (1 - p), in nats: positive is evidence for it."""

    label: str
    pieces: TextPieces
    scores: np.ndarray          # (N,)
    log_odds: float             # of the label for this text
    baseline_log_odds: float    # for the text with nothing in the place of its words
    num_steps: int

    @property
    def delta(self) -> float:
        """How far the scores miss the difference that they should add up to, as a share of it."""
        whole = self.log_odds - self.baseline_log_odds
        return abs(float(self.scores.sum()) - whole) / max(abs(whole), SMALLEST_WHOLE)


def integrated_gradients(predictor: Predictor, text: str, label: str | None = None) -> Attribution:
    """Attributions of a label, the predicted one unless another is named, with as many steps as they need.

    The baseline has the embedding of padding in place of every piece of a word.
    Source: Sundararajan, Taly and Yan 2017, https://arxiv.org/abs/1703.01365; completeness is their axiom.
    Raises: ModelError for a label that the model does not know.
    """
    import torch
    from captum.attr import IntegratedGradients

    model = predictor.model
    [text] = predictor.cleaned([text])
    pieces = text_pieces(text, predictor.tokenizer, predictor.max_length)
    with predictor.computing:
        inputs, baseline = _embeddings(predictor, pieces)
        mask = torch.ones(inputs.shape[:2], dtype=torch.long, device=inputs.device)
        with torch.no_grad():
            both = torch.cat([inputs, baseline])
            logits = model(inputs_embeds=both, attention_mask=mask.expand(2, -1)).logits.float()
        label_id = _label_id(predictor, label, logits[0])

        def forward(embeddings: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            outputs = model(inputs_embeds=embeddings, attention_mask=attention_mask)
            return log_odds(outputs.logits.float(), label_id)

        whole, nothing = log_odds(logits, label_id).tolist()
        for num_steps in STEPS:
            gradients: Any = IntegratedGradients(forward).attribute(
                inputs,
                baseline,
                additional_forward_args=mask,
                n_steps=num_steps,
                internal_batch_size=max(1, TOKENS_PER_BATCH // inputs.shape[1]),
            )
            by_piece = gradients.sum(dim=2)[0].detach().cpu().numpy()      # (T,)
            scores = np.array([by_piece[list(word.pieces)].sum() for word in pieces.words], dtype=np.float64)
            found = Attribution(predictor.label_names[label_id], pieces, scores, whole, nothing, num_steps)
            if found.delta <= MAX_DELTA:
                break
    return found


def log_odds(logits: torch.Tensor, label_id: int) -> torch.Tensor:
    """Log p / (1 - p) of a label, (B, C) to (B,): with two labels, the difference of their logits."""
    import torch

    others = [other for other in range(logits.shape[1]) if other != label_id]
    return logits[:, label_id] - torch.logsumexp(logits[:, others], dim=1)


def _embeddings(predictor: Predictor, pieces: TextPieces) -> tuple[torch.Tensor, torch.Tensor]:
    """Embeddings of the pieces, (1, T, H), and the same with padding in place of all but the special ones."""
    import torch

    embed: Any = predictor.model.get_input_embeddings()
    ids = torch.tensor([pieces.input_ids], device=predictor.model.device)
    baseline_ids = ids.clone()
    for word in pieces.words:
        baseline_ids[0, list(word.pieces)] = int(predictor.tokenizer.pad_token_id)
    with torch.no_grad():
        return embed(ids), embed(baseline_ids)


def _label_id(predictor: Predictor, label: str | None, logits: torch.Tensor) -> int:
    if label is None:
        return int(logits.argmax())
    if label not in predictor.label_names:
        known = ", ".join(predictor.label_names)
        raise ModelError(f"The model does not know the label '{label[:80]}'. It knows: {known}.")
    return predictor.label_names.index(label)
