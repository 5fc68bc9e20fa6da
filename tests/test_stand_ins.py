"""Out of reach of the Hub a preset tells with what it can run here, and no other model is taken unasked."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from pipeline import stand_ins
from pipeline.config import all_presets, make_config, preset_names, read_preset, set_field
from pipeline.experiments import experiment_presets, load_experiment
from pipeline.stand_ins import StandIns, find_stand_ins, hub_answers
from tests.command import volta

MINILM = {"model.base": "all-MiniLM-L6-v2"}


@pytest.fixture(autouse=True)
def nothing_of_the_hub(run_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No data sets and no models on this machine but what the set-up installs; the Hub switched off."""
    monkeypatch.setenv("VOLTA_DATA", str(tmp_path / "no-data"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("pipeline.sources._is_cached", lambda *_: False)


def found_for(preset: str) -> StandIns:
    return find_stand_ins(preset, make_config({**read_preset(preset), "name": "a"}))


def test_what_is_lacking_is_told_with_the_fields_that_change_with_the_model() -> None:
    assert found_for("optimised") == StandIns(
        ["bert-base-uncased", "sst2"],
        {**MINILM, "optim.learning_rate": 1e-4, "adversarial.epsilon": 0.2, "data.source": "starter"},
    )


def test_a_preset_that_can_run_here_changes_nothing() -> None:
    assert found_for("quick") == StandIns()


def test_a_base_that_no_hub_could_have_is_not_replaced() -> None:
    assert found_for("sst2-after-imdb") == StandIns(["sst2"], {"data.source": "starter"})       # its base is a run


def test_nothing_is_replaced_where_the_hub_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stand_ins, "hub_answers", lambda: True)
    assert found_for("optimised") == StandIns()


def test_without_a_network_the_hub_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not hub_answers()                                # switched off: it is not even asked
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))                       # a port on which nobody listens
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{nobody.getsockname()[1]}")
        monkeypatch.setenv("NO_PROXY", "*")
        assert not hub_answers()


@pytest.mark.parametrize("preset", sorted(all_presets()))
def test_what_a_preset_changes_for_the_local_model_are_fields_and_values_of_a_run(preset: str) -> None:
    values = read_preset(preset) if preset in preset_names() else {}
    for name, value in all_presets()[preset].get("local", {}).items():
        set_field(values, name, value)
    make_config({**values, "name": "a"})


@pytest.mark.parametrize("command", [["train", "--name", "a", "--preset"], ["plan", "--preset"]])
def test_the_command_refuses_with_what_to_add(command: list[str]) -> None:
    answer = volta(*command, "frozen")
    assert (answer.status, answer.stdout) == (2, "")
    assert answer.stderr.strip() == (
        "The preset 'frozen' needs bert-base-uncased, ag_news from the Hub, which is out of reach. To train on what is "
        "on this machine instead, add: --set model.base=all-MiniLM-L6-v2 --set model.freeze=top-1 "
        "--set data.source=starter"
    )


def test_what_was_asked_for_instead_is_not_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline import jobs

    monkeypatch.setattr(jobs, "start_detached", lambda run: None)
    local = ["--set", "model.base=all-MiniLM-L6-v2", "--set", "data.source=starter"]
    answer = volta("train", "--preset", "original", *local, "--name", "a", "--detach")
    assert answer.lines == [{"name": "a", "state": "queued"}]


def test_an_experiment_of_presets_is_refused_before_any_of_its_runs() -> None:
    assert "scibert-and-companions" in experiment_presets()
    answer = volta("sweep", "scibert-and-companions")
    assert (answer.status, answer.stdout) == (2, "")
    assert "needs scibert, bert-base-uncased, roberta-base, deberta-v3-base, ag_news from the Hub" in answer.stderr
    assert "add: --set model.base=all-MiniLM-L6-v2 --set optim.learning_rate=0.0001" in answer.stderr


def test_an_experiment_with_the_local_model_begins_under_its_own_name(monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline import sweeping
    from pipeline.experiments import save_experiment

    monkeypatch.setattr(sweeping, "start_sweep", lambda experiment, again: save_experiment(experiment))
    answer = volta(
        "sweep", "scibert-and-companions", "--name", "mine", "--budget", "quick", "--detach",
        "--set", "model.base=all-MiniLM-L6-v2", "--set", "data.source=starter",
    )
    assert [line["run"] for line in answer.lines] == [
        f"mine-{name}" for name in ("scibert-focal", "bert-ce", "roberta-weighted", "deberta-ce", "scibert-ce")
    ]
    assert "scibert-focal, budget quick: data.limit 2000 (else none)" in answer.stderr
    kept = json.loads(load_experiment("mine").model_dump_json())
    assert kept["set"] == {"model.base": "all-MiniLM-L6-v2", "data.source": "starter"}
    assert kept["changes"]["bert-ce"] == {
        "base": "bert-ce", "data.limit": 2000, "data.max_length": 64, "optim.epochs": 2
    }
