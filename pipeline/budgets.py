"""How much of a recipe is to be done? Budgets: the same on fewer rows, or in less memory."""

from __future__ import annotations

from typing import Any

from pipeline.config import RunConfig, field_value
from pipeline.exceptions import ConfigError

# What a field is at most; the batch is always kept, so a short run has fewer steps, not smaller ones.
BUDGETS: dict[str, dict[str, Any]] = {
    "full": {},
    "medium": {"data.limit": 20_000, "data.max_length": 128, "optim.epochs": 3, "optim.warmup_steps": 100},
    "quick": {"data.limit": 2_000, "data.max_length": 64, "optim.epochs": 2, "optim.warmup_steps": 10},
    "low-memory": {"hardware.micro_batch_tokens": 1_024},
}
BUDGET_HELP = (
    "full: as the preset says; medium: at most 20,000 rows, 128 pieces, 3 epochs; quick: 2,000 rows, 64 pieces, "
    "2 epochs, to see that it runs; low-memory: the same training in smaller pieces, computed twice rather than kept."
)


def budget_fields(config: RunConfig, budget: str) -> dict[str, Any]:
    """Fields, by dotted name, that the budget changes in a config.

    low-memory changes nothing that is learnt, but for the head `mlp-batchnorm`, which looks at a piece of a step.
    Raises: ConfigError naming the budgets there are.
    """
    if budget not in BUDGETS:
        raise ConfigError(f"There is no budget '{budget}'. Choose one of: {', '.join(BUDGETS)}.")
    fields = {name: most for name, most in BUDGETS[budget].items() if _is_more(name, field_value(config, name), most)}
    if budget == "low-memory" and not config.hardware.gradient_checkpointing:
        fields["hardware.gradient_checkpointing"] = True
    return fields


def _is_more(name: str, value: int | None, most: int) -> bool:
    """Of rows, none is all; of warm-up steps, none is a share of the steps, however many there are."""
    return name == "data.limit" if value is None else value > most


def tell_fields(config: RunConfig, fields: dict[str, Any]) -> str:
    """ "data.limit 2000 (else none), optim.epochs 2 (else 20)"."""
    told = {name: "none" if (usual := field_value(config, name)) is None else usual for name in fields}
    return ", ".join(f"{name} {value} (else {told[name]})" for name, value in fields.items())
