"""Labels judged: flipped ones come first, duplicates that disagree are found, and fragments that tell nothing."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import StandardScaler

from analysis.label_quality import (
    REGULARIZATION,
    carries_no_label,
    conflicting_duplicates,
    out_of_sample_probs,
    rank_labels,
)
from pipeline.exceptions import DataError


def clusters(num_labels: int, n: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings (N, 8) around a centre for each label, and the labels."""
    random = np.random.default_rng(0)
    label_ids = np.arange(n) % num_labels
    return random.normal(size=(num_labels, 8))[label_ids] * 4 + random.normal(size=(n, 8)), label_ids


def test_the_probabilities_of_a_fold_are_those_of_a_regression_on_the_others() -> None:
    embeddings, label_ids = clusters(3)
    found = out_of_sample_probs(embeddings, label_ids, folds=3, seed=7)
    for others, judged in StratifiedKFold(3, shuffle=True, random_state=7).split(embeddings, label_ids):
        scaler = StandardScaler().fit(embeddings[others])
        model = LogisticRegression(C=REGULARIZATION).fit(scaler.transform(embeddings[others]), label_ids[others])
        assert found[judged] == pytest.approx(model.predict_proba(scaler.transform(embeddings[judged])), abs=1e-3)


def test_a_label_with_fewer_examples_than_folds_is_told() -> None:
    with pytest.raises(DataError, match="at least 5 examples of each label; the rarest has 3. Add examples of it"):
        out_of_sample_probs(np.zeros((13, 2)), np.array([0] * 10 + [1] * 3))


@pytest.mark.parametrize("num_labels", [2, 4])
def test_flipped_labels_come_first_with_the_right_one_suggested(num_labels: int) -> None:
    embeddings, label_ids = clusters(num_labels)
    given = label_ids.copy()
    flipped = np.arange(0, 300, 23)                 # 14 of 300
    given[flipped] = (given[flipped] + 1) % num_labels
    ranking = rank_labels(given, out_of_sample_probs(embeddings, given))
    assert {quality.row for quality in ranking[:14]} == set(flipped.tolist())
    assert [quality.suggested_id for quality in ranking[:14]] == [label_ids[quality.row] for quality in ranking[:14]]
    issues = {quality.row for quality in ranking if quality.is_issue}
    assert issues <= set(flipped.tolist()) and len(issues) > 7      # an estimate, on the careful side
    assert sorted(quality.row for quality in ranking) == list(range(300))


def test_the_score_is_the_probability_of_the_given_label() -> None:
    probs = np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7], [0.6, 0.4]])
    ranking = rank_labels(np.array([0, 0, 1, 1]), probs)
    assert [(quality.row, quality.score) for quality in ranking] == [(1, 0.2), (3, 0.4), (2, 0.7), (0, 0.9)]


def test_duplicates_that_differ_in_case_punctuation_and_spaces_conflict_where_their_labels_differ() -> None:
    texts = ["Good film!", "bad", "good  film", "good film .", "bad", "goodly film", "!", ":(", "BAD 2", "bad 2"]
    assert conflicting_duplicates(texts, np.array([1, 0, 1, 0, 0, 0, 0, 1, 0, 1])) == [[0, 2, 3], [8, 9]]


def test_with_embeddings_near_texts_conflict_as_well() -> None:
    angles = np.radians([0, 10, 30, 90, 90])
    embeddings = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float16)
    texts, label_ids = ["fine", "a fine one", "not fine", "x", "X"], np.array([1, 0, 0, 1, 1])
    assert conflicting_duplicates(texts, label_ids) == []
    assert conflicting_duplicates(texts, label_ids, embeddings) == [[0, 1]]        # cos 10° = 0.985, cos 20° = 0.94


def test_a_short_text_of_words_that_tell_nothing_carries_no_label() -> None:
    last = ["on cable", "on cable", "rare", "rare", "good", "!", "on on cable on cable"]
    texts = ["good on cable", "bad on cable"] * 20 + last
    label_ids = np.array([1, 0] * 20 + [1, 0, 1, 0, 0, 1, 1])
    unsure, sure = [0.6, 0.4], [0.9, 0.1]
    found = carries_no_label(texts, label_ids, np.array([unsure] * 40 + [unsure, sure] + [unsure] * 5))
    assert np.flatnonzero(found).tolist() == [40, 46]


def test_a_text_of_more_than_four_different_words_is_no_fragment() -> None:
    texts = ["one two three four five", "one two three four"] * 20
    found = carries_no_label(texts, np.array([0, 0, 1, 1] * 10), np.full((40, 2), 0.5))
    assert found.tolist() == [False, True] * 20
