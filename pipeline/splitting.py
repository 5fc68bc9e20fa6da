"""Which examples are held out, so that what is reported was never selected on?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from pipeline.overlap import MIN_WORDS, count_words, is_in, lies_inside, normalise_all

SPLIT_SEED = 42             # not the run's seed: runs with other seeds are compared on the same examples
MAX_DRAWN = 1_000           # of one split: enough for an interval of two points, and the rest trains
_LONGEST_SHARE = 0.25
_CANDIDATES_PER_DRAW = 8


@dataclass(frozen=True)
class Drawn:
    """Row numbers by split, ascending, "train" among them; and how many rows were left out because of a split."""

    rows: dict[str, np.ndarray]
    left_out: dict[str, int] = field(default_factory=dict)


def draw_disjoint(texts: pa.ChunkedArray, label_ids: np.ndarray, wanted: Mapping[str, int]) -> Drawn:
    """Draw splits (each at most 1,000 examples) from the longer texts, leaving out training texts that lie inside them.

    Each label gives its share, from its own longest quarter (more of its longest where a quarter is too few), so that
    length does not tell the label. Texts that lie inside no other text are taken first: otherwise a drawn text would
    itself be part of a training text. Left out of training: what equals a drawn text after normalising, and what has
    three or more words and lies inside one.
    """
    normalised = normalise_all(texts)
    num_words = count_words(normalised).to_numpy()
    rng = np.random.default_rng(SPLIT_SEED)
    rest, drawn, left_out = np.arange(len(label_ids)), {}, {}
    for split, num_wanted in wanted.items():
        drawn[split] = _draw_longer(normalised, num_words, label_ids, rest, num_wanted, rng)
        rest = np.setdiff1d(rest, drawn[split])
        texts_of_split = normalised.take(pa.array(drawn[split]))
        leaks = is_in(normalised, texts_of_split)
        leaks |= (num_words >= MIN_WORDS) & lies_inside(normalised, texts_of_split)
        left_out[split] = int(leaks[rest].sum())
        rest = rest[~leaks[rest]]
    return Drawn({"train": rest} | drawn, left_out)


def draw_random(label_ids: np.ndarray, wanted: Mapping[str, int]) -> Drawn:
    """Draw splits with the same share of each label, with scikit-learn's `train_test_split`.

    Raises: ValueError, scikit-learn's own, when a label has too few examples for that.
    """
    rest, drawn = np.arange(len(label_ids)), {}
    for split, num_wanted in wanted.items():
        rest, drawn[split] = _stratified(rest, label_ids, num_wanted)
    return Drawn({"train": rest} | drawn)


def split_merged(label_ids: np.ndarray, validation_ratio: float, test_ratio: float) -> Drawn:
    """Split in two steps as the classic report does: 0.2 off, then that in half (with the default ratios).

    Raises: ValueError, as `draw_random`.
    """
    held_out = validation_ratio + test_ratio
    train, others = _stratified(np.arange(len(label_ids)), label_ids, held_out, in_order=False)
    validation, test = _stratified(others, label_ids, test_ratio / held_out)
    return Drawn({"train": np.sort(train), "validation": validation, "test": test})


def _stratified(
    rows: np.ndarray, label_ids: np.ndarray, size: float, in_order: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.model_selection import train_test_split

    parts = train_test_split(rows, test_size=size, stratify=label_ids[rows], random_state=SPLIT_SEED)
    rest, drawn = map(np.sort, parts) if in_order else parts
    return rest, drawn


def _draw_longer(
    normalised: pa.ChunkedArray,
    num_words: np.ndarray,
    label_ids: np.ndarray,
    rows: np.ndarray,
    num_wanted: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Of each label's candidates the wanted number: first what lies inside no other text, and never a text twice."""
    if not len(rows):
        return rows
    wanted = _wanted_by_label(label_ids[rows], num_wanted)
    candidates = {
        label: _candidates(rows[label_ids[rows] == label], num_words, wanted[label], rng) for label in wanted
    }
    all_rows = np.concatenate(list(candidates.values()))
    texts = normalised.take(pa.array(all_rows))
    is_part = dict(zip(all_rows.tolist(), lies_inside(texts, normalised).tolist(), strict=True))
    text_of = dict(zip(all_rows.tolist(), texts.to_pylist(), strict=True))
    taken: dict[str, int] = {}
    for label, of_label in candidates.items():
        fresh: dict[str, int] = {}
        for row in sorted(of_label.tolist(), key=lambda row: is_part[row]):         # stable: else in shuffled order
            if len(fresh) < wanted[label] and text_of[row] not in taken:
                fresh.setdefault(text_of[row], row)
        taken |= fresh
    return np.sort(np.array(list(taken.values()), dtype=np.int64))


def _wanted_by_label(label_ids: np.ndarray, num_wanted: int) -> dict[int, int]:
    """How many of each label: its share, at least one, and never its last example."""
    labels, counts = np.unique(label_ids, return_counts=True)
    total = min(MAX_DRAWN, num_wanted)
    shares = counts * total / len(label_ids)
    wanted = np.floor(shares).astype(int)
    largest_remainders_first = np.argsort(wanted - shares, kind="stable")
    wanted[largest_remainders_first[: total - int(wanted.sum())]] += 1
    wanted = np.minimum(np.maximum(wanted, 1), counts - 1)
    return dict(zip(labels.tolist(), wanted.tolist(), strict=True))


def _candidates(rows: np.ndarray, num_words: np.ndarray, wanted: int, rng: np.random.Generator) -> np.ndarray:
    """Some of the longest rows of one label, shuffled; ties of length fall by the shuffle, not by the file's order."""
    rows = rng.permutation(rows)
    num_longest = max(wanted, math.ceil(_LONGEST_SHARE * len(rows)))
    longest = rows[np.argsort(-num_words[rows], kind="stable")][:num_longest]
    return rng.permutation(longest)[: _CANDIDATES_PER_DRAW * wanted]
