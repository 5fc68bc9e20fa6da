"""What was asked for on the command line? A preset or a config, a budget, single fields: one RunConfig."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from pipeline.budgets import budget_fields, tell_fields
from pipeline.config import RunConfig, make_config, read_config, read_preset, set_field
from pipeline.exceptions import ConfigError


def requested_config(
    name: str | None, preset: str | None, path: Path | None, budget: str, assignments: list[str]
) -> RunConfig:
    """Preset or file, then the budget, which is told on stderr, then single fields. Raises: ConfigError."""
    if preset and path:
        raise ConfigError("--preset and --config were both given. Give one of them; --set changes single fields.")
    values: dict[str, Any] = read_config(path).model_dump() if path else {}
    if preset:
        values = {**read_preset(preset), "note": ""}        # its note is on the preset, not on this run
    usual, fields = make_config({"name": "unnamed", **values}), assigned(assignments)
    changed = {field: value for field, value in budget_fields(usual, budget).items() if field not in fields}
    if changed:
        print(f"Budget {budget}: {tell_fields(usual, changed)}.", file=sys.stderr)
    for field, value in {**changed, **fields}.items():
        set_field(values, field, value)
    if name is not None:
        values["name"] = name
    return make_config(values)


def assigned(assignments: list[str]) -> dict[str, str]:
    """Values as texts, by the dotted names of their fields."""
    pairs = {}
    for assignment in assignments:
        field, separator, value = assignment.partition("=")
        if not separator:
            raise ConfigError(f"--set expects FIELD=VALUE; found '{assignment}'. For example: --set optim.epochs=2.")
        pairs[field] = value
    return pairs
