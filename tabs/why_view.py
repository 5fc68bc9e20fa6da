"""Which words made the model say so? The words of a sentence in colour, and what their numbers mean, as blocks."""

from __future__ import annotations

import numpy as np

from analysis.attribution import Attribution
from tabs.shared import Block, text

PREDICTED = ""          # value of the picker of a label: the one that is predicted


def why_blocks(found: Attribution) -> list[Block]:
    """The words, coloured by their score as a share of the largest, and how to read them."""
    if not found.pieces.words:
        return []
    return [words_block(found), text(how_to_read(found), "note")]


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
    whole = found.log_odds - found.baseline_log_odds
    missed = f"{100 * found.delta:.1f}%"
    return (
        f"Blue (+) speaks for {found.label}, orange (\N{MINUS SIGN}) against it. The values add up to {whole:+.2f}, "
        f"what the words change in the log-odds of {found.label} beside a sentence of blanks; {missed} of it is "
        f"missed. (Integrated gradients, {found.num_steps} steps.)"
    )
