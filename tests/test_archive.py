"""Runs that leave as a zip, come in again whole, and are refused when they are not what they say; runs deleted."""

from __future__ import annotations

import os
import shutil
import zipfile
from pathlib import Path

import pytest

from pipeline import archive
from pipeline.archive import delete_run, pack_run, size_in_bytes, unpack_run
from pipeline.catalog import create_run, run_names
from pipeline.config import make_config
from pipeline.exceptions import ConfigError, RunError
from pipeline.runs import Run, Status
from pipeline.sources import PROJECT_ROOT

NOT_PACKED = ("state/3/state.pt", "training_index/features.npy", ".lock", "best/.tmp")


@pytest.fixture
def run(run_root: Path) -> Run:
    """A record with a bit of everything."""
    run = create_run(make_config({"name": "a-run", "note": "mine"}))
    run.write_status(Status(state="finished", step=3))
    run.append_metrics({"step": 1, "loss": 0.5})
    run.append_note("note", {"text": "Schön & <b>gut</b>"})
    for name in ("best/model.safetensors", "predictions/x/test.parquet", *NOT_PACKED):
        path = run.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode() * 100)
    return run


def made_zip(path: Path, members: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w") as made:
        for name, content in members.items():
            made.writestr(name, content)
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_comes_back_from_its_zip_whole_but_for_states_indexes_and_locks(run: Run, tmp_path: Path) -> None:
    before = contents(run.folder)
    path = pack_run(run, tmp_path)
    assert path == tmp_path / "a-run.zip"
    delete_run(run)
    again = unpack_run(path)
    kept = {name: data for name, data in before.items() if name not in NOT_PACKED}
    assert contents(again.folder) == kept
    assert (again.name, again.config, again.status().step) == ("a-run", run.config, 3)
    assert [note["text"] for note in again.notes()] == ["Schön & <b>gut</b>"]


def test_a_name_that_is_taken_is_refused_and_the_run_stays(run: Run, tmp_path: Path) -> None:
    before = contents(run.folder)
    path = pack_run(run, tmp_path)
    with pytest.raises(RunError, match="There is already a run 'a-run'. Delete that one first, or rename its folder."):
        unpack_run(path)
    assert contents(run.folder) == before


@pytest.mark.parametrize("members, message", [
    ({"b/run_config.json": "{}", "b/../../evil": "x"}, "which is not inside one folder"),
    ({"b/run_config.json": "{}", "/etc/evil": "x"}, "which is not inside one folder"),
    ({"b/run_config.json": "{}", "b/..\\evil": "x"}, "which is not inside one folder"),
    ({"run_config.json": "{}"}, "which is not inside one folder"),
    ({"b/run_config.json": "{}", "c/run_config.json": "{}"}, "does not hold one run"),
    ({"b/readme.txt": "x"}, "does not hold one run"),
    ({".b/run_config.json": "{}"}, "A run name has 1 to 64 letters"),
    ({}, "does not hold one run"),
])
def test_a_zip_that_is_no_run_is_refused_and_leaves_nothing(
    run_root: Path, tmp_path: Path, members: dict[str, str], message: str
) -> None:
    with pytest.raises(RunError, match=message):
        unpack_run(made_zip(tmp_path / "b.zip", members))
    assert not run_root.exists()
    assert not list(tmp_path.rglob("evil"))


def test_a_file_that_is_no_zip_or_was_cut_is_refused(run: Run, tmp_path: Path) -> None:
    path = pack_run(run, tmp_path)
    delete_run(run)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(RunError, match="a-run.zip is not a whole zip file"):
        unpack_run(path)
    assert "a-run" not in run_names()


def test_a_damaged_config_is_told_and_leaves_nothing(run_root: Path, tmp_path: Path) -> None:
    path = made_zip(tmp_path / "b.zip", {"b/run_config.json": '{"name": "b", "optim": {"epoch": 3}}'})
    with pytest.raises(ConfigError, match="The run in the zip is damaged: There is no field 'optim.epoch'"):
        unpack_run(path)
    assert list(run_root.iterdir()) == []


def test_predictions_older_than_the_model_are_still_older_when_the_run_comes_in(run: Run, tmp_path: Path) -> None:
    os.utime(run.folder / "predictions/x/test.parquet", (1.7e9, 1.7e9))
    os.utime(run.folder / "best/model.safetensors", (1.8e9, 1.8e9))
    path = pack_run(run, tmp_path)
    delete_run(run)
    folder = unpack_run(path).folder
    assert (folder / "predictions/x/test.parquet").stat().st_mtime == 1.7e9
    assert (folder / "best/model.safetensors").stat().st_mtime == 1.8e9


def test_a_zip_packed_in_another_way_is_refused_since_it_might_fill_the_memory(run_root: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "b.zip", "w", zipfile.ZIP_BZIP2) as made:
        made.writestr("b/run_config.json", "{}")
    with pytest.raises(RunError, match="packed in a rare way"):
        unpack_run(tmp_path / "b.zip")


def test_a_zip_that_would_fill_the_disk_is_refused_before_it_is_unpacked(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = pack_run(run, tmp_path)
    shutil.rmtree(run.folder)
    monkeypatch.setattr(archive, "MAX_UNPACKED_BYTES", 1000)
    with pytest.raises(RunError, match="unpacks to more than"):
        unpack_run(path)


def test_a_deleted_run_is_gone_from_disk_and_list(run: Run) -> None:
    assert size_in_bytes(run) > 5_000
    delete_run(run)
    assert "a-run" not in run_names()
    assert list(run.folder.parent.iterdir()) == []


def test_a_run_at_work_is_not_deleted(run: Run) -> None:
    with run.locked(), pytest.raises(RunError, match="already being worked on"):
        delete_run(run)
    assert (run.folder / "run_config.json").exists()


def test_the_run_that_comes_with_volta_is_not_deleted() -> None:
    bundled = Run(PROJECT_ROOT / "checkpoints" / "sst2-minilm", make_config({"name": "sst2-minilm"}))
    with pytest.raises(RunError, match="'sst2-minilm' comes with Volta and stays."):
        delete_run(bundled)
    assert (bundled.folder / "run_config.json").exists()
