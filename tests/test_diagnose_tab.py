"""The Diagnose tab: what it examines, what it shows of it, and the remedy that a button starts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import gradio as gr
import pytest

from analysis.check import Check
from analysis.diagnosis import conclude
from pipeline.catalog import create_run
from pipeline.config import make_config
from pipeline.runs import Run
from tabs.diagnose_tab import enter, examine, forget_others, run_remedy, subjects, try_remedies
from tabs.diagnose_view import evidence_blocks, told_changes, tried_blocks, verdict_blocks


@pytest.fixture
def sick(run_root: Path, tiny_values: dict[str, Any]) -> str:
    create_run(make_config({**tiny_values, "name": "-sick", "optim": {"learning_rate": 1.0, "batch_size": 16}}))
    return "run/-sick"


def test_runs_and_presets_can_be_examined_and_the_address_names_one(sick: str) -> None:
    names = [value for _, value in subjects()]
    assert {sick, "run/sst2-minilm", "preset/quick"} <= set(names)
    assert enter("?tab=diagnose&run=-sick", None).value == sick
    assert enter("?tab=runs&run=-sick", "preset/quick").value == "preset/quick"
    assert enter("?tab=diagnose&run=gone", None).value == names[0]


def test_a_sick_run_is_told_check_by_check_and_its_remedy_starts_a_run(
    sick: str, commands_here: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Run] = []
    monkeypatch.setattr("pipeline.jobs.start_detached", started.append)
    *steps, (verdict, evidence, found) = list(examine(None, sick))
    assert any("fine: Labels are encoded 0 to 1" in json.dumps(shown) for shown, _, _ in steps)
    assert [block["text"] for block in verdict[:2]] == [
        "Verdict on run -sick", "The learning rate is too large: each step throws the weights away."
    ]
    remedies = verdict[-1]
    assert remedies["rows"][0] == ["run it: rate 5e-5", "optim.learning_rate: 1.0 → 5e-05"]
    assert {"bars", "table"} <= {block["kind"] for block in evidence}
    *_, [said, link] = list(run_remedy(None, remedies["picks"][0][0], sick, found))
    assert "-sick-rate-5e-5-1" in said["text"] and link["run"] == "-sick-rate-5e-5-1"
    [run] = started
    assert (run.name, run.config.optim.learning_rate) == ("-sick-rate-5e-5-1", 5e-5)


def test_a_remedy_of_something_else_is_not_run(sick: str) -> None:
    found = {"subject": "preset/quick", "remedies": []}
    for other in (None, found):
        [[said]] = run_remedy(None, {"remedy": 0}, sick, other)
        assert said["text"].startswith("Examine it first")


def test_what_cannot_be_examined_is_one_sentence(run_root: Path, commands_here: None) -> None:
    *_, [[said], _, _] = examine(None, "run/gone")
    assert said["tone"] == "problem" and "gone" in said["text"]
    create_run(make_config({"name": "lost", "data": {"source": "nowhere-at-all"}}))
    *_, [[said], _, _] = examine(None, "run/lost")
    assert said["tone"] == "problem" and "nowhere-at-all" in said["text"] and "Traceback" not in said["text"]


def test_a_preset_is_examined_and_tried_with_what_can_be_had_here_and_says_so(
    run_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []
    healthy = {"healthy": True, "verdict": "Fine.", "evidence": "", "remedies": [], "checks": [], "tried": []}

    def answer(arguments: list[str], **streams: Any) -> Any:
        asked.append(arguments)
        streams["stdout"].write(json.dumps(healthy))
        return Mock(stderr=[], wait=lambda: 0, poll=lambda: 0)

    monkeypatch.setattr("tabs.diagnose_tab.start_command", answer)
    monkeypatch.setattr("pipeline.stand_ins.is_only_on_hub", lambda name, _: name == "bert-base-uncased")
    *_, (verdict, _, _) = list(examine(None, "preset/frozen"))
    *_, tried = list(try_remedies(None, "preset/frozen", None))
    *_, below = list(try_remedies(None, "preset/frozen", {"subject": "preset/frozen"}))
    assert below == tried[1:]          # the verdict above says it
    assert verdict[0]["text"] == tried[0]["text"] == (
        "bert-base-uncased: not on this machine, and the Hub is out of reach. Examined with what is here: Base model "
        "all-MiniLM-L6-v2 instead of bert-base-uncased, Freeze top-1 instead of top-3. Figures in the preset's note do "
        "not hold for it."
    )
    options = ["--preset", "frozen", "--set", "model.base=all-MiniLM-L6-v2", "--set", "model.freeze=top-1"]
    assert asked == [["diagnose", *options], *[["diagnose", "--try", *options]] * 2]


def test_remedies_are_tried_in_order(sick: str, commands_here: None) -> None:
    *_, [tried, _] = list(try_remedies(None, sick, None))
    assert tried["label"] == "Tried in order for run -sick"
    assert tried["rows"][0][0] == "rate 1e-4" and tried["rows"][0][1] in ("learns", "does not learn")


def test_of_a_remedy_only_what_it_changes_is_shown() -> None:
    optim = {"learning_rate": 2e-5, "batch_size": 128, "groups": "head=1e-3"}
    config = make_config({"name": "x", "model": {"freeze": "top-3"}, "optim": optim})
    found = conclude([Check("course", "", "not_learning")], config)
    told = {remedy.title: told_changes(remedy.changes, found.before) for remedy in found.remedies}
    assert told["unfreeze"] == "model.freeze: top-3 → none" and told["batch 16"] == "optim.batch_size: 128 → 16"
    assert told["rate 1e-4"] == "optim.learning_rate: 2e-05 → 0.0001, optim.groups: head=1e-3 → not given"


def test_what_is_tried_stands_under_no_verdict_on_something_else() -> None:
    found = {"subject": "run/-sick"}
    assert forget_others("preset/frozen", found) == forget_others("run/-sick", None) == ([], [], None, [])
    assert forget_others("run/-sick", found) == (gr.skip(), gr.skip(), gr.skip(), [])


def test_a_healthy_one_and_one_without_remedy_are_told_so() -> None:
    healthy = {"subject": "preset/quick", "healthy": True, "verdict": "Fine.", "evidence": ""}
    healthy |= {"remedies": [], "checks": []}
    assert [block["text"] for block in verdict_blocks(healthy)[:2]] == ["Verdict on preset quick", "Fine."]
    ill = {**healthy, "healthy": False, "verdict": "Ill.", "evidence": "Labels."}
    assert verdict_blocks(ill)[-1]["text"].startswith("No setting mends this")
    assert evidence_blocks(healthy)[0]["label"] == "All checks: 0 fine, 0 not"
    assert tried_blocks({**healthy, "tried": []})[0]["text"] == (
        "None of the short remedies would change the config of preset quick."
    )
