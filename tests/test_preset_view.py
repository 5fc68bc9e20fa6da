"""What the page says beside a preset, and the values with which the form then starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.config import read_preset
from tabs.preset_view import start_from
from tabs.train_form import form_fields, preset_values
from tabs.train_tab import pick_preset, show_fields


@pytest.fixture(autouse=True)
def nothing_of_the_hub(run_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOLTA_DATA", str(tmp_path / "no-data"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("pipeline.sources._is_cached", lambda *_: False)


def said(preset: str, budget: str = "full") -> list[str]:
    return [block["text"] for block in start_from(preset, budget)[0]]


def test_a_preset_that_can_run_here_starts_with_its_own_values_and_its_note() -> None:
    assert said("quick") == [read_preset("quick")["note"]]
    assert start_from("quick", "full")[1] == preset_values("quick")


def test_a_model_that_cannot_be_had_is_replaced_in_the_form_and_told() -> None:
    assert said("frozen")[1:] == [
        "bert-base-uncased, ag_news: not on this machine, and the Hub is out of reach. The form starts with what is "
        "here instead: Base model all-MiniLM-L6-v2 (instead of bert-base-uncased), Freeze top-1 (instead of top-3), "
        "Data starter (instead of ag_news). Figures in the preset's note do not hold for it."
    ]
    values = start_from("frozen", "full")[1]
    assert (values["model.base"], values["model.freeze"]) == ("all-MiniLM-L6-v2", "top-1")


def test_a_preset_is_as_it_is_where_the_hub_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.stand_ins.hub_answers", lambda: True)
    assert len(said("frozen")) == 1
    assert start_from("frozen", "full")[1]["model.base"] == "bert-base-uncased"


@pytest.mark.parametrize("budget, sentence", [
    ("quick", "Within the budget: Epochs 2 (instead of 3), Limit 2000 (instead of none), Max length 64 (instead of "
              "128)."),
    ("low-memory", "Within the budget: Micro batch tokens 1024 (instead of 8192), Gradient checkpointing yes (instead "
                   "of no)."),
])
def test_what_a_budget_changes_is_told(budget: str, sentence: str) -> None:
    assert said("sst2", budget)[1] == sentence


def test_a_picked_preset_fills_the_form_and_leaves_a_name_of_the_users_own() -> None:
    def picked(*arguments: Any) -> tuple[Any, dict[str, Any]]:
        applied, _, *values = pick_preset(*arguments)
        return applied, dict(zip(form_fields(), values, strict=True))

    applied, values = picked("frozen", "quick", ["quick", "full"], "mine")
    assert applied == ["frozen", "quick"]
    assert (values["name"], values["optim.epochs"], values["model.base"]) == ("mine", 2, "all-MiniLM-L6-v2")
    assert picked("frozen", "quick", ["quick", "full"], "quick-1")[1]["name"] == "frozen-1"
    skipped, values = picked("quick", "full", ["quick", "full"], "mine")        # it was merely left
    assert all(update == skipped for update in values.values())


def test_fields_of_one_run_are_hidden_beside_a_preset_of_several() -> None:
    assert {update["visible"] for update in show_fields("quick")} == {True}
    assert {update["visible"] for update in show_fields("scibert-and-companions")} == {"hidden"}
