"""Which words made the model say so? The words of a sentence in colour, and what their numbers mean, as blocks."""

from __future__ import annotations

import numpy as np

from analysis.attribution import Attribution
from tabs.shared import Block, folded, text

PREDICTED = ""          # value of the picker of a label: the one that is predicted


def why_blocks(found: Attribution) -> list[Block]:
    """The words, coloured by their score as a share of the largest, and how to read them."""
    if not found.pieces.words:
        return []
    computed = folded("How this is computed", how_computed(found))
    return [words_block(found), text(how_to_read(found), "note"), computed]


def words_block(found: Attribution) -> Block:
    """Each word with the characters before it, so that the sentence stands there as it was typed."""
    pieces = found.pieces
    largest = float(np.abs(found.scores).max()) or 1.0
    items, end = [], 0
    for word, score in zip(pieces.words, found.scores, strict=True):
        items.append({
            "before": pieces.text[end : word.start],
            "text": pieces.text[word.start : word.end],
            "score": f"{score:+.2f}".replace("-", "\N{MINUS SIGN}"),
            "share": round(float(score) / largest, 3),
        })
        end = word.end
    label = f"Evidence for and against {found.label}"
    return {"kind": "words", "label": label, "items": items, "rest": pieces.text[end:]}


def how_to_read(found: Attribution) -> str:
    return (
        f"Blue (+) speaks for {found.label}, orange (\N{MINUS SIGN}) against it; the stronger, the more. "
        "Tick Numbers to see how much."
    )


def how_computed(found: Attribution) -> str:
    label, before, after = found.label, found.baseline_log_odds, found.log_odds
    return (
        f"By integrated gradients at {found.num_points} points. For a sentence of blanks as long as this one, the "
        f"log-odds of {label} (log of its probability over that of everything else) are {before:+.2f}; for this one "
        f"{after:+.2f}. The words share the difference of {after - before:+.2f} among them: their numbers add up to "
        f"it, but for {100 * found.delta:.1f}% that is missed."
    )
