"""Which words made the model say so? The words of a sentence in colour, and what their numbers mean, as blocks."""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.attribution import Attribution
from reports.words import say
from tabs.shared import Block, folded, text

PREDICTED = ""          # value of the picker of a label: the one that is predicted


def explained_labels(names: list[str]) -> list[tuple[str, str]]:
    """The choices of which label is explained: the predicted one, or one by name."""
    return [(say("predict.predicted_label"), PREDICTED), *((name, name) for name in names)]


def why_blocks(found: Attribution) -> list[Block]:
    """The words, coloured by their score as a share of the largest, and how to read them."""
    if not found.pieces.words:
        return []
    how_to_read = text(say("why.how_to_read", label=found.label), "note")
    return [how_to_read, words_block(found), folded(say("why.how"), how_computed(found))]


def words_block(found: Attribution) -> Block:
    """Each word with the characters before it, so that the sentence stands there as it was typed."""
    largest = float(np.abs(found.scores).max()) or 1.0
    words, rest = found.pieces.split()
    items = [
        {
            "before": before,
            "text": word,
            "score": f"{score:+.2f}".replace("-", "\N{MINUS SIGN}"),
            "share": round(float(score) / largest, 3),
        }
        for (before, word), score in zip(words, found.scores, strict=True)
    ]
    return {"kind": "words", "label": say("why.evidence", label=found.label), "items": items, "rest": rest}


def how_computed(found: Attribution) -> str:
    told: dict[str, Any] = {"points": found.num_points, "label": found.label}
    if found.baseline_log_odds is not None:     # the scores add up to something
        before, after = found.baseline_log_odds, found.log_odds
        told |= {"before": before, "after": after, "difference": after - before, "missed": 100 * (found.delta or 0.0)}
    return say(f"why.by.{found.method}", **told)
