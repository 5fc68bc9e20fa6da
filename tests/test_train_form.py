"""The form of the Train tab: every field of RunConfig, and the command that its values stand for."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from typer.testing import CliRunner

from pipeline import __main__ as command_line
from pipeline.config import FIELDS, FieldHelp, field_value, make_config, preset_names, read_preset
from tabs import train_form
from tabs.train_form import (
    changed_fields,
    component_for,
    config_of,
    config_problem,
    field_groups,
    field_info,
    field_label,
    form_fields,
    free_name,
    group_label,
    kept_values,
    preset_values,
    shown_command,
    train_arguments,
)


def requested_config(monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> Any:
    """The config that the command line would train with; or its sentence, if it refuses."""
    import pipeline.jobs as jobs

    asked: list[Any] = []
    monkeypatch.setattr(jobs, "check_startable", lambda config: asked.append(config))
    monkeypatch.setattr("pipeline.catalog.create_run", lambda config: (_ for _ in ()).throw(SystemExit(0)))
    result = CliRunner().invoke(command_line.app, arguments)
    return asked[0] if asked else result.exception


def test_every_field_of_the_config_can_be_set_but_the_schema_version(run_root: Path) -> None:
    assert sorted(form_fields()) == sorted(set(FIELDS) - {"schema_version"})
    assert set(preset_values("quick")) == set(form_fields())


def test_fields_are_folded_by_the_first_part_of_their_name() -> None:
    titles = {field.name: group.title for group in field_groups() for field in group.fields}
    assert titles["optim.learning_rate"] == "Optimizer"
    assert titles["stop.patience"] == "Stopping"
    assert titles["data.clean.html"] == "Cleaning and splits"
    assert titles["model.dropout"] == "Model"
    assert titles["hardware.precision"] == "Hardware"


def test_a_part_of_the_config_that_is_not_known_yet_gets_a_group_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    new = FieldHelp(name="news.name", kind="text", default="a", description="What is new.")
    monkeypatch.setattr(train_form, "FIELDS", {**FIELDS, "news.name": new})
    assert ("news", "News") in [(group.prefix, group.title) for group in field_groups()]


@pytest.mark.parametrize("name, kind", [
    ("optim.learning_rate", gr.Number),
    ("optim.epochs", gr.Number),
    ("optim.schedule", gr.Dropdown),
    ("data.clean.html", gr.Checkbox),
    ("data.encoding", gr.Textbox),
])
def test_a_component_fits_the_kind_of_its_field(name: str, kind: type) -> None:
    component = component_for(FIELDS[name], FIELDS[name].default)
    assert type(component) is kind
    assert component.value == FIELDS[name].default


def test_help_is_the_description_of_the_field_with_its_bounds() -> None:
    assert field_info(FIELDS["optim.batch_size"]) == f"{FIELDS['optim.batch_size'].description} (1 to 4,096)"
    assert field_info(FIELDS["data.limit"]).endswith("(from 10)")
    assert field_info(FIELDS["optim.schedule"]) == FIELDS["optim.schedule"].description
    assert field_label(FIELDS["data.clean.html"]) == "Clean: html"


def test_an_untouched_form_asks_for_the_preset_alone(run_root: Path) -> None:
    for preset in preset_names():
        arguments = train_arguments(preset, preset_values(preset))
        assert arguments == ["train", "--preset", preset, "--name", f"{preset}-1", "--detach"]


def test_a_budget_stands_in_the_command_and_only_what_differs_from_it_besides(
    run_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {**preset_values("sst2", "quick"), "optim.epochs": 1}
    arguments = train_arguments("sst2", values, "quick")
    assert arguments == [
        "train", "--preset", "sst2", "--budget", "quick", "--set", "optim.epochs=1", "--name", "sst2-1", "--detach"
    ]
    monkeypatch.setattr("pipeline.stand_ins.hub_answers", lambda: True)
    assert requested_config(monkeypatch, arguments) == config_of(values)


def test_a_preset_of_several_runs_is_swept_with_what_can_be_had(
    run_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    preset = "scibert-and-companions"
    for answers, added in ((True, []), (False, ["--set", "model.base=all-MiniLM-L6-v2"])):
        monkeypatch.setattr("pipeline.stand_ins.hub_answers", lambda answers=answers: answers)
        arguments = train_arguments(preset, preset_values(preset, "quick"), "quick")
        assert arguments[: 4 + len(added)] == ["sweep", preset, "--budget", "quick", *added]
        assert arguments[-3:] == ["--name", f"{preset}-1", "--detach"]


def test_only_changed_fields_stand_in_the_command_and_it_says_the_same_as_the_form(
    run_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = {
        "data.source": "/data/it's mine.csv", "optim.learning_rate": 2e-5, "data.limit": 200, "data.clean.html": True,
        "hardware.deterministic": False, "note": "first line\nsecond", "model.dropout": 0.2, "name": "-dash",
    }
    values = {**preset_values("quick"), **changes}
    arguments = train_arguments("quick", values)
    assert sum(part == "--set" for part in arguments) == len(changes) - 1
    assert shlex.split(shown_command(arguments)) == ["python", "-m", "pipeline", *arguments]
    assert requested_config(monkeypatch, arguments) == config_of(values)


def test_a_field_that_the_preset_sets_can_be_emptied(run_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.experiments.read_preset", lambda name: {**read_preset(name), "data": {"limit": 500}})
    values = {**preset_values("quick"), "data.limit": None}
    assert changed_fields("quick", values) == ["data.limit"]
    assert "data.limit=" in train_arguments("quick", values)


def test_an_emptied_name_is_refused_in_the_sentence_of_the_rule(
    run_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {**preset_values("quick"), "name": ""}
    assert "1 to 64 letters, digits" in str(config_problem(values))
    assert "1 to 64 letters, digits" in str(requested_config(monkeypatch, train_arguments("quick", values)))


def test_a_suggested_name_is_free(run_root: Path, tiny_values: dict) -> None:
    from pipeline.catalog import create_run

    assert free_name("quick") == "quick-1"
    create_run(make_config({**tiny_values, "name": "quick-1"}))
    assert free_name("quick") == "quick-2"
    assert preset_values("quick")["name"] == "quick-2"


def test_a_group_names_its_changed_fields() -> None:
    optimizer = next(group for group in field_groups() if group.title == "Optimizer")
    assert group_label(optimizer, ["optim.epochs", "data.limit"]) == "Optimizer · changed: epochs"
    assert group_label(optimizer, ["data.limit"]) == "Optimizer"


def test_what_the_browser_kept_is_taken_where_it_still_fits(run_root: Path) -> None:
    preset, budget, values = kept_values({
        "preset": "end-to-end", "budget": "quick", "optim.epochs": 7, "data.source": "imdb", "data.limit": None,
        "optim.schedule": "zigzag", "optim.batch_size": "many", "no.such": 1,
    })
    assert (preset, budget) == ("end-to-end", "quick")
    assert values["data.max_length"] == 64
    assert (values["optim.epochs"], values["data.source"], values["data.limit"]) == (7, "imdb", None)
    usual = preset_values("end-to-end")
    assert all(values[name] == usual[name] for name in ("optim.schedule", "optim.batch_size"))
    assert "no.such" not in values


@pytest.mark.parametrize("kept", [None, [], "text", {"preset": "gone", "budget": "none"}])
def test_without_anything_kept_the_form_is_the_first_preset(run_root: Path, kept: Any) -> None:
    assert kept_values(kept) == ("quick", "full", preset_values("quick"))


def test_the_form_stands_for_the_config_of_its_preset(run_root: Path) -> None:
    config = config_of(preset_values("end-to-end"))
    assert config == make_config({**read_preset("end-to-end"), "name": "end-to-end-1", "note": ""})
    assert field_value(config, "data.split") == "merge"
