"""What will this run do, and what will it take? The plan of a run as blocks for the page."""

from __future__ import annotations

from typing import Any

from tabs.shared import Block, count, duration, number, table, text

MAX_SHARES = 8      # labels of a split that are told


def plan_blocks(plan: dict[str, Any]) -> list[Block]:
    """What `python -m pipeline plan` printed, in a line each."""
    rows = " · ".join(f"{count(rows)} {split}" for split, rows in plan["rows"].items())
    told = [
        ("Examples", rows),
        ("Labels in train", _shares(plan["label_shares"]["train"])),
        ("Steps", f"{count(plan['steps'])}, the first {count(plan['warmup_steps'])} of them warm-up"),
        ("Evaluations", f"{count(plan['evaluations'])}, with the one before the first step"),
        ("Learning rate", f"{plan['learning_rate']:g} at its peak, for all parameters"),
        ("Parameters", f"{_millions(plan['trainable_parameters'])} of {_millions(plan['parameters'])} train"),
        ("Device", f"{plan['device']}, {plan['precision']}, {_gigabytes(plan['free_memory_bytes'])} free"),
        ("Peak memory", f"about {_gigabytes(plan['peak_memory_bytes'])}"),
        ("Time", f"about {duration(plan['seconds'])} ({1e3 * plan['seconds_per_step']:,.0f} ms a step, measured here)"),
    ]
    blocks = [table("Before you start", [("what", ""), ("how much", "text")], told)]
    if plan["peak_memory_bytes"] > plan["free_memory_bytes"]:
        remedy = "Lower 'Micro batch tokens' under Hardware, or choose a smaller base."
        blocks.append(text(f"Caution: this may not fit in memory. {remedy}", "problem"))
    return blocks


def _shares(shares: dict[str, float]) -> str:
    told = [f"{label} {number(share)}" for label, share in list(shares.items())[:MAX_SHARES]]
    more = len(shares) - MAX_SHARES
    return " · ".join(told) + (f" · and {count(more)} more" if more > 0 else "")


def _millions(parameters: int) -> str:
    return f"{parameters / 1e6:,.1f} M"


def _gigabytes(num_bytes: int) -> str:
    return f"{num_bytes / 1e9:,.1f} GB"
