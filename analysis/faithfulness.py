"""Do the words that an attribution points at matter to the model? Measured by leaving them out, beside random words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from analysis.attribution import Attribution
from pipeline.metrics import softmax
from pipeline.predictor import Predictor

SHARE_LEFT_OUT = 0.2        # of the words, at least one
NUM_RANDOM = 20


@dataclass(frozen=True)
class Faithfulness:
    """What happens to the probability of the label explained, for the K words that speak for it most.

    Source: DeYoung et al. 2020, https://arxiv.org/abs/1911.03429 (ERASER), section 4.
    """

    words: tuple[str, ...]              # K, in the order of the text
    comprehensiveness: float            # what it costs to leave these words out: the more, the more faithful
    sufficiency: float                  # what it costs to leave all others out: the less, the more faithful
    random_comprehensiveness: float     # the same for as many words drawn by chance, means of NUM_RANDOM draws
    random_sufficiency: float

    @property
    def beats_chance(self) -> bool:
        return self.comprehensiveness > self.random_comprehensiveness


def faithfulness(predictor: Predictor, found: Attribution, share: float = SHARE_LEFT_OUT) -> Faithfulness | None:
    """None for a text of fewer than three words: there, words left out leave nothing to ask about."""
    num_words = len(found.words)
    if num_words < 3:
        return None
    k = max(1, round(share * num_words))
    random = np.random.default_rng(0)
    draws = [random.choice(num_words, k, replace=False) for _ in range(NUM_RANDOM)]
    chosen = [np.argsort(-found.scores)[:k], *draws]
    every = set(range(num_words))
    texts = [found.pieces.text]
    texts += [without_words(found, words) for words in chosen]
    texts += [without_words(found, every - set(words.tolist())) for words in chosen]
    logits, _ = predictor.logits(texts)
    probability = softmax(logits)[:, predictor.label_names.index(found.label)]
    left_out, kept = np.split(probability[0] - probability[1:], 2)
    return Faithfulness(
        words=tuple(found.words[index] for index in sorted(chosen[0].tolist())),
        comprehensiveness=float(left_out[0]),
        sufficiency=float(kept[0]),
        random_comprehensiveness=float(left_out[1:].mean()),
        random_sufficiency=float(kept[1:].mean()),
    )


def without_words(found: Attribution, words: Iterable[int]) -> str:
    """The text with these of its words left out, each with the space before it."""
    left_out, (parts, rest) = set(words), found.pieces.split()
    kept = [before + word for index, (before, word) in enumerate(parts) if index not in left_out]
    return ("".join(kept) + rest).strip()
