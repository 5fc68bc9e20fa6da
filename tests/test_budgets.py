"""Budgets: the same recipe on fewer rows or in less memory; what each changes is told."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.budgets import BUDGETS, budget_fields, tell_fields
from pipeline.config import RunConfig, make_config, preset_names, read_preset, set_field
from pipeline.exceptions import ConfigError


def config_with(**fields: Any) -> RunConfig:
    values: dict[str, Any] = {"name": "a"}
    for name, value in fields.items():
        set_field(values, name.replace("__", "."), value)
    return make_config(values)


LONG = config_with(data__max_length=512, optim__epochs=20, optim__warmup_steps=500, optim__batch_size=128)


@pytest.mark.parametrize("budget, expected", [
    ("full", {}),
    ("medium", {"data.limit": 20_000, "data.max_length": 128, "optim.epochs": 3, "optim.warmup_steps": 100}),
    ("quick", {"data.limit": 2_000, "data.max_length": 64, "optim.epochs": 2, "optim.warmup_steps": 10}),
    ("low-memory", {"hardware.micro_batch_tokens": 1_024, "hardware.gradient_checkpointing": True}),
])
def test_a_budget_changes_just_these_fields(budget: str, expected: dict[str, Any]) -> None:
    assert budget_fields(LONG, budget) == expected


def test_what_is_within_the_budget_already_stays_as_it_is() -> None:
    short = config_with(data__limit=500, data__max_length=32, optim__epochs=1, optim__warmup_steps=2)
    frugal = config_with(hardware__micro_batch_tokens=512, hardware__gradient_checkpointing=True)
    assert budget_fields(short, "quick") == {}
    assert budget_fields(frugal, "low-memory") == {}


@pytest.mark.parametrize("preset", preset_names())
def test_a_preset_fits_every_budget_and_keeps_its_batch_and_rate(preset: str) -> None:
    usual = make_config({**read_preset(preset), "name": "a"})
    for budget in BUDGETS:
        values = usual.model_dump()
        for name, value in budget_fields(usual, budget).items():
            set_field(values, name, value)
        cut = make_config(values)
        assert cut.optim.batch_size == usual.optim.batch_size
        assert cut.optim.learning_rate == usual.optim.learning_rate
        assert (cut.data.limit or 67_000) <= {"medium": 20_000, "quick": 2_000}.get(budget, 67_000)
        if budget == "low-memory":      # on what it computes: nothing that is learnt
            assert cut.model_copy(update={"hardware": usual.hardware}) == usual


def test_what_a_budget_changes_is_told_beside_what_it_would_be() -> None:
    told = tell_fields(LONG, budget_fields(LONG, "quick"))
    assert told.startswith("data.limit 2000 (else none), data.max_length 64 (else 512), optim.epochs 2 (else 20)")


def test_an_unknown_budget_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"^There is no budget 'tiny'. Choose one of: full, medium, quick, low-mem"):
        budget_fields(LONG, "tiny")
