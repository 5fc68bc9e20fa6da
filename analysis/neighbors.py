"""Who taught the model this? Training examples by influence and by nearness, and the words of a text in training."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from unicodedata import east_asian_width

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from analysis.embeddings import load_encoder, sentence_embeddings
from analysis.training_index import TrainingIndex, errors_of, features_of
from pipeline.predictor import Predictor

NUM_NEAREST = 10
ROWS_AT_ONCE = 8192         # of float16, which is multiplied as float32
TINY = 1e-12


@dataclass(frozen=True)
class Taught:
    """A training example that has to do with a text."""

    example_id: str
    text: str
    label: str
    score: float                # its influence, or its cosine to the text
    agrees: bool                # its label is the gold label of the text
    opposite_nearby: bool       # one of its 10 nearest training examples has another label, and is near (index.nearby)


def influences(
    index: TrainingIndex, predictor: Predictor, text: str, gold_id: int, k: int = 5, relative: bool = True
) -> tuple[list[Taught], list[Taught]]:
    """The k proponents and the k opponents of a gold label, strongest first, by TracIn in the best model's last layer.

    The score is the product of two gradients of the loss, one at the training example and one at (text, gold label):
    (features · features) * (errors · errors). Positive (a proponent): a step that learns the example also lowers the
    loss of the gold label here. Negative (an opponent): it raises that loss. So the opponents of an error taught it.
    Relative scores are divided by the length of the example's own gradient. Without that, the few examples that the
    model never learnt come first for every text: of 60 errors made by a planted word, 81% of the top five opponents
    held it with relative scores, 15% without.
    Sources: Pruthi et al. 2020, https://arxiv.org/abs/2002.08484, appendix F (Captum's TracInCPFast, one checkpoint);
    Barshan et al. 2020, https://arxiv.org/abs/2003.11630 (relative).
    """
    features = features_of(predictor, predictor.cleaned([text]))                # (1, H)
    errors = errors_of(predictor, features, np.array([gold_id]))                # (1, C)
    scores = (_products(index.features, features) * (index.errors @ errors.T))[:, 0]
    if relative:
        scores = scores / np.maximum(index.gradient_lengths, TINY)
    order = np.argsort(scores)
    proponents = [row for row in order[::-1][:k] if scores[row] > 0]
    opponents = [row for row in order[:k] if scores[row] < 0]
    found = _taught(index, predictor, proponents + opponents, scores, gold_id)
    return found[: len(proponents)], found[len(proponents) :]


def nearest(index: TrainingIndex, predictor: Predictor, text: str, gold_id: int, k: int = 5) -> list[Taught]:
    """The k training examples whose embeddings have the highest cosine to that of the text, nearest first.

    The embeddings are those of an encoder that has not seen the labels, where there is one: to the trained model all
    texts that it gives the same label are alike. Raises: ModelError when the index's encoder is not to be had any more.
    """
    embedding = sentence_embeddings(load_encoder(index.encoder), predictor.cleaned([text]))     # (1, E)
    cosines = _products(index.embeddings, embedding)[:, 0]
    return _taught(index, predictor, list(np.argsort(-cosines)[:k]), cosines, gold_id)


def word_counts(texts: pa.ChunkedArray, label_ids: np.ndarray, words: Sequence[str]) -> np.ndarray:
    """How many texts of each label hold each word, whole and in any case: (W, C); a row's sum is all that hold it."""
    counts = []
    for word in words:
        pattern = _edge(word[0], "^") + f"(?i:{re.escape(word)})" + _edge(word[-1], "$")
        rows = pc.match_substring_regex(texts, pattern).to_numpy()
        counts.append(np.bincount(label_ids[rows], minlength=label_ids.max() + 1))
    return np.array(counts)


def _edge(character: str, end: str) -> str:
    """The pattern of what may stand beside it: no letter or digit, unless it is itself none or needs no spaces."""
    is_apart = character.isalnum() and east_asian_width(character) not in ("W", "F")
    return rf"(?:{end}|[^\pL\pM\pN])" if is_apart else ""         # RE2's own \b knows ASCII letters alone


def _taught(
    index: TrainingIndex, predictor: Predictor, rows: list[int], scores: np.ndarray, gold_id: int
) -> list[Taught]:
    marked = _opposite_nearby(index, rows)
    return [
        Taught(
            example_id=index.example_ids[row].as_py(),
            text=index.texts[row].as_py(),
            label=predictor.label_names[index.label_ids[row]],
            score=float(scores[row]),
            agrees=bool(index.label_ids[row] == gold_id),
            opposite_nearby=bool(opposite),
        )
        for row, opposite in zip(rows, marked, strict=True)
    ]


def _opposite_nearby(index: TrainingIndex, rows: list[int]) -> np.ndarray:
    """(R,) bool"""
    cosines = _products(index.embeddings, index.embeddings[rows])               # (N, R)
    cosines[rows, np.arange(len(rows))] = -1                                    # itself
    near = np.argpartition(-cosines, min(NUM_NEAREST, len(cosines)) - 1, axis=0)[:NUM_NEAREST]      # (10, R)
    is_near = np.take_along_axis(cosines, near, axis=0) >= index.nearby
    return (is_near & (index.label_ids[near] != index.label_ids[rows])).any(axis=0)


def _products(rows: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """(N, H) float16 and (R, H) to (N, R) float32."""
    starts = range(0, len(rows), ROWS_AT_ONCE)
    vectors = vectors.astype(np.float32)
    return np.concatenate([rows[start : start + ROWS_AT_ONCE].astype(np.float32) @ vectors.T for start in starts])
