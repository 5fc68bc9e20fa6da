"""The run record: names, atomic files, states that survive damage, readers that bear whatever they find."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline import catalog
from pipeline.catalog import check_run_name, create_run, load_run, run_names
from pipeline.config import make_config
from pipeline.exceptions import RunError, StorageError
from pipeline.runs import Run, Status, write_json


@pytest.fixture
def run(run_root: Path) -> Run:
    return create_run(make_config({"name": "a-run"}))


def some_state(step: int) -> dict[str, Any]:
    return {"step": step, "model": {"weight": torch.full((3,), float(step))}}


@pytest.mark.parametrize("name", ["a", "quick-2", "A.b_c-9", "x" * 64, "-dash"])
def test_good_names_are_taken(name: str) -> None:
    assert check_run_name(name) == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", ".hidden", "_inner", "a/b", "../a", "a b", "a\n", "ü", "x" * 65, "a\0", "/etc"]
)
def test_other_names_are_refused_in_the_sentence_of_the_rule_and_touch_nothing(name: str, run_root: Path) -> None:
    for act in (check_run_name, load_run):
        with pytest.raises(
            RunError, match="A run name has 1 to 64 letters, digits, '.', '_' or '-', and does not start"
        ):
            act(name)
    assert not run_root.exists()


def test_a_name_is_taken_only_once(run: Run) -> None:
    before = (run.folder / "run_config.json").read_bytes()
    with pytest.raises(RunError, match="There is already a run 'a-run'. Choose another name, or resume it."):
        create_run(make_config({"name": "a-run", "seed": 1}))
    assert (run.folder / "run_config.json").read_bytes() == before


def test_the_config_you_read_back_is_the_config_you_wrote(run: Run) -> None:
    assert load_run("a-run").config == run.config


def test_an_unknown_run_is_named_with_its_nearest(run: Run) -> None:
    with pytest.raises(RunError, match="There is no run 'a-rum'. Did you mean a-run?"):
        load_run("a-rum")


def test_a_run_without_a_process_that_says_running_is_interrupted(run: Run) -> None:
    run.write_status(Status(state="running", pid=os.getpid(), step=3, total_steps=9))
    assert run.status().state == "interrupted"
    assert run.written_status().state == "running"  # readers derive it, nobody writes it
    with run.locked():
        assert run.status().state == "running"


@pytest.mark.parametrize("state", ["stopped", "finished", "failed"])
def test_a_run_that_ended_stays_as_it_ended(run: Run, state: Any) -> None:
    run.write_status(Status(state=state))
    assert run.status().state == state


def test_a_run_just_created_has_no_process_yet_and_shows_as_interrupted(run: Run) -> None:
    assert run.status().state == "interrupted"


def test_a_lock_ends_with_its_process_even_by_kill_9(run: Run) -> None:
    script = """
import sys, time
from pipeline.catalog import load_run
with load_run("a-run").locked():
    print("locked", flush=True)
    time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "locked\n"
    assert run.is_alive()
    process.kill()
    process.wait()
    assert not run.is_alive()


def test_metric_lines_are_read_whole_and_a_half_written_one_is_left_out(run: Run) -> None:
    run.append_metrics({"step": 1, "loss": 0.5})
    with open(run.metrics_path, "ab") as file:
        file.write(b'{"step": 2, "lo')
    assert run.metrics() == [{"step": 1, "loss": 0.5}]


def test_infinite_values_are_written_as_null_because_json_has_no_word_for_them(run: Run) -> None:
    run.append_metrics({"step": 1, "grad_norm": float("inf")})
    assert run.metrics() == [{"step": 1, "grad_norm": None}]


def test_a_state_comes_back_as_it_was_and_cuts_the_metrics_to_where_it_ended(run: Run) -> None:
    run.append_metrics({"step": 1})
    run.save_state(some_state(1))
    run.append_metrics({"step": 2})
    state = run.load_newest_state()
    assert state is not None and torch.equal(state["model"]["weight"], torch.full((3,), 1.0))
    assert run.metrics() == [{"step": 1}]


def test_without_any_state_the_metrics_start_anew(run: Run) -> None:
    run.append_metrics({"step": 1})
    assert run.load_newest_state() is None
    assert run.metrics() == []


def test_the_last_two_states_are_kept(run: Run) -> None:
    for step in (5, 10, 100):
        run.save_state(some_state(step))
    assert [folder.name for folder in run.states()] == ["100", "10"]


def damage_bytes(folder: Path) -> None:
    data = bytearray((folder / "state.pt").read_bytes())
    data[len(data) // 2] ^= 255
    (folder / "state.pt").write_bytes(data)


def remove_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()


def cut_weights_short(folder: Path) -> None:
    os.truncate(folder / "state.pt", 10)


def empty_manifest(folder: Path) -> None:
    (folder / "manifest.json").write_text("[]")


@pytest.mark.parametrize("damage", [damage_bytes, remove_manifest, cut_weights_short, empty_manifest])
def test_a_damaged_newest_state_is_set_aside_and_the_one_before_used(run: Run, damage: Any, caplog: Any) -> None:
    run.append_metrics({"step": 1})
    run.save_state(some_state(1))
    run.append_metrics({"step": 2})
    run.save_state(some_state(2))
    damage(run.folder / "state" / "2")
    state = run.load_newest_state()
    assert state is not None and state["step"] == 1
    assert run.metrics() == [{"step": 1}]
    assert (run.folder / "state" / "2.damaged").is_dir()
    assert "State 2 is damaged" in caplog.text


def test_a_state_whose_metric_lines_are_lost_is_not_used(run: Run) -> None:
    run.append_metrics({"step": 1})
    run.save_state(some_state(1))
    os.truncate(run.metrics_path, 0)
    assert run.load_newest_state() is None


def test_a_crash_while_a_state_is_written_leaves_the_earlier_ones(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run.save_state(some_state(1))

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="No space left"):
        run.save_state(some_state(2))
    assert [path.name for path in (run.folder / "state").iterdir()] == ["1"]
    state = run.load_newest_state()
    assert state is not None and state["step"] == 1


def test_a_crash_while_json_is_replaced_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "status.json"
    write_json(path, {"old": True})

    def crash(*_: Any) -> None:
        raise OSError("crash")

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(OSError, match="crash"):
        write_json(path, {"old": False})
    assert json.loads(path.read_text()) == {"old": True} and [p.name for p in tmp_path.iterdir()] == ["status.json"]


def test_an_unknown_field_of_a_later_version_in_status_is_ignored(run: Run) -> None:
    write_json(run.folder / "status.json", {"state": "finished", "mood": "good"})
    assert run.status() == replace(Status(), state="finished")


def test_notes_are_kept_whatever_they_are_made_of(run: Run) -> None:
    for words in ("a\u2028b", "two\nlines", "\U0001f600 <b>"):
        run.append_note("note", {"text": words})
    with open(run.folder / "notes.jsonl", "a") as file:
        file.write('{"half')
    assert [note["text"] for note in run.notes()] == ["a\u2028b", "two\nlines", "\U0001f600 <b>"]


@pytest.mark.parametrize(
    "content", ["[1]", "3", "{", "", '{"state": "paused"}', '{"best": "x"}', '{"best": {}}', '{"step": "soon"}']
)
def test_a_damaged_status_is_that_of_a_run_that_was_interrupted(run: Run, content: str) -> None:
    (run.folder / "status.json").write_text(content, encoding="utf-8")
    assert run.status() == replace(Status(), state="interrupted")


def test_runs_are_listed_newest_first_and_strangers_are_not_runs(run: Run) -> None:
    create_run(make_config({"name": "b-run"}))
    os.utime(run.folder / "run_config.json", (1, 1))
    (run.folder.parent / "_experiments").mkdir()
    (run.folder.parent / "stranger").mkdir()
    names = [name for name in run_names() if name in ("a-run", "b-run", "_experiments", "stranger")]
    assert names == ["b-run", "a-run"]


def test_a_run_root_that_cannot_be_made_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VOLTA_HOME", str(tmp_path / "file"))
    with pytest.raises(StorageError, match="The run root .* cannot be written .*Set VOLTA_HOME to another folder"):
        create_run(make_config({"name": "a"}))


def test_a_record_that_cannot_be_written_whole_leaves_nothing(run_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(catalog, "write_json", refuse)
    with pytest.raises(StorageError, match="cannot be written \\(No space left on device\\)"):
        create_run(make_config({"name": "a"}))
    assert list(run_root.iterdir()) == []
