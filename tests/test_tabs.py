"""The tabs without a browser: what their handlers return, words and numbers, and a page that is up before torch."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from pipeline.catalog import create_run
from pipeline.config import make_config
from pipeline.jobs import device_lock
from pipeline.predictor import Prediction
from pipeline.runs import Run, Status
from tabs import predict_tab
from tabs.predict_tab import (
    default_run,
    label_choices,
    many_sentences,
    one_sentence,
    other_choices,
    predict_page,
    show_kept_tries,
    words_page,
)
from tabs.run_panel import follow, run_blocks, run_facts
from tabs.shared import CommandError, begin_command, count, duration, finish_command, number, text
from tabs.train_tab import keep_upload

PROJECT_ROOT = Path(__file__).parents[1]


@pytest.fixture
def run(run_root: Path, tiny_values: dict[str, Any]) -> Run:
    return create_run(make_config(tiny_values))


def texts(blocks: list[dict[str, Any]]) -> str:
    return json.dumps(blocks, ensure_ascii=False)


@pytest.mark.parametrize("seconds, words", [
    (0.4, "0 s"), (59.4, "59 s"), (60, "1 min"), (200, "3 min 20 s"), (599.6, "10 min"), (3_600, "1 h"),
    (5_000, "1 h 23 min"),
])
def test_times_are_told_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_numbers_have_the_same_digits_everywhere() -> None:
    assert (number(0.91249), number(1), count(1980)) == ("0.912", "1.000", "1,980")


def test_the_line_of_a_run_reads_as_a_sentence() -> None:
    best = {"metric": "macro_f1", "value": 0.8841, "step": 500}
    status = Status("running", step=640, total_steps=1_980, eta_seconds=425, best=best)
    assert run_facts(status) == ["step 640 of 1,980", "7 min 5 s left", "best macro F1 0.884 at step 500"]


def test_a_failure_is_told_as_the_record_tells_it(run: Run) -> None:
    reason = "The disk is full (metrics.jsonl); earlier states still load. Free some space, then resume."
    assert text(reason, "problem") in run_blocks(run, Status("failed", reason=reason))


def test_a_run_that_is_not_at_its_first_step_yet_says_what_it_does(run: Run) -> None:
    assert "starting" in texts(run_blocks(run, Status("queued"), busy=False))
    assert "waits for its device" in texts(run_blocks(run, Status("queued"), busy=True))
    assert run_facts(Status("running")) == ["reading the data and loading the model"]


def test_who_waits_for_a_device_is_told(run: Run) -> None:
    create_run(make_config({"name": "next"})).write_status(Status("queued"))
    with Run(run.folder.with_name("next"), run.config).locked():
        assert "Waiting for a device: next." in texts(follow("tiny", {})[1])


def test_a_run_whose_process_is_gone_says_what_to_do(run: Run) -> None:
    assert "Resume goes on from its newest saved state" in texts(run_blocks(run, Status("interrupted")))


def test_nothing_is_sent_twice(run: Run) -> None:
    run.write_status(Status("stopped", step=3, total_steps=9))
    first = follow(run.name, {})
    seen = first[-1]
    again = follow(run.name, seen)
    assert all(value == {"__type__": "update"} for value in again)
    run.append_metrics({"step": 1, "loss": 0.5})
    run.write_status(Status("stopped", step=4, total_steps=9))
    _, status, loss, _, log, stop, resume, timer, _ = follow(run.name, seen)
    assert "step 4 of 9" in texts(status)
    assert loss["figure"]["data"][0]["x"] == [1]
    assert all(value == {"__type__": "update"} for value in (log, stop, resume, timer))


@pytest.mark.parametrize("state, stop, resume", [
    ("stopped", False, True), ("failed", False, True), ("finished", False, False), ("running", False, True),
])
def test_stop_and_resume_are_offered_where_they_make_sense(run: Run, state: Any, stop: bool, resume: bool) -> None:
    run.write_status(Status(state))         # "running", but nobody holds the lock: interrupted
    values = follow(run.name, {})
    assert (values[5].interactive, values[6].interactive) == (stop, resume)


def test_a_living_run_can_be_stopped_and_not_resumed(run: Run) -> None:
    run.write_status(Status("running"))
    with run.locked():
        values = follow(run.name, {})
    assert (values[5].interactive, values[6].interactive) == (True, False)


def test_without_a_run_the_panel_says_what_to_do(run_root: Path) -> None:
    for name in (None, "gone", "../etc"):
        assert "press Start" in texts(follow(name, {})[1])


def prediction(text: str, positive: float, truncated: bool = False) -> Prediction:
    label_id = int(positive > 0.5)
    probabilities = {"negative": 1 - positive, "positive": positive}
    return Prediction(text, ["negative", "positive"][label_id], label_id, probabilities, truncated, 11)


def test_one_sentence_gets_bars_with_the_likeliest_label_first() -> None:
    bars, facts = one_sentence(prediction("fine", 0.9412), 0.008)
    assert [(item["name"], item["number"]) for item in bars["items"]] == [("positive", "0.941"), ("negative", "0.059")]
    assert facts["text"] == "11 pieces · 8 ms · truncated: no"


def test_several_sentences_get_a_table() -> None:
    table, facts = many_sentences([prediction("fine", 0.9), prediction("dull", 0.2, truncated=True)], 0.01)
    assert table["rows"] == [["fine", "positive", "0.900", "no"], ["dull", "negative", "0.800", "yes"]]
    assert facts["text"] == "2 sentences · 1 truncated · 10 ms"


def test_the_model_in_use_is_not_offered_as_its_own_rival(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predict_tab, "runs_to_predict_with", lambda: ["one", "two"])
    picker = other_choices("one", "one")
    assert ([name for _, name in picker.choices], picker.value) == (["", "two"], "")
    assert other_choices(None, "one") == gr.skip()


@pytest.mark.parametrize("run, label, sent", [
    ("sst2-minilm", "", {}), ("sst2-minilm", "negative", {}), ("sst2-minilm", "Sport", {"value": ""}),
    (None, "negative", {"value": ""}),
])
def test_a_label_that_can_be_explained_is_left_chosen(run: str | None, label: str, sent: dict[str, str]) -> None:
    names = ["negative", "positive"] if run else []
    update = label_choices(run, label).constructor_args
    assert [name for _, name in update.pop("choices")] == ["", *names]
    assert update == sent      # without a value: what the visitor chooses while this is on its way stays


def test_while_a_run_trains_the_words_are_announced(run_root: Path) -> None:
    assert len(list(words_page("", None, "", ""))) == 1
    with device_lock("cpu", threading.Event()):
        first, _ = next(words_page("", None, "", ""))
    assert "the words take turns with it" in texts(first)


def test_an_empty_box_and_a_missing_model_give_hints(run_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [blocks[0]["tone"] for blocks in predict_page(" \n ", "tiny")] == ["hint"]
    assert "Loading the model" in texts(next(predict_page("good film", None)))     # the page has yet to choose one
    monkeypatch.setattr(predict_tab, "runs_to_predict_with", list)
    assert "press Start" in texts(next(predict_page("good film", None)))


def test_a_model_that_is_not_loaded_yet_is_announced(run_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predict_tab, "predict", lambda sentences, run: ([prediction("fine", 0.9)], 0.01))
    monkeypatch.setattr(predict_tab, "_ready", set())
    assert [texts(blocks)[:60].count("Loading the model tiny") for blocks in predict_page("fine", "tiny")] == [1, 0]


@pytest.mark.parametrize("name", ["/etc", "bert-base-uncased", "no-such-run"])
def test_the_page_predicts_with_runs_alone(run_root: Path, name: str) -> None:
    assert f"There is no run '{name}' with a trained model" in texts(list(predict_page("good film", name))[-1])


def test_the_bundled_run_is_shown_first_else_the_newest() -> None:
    assert default_run(["newest", "sst2-minilm"]) == "sst2-minilm"
    assert default_run(["newest", "older"]) == "newest"
    assert default_run([]) is None


@pytest.mark.parametrize("kept", [None, "text", 7, [1], [{"text": "a"}], {"text": "a", "verdict": "b"}])
def test_tries_that_the_browser_made_up_are_left_out(kept: Any) -> None:
    assert show_kept_tries(kept) == ([], [])


def test_tries_that_the_browser_kept_are_shown_again() -> None:
    tries = [{"text": f"film {n}", "verdict": "positive 0.900 · tiny"} for n in range(12)]
    assert show_kept_tries(tries) == (tries[:10], [{"kind": "tries", "label": "Tries", "items": tries[:10]}])


def test_an_upload_is_kept_in_the_run_root_under_its_own_name(run_root: Path, tmp_path: Path) -> None:
    uploaded = tmp_path / "0123456789abcdef0123" / "my data.csv"
    uploaded.parent.mkdir()
    uploaded.write_text("text,label\n")
    path, message = keep_upload(None, str(uploaded))
    assert Path(path) == run_root / "_uploads" / "0123456789abcdef" / "my data.csv"
    assert Path(path).read_text() == "text,label\n"
    assert message == []


def test_a_command_that_fails_leaves_its_sentence(run_root: Path) -> None:
    with pytest.raises(CommandError, match="There is no run 'gone'"):
        finish_command(begin_command(["stop", "--", "gone"]))
    finish_command(begin_command(["fields"]))


def test_the_page_is_built_before_torch_or_plotly_are_imported(run_root: Path) -> None:
    program = "import sys, app; app.build_page(); print(*sys.modules)"
    command = [sys.executable, "-c", program]
    output = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=True).stdout
    assert not {"torch", "transformers", "sklearn", "datasets", "captum", "plotly"} & set(output.split())
    assert "gradio" in output.split()


def test_every_event_but_the_named_endpoint_is_private(run_root: Path) -> None:
    import app

    events = app.build_page().fns.values()
    assert [event.api_name for event in events if event.api_visibility != "private"] == ["predict", "errors", "explain"]


def test_no_component_is_told_of_the_steps_of_an_event(run_root: Path) -> None:
    import app

    told = [event.name for event in app.build_page().fns.values() if event.fn and event.show_progress_on != []]
    assert told == ["predict_endpoint", "errors_endpoint", "explain_endpoint"]     # of no part of the page


def test_what_shows_a_choice_is_asked_again_when_it_is_chosen_otherwise_meanwhile(run_root: Path) -> None:
    import app

    events = [
        event for event in app.build_page().fns.values()
        if event.fn and {"input", "change", "expand"} & {name for _, name in event.targets}
    ]
    once = {event.name for event in events if event.trigger_mode == "once"}
    assert once == {"<lambda>", "remove_fix", "run_remedy"}    # they clear a message, or do something
    assert {"report_data", "pick_preset", "choose_run", "show_run", "other_choices"} < {event.name for event in events}


def test_a_port_that_is_taken_is_told_in_a_sentence(run_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    import app

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setenv("PORT", str(taken.getsockname()[1]))
        with pytest.raises(SystemExit, match=r"^The page cannot be served on 127.0.0.1, port \d+ .* Set HOST and PORT"):
            app.main()
    monkeypatch.setenv("PORT", "http")
    with pytest.raises(SystemExit, match="port http"):
        app.main()
