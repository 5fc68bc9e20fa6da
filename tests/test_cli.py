"""`python -m pipeline`: JSON on stdout, sentences on stderr; exit status 0 done, 1 failed, 2 not understood."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from pipeline import jobs
from pipeline.catalog import create_run, load_run
from pipeline.config import FIELDS, RUN_NAME_RULE, make_config, preset_names
from pipeline.runs import Status
from pipeline.sources import PROJECT_ROOT
from tests.command import Answer, training_arguments, volta

# train


def test_a_finished_training_answers_with_one_line_and_reports_on_stderr(trained: Path) -> None:
    answer = json.loads((trained / "answer.json").read_text(encoding="utf-8"))     # one line of JSON and no more
    assert {**answer, "best": None} == {"name": "tiny", "state": "finished", "step": 24, "best": None}
    assert answer["best"]["metric"] == "macro_f1"
    log = (trained / "stderr.txt").read_text(encoding="utf-8")
    assert "24 steps in 2 epochs, on cpu." in log
    assert "Finished at step 24." in log
    assert "Traceback" not in log


def test_the_command_carries_out_just_what_it_was_told(trained: Path, tiny_model: Path) -> None:
    config = load_run("tiny").config
    assert config.optim.learning_rate == 0.001
    assert config.model.base == str(tiny_model)
    assert config.note == ""


def test_a_training_that_fails_ends_with_1_and_the_reason(
    run_root: Path, tiny_values: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_number = lambda logits, *_, **__: logits.sum() * float("nan")        # noqa: E731
    monkeypatch.setattr("torch.nn.functional.cross_entropy", no_number)
    answer = volta(*training_arguments(tiny_values))
    assert answer.status == 1
    assert answer.lines == [{"name": "tiny", "state": "failed", "step": 0, "best": None}]
    reason = "The loss became nan at step 1; the last good state is kept."
    assert reason in answer.stderr
    assert "Traceback" not in answer.stderr
    assert load_run("tiny").status().reason.startswith(reason)


def test_a_disk_that_cannot_be_written_ends_with_1_and_a_sentence(
    run_root: Path, tiny_values: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(run: object) -> None:
        raise OSError(30, "Read-only file system", "log.txt")

    create_run(make_config(tiny_values))
    monkeypatch.setattr(jobs, "start_detached", refuse)
    answer = volta("resume", "tiny", "--detach")
    assert (answer.status, answer.stdout) == (1, "")
    assert answer.stderr.startswith("log.txt cannot be written; earlier states still load.")


@pytest.mark.parametrize("arguments, message", [
    (["--set", "optim.epoch=2", "--name", "a"], "There is no field 'optim.epoch'. Did you mean 'optim.epochs'?"),
    (["--set", "optim.epochs", "--name", "a"],
     "--set expects FIELD=VALUE; found 'optim.epochs'. For example: --set optim.epochs=2."),
    (["--set", "optim.epochs=0", "--name", "a"],
     "optim.epochs should be greater than or equal to 1; found '0'. Passes over the training examples."),
    (["--set", "optim.epochs=many", "--name", "a"],
     "optim.epochs should be a valid integer, unable to parse string as an integer; found 'many'. "
     "Passes over the training examples."),
    ([], f"{RUN_NAME_RULE}; none was given. Choose another name."),
    (["--name", ""], f"{RUN_NAME_RULE}; found ''. Choose another name."),
    (["--name", "../a"], f"{RUN_NAME_RULE}; found '../a'. Choose another name."),
    (["--preset", "quik", "--name", "a"], f"There is no preset 'quik'. Choose one of: {', '.join(preset_names())}."),
    (["--preset", "quick", "--config", "a.json", "--name", "a"],
     "--preset and --config were both given. Give one of them; --set changes single fields."),
    (["--config", "none.json", "--name", "a"],
     "none.json cannot be read (No such file or directory). Give the path of a run_config.json."),
])
def test_a_request_that_is_not_understood_ends_with_2_and_one_sentence_and_writes_nothing(
    run_root: Path, arguments: list[str], message: str
) -> None:
    answer = volta("train", *arguments)
    assert (answer.status, answer.stdout, answer.stderr) == (2, "", message + "\n")
    assert not run_root.exists()


@pytest.mark.parametrize("field, value, message", [
    ("data__source", "no-such-data", "No data 'no-such-data' was found"),
    ("data__source", "none.csv", "There is no file 'none.csv'."),
    ("data__source", "https://example.org/a.csv", "'https://example.org/a.csv' is a URL, and URLs are not opened."),
    ("model__base", "no-such-model", "No model 'no-such-model' was found"),
    ("model__base", "../model", "'../model' climbs up with '..', which is refused."),
])
def test_data_or_a_base_that_cannot_be_had_end_with_2_before_anything_is_written(
    run_root: Path, tiny_values: dict, field: str, value: str, message: str
) -> None:
    answer = volta(*training_arguments(tiny_values, **{field: value}))
    assert (answer.status, answer.stdout) == (2, "")
    assert answer.stderr.startswith(message)
    assert answer.stderr.count("\n") == 1
    assert not run_root.exists()


@pytest.mark.parametrize("changes, sentence", [
    ({"model__base": "all-MiniLM-L6-v2"}, "The run cannot have the name of its own base"),
    ({"hardware__device": "cuda:99"}, "hardware.device is 'cuda:99', but this machine has no such device."),
    ({"hardware__precision": "fp16"}, "hardware.precision is fp16, which needs a GPU."),
])
def test_what_would_fail_later_is_refused_before_a_run_is_made(
    run_root: Path, tiny_values: dict, changes: dict, sentence: str
) -> None:
    name = changes.get("model__base", "tiny")
    answer = volta(*training_arguments({**tiny_values, "name": name}, **changes))
    assert (answer.status, answer.stdout) == (2, "")
    assert answer.stderr.startswith(sentence)
    assert not run_root.exists()


def test_a_name_that_is_taken_is_refused_and_its_run_left_as_it_is(run_root: Path, tiny_values: dict) -> None:
    run = create_run(make_config({**tiny_values, "note": "mine"}))
    answer = volta(*training_arguments(tiny_values))
    assert (answer.status, answer.stdout) == (2, "")
    assert answer.stderr == "There is already a run 'tiny'. Choose another name, or resume it.\n"
    assert load_run("tiny").config.note == "mine"
    assert [path.name for path in run.folder.iterdir()] == ["run_config.json"]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the runs whose process was started; none really is."""
    names: list[str] = []
    monkeypatch.setattr(jobs, "start_detached", lambda run: names.append(run.name))
    return names


def test_detached_training_returns_at_once_with_the_record_there(
    run_root: Path, tiny_values: dict, started: list[str]
) -> None:
    answer = volta(*training_arguments(tiny_values), "--detach")
    assert (answer.status, answer.lines) == (0, [{"name": "tiny", "state": "queued"}])
    assert started == ["tiny"]
    assert load_run("tiny").config == make_config(tiny_values)


def test_a_preset_may_be_changed_field_by_field(run_root: Path, tiny_values: dict, started: list[str]) -> None:
    answer = volta(*training_arguments(tiny_values, optim__epochs="7"), "--preset", "quick", "--detach")
    config = load_run("tiny").config
    assert answer.status == 0
    assert config.optim.epochs == 7
    assert config.note == ""        # the preset's is not about this run


def test_the_config_of_a_run_starts_another_under_a_new_name(
    run_root: Path, tiny_values: dict, started: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "run_config.json"
    path.write_text(json.dumps(make_config(tiny_values).model_dump()), encoding="utf-8")
    assert volta("train", "--config", str(path), "--name", "again", "--detach").status == 0
    assert load_run("again").config == make_config({**tiny_values, "name": "again"})


# stop, resume, logs, runs


def test_resuming_a_finished_run_says_so_and_ends_with_0(trained: Path) -> None:
    def record() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in trained.rglob("*") if path.is_file() and path.name != ".lock"}

    before = record()
    answer = volta("resume", "tiny")
    assert (answer.status, answer.stdout) == (0, "")
    assert answer.stderr == (
        "'tiny' is finished: there is nothing to resume. Start a new run with --set model.base=tiny.\n"
    )
    assert record() == before


def test_a_run_that_has_not_begun_is_resumed_from_its_start(run_root: Path, tiny_values: dict) -> None:
    create_run(make_config({**tiny_values, "optim": {"batch_size": 96, "epochs": 1}}))
    answer = volta("resume", "tiny")
    assert answer.status == 0
    assert [(line["state"], line["step"]) for line in answer.lines] == [("finished", 2)]


def test_a_run_is_resumed_in_a_process_of_its_own_when_asked(
    run_root: Path, tiny_values: dict, started: list[str]
) -> None:
    create_run(make_config(tiny_values))
    answer = volta("resume", "tiny", "--detach")
    assert (answer.status, answer.lines, started) == (0, [{"name": "tiny", "state": "queued"}], ["tiny"])


def test_stopping_a_run_that_is_not_running_ends_with_2(trained: Path) -> None:
    answer = volta("stop", "tiny")
    assert (answer.status, answer.stdout) == (2, "")
    assert answer.stderr == "'tiny' is finished: there is nothing to stop.\n"


@pytest.mark.parametrize("command", ["stop", "resume", "logs", "evaluate"])
def test_a_run_that_does_not_exist_ends_with_2_and_the_nearest_name(trained: Path, command: str) -> None:
    answer = volta(command, "tiney")
    assert (answer.status, answer.stdout) == (2, "")
    assert answer.stderr.startswith("There is no run 'tiney'. Did you mean tiny")


def test_a_run_root_that_cannot_be_written_ends_with_1(
    tiny_values: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VOLTA_HOME", str(tmp_path / "file"))
    answer = volta(*training_arguments(tiny_values))
    assert (answer.status, answer.stdout) == (1, "")
    assert "cannot be written" in answer.stderr and "Set VOLTA_HOME to another folder." in answer.stderr


def test_logs_are_what_the_process_printed(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("it waits for a run that has ended"))
    assert volta("logs", "tiny") == Answer(0, (trained / "tiny/log.txt").read_text(encoding="utf-8"), "")
    assert "Finished at step 24." in volta("logs", "tiny", "--follow").stdout


def test_followed_logs_go_on_until_the_run_ends(run_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = create_run(make_config({"name": "a"}))
    run.write_status(Status(state="running"))
    run.log_path.write_text("first\n", encoding="utf-8")
    alive = ExitStack()
    alive.enter_context(run.locked())

    def meanwhile(_: float) -> None:
        assert run.is_alive(), "it goes on although the run has ended"
        with open(run.log_path, "a", encoding="utf-8") as file:
            file.write("second\n")
        run.write_status(Status(state="finished"))
        alive.close()

    with alive, monkeypatch.context() as patch:
        patch.setattr(time, "sleep", meanwhile)
        assert volta("logs", "a", "--follow") == Answer(0, "first\nsecond\n", "")


def test_runs_are_listed_a_line_each_newest_first(run_root: Path) -> None:
    for seconds, name in enumerate(["b", "a", "c"]):
        path = create_run(make_config({"name": name})).folder / "run_config.json"
        os.utime(path, (2e9 + seconds, 2e9 + seconds))
    answer = volta("runs")
    ours = [line for line in answer.lines if line["name"] in "abc"]     # the bundled run may be there, too
    assert [line["name"] for line in ours] == ["c", "a", "b"]
    assert {key: ours[0][key] for key in ("state", "data", "base", "best", "step")} == {
        "state": "interrupted", "data": "starter", "base": "all-MiniLM-L6-v2", "best": None, "step": 0,
    }
    assert answer.status == 0


def test_a_damaged_run_is_told_on_stderr_and_the_others_are_listed(run_root: Path) -> None:
    create_run(make_config({"name": "good"}))
    (create_run(make_config({"name": "bad"})).folder / "run_config.json").write_text("{", encoding="utf-8")
    answer = volta("runs")
    assert answer.status == 0
    assert "good" in [line["name"] for line in answer.lines]
    assert answer.stderr.startswith("bad: ") and "is not JSON" in answer.stderr


# The command itself


def test_fields_lists_every_field_and_every_preset() -> None:
    answer = volta("fields")
    assert answer.status == 0
    assert all(f"{name} = " in answer.stdout and field.description in answer.stdout for name, field in FIELDS.items())
    assert all(f"--preset {name}\n" in answer.stdout for name in preset_names())


@pytest.mark.parametrize("arguments", [["trian"], ["train", "--epochs", "3"], ["logs"], []])
def test_an_unknown_command_or_option_ends_with_2_and_its_usage(arguments: list[str]) -> None:
    answer = volta(*arguments)
    assert answer.status == 2
    assert "Usage:" in answer.stdout + answer.stderr


def test_python_m_pipeline_is_this_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pipeline", "train", "--name", "a", "--set", "optim.epoch=2"]
    environment = {**os.environ, "VOLTA_HOME": str(tmp_path / "runs")}
    ended = subprocess.run(command, cwd=PROJECT_ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "There is no field 'optim.epoch'. Did you mean 'optim.epochs'?\n"
    assert not (tmp_path / "runs").exists()
