"""Trackers: told what the record holds, gone on with after a stop, and never a reason for a run to end."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline import tracking
from pipeline.archive import packed_files
from pipeline.catalog import create_run
from pipeline.config import make_config
from pipeline.exceptions import ConfigError
from pipeline.jobs import carry_out
from pipeline.plan import make_plan
from pipeline.runs import Run
from pipeline.tracking import Trackers, tracking_notes


@pytest.fixture(autouse=True)
def in_a_run(fresh_accelerate: None) -> None:
    """accelerate's trackers ask which process they are in."""
    from accelerate import PartialState

    PartialState(cpu=True)


@pytest.fixture(autouse=True)
def nobody_is_logged_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("WANDB_API_KEY", "WANDB_MODE", "SWANLAB_API_KEY", "SWANLAB_MODE"):
        monkeypatch.delenv(name, raising=False)


class FakeRun:
    """What a tracker's package calls a run: keeps what it is told."""

    def __init__(self, **options: Any) -> None:
        self.options, self.config, self.lines = options, {}, []

    def log(self, values: dict[str, Any], step: int) -> None:
        self.lines.append((step, values))


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[FakeRun]]:
    """In the place of wandb, a package that keeps what it is told. Yields its runs."""
    runs: list[FakeRun] = []

    def init(**options: Any) -> FakeRun:
        print("A tracker likes to talk.")
        runs.append(FakeRun(**options))
        return runs[-1]

    def update(values: dict[str, Any], allow_val_change: bool) -> None:
        runs[-1].config.update(values)

    module = SimpleNamespace(init=init, config=SimpleNamespace(update=update), finish=lambda: runs[-1].log({}, -1))
    monkeypatch.setitem(sys.modules, "wandb", module)       # type: ignore[arg-type]
    monkeypatch.setattr(tracking, "is_installed", lambda name: name == "wandb")
    yield runs


def made(tiny_values: dict[str, Any], track: str) -> Run:
    return create_run(make_config({**tiny_values, "track": track}))


def numbers(line: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in line.items() if isinstance(value, int | float) and name != "step"}


def test_a_tracker_is_told_the_config_and_every_number_of_the_record(
    run_root: Path, tiny_values: dict[str, Any], fake: list[FakeRun], capsys: pytest.CaptureFixture[str]
) -> None:
    run = made(tiny_values, "wandb")
    assert carry_out(run) == 0
    [told] = fake
    assert (told.options["project"], told.options["name"], told.options["mode"]) == ("volta", "tiny", "offline")
    assert told.config["optim.learning_rate"] == 1e-3 and told.config["model.dropout"] == ""
    expected = [
        (line["step"], {f"{line.get('split', 'train')}/{name}": value for name, value in numbers(line).items()})
        for line in run.metrics()
    ]
    assert told.lines == [*expected, (-1, {})]
    assert "train/loss" in expected[1][1] and "validation/macro_f1" in expected[0][1]
    captured = capsys.readouterr()
    assert captured.out == "" and "A tracker likes to talk." in captured.err     # stdout is for results


def test_a_resumed_run_goes_on_in_the_same_run_of_the_tracker(
    run_root: Path, tiny_values: dict[str, Any], fake: list[FakeRun]
) -> None:
    run = made(tiny_values, "wandb")
    for first_step in (0, 5):
        assert list(Trackers(run, first_step).started) == ["wandb"]
    one, other = (told.options for told in fake)
    assert one["id"] == other["id"] and one["resume"] == other["resume"] == "allow"


@pytest.mark.parametrize("broken", ["init", "log", "finish"])
def test_what_a_tracker_raises_is_one_sentence_in_the_log_and_the_run_goes_on(
    run_root: Path, tiny_values: dict[str, Any], fake: list[FakeRun], broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError("no such luck\nand more")

    monkeypatch.setattr(FakeRun if broken == "log" else sys.modules["wandb"], broken, fail)
    run = made(tiny_values, "wandb")
    assert carry_out(run) == 0
    sentence = "The tracker wandb failed (OSError: no such luck): the run goes on without it."
    assert run.status().state == "finished" and run.log_tail().count(sentence) == 1


def test_a_tracker_that_is_not_there_is_told_in_the_log_and_in_the_plan(
    run_root: Path, tiny_values: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "is_installed", lambda name: False)
    run = made(tiny_values, "wandb")
    sentence = "The tracker wandb is not installed: the run does without. To have it: pip install wandb."
    assert make_plan(run.config).notes == [sentence]
    assert carry_out(run) == 0
    assert sentence in run.log_tail()


@pytest.mark.parametrize("variables, login, expected", [
    ({}, None, "offline"),
    ({}, "machine api.wandb.ai\n  login user", None),
    ({}, "machine example.org", "offline"),
    ({"WANDB_API_KEY": "key"}, None, None),
    ({"WANDB_API_KEY": "key", "WANDB_MODE": "offline"}, None, None),        # wandb reads its own variable
    ({"WANDB_MODE": "disabled"}, None, "disabled"),
    ({"WANDB_MODE": "offline"}, "machine api.wandb.ai", "offline"),
])
def test_who_is_not_logged_in_sends_nothing(
    run_root: Path, tiny_values: dict[str, Any], fake: list[FakeRun], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str], login: str | None, expected: str | None,
) -> None:  # fmt: skip
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    if login:
        (tmp_path / ".netrc").write_text(login)
    Trackers(made(tiny_values, "wandb"), 0)
    assert fake[0].options["mode"] == expected
    told = ["The tracker wandb is not logged in: it writes to the run's folder trackers alone."]
    assert tracking_notes("wandb") == (told if expected == "offline" else [])


def test_what_trackers_keep_is_not_packed(run_root: Path, tiny_values: dict[str, Any]) -> None:
    run = made(tiny_values, "")
    (run.folder / "trackers").mkdir()
    (run.folder / "trackers" / "metadata.json").write_text("whose machine it was")
    assert packed_files(run) == [Path("run_config.json")]


def test_an_unknown_tracker_is_refused(tiny_values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="There is no tracker 'mlflow'; choose from: trackio, swanlab, wandb, tensor"):
        make_config({**tiny_values, "track": "wandb, mlflow"})


# The real ones


def test_trackio_keeps_the_run_on_this_machine_and_a_resumed_one_in_the_same_run(
    run_root: Path, tiny_values: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = pytest.importorskip("trackio.sqlite_storage", reason="trackio is not installed")
    for module in [module for name, module in sys.modules.items() if name.startswith("trackio")]:
        if hasattr(module, "TRACKIO_DIR"):
            monkeypatch.setattr(module, "TRACKIO_DIR", tmp_path)
    run = made(tiny_values, "trackio")
    for first_step in (0, 3):
        trackers = Trackers(run, first_step)
        for step in range(first_step + 1, first_step + 3):
            trackers.tell({"step": step, "loss": 0.5 * step})
        trackers.finish()
        assert list(trackers.started) == ["trackio"]        # had it failed, it would be gone
    [database] = tmp_path.glob("*.db")
    told = sqlite3.connect(database).execute("select run_id, step from metrics order by step").fetchall()
    assert [step for _, step in told] == [1, 2, 4, 5]
    assert len({run_id for run_id, _ in told}) == 1
    assert storage.SQLiteStorage.get_run_config("volta", "tiny")["optim.epochs"] == 2


def test_swanlab_keeps_the_run_in_its_folder(run_root: Path, tiny_values: dict[str, Any]) -> None:
    pytest.importorskip("swanlab", reason="swanlab is not installed")
    run = made(tiny_values, "swanlab")
    assert carry_out(run) == 0
    assert "The tracker swanlab failed" not in run.log_tail()
    [kept] = (run.folder / "trackers").glob("run-*")
    assert "optim.epochs" in (kept / "files" / "config.yaml").read_text(encoding="utf-8")
    [lines] = kept.glob("*.swanlab")
    assert all(name in lines.read_bytes() for name in (b"train/loss", b"validation/macro_f1"))
