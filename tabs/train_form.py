"""What will be trained? The form made of RunConfig's own fields, and the command that its values stand for."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from pipeline.budgets import BUDGETS, budget_fields
from pipeline.catalog import run_names
from pipeline.config import FIELDS, FieldHelp, RunConfig, all_presets, field_value, make_config, set_field
from pipeline.exceptions import ConfigError
from pipeline.experiments import experiment_names, experiment_presets, preset_configs
from pipeline.stand_ins import find_stand_ins
from reports.words import say, translate

FIRST_PRESET, FIRST_BUDGET = "quick", "full"
MAIN_FIELDS = ("data.source", "model.base", "name")  # they stand above the groups
GROUPS = (       # other: without a prefix
    "optim", "mask", "loss", "adversarial", "stop", "data", "augment", "model", "hardware", "other",
)  # fmt: skip
NOT_ASKED = ("schema_version",)


@dataclass(frozen=True)
class Group:
    """Fields that are folded together: those whose names begin with one prefix."""

    prefix: str
    title: str
    fields: tuple[FieldHelp, ...]


def field_groups() -> list[Group]:
    """All fields but the main ones; a prefix without a title of its own is its title."""
    by_prefix: dict[str, list[FieldHelp]] = {prefix: [] for prefix in GROUPS}
    for name, field in FIELDS.items():
        if name not in MAIN_FIELDS and name not in NOT_ASKED:
            by_prefix.setdefault(name.partition(".")[0] if "." in name else "other", []).append(field)
    return [
        Group(prefix, translate(f"form.groups.{prefix}", prefix.capitalize()), tuple(fields))
        for prefix, fields in by_prefix.items()
        if fields
    ]


def form_fields() -> list[str]:
    """Dotted names of all fields of the form, in the order of its components."""
    return [*MAIN_FIELDS, *(field.name for group in field_groups() for field in group.fields)]


def component_for(field: FieldHelp, value: Any) -> gr.components.Component:
    """The component of one field: its meaning and bounds are the field's own."""
    about: dict[str, Any] = {
        "label": field_label(field),
        "info": field_info(field),
        "elem_id": elem_id_of(field.name),
        "min_width": 240,
    }
    if field.kind == "switch":
        return gr.Checkbox(value, **about)
    if field.kind == "choice":
        return gr.Dropdown(list(field.choices), value=value, **about)
    # Bounds are checked by RunConfig, in its own words; here they are only told.
    if field.kind == "integer":
        return gr.Number(value, precision=0, **about)
    if field.kind == "number":
        return gr.Number(value, step=_step(field), **about)
    return gr.Textbox(value, **about)


def _step(field: FieldHelp) -> float:
    """What an arrow of the box adds: of a learning rate of 2e-5, 1e-5."""
    usual = field.default or 0.1
    return float(10.0 ** math.floor(math.log10(abs(usual))))


def elem_id_of(field_name: str) -> str:
    main = {"data.source": "train-source", "model.base": "train-base", "name": "train-name"}
    return main.get(field_name, f"field-{field_name.replace('.', '-')}")


def field_label(field: FieldHelp) -> str:
    """ "data.clean.html" to "Clean: html", unless the language has a word for it."""
    parts = field.name.split(".")
    words = ": ".join(parts[1:] if len(parts) > 1 else parts).replace("_", " ")
    return translate(f"fields.{field.name}.label", words[:1].upper() + words[1:])


def field_info(field: FieldHelp) -> str:
    """The field's meaning and bounds; a bound of "more than 0" is told as 0."""
    told = translate(f"fields.{field.name}.help", field.description)
    low, high = (None if bound is None else f"{bound:,.10g}" for bound in (field.minimum, field.maximum))
    if low is None and high is None:
        return told
    return say("form.from" if high is None else "form.between", help=told, low=low, high=high)


def preset_values(preset: str, budget: str = "full") -> dict[str, Any]:
    """The value of each field of the form as the preset has it, defaults included; the name is one that is free.

    Of several runs, those of the first: the form is not shown then.
    """
    config = preset_configs(preset)[0]
    values = {name: field_value(config, name) for name in form_fields()} | budget_fields(config, budget)
    # A preset's note says what to expect of it: none of this run.
    return values | {"name": free_name(preset), "note": ""}


def free_name(stem: str) -> str:
    """ "quick" to "quick-2" where there is a run "quick-1"."""
    taken = {*run_names(), *experiment_names()}
    number = 1
    while f"{stem}-{number}" in taken:
        number += 1
    return f"{stem}-{number}"


def is_suggested(name: str) -> bool:
    """Whether the form may replace the name: it is one of its own suggestions."""
    return any(re.fullmatch(rf"{re.escape(preset)}-\d+", name) for preset in all_presets())


def kept_values(kept: Any) -> tuple[str, str, dict[str, Any]]:
    """Preset, budget and values of a form as the browser kept it; what no longer fits is as in the preset."""
    kept = kept if isinstance(kept, dict) else {}
    preset = str(kept.get("preset") if kept.get("preset") in all_presets() else FIRST_PRESET)
    budget = str(kept.get("budget") if kept.get("budget") in BUDGETS else FIRST_BUDGET)
    values = preset_values(preset, budget)
    for name, value in kept.items():
        if name in values and _fits(FIELDS[name], value):
            values[name] = value
    if is_suggested(values["name"]):
        values["name"] = free_name(preset)
    return preset, budget, values


def _fits(field: FieldHelp, value: Any) -> bool:
    if value is None:
        return field.optional
    if field.kind == "switch":
        return isinstance(value, bool)
    if field.kind in ("integer", "number"):
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, str) and (field.kind != "choice" or value in field.choices)


def changed_fields(preset: str, values: dict[str, Any], budget: str = FIRST_BUDGET) -> list[str]:
    """Names of the fields, the run's name aside, whose value is not the preset's within the budget."""
    usual = preset_values(preset, budget)
    return [name for name in form_fields() if name != "name" and _plain(values[name]) != _plain(usual[name])]


def _plain(value: Any) -> Any:
    return "" if value is None else value


def train_arguments(preset: str, values: dict[str, Any], budget: str = FIRST_BUDGET) -> list[str]:
    """What follows `python -m pipeline`: the preset, the budget, the fields that differ from it, and the name."""
    name = values["name"]
    named = [f"--name={name}"] if name.startswith("-") else ["--name", name]
    if preset not in experiment_presets():
        return ["train", *config_arguments(preset, values, budget), *named, "--detach"]
    fields = find_stand_ins(preset, *preset_configs(preset)).fields
    return ["sweep", preset, *settings(fields, budget), *named, "--detach"]


def config_arguments(preset: str, values: dict[str, Any], budget: str = FIRST_BUDGET) -> list[str]:
    """The preset, the budget, and the fields that differ from it."""
    changed = {name: values[name] for name in changed_fields(preset, values, budget)}
    return ["--preset", preset, *settings(changed, budget)]


def settings(fields: dict[str, Any], budget: str = FIRST_BUDGET) -> list[str]:
    within = [] if budget == FIRST_BUDGET else ["--budget", budget]
    return within + [part for name, value in fields.items() for part in ("--set", f"{name}={_written(value)}")]


def shown_command(arguments: Sequence[str]) -> str:
    return shlex.join(["python", "-m", "pipeline", *arguments])


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def config_of(values: dict[str, Any]) -> RunConfig:
    """The config that the form stands for. Raises: ConfigError, as the command would."""
    nested: dict[str, Any] = {}
    for name, value in values.items():
        set_field(nested, name, value)
    return make_config(nested)


def config_problem(values: dict[str, Any]) -> ConfigError | None:
    """What is wrong with the form, before any data or model is looked up."""
    try:
        config_of(values)
    except ConfigError as exception:
        return exception
    if values["name"] in run_names():
        return ConfigError(say("form.name_taken", name=values["name"]), "name")
    return None


def group_label(group: Group, changed: Sequence[str]) -> str:
    """The title of a group, with the fields in it that differ from the preset."""
    own = [field_label(field).lower() for field in group.fields if field.name in changed]
    return say("form.changed", title=group.title, fields=say("page.comma").join(own)) if own else group.title
