"""What should be known of the data before training on it? Sizes, labels, lengths, repeats, and leaks between splits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.data import SourceCounts, Splits
from pipeline.encoding import encode
from pipeline.overlap import contains_any, count_repeats, count_words, is_in, lies_inside, normalise_all
from pipeline.sources import SPLIT_NAMES

MANY_ROWS = 200_000             # beyond, containment is counted on a sample: it would take minutes
SAMPLE = 2_000
PIECES_SAMPLE = 20_000
_WHOLE = 10**9                  # pieces: nothing is truncated while they are counted
_PAIRS = (("train", "validation"), ("train", "test"), ("validation", "test"))


@dataclass(frozen=True)
class Lengths:
    """How long the texts of a split are, in words or in pieces."""

    median: float
    p95: float
    max: int


@dataclass(frozen=True)
class SplitReport:
    """One split as it will be used."""

    rows: int
    labels: dict[str, int]              # by name: rows
    words: Lengths                      # what white space separates
    repeated: int                       # rows whose text already stood in an earlier row, letter for letter
    contradictory: int                  # different texts that stand there with more than one label
    empty: int                          # texts of which cleaning left nothing; only `merge` keeps them
    pieces: Lengths                     # of the tokenizer, special ones counted; of many rows in a fixed sample
    truncated_share: float              # of the same rows


@dataclass(frozen=True)
class SharedTexts:
    """Rows of the second split whose text is known from the first. Each count includes the one before it.

    `exactly`: letter for letter. `normalised`: but for case, punctuation and spaces. `contained`: normalised, the text
    is a run of whole words of a text of the first split, or a text of the first split with three or more words is a
    run of whole words of it. A text without any word lies inside every text.
    """

    first: str
    second: str
    rows: int                           # of the second split
    exactly: int
    normalised: int
    contained: int
    contained_rows: int                 # the rows in which `contained` was counted: all, or a fixed sample

    @property
    def contained_share(self) -> float:
        return self.contained / self.contained_rows

    @property
    def is_leak(self) -> bool:
        """Enough to flatter a score. Short training texts lie inside 8% of SST-2's official validation sentences."""
        return self.normalised > 0.005 * self.rows or self.contained_share > 0.1


@dataclass(frozen=True)
class DataReport:
    """What `data_report` found."""

    place: str                          # where the source was found, one sentence
    max_length: int
    splits: dict[str, SplitReport]
    shared: list[SharedTexts]
    dropped: dict[str, int]             # by reason: rows
    source: dict[str, SourceCounts]     # the source's own splits, before limit, cleaning and splitting

    def sentences(self) -> list[str]:
        """What may spoil a result, in plain English."""
        leaks = (_tell_leak(shared) for shared in self.shared if shared.is_leak)
        return [f"Caution: {told}" for told in (*leaks, *_rare_labels(self), *_truncation(self), *_faults(self))]


def data_report(splits: Splits, tokenizer: Any, max_length: int = 128) -> DataReport:
    """Look at all splits.

    Seconds for SST-2, half a minute for IMDB, on one core; beyond 200,000 rows overlaps are counted on fixed samples.
    """
    reports = {split: _split_report(splits[split], splits.label_names, tokenizer, max_length) for split in SPLIT_NAMES}
    return DataReport(
        place=splits.place.sentence,
        max_length=max_length,
        splits=reports,
        shared=list(_shared_texts(splits)),
        dropped=splits.dropped,
        source=splits.source,
    )


def _split_report(examples: pa.Table, label_names: list[str], tokenizer: Any, max_length: int) -> SplitReport:
    label_ids = examples["label_id"].to_numpy()
    counts = np.bincount(label_ids, minlength=len(label_names)).tolist()
    words = count_words(examples["text"]).to_numpy()
    repeated, contradictory = count_repeats(examples["text"], label_ids)
    pieces = encode(_sample(examples["text"], PIECES_SAMPLE), tokenizer, _WHOLE).lengths
    return SplitReport(
        rows=examples.num_rows,
        labels=dict(zip(label_names, counts, strict=True)),
        words=_lengths(words),
        repeated=repeated,
        contradictory=contradictory,
        empty=int((words == 0).sum()),
        pieces=_lengths(pieces),
        truncated_share=float((pieces > max_length).mean()),
    )


def _lengths(lengths: np.ndarray) -> Lengths:
    return Lengths(float(np.median(lengths)), float(np.percentile(lengths, 95)), int(lengths.max()))


def _shared_texts(splits: Splits) -> Iterable[SharedTexts]:
    normalised = {split: normalise_all(splits[split]["text"]) for split in SPLIT_NAMES}
    num_rows = sum(map(len, normalised.values()))
    for first, second in _PAIRS:
        known, texts = normalised[first], normalised[second]
        checked = _sample(texts, SAMPLE if num_rows > MANY_ROWS else num_rows)
        contained = is_in(checked, known) | lies_inside(checked, known) | contains_any(checked, known)
        yield SharedTexts(
            first=first,
            second=second,
            rows=len(texts),
            exactly=int(is_in(splits[second]["text"], splits[first]["text"]).sum()),
            normalised=int(is_in(texts, known).sum()),
            contained=int(contained.sum()),
            contained_rows=len(checked),
        )


def _sample(texts: pa.ChunkedArray, num_texts: int) -> pa.ChunkedArray:
    """All texts, or that many of them: the same ones every time."""
    if len(texts) <= num_texts:
        return texts
    rows = np.random.default_rng(0).choice(len(texts), num_texts, replace=False)
    return texts.take(pa.array(np.sort(rows)))


def _rare_labels(report: DataReport) -> Iterable[str]:
    train = report.splits["train"]
    rare = {name: count for name, count in train.labels.items() if count < 0.2 * train.rows / len(train.labels)}
    if rare:
        labels = ", ".join(f"'{name}' ({count:,})" for name, count in rare.items())
        yield f"few of the {train.rows:,} training texts have the label {labels}. Accuracy hides it; macro F1 does not."


def _truncation(report: DataReport) -> Iterable[str]:
    shares = {name: split.truncated_share for name, split in report.splits.items()}
    if max(shares.values()) > 0.05:
        told = ", ".join(f"{_percent(share)} of {name}" for name, share in shares.items())
        yield (
            f"texts longer than {report.max_length} pieces are cut off there: {told}. Raise data.max_length where the "
            "end of a text matters."
        )


def _faults(report: DataReport) -> Iterable[str]:
    for name, split in report.splits.items():
        if split.empty:
            yield f"cleaning left nothing of {_count(split.empty, 'text')} of {name}."
    for name, counts in report.source.items():
        if counts.contradictory > 0.01 * counts.rows:
            yield f"{_count(counts.contradictory, 'text')} of the source's {name} split have more than one label."
        unusable = counts.unlabelled + counts.empty
        if unusable > 0.1 * counts.rows:
            yield f"{unusable:,} of {counts.rows:,} rows of the source's {name} split have no label or no text."


def _tell_leak(shared: SharedTexts) -> str:
    sampled = "" if shared.contained_rows == shared.rows else " of a fixed sample"
    return (
        f"{shared.contained:,} of {_count(shared.contained_rows, f'{shared.second} text')}{sampled} "
        f"({_percent(shared.contained_share)}) overlap with {shared.first}: they lie inside one of its texts, or "
        f"contain one of three or more words. Of {shared.rows:,}, {shared.exactly:,} stand in {shared.first} letter "
        f"for letter, and {shared.normalised:,} but for case, punctuation and spaces."
    )


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _percent(share: float) -> str:
    if 0 < share < 0.001:
        return "under 0.1%"
    return f"{share:.1%}" if 0 < share < 0.01 or 0.99 < share < 1 else f"{share:.0%}"
