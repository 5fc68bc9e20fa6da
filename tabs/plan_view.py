"""What will this run do, and what will it take? The plan of a run as blocks for the page."""

from __future__ import annotations

from typing import Any

from pipeline.jobs import is_taken
from reports.words import say
from tabs.shared import Block, column, count, duration, number, table, text

MAX_SHARES = 8      # labels of a split that are told


def plan_blocks(plan: dict[str, Any]) -> list[Block]:
    """What `python -m pipeline plan` printed, in a line each."""
    trainable, parameters = _millions(plan["trainable_parameters"]), _millions(plan["parameters"])
    free, peak = _gigabytes(plan["free_memory_bytes"]), _gigabytes(plan["peak_memory_bytes"])
    time, step = duration(plan["seconds"]), f"{1e3 * plan['seconds_per_step']:,.0f}"
    told = {
        "time": say("plan.time_told", time=time, step=step),
        "memory": say("plan.memory_told", peak=peak),
        "examples": rows_told(plan["rows"]),
        "labels": _shares(plan["label_shares"]["train"]),
        "steps": say("plan.steps_told", n=count(plan["steps"]), warmup=count(plan["warmup_steps"])),
        "evaluations": say("plan.evaluations_told", n=count(plan["evaluations"])),
        "learning_rate": _learning_rates(plan["groups"]),
        "parameters": say("plan.parameters_told", trainable=trainable, all=parameters),
        "device": say("plan.device_told", device=plan["device"], precision=plan["precision"], free=free),
    }
    rows = [(say(f"plan.{name}"), words) for name, words in told.items() if words]      # without labels, no shares
    blocks = [table(say("plan.title"), [column("what"), column("how_much", "text")], rows)]
    if plan["peak_memory_bytes"] > plan["free_memory_bytes"]:
        blocks.append(text(say("plan.caution"), "problem"))
    if is_taken(plan["device"]):
        blocks.append(text(say("plan.busy"), "note"))
    return [*blocks, *(text(note, "note") for note in plan["notes"])]


def rows_told(rows: dict[str, int]) -> str:
    """Rows by split, in a line."""
    return " · ".join(say("data.rows", n=count(n), split=say(f"splits.{split}")) for split, n in rows.items())


def _shares(shares: dict[str, float]) -> str:
    told = [f"{label} {number(share)}" for label, share in list(shares.items())[:MAX_SHARES]]
    more = len(shares) - MAX_SHARES
    return " · ".join([*told, say("plan.more_labels", n=count(more))] if more > 0 else told)


def _learning_rates(groups: list[dict[str, Any]]) -> str:
    """Of each group of parameters, by its own rate and weight decay; where blocks differ, of each by its rate."""
    if " of " in groups[0]["name"]:
        rates = {group["name"].partition(" of ")[2]: group["learning_rate"] for group in groups}
        return " · ".join(f"{blocks} {rate:g}" for blocks, rate in rates.items())
    return " · ".join(
        say(
            "plan.learning_rate_told",
            group=say(f"plan.groups.{group['name']}"),
            rate=f"{group['learning_rate']:g}",
            decay=f"{group['weight_decay']:g}",
        )
        for group in groups
    )


def _millions(parameters: int) -> str:
    return f"{parameters / 1e6:,.1f} M"


def _gigabytes(num_bytes: int) -> str:
    return f"{num_bytes / 1e9:,.1f} GB"
