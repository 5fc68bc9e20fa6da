"""What does a preset start from? Its note, and what the budget and this machine change in it."""

from __future__ import annotations

from typing import Any, Literal

from pipeline.config import FIELDS, all_presets
from pipeline.experiments import preset_configs
from pipeline.stand_ins import find_stand_ins
from reports.words import say, translate
from tabs.shared import Block, text
from tabs.train_form import field_label, preset_values


def start_from(preset: str, budget: str) -> tuple[list[Block], dict[str, Any]]:
    """What to say of a preset, and the values with which it can run here, by field of the form."""
    full, values = preset_values(preset), preset_values(preset, budget)
    words = [text(translate(f"presets.{preset}", all_presets()[preset]["note"]), "hint")]
    if cut := {name: value for name, value in values.items() if value != full[name]}:
        words.append(text(say("train.cut", fields=_told(cut, full)), "hint"))
    told, fields = stand_in(preset)
    return words + told, values | fields


def stand_in(preset: str, section: Literal["train", "diagnose"] = "train") -> tuple[list[Block], dict[str, Any]]:
    """What a preset lacks here, in words of a tab, and the fields with which it can run; empty where it has all."""
    found = find_stand_ins(preset, *preset_configs(preset))
    if not found.lacking:
        return [], {}
    lacking, fields = say("page.comma").join(found.lacking), _told(found.fields, preset_values(preset), section)
    return [text(say(f"{section}.stand_ins", lacking=lacking, fields=fields), "note")], found.fields


def _told(fields: dict[str, Any], usual: dict[str, Any], section: str = "train") -> str:
    """"Epochs 2 (else 20), Limit 2000 (else none)"."""
    titles = {"model.base": say("train.base"), "data.source": say("train.data")}
    return say("page.comma").join(
        say(
            f"{section}.instead",
            field=titles.get(name) or field_label(FIELDS[name]),
            value=_shown(value),
            usual=_shown(usual[name]),
        )
        for name, value in fields.items()
    )


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return say("page.yes" if value else "page.no")
    return say("page.none") if value in (None, "") else str(value)
