"""What can a preset run on here, where the Hub is out of reach? Told, and never taken unasked."""

from __future__ import annotations

import shlex
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from pipeline.config import RunConfig, local_fields
from pipeline.exceptions import ConfigError
from pipeline.sources import is_offline, is_only_on_hub

HUB_SECONDS = 3.0


@dataclass(frozen=True)
class StandIns:
    """For what only the Hub has, while it is out of reach; empty where nothing is lacking."""

    lacking: list[str] = field(default_factory=list)            # names of models and data
    fields: dict[str, Any] = field(default_factory=dict)        # to change, by dotted name


def find_stand_ins(preset: str, *configs: RunConfig) -> StandIns:
    """What a preset (a config for each of its runs) lacks on this machine, and the fields with which it can run here.

    The Hub is asked whether it answers, and nothing else.
    """
    models = [config.model.base for config in configs if is_only_on_hub(config.model.base, "model")]
    data = [config.data.source for config in configs if is_only_on_hub(config.data.source, "dataset")]
    if (not models and not data) or hub_answers():
        return StandIns()
    fields = (local_fields(preset) if models else {}) | ({"data.source": "starter"} if data else {})
    return StandIns(list(dict.fromkeys(models + data)), fields)


def hub_answers() -> bool:
    """Whether anything can be had from the Hub now."""
    if is_offline():
        return False
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session

    with suppress(Exception):       # without network, proxy or certificate each library raises its own
        get_session().head(constants.ENDPOINT, timeout=HUB_SECONDS)
        return True
    return False


def refuse_what_is_lacking(preset: str | None, *configs: RunConfig) -> None:
    """Raises: ConfigError with what to add to the command; no other model is taken without being asked for."""
    if preset is None or not (found := find_stand_ins(preset, *configs)).lacking:
        return
    added = " ".join(f"--set {shlex.quote(f'{name}={value}')}" for name, value in found.fields.items())
    raise ConfigError(
        f"The preset '{preset}' needs {', '.join(found.lacking)} from the Hub, which is out of reach. To train on what "
        f"is on this machine instead, add: {added}"
    )
