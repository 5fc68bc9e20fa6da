"""What does the doctor say? Verdict, remedies, gradients by layer and all checks, as blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from reports.words import say
from tabs.shared import Block, bars, column, columns, count, duration, heading, named, number, table, text

Found = dict[str, Any]      # the object of `python -m analysis diagnose`, and its subject
RUN, PRESET = "run", "preset"       # what a subject may be: "run/NAME" or "preset/NAME"


def subject_name(subject: str) -> str:
    """"run/quick-1" to "run quick-1"."""
    kind, _, name = subject.partition("/")
    return say("diagnose.of_preset" if kind == PRESET else "diagnose.of_run", name=name)


def verdict_blocks(found: Found) -> list[Block]:
    """On whom, the verdict, what speaks for it, and a button for each remedy."""
    on = text(say("diagnose.verdict_on", subject=subject_name(found["subject"])), "hint")
    if found["healthy"]:
        return [on, heading(found["verdict"]), text(say("diagnose.healthy"), "note")]
    blocks = [on, heading(found["verdict"]), text(found["evidence"])]
    remedies = found["remedies"]
    if not remedies:
        return [*blocks, text(say("diagnose.no_remedy"), "hint")]
    rows = [
        (say("diagnose.run_it", remedy=each["title"]), told_changes(each["changes"], found["before"]))
        for each in remedies
    ]
    listed = table(say("diagnose.remedies"), [column("act"), column("changes", "text")], rows)
    return [*blocks, {**listed, "picks": [[{"remedy": index}, None] for index in range(len(remedies))]}]


def told_changes(changes: dict[str, Any], before: dict[str, Any]) -> str:
    """Of the fields that become something else: "optim.batch_size: 128 → 16"."""
    return say("page.comma").join(
        f"{field}: {_shown(before[field])} → {_shown(value)}"
        for field, value in changes.items() if value != before[field]
    )


def _shown(value: Any) -> str:
    return say("runs.not_given") if value in (None, "") else str(value)


def evidence_blocks(found: Found) -> list[Block]:
    """Gradients by layer, learning rates by group, then all checks."""
    values = {key: value for check in found["checks"] for key, value in check["values"].items()}
    blocks: list[Block] = []
    if norms := values.get("gradient_norms"):
        largest = max(norms.values()) or 1.0
        blocks += [heading(say("diagnose.gradients")), bars(say("diagnose.gradients"), norms, list(norms), largest)]
    if rates := values.get("rates"):
        moments = list(next(iter(rates.values())))
        rows = [[group, *(f"{rate:.3g}" for rate in of_group.values())] for group, of_group in rates.items()]
        heads = [column("group"), *(named(say(f"diagnose.moments.{moment}"), "number") for moment in moments)]
        blocks.append(table(say("diagnose.rates"), heads, rows))
    return [*blocks, _all_checks(found["checks"])]


def _all_checks(checks: Sequence[dict[str, Any]]) -> Block:
    ill = sum(bool(check["symptom"]) for check in checks)
    rows = [
        (say("diagnose.not_fine" if check["symptom"] else "diagnose.fine"), check["name"], check["told"])
        for check in sorted(checks, key=lambda check: not check["symptom"])
    ]
    title = say("diagnose.checks", fine=count(len(checks) - ill), ill=count(ill))
    return table(title, [column("verdict"), column("check"), column("found", "text")], rows)


def tried_blocks(found: Found) -> list[Block]:
    """What the short trainings came to, in order."""
    rows = [
        (
            each["remedy"]["title"],
            each["failed"] or say("diagnose.learns" if each["learnt"] else "diagnose.learns_not"),
            *([""] * 3 if each["failed"] else (number(each["loss"]), number(each["accuracy"]), count(each["steps"]))),
            duration(each["seconds"]),
        )
        for each in found["tried"]
    ]
    heads = [column("remedy"), column("found", "text"), *columns("number", "loss", "accuracy", "steps", "took")]
    told = text(say("diagnose.tried_explained"), "note")
    subject = subject_name(found["subject"])
    if not rows:
        return [text(say("diagnose.nothing_to_try", subject=subject), "hint")]
    return [table(say("diagnose.tried", subject=subject), heads, rows), told]
