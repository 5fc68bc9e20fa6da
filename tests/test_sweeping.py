"""Experiments carried out: killed and swept again they go on, failures do not keep the rest, nothing is done twice."""

from __future__ import annotations

import json
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from pipeline import jobs, sweeping
from pipeline.catalog import create_run, load_run, run_names
from pipeline.config import make_config
from pipeline.exceptions import ConfigError, RunError, WorkbenchError
from pipeline.experiments import Experiment, experiment_names, load_experiment, members_of
from pipeline.jobs import carry_out, start_command
from pipeline.runs import Run, Status
from tests.command import CarriedOut, volta
from tests.test_jobs import wait_until

NO_COLUMN = {"data.text_column": "nothing"}


@pytest.fixture
def values(tiny_values: dict) -> dict[str, Any]:
    """Of an experiment of three runs of a second each, the second of which fails."""
    base = {name: value for name, value in tiny_values.items() if name != "name"}
    return {"name": "x", "base": base, "set": {"optim.epochs": 1}, "changes": {"bad": NO_COLUMN, "last": {"seed": 7}}}


@pytest.fixture
def trained_here(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Members are trained in this process; their names, in order."""
    names: list[str] = []

    def start(run: Run) -> None:
        names.append(run.name)
        assert run.name != "x-bad" or carry_out(run) == 1
        assert run.name == "x-bad" or carry_out(run) == 0

    monkeypatch.setattr(sweeping, "start_detached", start)
    return names


def swept(values: dict, again: bool = False, stop: threading.Event | None = None) -> dict[str, str]:
    """State by run."""
    experiment = Experiment.model_validate(values)
    return {each.run: each.state for each in sweeping.sweep(experiment, stop or threading.Event(), again)}


def test_a_sweep_killed_in_between_goes_on_and_a_failed_member_does_not_keep_the_rest(
    run_root: Path, values: dict, tmp_path: Path
) -> None:
    values["changes"]["last"] = {"optim.epochs": 40}        # 480 steps: time to be killed in
    path = tmp_path / "experiment.json"
    path.write_text(json.dumps(values), encoding="utf-8")
    process = start_command(["sweep", str(path)])
    wait_until(lambda: "x-last" in run_names() and len(load_run("x-last").metrics()) > 20)
    process.kill()                                                  # the sweep, and the run that it was at
    process.wait()
    member = jobs._process_of(load_run("x-last"))
    assert member is not None
    member.kill()
    wait_until(lambda: load_run("x-last").status().state == "interrupted")
    written = load_run("x-baseline").metrics_path.stat().st_mtime_ns
    assert [each.state for each in sweeping.standings(load_experiment("x"))] == ["finished", "failed", "interrupted"]

    answer = volta("sweep", "x")                                    # by its name: the file is not needed any more
    assert answer.status == 1
    assert [(line["run"], line["state"]) for line in answer.lines] == [
        ("x-baseline", "finished"), ("x-bad", "failed"), ("x-last", "finished"),
    ]
    assert "no column 'nothing'" in answer.lines[1]["reason"]
    assert answer.lines[2]["best"]["metric"] == "macro_f1" and load_run("x-last").status().step == 480
    assert load_run("x-baseline").metrics_path.stat().st_mtime_ns == written        # it was not trained twice


def test_nothing_is_done_twice_but_failed_members_when_asked(
    run_root: Path, values: dict, trained_here: list[str]
) -> None:
    expected = {"x-baseline": "finished", "x-bad": "failed", "x-last": "finished"}
    assert swept(values) == expected and trained_here == ["x-baseline", "x-bad", "x-last"]
    assert swept(values) == expected and len(trained_here) == 3
    assert swept(values, again=True) == expected and trained_here[3:] == ["x-bad"]


def test_a_change_added_later_is_carried_out_too(run_root: Path, values: dict, trained_here: list[str]) -> None:
    swept({**values, "changes": {}})
    assert swept({**values, "changes": {"last": {"seed": 7}}, "note": "More."}) == {
        "x-baseline": "finished", "x-last": "finished",
    }
    assert trained_here == ["x-baseline", "x-last"]


def test_all_finished_ends_with_0(run_root: Path, values: dict, trained_here: list[str], tmp_path: Path) -> None:
    path = tmp_path / "experiment.json"
    path.write_text(json.dumps({**values, "changes": {}}), encoding="utf-8")
    answer = volta("sweep", str(path))
    assert (answer.status, [line["state"] for line in answer.lines]) == (0, ["finished"])
    assert set(answer.lines[0]) == {"run", "variant", "seed", "state", "best", "reason", "seconds"}


def test_a_run_of_the_same_name_with_another_config_is_refused_before_anything_is_done(
    run_root: Path, values: dict, trained_here: list[str]
) -> None:
    create_run(make_config({**values["base"], "name": "x-last", "optim": {"epochs": 9}}))
    with pytest.raises(RunError) as caught:
        swept(values)
    assert str(caught.value) == (
        "There is already a run 'x-last', with seed 42; the experiment wants 7. "
        "Give the experiment another name, or delete the run."
    )
    assert trained_here == [] and not (run_root / "_experiments").exists()


def test_a_change_that_changes_nothing_is_refused_before_anything_is_done(
    run_root: Path, values: dict, trained_here: list[str]
) -> None:
    values["changes"] = {"same": {"optim.epochs": 1, "optim.learning_rate": 1e-3}, "last": {"seed": 7}}
    with pytest.raises(ConfigError) as caught:
        swept(values)
    assert str(caught.value) == (
        "The change 'same' has no field that differs from 'baseline': the same would be trained twice. "
        "Give a field another value, or take the change out."
    )
    assert trained_here == [] and experiment_names() == []


@pytest.mark.parametrize(("change", "sentence"), [
    ({"model.base": "no-such-model"}, "No model 'no-such-model' was found"),
    ({"data.source": "no-such-data"}, "No data 'no-such-data' was found"),
    ({"data.source": "sst2"}, "No data 'sst2' was found, and the Hub is switched off"),
])
def test_what_cannot_be_found_is_refused_before_any_run_is_created(
    run_root: Path, values: dict, trained_here: list[str], monkeypatch: pytest.MonkeyPatch, change: dict, sentence: str
) -> None:
    monkeypatch.setenv("VOLTA_DATA", str(run_root / "no-data"))
    monkeypatch.setattr("pipeline.sources._is_cached", lambda *_: False)
    values["changes"] = {"bad": change, "after": {"model.base": "bad"}}
    with pytest.raises(WorkbenchError, match=sentence):
        swept(values)
    with pytest.raises(WorkbenchError, match=sentence):
        sweeping.start_sweep(Experiment.model_validate(values))
    assert not {"x-baseline", "x-bad"} & set(run_names()) and trained_here == [] and experiment_names() == []


def test_what_only_a_hub_out_of_reach_has_is_refused_with_the_command_that_fetches_it(
    run_root: Path, values: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOLTA_DATA", str(run_root / "no-data"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr("pipeline.sources._is_cached", lambda *_: False)
    monkeypatch.setattr(sweeping, "hub_answers", lambda: False)
    values["changes"] = {"bad": {"data.source": "sst2", "model.base": "bert-base-uncased"}}
    with pytest.raises(ConfigError) as caught:
        swept(values)
    assert str(caught.value) == (
        "The experiment needs sst2, bert-base-uncased from the Hub, which is out of reach. Name others, or, while "
        "there is a network, type: python -m pipeline fetch sst2 bert-base-uncased"
    )


def test_a_member_whose_base_has_not_finished_is_not_begun(
    run_root: Path, values: dict, trained_here: list[str]
) -> None:
    values["changes"]["second"] = {"model.base": "bad"}
    swept(values)
    second = list(sweeping.sweep(Experiment.model_validate(values), threading.Event()))[-1]
    assert (second.state, second.reason) == ("pending", "It goes on from 'x-bad', which is not finished.")


def test_a_member_that_goes_on_from_another_starts_with_its_weights(
    run_root: Path, values: dict, trained_here: list[str]
) -> None:
    values["changes"] = {"second": {"model.base": "baseline"}}
    assert swept(values) == {"x-baseline": "finished", "x-second": "finished"}
    first, second = (load_run(name).evaluations() for name in ("x-baseline", "x-second"))
    assert second[0]["loss"] == pytest.approx(first[-1]["loss"], abs=1e-5)


def test_a_member_at_work_already_is_waited_for(run_root: Path, values: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    run = create_run(members_of(Experiment.model_validate({**values, "changes": {}}))[0].config)
    run.write_status(Status(state="running"))
    alive = ExitStack()
    alive.enter_context(run.locked())

    def meanwhile(_: float) -> None:
        run.write_status(Status(state="finished"))
        alive.close()

    monkeypatch.setattr(time, "sleep", meanwhile)
    assert swept({**values, "changes": {}}) == {"x-baseline": "finished"}


def test_a_stopped_sweep_begins_no_other_member(run_root: Path, values: dict, trained_here: list[str]) -> None:
    stop = threading.Event()
    stop.set()
    assert set(swept(values, stop=stop).values()) == {"pending"}
    assert trained_here == []


def test_a_detached_sweep_is_stopped_saves_and_goes_on(run_root: Path, values: dict, tmp_path: Path) -> None:
    path = tmp_path / "experiment.json"
    values["changes"] = {"last": {"seed": 7}}
    path.write_text(json.dumps({**values, "set": {"optim.epochs": 200}}), encoding="utf-8")
    answer = volta("sweep", str(path), "--detach")
    assert (answer.status, len(answer.lines)) == (0, 2)
    wait_until(lambda: "x-baseline" in run_names() and load_run("x-baseline").metrics())
    assert volta("sweep", str(path)).stderr == (
        "'x' is already being swept by a living process. Wait, or stop it: sweep x --stop.\n"
    )
    answer = volta("sweep", "x", "--stop")
    assert [line["state"] for line in answer.lines] == ["stopped", "pending"]
    assert load_run("x-baseline").states() and not sweeping.is_swept("x")
    assert volta("sweep", "x", "--stop").stderr == "'x' is not being swept: there is nothing to stop.\n"


def test_a_detached_sweep_that_cannot_begin_says_why(
    run_root: Path, values: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(arguments: list[str], **streams: Any) -> Any:
        return start_command(["sweep", "--", "y"], **streams)

    monkeypatch.setattr(sweeping, "start_command", refused)
    with pytest.raises(RunError, match="There is no experiment 'y'. Did you mean"):
        sweeping.start_sweep(Experiment.model_validate({**values, "name": "yy"}))


def test_a_test_split_that_cannot_be_had_is_told_and_tried_again(
    run_root: Path, values: dict, trained_here: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(arguments: list[str], **streams: Any) -> Any:
        return CarriedOut(["evaluate", "no-such-run"], **streams)

    experiment = Experiment.model_validate({**values, "changes": {}, "test": True})
    monkeypatch.setattr(sweeping, "start_command", refused)
    [told] = sweeping.sweep(experiment, threading.Event())
    assert told.reason is not None and told.reason.startswith("It could not be evaluated on test: There is no run")
    assert (told.state, told.is_done) == ("finished", False)
    monkeypatch.setattr(sweeping, "start_command", CarriedOut)
    [told] = sweeping.sweep(experiment, threading.Event())
    assert told.is_done and trained_here == ["x-baseline"]
    assert (run_root / "x-baseline/predictions/tiny/test.parquet").exists()
