"""Who may do what: everyone at home, the owner alone on a Space, and every handler asks."""

from __future__ import annotations

from pathlib import Path

import gradio as gr
import pytest

from tabs.access import AccessError, check_may_change
from tabs.diagnose_tab import examine, run_remedy, try_remedies
from tabs.judge_form import remove_fix, save_fix, save_judgement
from tabs.predict_file import predict_upload
from tabs.run_panel import resume_run, stop_run
from tabs.runs_tab import bring_in, calibrate_run, delete_for_good, show_test, write_note, zip_run
from tabs.train_form import form_fields, preset_values
from tabs.train_tab import keep_upload, plan_run, report_data, show_copies, start_run

OWNER = gr.OAuthProfile({"preferred_username": "ada", "name": "Ada", "profile": "", "picture": ""})
VISITOR = gr.OAuthProfile({"preferred_username": "bob", "name": "Bob", "profile": "", "picture": ""})


@pytest.fixture
def space(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPACE_ID", "ada/volta")
    monkeypatch.setenv("SPACE_AUTHOR_NAME", "ada")


def test_on_ones_own_machine_everyone_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPACE_ID", raising=False)
    check_may_change(None)


def test_on_a_space_its_owner_may(space: None) -> None:
    check_may_change(OWNER)


@pytest.mark.parametrize("profile", [None, VISITOR])
def test_on_a_space_nobody_else_may(space: None, profile: gr.OAuthProfile | None) -> None:
    with pytest.raises(AccessError, match=r"^Only the owner of this Space .* duplicate the Space"):
        check_may_change(profile)


def test_a_space_that_does_not_tell_its_owner_lets_nobody(space: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPACE_AUTHOR_NAME")
    with pytest.raises(AccessError):
        check_may_change(OWNER)


@pytest.mark.parametrize("profile", [None, VISITOR])
def test_no_handler_does_anything_for_a_visitor(
    space: None, profile: gr.OAuthProfile | None, run_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[object] = []
    for module in ("tabs.run_panel", "tabs.train_tab"):
        monkeypatch.setattr(f"{module}.begin_command", lambda arguments: started.append(arguments))
    monkeypatch.setattr("tabs.runs_tab.begin_command", lambda arguments: started.append(arguments))
    monkeypatch.setattr("tabs.diagnose_tab.begin_command", lambda arguments: started.append(arguments))
    monkeypatch.setattr("tabs.diagnose_tab.start_command", lambda *arguments, **more: started.append(arguments))
    monkeypatch.setattr("tabs.train_tab.answer_of_command", lambda arguments: started.append(arguments))
    form = [preset_values("quick")[name] for name in form_fields()]
    upload = tmp_path / "mine.csv"
    upload.write_text("text,label\n")
    answers = [
        *stop_run(profile, "some-run"),
        *resume_run(profile, "some-run"),
        *(message for message, *_ in start_run(profile, "quick", "full", *form)),
        list(report_data(profile, *form))[-1],
        list(show_copies(profile, *form))[-1],
        list(plan_run(profile, "quick", "full", *form))[-1][0],
        list(predict_upload(profile, str(upload), "", "utf-8", "sst2-minilm"))[-1][0],
        list(show_test(profile, "sst2-minilm"))[-1],
        list(calibrate_run(profile, "sst2-minilm"))[-1],
        bring_in(profile, str(upload)),
        zip_run(profile, "sst2-minilm")[1],
        write_note(profile, "sst2-minilm", "mine")[0],
        delete_for_good(profile, "sst2-minilm")[0],
        keep_upload(profile, str(upload))[1],
        save_judgement(profile, {"example": "test:1"}, "sst2-minilm", "starter/test", "fine", "", "", "")[0],
        save_fix(profile, "sst2-minilm", "a film", "positive"),
        remove_fix(profile, {"fix": "a film"}, "sst2-minilm"),
        list(examine(profile, "run/sst2-minilm"))[-1][0],
        list(try_remedies(profile, "run/sst2-minilm", None))[-1],
        list(run_remedy(profile, {"remedy": 0}, "preset/quick", {"subject": "preset/quick"}))[-1],
    ]
    assert len(answers) == 20
    assert all("Only the owner" in blocks[0]["text"] for blocks in answers)
    assert started == []
    assert not run_root.exists()
