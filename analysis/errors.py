"""Which examples does it get wrong, and which of them do I want to see? Chosen rows in order, and how sure it was."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from analysis.examples import Examples
from analysis.rules import Phenomena, contains, mask
from pipeline.metrics import ECE_BINS

Show = Literal["errors", "correct", "all"]
Sort = Literal["loss", "probability", "words", "row"]


@dataclass(frozen=True)
class Filter:
    """Which examples, in which order; every field that is given must hold."""

    which: Show = "errors"
    search: str = ""
    is_regex: bool = False
    rule: str = ""          # in the language of analysis.rules
    sort: Sort = "loss"     # loss and probability highest first, words fewest first


@dataclass(frozen=True)
class ReliabilityBin:
    """Of n examples with about the same confidence, how many are right?"""

    n: int
    confidence: float       # mean
    accuracy: float


def rows_of(examples: Examples, wanted: Filter, phenomena: Phenomena | None = None) -> np.ndarray:
    """The rows of the chosen examples, in order; equal ones in the order of the file.

    Raises: RuleError when the rule or the search is not understood.
    """
    chosen = mask(wanted.rule, examples, phenomena or {})
    if wanted.which != "all":
        chosen &= examples.wrong == (wanted.which == "errors")
    if wanted.search:
        chosen &= contains(examples.texts, wanted.search, wanted.is_regex)
    rows = np.flatnonzero(chosen)
    keys = {
        "loss": examples.losses, "probability": examples.probability,
        "words": examples.num_words, "row": np.arange(len(chosen)),
    }[wanted.sort][rows]  # fmt: skip
    highest_first = wanted.sort in ("loss", "probability")
    return rows[np.argsort(-keys if highest_first else keys, kind="stable")]


def reliability(examples: Examples, bins: int = ECE_BINS) -> list[ReliabilityBin]:
    """Bins of equal width from 0 to 1, those without examples left out; their gaps make the ECE of pipeline.metrics.

    Source: Guo et al. 2017, https://arxiv.org/abs/1706.04599, section 2.
    """
    confidence, right = examples.probability, ~examples.wrong
    bin_ids = np.ceil(confidence * bins)
    members = [bin_ids == bin_id for bin_id in np.unique(bin_ids)]
    return [
        ReliabilityBin(int(inside.sum()), float(confidence[inside].mean()), float(right[inside].mean()))
        for inside in members
    ]


def lines(examples: Examples, rows: Iterable[int]) -> Iterator[dict[str, Any]]:
    """For the command line: an example each."""
    predictions = examples.predictions
    for row in rows:
        yield {
            "example_id": predictions.example_ids[row],
            "text": predictions.texts[row],
            "gold": predictions.label_names[predictions.gold_ids[row]],
            "predicted": predictions.label_names[examples.predicted_ids[row]],
            "probability": float(examples.probability[row]),
            "loss": float(examples.losses[row]),
        }
