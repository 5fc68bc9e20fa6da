"""The experiments fold: what is typed becomes an experiment, its runs are followed, its report is fetched."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from pipeline.catalog import load_run
from pipeline.exceptions import ConfigError
from pipeline.experiments import Experiment, experiment_names, members_of, save_experiment
from pipeline.runs import write_json
from pipeline.sources import find_data
from pipeline.sweeping import Standing
from reports.words import say
from tabs.experiments_view import (
    build_experiments_fold,
    experiment_of,
    go_on,
    look,
    queue,
    report,
    standing_blocks,
    stop,
)
from tabs.shared import duration


def test_what_is_typed_becomes_an_experiment() -> None:
    common = "data.source=sst2, data.limit=2000"
    changes = "slow: optim.learning_rate=1e-5\ncold: optim.schedule=cosine"
    found = experiment_of(" ab ", "quick", "full", common, changes, "1, 2", True)
    assert (found.name, found.base, found.test, found.seeds) == ("ab", "quick", True, (1, 2))
    members = members_of(found)
    assert [each.variant for each in members] == ["baseline", "slow", "cold"] * 2
    assert members[1].config.optim.learning_rate == 1e-5 and members[1].config.data.limit == 2000
    groups = "optim.groups=lower=2e-5, head=5e-5, optim.epochs=2"
    unnamed = members_of(experiment_of("x", "quick", "full", "", "optim.batch_size=8", "", False))
    assert [each.variant for each in unnamed] == ["baseline", "baseline+bs8"]
    budgeted = members_of(experiment_of("x", "quick", "medium", "", "longer: optim.epochs=9", "", False))
    assert [(each.config.data.limit, each.config.optim.epochs) for each in budgeted] == [(20_000, 2), (20_000, 3)]
    [_, named_by_itself] = members_of(experiment_of("x", "quick", "full", "", groups, "", False))
    assert (named_by_itself.config.optim.groups, named_by_itself.config.optim.epochs) == ("lower=2e-5, head=5e-5", 2)


@pytest.mark.parametrize(("typed", "sentence"), [
    ((" ", "quick", "full", "", "a.b=1", "1", False), "An experiment has a name"),
    (("-/", "quick", "full", "", "optim.epochs=1", "1", False), "A name has 1 to 64 letters"),
    (("x", "quick", "full", "", " ", "1", False), "An experiment compares changes; none was given"),
    (("x", "quick", "full", "", "slow: optim.epochs=1\noptim.epochs=2", "1", False), "Name all of them, or none"),
    (("x", "quick", "full", "", "a: optim.epochs=1\na: optim.epochs=2", "1", False), "Two changes are called 'a'"),
    (("x", "quick", "full", "", "cosine", "1", False), "A change is field=value; found 'cosine'"),
    (("x", "quick", "full", "", "optim.epochs=1", "one", False), "Seeds are whole numbers with commas between; found"),
    (("x", "quick", "full", "", "optim.epoch=1", "1", False), "There is no field 'optim.epoch'"),
    (("x", "quick", "full", "", "optim.epochs=0", "1", False), "optim.epochs"),
])
def test_what_cannot_be_read_is_one_sentence(typed: Any, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        experiment_of(*typed)


def test_nothing_is_shown_before_there_is_an_experiment_and_nothing_anew_while_nothing_changes(run_root: Path) -> None:
    _, [hint], _, seen = look(None, None)
    assert "No experiment yet" in hint["text"]
    [picker, *_] = look(None, seen)
    assert picker == gr.skip()
    save_experiment(Experiment(name="ab", base="quick", changes={"slow": {"optim.learning_rate": 1e-5}}))
    picker, [told, runs], [none], seen = look(None, seen)
    assert picker.value == "ab" and "0 of 2 runs are finished" in told["text"]
    assert [row[:3] for row in runs["rows"]] == [["baseline", "42", "not begun"], ["slow", "42", "not begun"]]
    assert (none["tone"], none["text"]) == ("hint", "No run has finished yet: the report comes with the first.")
    assert report("ab", "html")[0][0]["text"] == none["text"]
    assert look("ab", seen) == [gr.skip()] * 4


def test_finished_runs_are_compared_and_the_report_is_a_file(trained_root: Path, run_root: Path) -> None:
    config = load_config(trained_root)
    changes: dict[str, Any] = {"cosine": {"optim.schedule": "cosine"}}
    experiment = Experiment(name="ab", base={**config, "name": "x"}, changes=changes)
    for member in members_of(experiment):
        shutil.copytree(trained_root / "tiny", run_root / member.run)
        write_json(run_root / member.run / "run_config.json", member.config.model_dump())
    assert load_run("ab-cosine").config.optim.schedule == "cosine"
    save_experiment(experiment)
    seconds = load_run("ab-baseline").status().elapsed_seconds
    with pytest.MonkeyPatch.context() as patch:         # the other one is not begun, and a sweep is at it
        patch.setattr("pipeline.sweeping.run_names", lambda: ["ab-baseline"])
        patch.setattr("tabs.experiments_view.is_swept", lambda name: True)
        assert look("ab", None)[1][0]["text"] == (
            f"At work: 1 of 2 runs are finished. About {duration(seconds)} of training are left, if the rest takes as "
            "long."
        )
    _, [told, _], [doubt, worth, *_], _ = look("ab", None)
    assert "All 2 runs are finished." in told["text"]
    assert "hardly better than" in doubt["text"].lower() and doubt["tone"] == "problem"     # so short was the training
    assert worth["rows"][0][1] == "what the others are compared with"
    for kind, begins in (("html", "<!doctype html>"), ("md", "# Experiment ab"), ("csv", "variant,")):
        said, button = report("ab", kind)
        assert said == [] and button.label == f"Download ab.{kind}"
        assert Path(button.value["path"]).read_text(encoding="utf-8").startswith(begins)


def load_config(root: Path) -> dict[str, Any]:
    import json

    values: dict[str, Any] = json.loads((root / "tiny" / "run_config.json").read_text())
    return values


def test_an_experiment_is_queued_once_stopped_and_gone_on_with(
    run_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[tuple[str, bool]] = []

    def start(experiment: Experiment, again: bool = False) -> None:
        save_experiment(experiment)
        started.append((experiment.name, again))

    monkeypatch.setattr("tabs.experiments_view.start_sweep", start)
    typed = ("ab", "quick", "full", "", "optim.schedule=cosine", "1, 2", False)
    [said], picker = queue(None, *typed)
    assert said["text"] == "Begun: 4 runs, one after the other." and picker.value == "ab"
    [said], _ = queue(None, *typed)
    assert said["text"].startswith("There is already an experiment 'ab'.") and experiment_names() == ["ab"]
    assert "goes on" in go_on(None, "ab")[0]["text"] and started == [("ab", False), ("ab", True)]
    assert "is not being swept" in stop(None, "ab")[0]["text"]


def test_an_experiment_that_cannot_begin_is_not_kept(run_root: Path) -> None:
    [said], picker = queue(None, "ab", "quick", "full", "data.source=no-such-data", "optim.schedule=cosine", "1", False)
    assert said["text"].startswith("No data 'no-such-data' was found.") and picker == gr.skip()
    assert experiment_names() == []


def test_a_run_whose_process_is_not_there_yet_begins_while_it_is_swept(monkeypatch: pytest.MonkeyPatch) -> None:
    experiment, stands = Experiment(name="ab"), [Standing("ab-baseline", "baseline", 42, "interrupted")]
    for swept, shown in ((True, say("run.starting")), (False, "interrupted")):
        monkeypatch.setattr("tabs.experiments_view.is_swept", lambda name, swept=swept: swept)
        assert standing_blocks(experiment, stands)[1]["rows"][0][2] == shown


def test_another_choice_clears_what_was_said_of_the_last_one() -> None:
    with gr.Blocks() as page, gr.Tab() as tab:
        build_experiments_fold(gr.Timer(active=False), tab)
    [forget] = [fn for fn in page.fns.values() if "change" in dict(fn.targets).values()]
    assert [page.blocks[block].elem_id for block, _ in forget.targets] == ["experiment-picker", "experiment-kind"]
    assert [output.elem_id for output in forget.outputs] == ["experiment-message", "experiment-download"]
    assert forget.fn() == ([], gr.update(visible=False))


def test_the_form_says_where_fields_are_listed_and_its_example_is_one_that_can_be_queued(run_root: Path) -> None:
    example, _, fields = say("sweeps.common_help").partition("such as ")[2].partition(". ")
    assert fields == "All fields: `python -m pipeline fields`"
    found = experiment_of("ab", "quick", "full", example, "optim.schedule=cosine", "", False)
    assert find_data(members_of(found)[0].config.data.source).kind == "bundled"


def test_without_a_choice_every_button_asks_for_one() -> None:
    said = [go_on(None, None), stop(None, ""), report(None, "html")[0]]
    assert [each["text"] for [each] in said] == ["Choose an experiment above."] * 3
