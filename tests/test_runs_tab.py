"""The Runs tab without a browser: its list, what tells runs apart, figures with intervals, notes, zips, deletion."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from pipeline.calibration import read_calibration
from pipeline.catalog import all_runs, create_run, load_run, run_names
from pipeline.config import make_config
from pipeline.evaluation import evaluate_run
from pipeline.jobs import carry_out
from pipeline.models import members_of
from pipeline.runs import Run, Status
from tabs.combine_fold import WAYS, combine
from tabs.runs_tab import (
    NUM_CHARTS,
    NUM_DETAILS,
    ask_to_delete,
    bring_in,
    calibrate_run,
    delete_for_good,
    look,
    show_run,
    show_test,
    write_note,
    zip_run,
)
from tabs.runs_view import compared_blocks, detail_blocks, first_and_best, run_list, state_words


@pytest.fixture(scope="module")
def trained_root(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, tiny_data: Path) -> Path:
    """A run root with "one" and "two", which differ in their learning rate."""
    root = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VOLTA_HOME", str(root))
        patch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("locks")))   # apart from the machine's real runs
        for name, rate in (("one", 1e-3), ("two", 1e-5)):
            assert carry_out(create_run(make_config({
                "name": name,
                "data": {"source": str(tiny_data), "split": "random"},
                "model": {"base": str(tiny_model)},
                "optim": {"learning_rate": rate, "batch_size": 16, "epochs": 2},
                "hardware": {"precision": "fp32", "device": "cpu"},
            }))) == 0
    return root


@pytest.fixture
def runs(trained_root: Path, run_root: Path, commands_here: None) -> list[Run]:
    shutil.copytree(trained_root, run_root)
    return [load_run("one"), load_run("two")]


def told(blocks: list[dict[str, Any]]) -> str:
    return json.dumps(blocks, ensure_ascii=False)


def labelled(blocks: list[dict[str, Any]], label: str) -> dict[str, Any]:
    return next(block for block in blocks if block.get("label", "").startswith(label))


def test_the_list_has_a_row_per_run_and_shows_the_newest_first(runs: list[Run]) -> None:
    listed = run_list(all_runs())
    rows = {row["name"]: row for row in listed["rows"]}
    assert {"one", "two"} <= set(rows)
    assert listed["chosen"] == [listed["rows"][0]["name"]]
    columns = [column["name"] for column in listed["columns"]]
    assert dict(zip(columns, rows["one"]["cells"], strict=True))["data"] == "tiny.jsonl"
    assert rows["one"]["cells"][0] == "finished"
    assert len(rows["one"]["keys"]) == len(columns)
    assert rows["one"]["cells"][4].startswith("macro F1 0.")


def test_a_run_that_writes_nothing_any_more_is_pointed_out() -> None:
    assert state_words(Status("running", updated_at=time.time())) == "running"
    assert state_words(Status("running", updated_at=time.time() - 200)) == "running · nothing new for 3 min"
    assert state_words(Status("finished", updated_at=0.0)) == "finished"


def test_before_and_best_are_the_metrics_of_the_record(runs: list[Run]) -> None:
    first, best = first_and_best(runs[0])
    assert first is not None and best is not None
    assert first["step"] == 0 and best["step"] == runs[0].status().best["step"]
    row = labelled(compared_blocks(runs), "On validation, before")["rows"][0]
    assert row[:4] == ["one", "24", f"{first['loss']:.3f}", f"{best['loss']:.3f}"]


def test_two_runs_are_told_apart_by_the_fields_that_differ_alone(runs: list[Run]) -> None:
    assert labelled(compared_blocks(runs), "What differs")["rows"] == [["optim.learning_rate", "0.001", "1e-05"]]


def test_two_runs_are_compared_on_the_examples_both_have_predicted(runs: list[Run]) -> None:
    blocks = compared_blocks(runs)
    [row] = labelled(blocks, "Beside one")["rows"]
    assert row[:2] == ["two", "24"]
    assert all(" to " in interval for interval in row[-2:])
    [read] = [block for block in compared_blocks(runs) if block["kind"] == "link"]
    assert {key: read[key] for key in ("tab", "run", "data", "split", "beside", "show")} == {
        "tab": "errors", "run": "two", "data": "tiny", "split": "validation", "beside": "one", "show": "all",
    }
    (runs[1].folder / "predictions" / "tiny" / "validation.parquet").unlink()
    assert "two beside one: two keeps no predictions of its validation examples" in told(compared_blocks(runs))


def test_runs_validated_on_other_examples_are_pointed_out(runs: list[Run]) -> None:
    assert "different examples" not in told(compared_blocks(runs))
    path = runs[1].folder / "environment.json"
    environment = json.loads(path.read_text())
    environment["data"]["validation"]["sha256"] = "another"
    path.write_text(json.dumps(environment))
    assert "These runs were validated on different examples" in told(compared_blocks(runs))


def test_a_training_that_made_it_worse_is_pointed_out(runs: list[Run]) -> None:
    assert "made it worse" not in told(compared_blocks(runs[:1]))
    first, *rest = runs[0].metrics_path.read_text().splitlines(keepends=True)
    runs[0].metrics_path.write_text("".join([json.dumps({**json.loads(first), "macro_f1": 1.01}) + "\n", *rest]))
    assert "one had a better macro F1 before its first step" in told(compared_blocks(runs[:1]))


def test_one_run_has_nothing_to_be_compared_with(runs: list[Run]) -> None:
    assert [block.get("label") for block in compared_blocks(runs[:1])] == [
        "On validation, before the first step and at the best one"
    ]
    assert compared_blocks([]) == []


def test_the_averages_of_the_labels_are_those_of_the_metrics(runs: list[Run]) -> None:
    _, best = first_and_best(runs[0])
    rows = {row[0]: row[1:] for row in labelled(detail_blocks(runs[0]), "Per label, validation, n = 24")["rows"]}
    assert set(rows) == {"negative", "positive", "macro average", "weighted average"}
    assert best is not None
    assert rows["macro average"][2] == f"{best['macro_f1']:.3f}"
    assert rows["weighted average"][2] == f"{best['weighted_f1']:.3f}"


def test_test_figures_appear_once_asked_for_and_go_when_the_model_changes(runs: list[Run]) -> None:
    assert "On test" not in told(detail_blocks(runs[0]))
    *_, message = show_test(None, "one")
    assert "On test, n = 24: accuracy" in told(message)
    shown = told(detail_blocks(runs[0]))
    assert "On test, n = 24: accuracy" in shown and "(95%: " in shown
    listed = run_list(runs)
    column = [head["name"] for head in listed["columns"]].index("test")
    cells = {row["name"]: row["cells"][column] for row in listed["rows"]}
    assert f"{cells['one']} (95%" in shown and cells["one"].startswith("macro F1 0.") and cells["two"] == ""
    (runs[0].best_folder / "model.safetensors").touch()
    assert "On test" not in told(detail_blocks(runs[0]))


def test_the_button_calibrates_a_run_and_undoes_it(runs: list[Run], sharp_model: Path) -> None:
    shutil.copytree(sharp_model, runs[1].best_folder, dirs_exist_ok=True)      # it is far surer than it is right
    seen = look(["two"], "step", 0.9, "two", {})[-1]
    first, last = calibrate_run(None, "two")
    assert "Asking two for its validation examples" in told(first) and last == []
    after = look(["two"], "step", 0.9, "two", seen)
    shown = told(after[3 + NUM_CHARTS])
    found = read_calibration(runs[1])
    assert found is not None
    assert "Calibrated on validation, n = 24, " in shown and f"loss {found.nll_before:.3f} before, " in shown
    assert list(calibrate_run(None, "two"))[-1] == []
    assert read_calibration(runs[1]) is None
    assert "Calibrated" not in told(look(["two"], "step", 0.9, "two", after[-1])[3 + NUM_CHARTS])      # not a skip


@pytest.mark.parametrize("way", WAYS)
def test_ticked_runs_become_a_run_of_their_own(runs: list[Run], way: str) -> None:
    working, made = combine(None, ["one", "two"], way, " both ")
    metrics = evaluate_run(load_run("both"))
    assert "Putting one, two together" in told(working)
    assert f"Made 'both': macro F1 {metrics['macro_f1']:.3f} on validation, n = 24." in told(made)
    assert bool(members_of(load_run("both").best_folder)) == (way == "ensemble")


@pytest.mark.parametrize("chosen, name", [(None, "both"), ([], "both"), (["one", "two"], " ")])
def test_what_is_to_be_put_together_has_runs_and_a_name(runs: list[Run], chosen: list[str] | None, name: str) -> None:
    (answer,) = combine(None, chosen, "ensemble", name)
    assert "Tick the runs in the list above, and give the new run a name." in told(answer)
    assert "both" not in run_names()


def test_what_cannot_be_put_together_is_told(runs: list[Run]) -> None:
    assert "There is already a run 'two'" in told(list(combine(None, ["one", "two"], "average", "two"))[-1])


def test_looking_again_sends_only_what_has_changed(runs: list[Run]) -> None:
    first = look(["one"], "step", 0.9, None, {})
    seen = first[-1]
    assert len(first) == 1 + NUM_CHARTS + 2 + NUM_DETAILS + 2
    again = look(["one"], "step", 0.9, "one", seen)
    assert all(value == gr.skip() for value in again)
    runs[0].append_metrics({"step": 25, "epoch": 2.1, "loss": 0.1, "seconds": 9.0})
    changed = [value != gr.skip() for value in look(["one"], "step", 0.9, "one", seen)]
    assert changed == [False, *[True] * NUM_CHARTS, *[False] * (3 + NUM_DETAILS), True]
    names = look(["two", "one", "gone"], "epoch", 0.9, "one", seen)[-1]["picker"]
    assert names == ["two", "one"]


def test_a_chosen_run_stays_chosen_and_one_that_is_gone_gives_way(runs: list[Run]) -> None:
    def picker(chosen: list[str], focus: str | None) -> Any:
        return look(chosen, "step", 0.9, focus, {})[1 + NUM_CHARTS + 1]

    assert "value" not in picker(["one", "two"], "two").constructor_args
    assert picker(["one"], "two").value == "one"
    assert picker([], "two").value is None


def test_the_details_follow_a_run_that_goes_on(runs: list[Run]) -> None:
    seen = look(["one"], "step", 0.9, "one", {})[-1]
    with open(runs[0].log_path, "a") as file:
        file.write("something new\n")
    details = look(["one"], "step", 0.9, "one", seen)[3 + NUM_CHARTS :][:NUM_DETAILS]
    assert "something new" in told(details[-1])


def test_the_details_of_a_run_are_its_own_record(runs: list[Run]) -> None:
    details, config, environment, notes, log = show_run("one")
    assert "Per label" in told(details)
    assert json.loads(config[0]["text"])["optim"]["learning_rate"] == 1e-3
    assert json.loads(environment[0]["text"])["device"] == "cpu"
    assert "No notes yet" in told(notes)
    assert "Finished at step 24" in told(log)
    assert "Tick a run above" in told(show_run("gone")[0])


def test_a_note_is_kept_in_the_record(runs: list[Run]) -> None:
    assert write_note(None, "one", "  too high a rate ") == ([], "")
    assert "too high a rate" in told(show_run("one")[3])
    assert "Write a note first." in told(write_note(None, "one", " ")[0])


def test_without_a_run_every_button_says_so(runs: list[Run]) -> None:
    for blocks in (
        zip_run(None, None)[1], ask_to_delete(None)[0], write_note(None, "gone", "x")[0], *show_test(None, "gone"),
        *calibrate_run(None, "gone"),
    ):
        assert blocks[0]["text"] == "No run is chosen. Tick one in the list."
    assert "is no more" in told(delete_for_good(None, "gone")[0])


def test_a_run_is_deleted_only_after_it_was_said_what_goes(runs: list[Run], tmp_path: Path) -> None:
    zipped, said = zip_run(None, "one")
    assert "one.zip, 0." in told(said) and "MB" in told(said)
    path = tmp_path / "one.zip"
    shutil.copy(zipped.value["path"] if isinstance(zipped.value, dict) else zipped.value, path)
    message, button, doomed = ask_to_delete("one")
    assert doomed == "one"
    assert "removes one from the disk" in told(message) and "its best model" in told(message)
    assert button.visible and runs[0].folder.exists()
    assert "one is deleted." in told(delete_for_good(None, "one")[0])
    assert not runs[0].folder.exists()
    assert "one is in the list now" in told(bring_in(None, str(path)))
    assert first_and_best(load_run("one")) != (None, None)
    assert "already a run 'one'" in told(bring_in(None, str(path)))


def test_two_hundred_runs_are_listed_in_about_a_second(runs: list[Run], run_root: Path) -> None:
    for index in range(200):
        folder = run_root / f"copy-{index}"
        folder.mkdir()
        for name in ("run_config.json", "status.json", "metrics.jsonl"):
            shutil.copy(runs[0].folder / name, folder)
    started = time.process_time()
    listed = look([f"copy-{index}" for index in range(200)], "step", 0.9, None, {})[0]
    assert len(listed["rows"]) >= 202
    assert time.process_time() - started < 6        # about a second and a half of computing; room for a busy machine
