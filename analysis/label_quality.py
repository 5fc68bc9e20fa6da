"""Which gold labels look wrong? Ranks examples by how little an out-of-sample model believes their label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from analysis.embeddings import impartial_encoder, sentence_embeddings
from pipeline.exceptions import DataError
from pipeline.predictions import Predictions
from pipeline.runs import Run

REGULARIZATION = 0.01       # scikit-learn's C; measured on SST-2: finds a few more flipped labels than its default, 1
SAME_COSINE = 0.98
MAX_EMBEDDED = 20_000       # texts whose embeddings are compared in pairs: some seconds
MAX_WORDS = 4
MIN_TEXTS_WITH_WORD = 10
PLAIN_MARGIN = 0.15


@dataclass(frozen=True)
class JudgedLabels:
    """What an out-of-sample model thinks of the gold labels of N examples."""

    ranked: list[LabelQuality]          # N, the least believed first
    conflicts: list[list[int]]          # rows of texts that say the same with different labels
    fragments: np.ndarray               # (N,) bool: nothing in the text tells a label
    encoder: str
    seen_labels: bool                   # the encoder was trained on labels like these: it believes them too readily


@dataclass(frozen=True)
class LabelQuality:
    """What an out-of-sample model thinks of one given label."""

    row: int
    given_id: int
    suggested_id: int
    score: float        # cleanlab's label quality, 0 to 1: the probability of the given label
    is_issue: bool      # cleanlab estimates that it is wrong


def judge_labels(run: Run, predictions: Predictions) -> JudgedLabels:
    """Of a run's predictions, by embeddings of an encoder that has not seen labels, where there is one.

    Raises: DataError when a label is too rare to be judged.
    """
    encoder = impartial_encoder(run)
    embeddings = sentence_embeddings(encoder, predictions.texts)
    probs = out_of_sample_probs(embeddings, predictions.gold_ids)
    return JudgedLabels(
        rank_labels(predictions.gold_ids, probs),
        conflicting_duplicates(
            predictions.texts, predictions.gold_ids, embeddings if len(embeddings) <= MAX_EMBEDDED else None
        ),
        carries_no_label(predictions.texts, predictions.gold_ids, probs),
        encoder.name,
        encoder.seen_labels,
    )


def out_of_sample_probs(embeddings: np.ndarray, label_ids: np.ndarray, folds: int = 5, seed: int = 0) -> np.ndarray:
    """Probabilities of the labels, (N, C), each by a logistic regression that has not seen that example.

    Args:
        embeddings: (N, H), of an encoder that has not seen the labels either.
    Raises: DataError when a label has fewer examples than there are folds.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if (rarest := np.bincount(label_ids).min()) < folds:
        raise DataError(
            f"Judging labels takes at least {folds} examples of each label; the rarest has {rarest}. "
            "Add examples of it, or leave it out."
        )
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=REGULARIZATION, max_iter=1000))
    parts = StratifiedKFold(folds, shuffle=True, random_state=seed)
    return cross_val_predict(classifier, embeddings.astype(np.float32), label_ids, cv=parts, method="predict_proba")


def rank_labels(label_ids: np.ndarray, probs: np.ndarray) -> list[LabelQuality]:
    """All N examples, the least believed label first.

    CAUTION: `probs` (N, C) must be out-of-sample. A model believes labels that it was trained on, wrong ones, too.
    Source: Northcutt et al. 2021, https://arxiv.org/abs/1911.00068; cleanlab's ranking and filter.
    """
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    scores = get_label_quality_scores(label_ids, probs)
    issues = find_label_issues(label_ids, probs, n_jobs=1)      # more would fork this process, threads and all
    suggested = probs.argmax(axis=1)
    return [
        LabelQuality(int(row), int(label_ids[row]), int(suggested[row]), float(scores[row]), bool(issues[row]))
        for row in np.argsort(scores, kind="stable")
    ]


def conflicting_duplicates(
    texts: Sequence[str], label_ids: np.ndarray, embeddings: np.ndarray | None = None
) -> list[list[int]]:
    """Groups of rows that say the same with different labels.

    The same are texts that differ in case, punctuation and spaces alone; with embeddings (N, H) of length 1, also
    those with a cosine of at least 0.98, which takes N x N products. What equals one of a group belongs to it.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    lowered = pc.utf8_lower(pa.array(texts, pa.large_string()))
    keys = pc.replace_substring_regex(lowered, r"[\pP\s]+", "")
    keys = pc.if_else(pc.equal(keys, ""), lowered, keys)        # "!" and ":(" are not the same
    codes = keys.dictionary_encode().indices.to_numpy()
    _, first, same = np.unique(codes, return_index=True, return_inverse=True)
    n = len(codes)
    links = csr_array((np.ones(n), (np.arange(n), first[same])), shape=(n, n))
    if embeddings is not None:
        from sklearn.neighbors import radius_neighbors_graph

        links = links + radius_neighbors_graph(embeddings.astype(np.float32), 1 - SAME_COSINE, metric="cosine")
    _, group = connected_components(links, directed=False)
    order = np.argsort(group, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(group[order])) + 1)
    return [rows.tolist() for rows in groups if len(np.unique(label_ids[rows])) > 1]


def carries_no_label(texts: Sequence[str], label_ids: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """Which texts are fragments in which nothing tells the label, such as "on cable": (N,) bool.

    The rule: at most 4 different words; each stands in at least 10 of the texts and tells nothing there (the share of
    every label among them is within 0.15 of its share among all); and no label has an out-of-sample probability (N, C)
    above half-way between chance and certainty. It is a hint: words that tell something only together pass for none.
    """
    from sklearn.feature_extraction.text import CountVectorizer

    holds = CountVectorizer(binary=True, token_pattern=r"(?u)[^\W_]+(?:'[^\W_]+)*").fit_transform(texts)    # (N, W)
    gold = np.eye(probs.shape[1])[label_ids]                                    # (N, C)
    num_texts, num_words = holds.getnnz(axis=0), holds.getnnz(axis=1)           # (W,), (N,)
    differences = np.abs((holds.T @ gold) / num_texts[:, None] - gold.mean(axis=0))         # (W, C)
    tells = (num_texts < MIN_TEXTS_WITH_WORD) | (differences.max(axis=1) > PLAIN_MARGIN)
    is_short = (num_words > 0) & (num_words <= MAX_WORDS)
    is_open = probs.max(axis=1) <= (1 + 1 / probs.shape[1]) / 2
    return is_short & is_open & (holds @ tells.astype(int) == 0)
