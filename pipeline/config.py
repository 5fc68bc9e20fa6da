"""What decides a run? RunConfig: every choice, its default, its bounds and its meaning, in one frozen object."""

from __future__ import annotations

import json
from collections.abc import Iterable
from copy import deepcopy
from difflib import get_close_matches
from functools import cache
from operator import attrgetter
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, Field, StringConstraints, ValidationError, field_validator, model_validator

from pipeline.config_parts import (
    TRACKERS,
    AdversarialConfig,
    AugmentConfig,
    DataConfig,
    HardwareConfig,
    LossConfig,
    MaskConfig,
    ModelConfig,
    OptimConfig,
    Part,
    StopConfig,
    split_names,
)
from pipeline.exceptions import ConfigError

SCHEMA_VERSION: Literal[1] = 1
PRESETS_DIR = Path(__file__).parent / "presets"
RUN_NAME_RULE = (
    "A run name has 1 to 64 letters, digits, '.', '_' or '-', and does not start with '.' or '_'"
)
RUN_NAME_PATTERN = r"^[A-Za-z0-9-][A-Za-z0-9._-]{0,63}$"  # in Rust's regex `$` is the very end, newline excluded


class RunConfig(Part):
    """Every choice that decides a run. What you read back is what you wrote."""

    schema_version: Literal[1] = Field(SCHEMA_VERSION, description="Version of the format of this config.")
    name: Annotated[str, StringConstraints(pattern=RUN_NAME_PATTERN)] = Field(description=RUN_NAME_RULE + ".")
    note: str = Field("", max_length=10_000, description="What this run is for, in your words.")
    task: Literal["classify", "mlm"] = Field(
        "classify",
        description="classify: learn to label texts; mlm: masked-language modelling, go on learning the language from "
        "texts without labels, as a base for later runs.",
    )
    seed: int = Field(42, ge=0, lt=2**31, description="Decides the order of examples, dropout and new weights.")
    data: DataConfig = DataConfig()
    augment: AugmentConfig = AugmentConfig()
    model: ModelConfig = ModelConfig()
    optim: OptimConfig = OptimConfig()
    mask: MaskConfig = MaskConfig()
    loss: LossConfig = LossConfig()
    adversarial: AdversarialConfig = AdversarialConfig()
    stop: StopConfig = StopConfig()
    hardware: HardwareConfig = HardwareConfig()
    track: str = Field(
        "",
        description="Trackers to tell of the run, with commas between: trackio, swanlab, wandb, tensorboard, where "
        "installed. All stays on this machine, unless you are logged in to wandb or swanlab. Caution: swanlab writes "
        "down the machine's name and the command line.",
    )

    @field_validator("track")
    @classmethod
    def _trackers_are_known(cls, track: str) -> str:
        if unknown := [name for name in split_names(track) if name not in TRACKERS]:
            raise ValueError(f"there is no tracker '{unknown[0]}'; choose from: {', '.join(TRACKERS)}")
        return track

    @model_validator(mode="after")
    def _names_have_no_nul(self) -> RunConfig:
        if "\0" in self.data.source + self.model.base:
            raise ValueError("a source or base contains a NUL character; take it out")
        return self

    @model_validator(mode="after")
    def _fields_are_of_the_task(self) -> RunConfig:
        for name in OF_OTHER_TASK[self.task]:
            if (value := attrgetter(name)(self)) not in (None, FIELDS[name].default):
                raise ValueError(f"{name} is '{value}', which means nothing for the task {self.task}; take it out")
        return self

    @property
    def metric(self) -> str:
        """What picks the best weights, as in StopConfig."""
        return "loss" if self.task == "mlm" else self.stop.metric


OF_OTHER_TASK = {
    "classify": ("data.avoid",),
    "mlm": ("data.extra", "augment.steps", "model.head", "loss.name"),
}


def make_config(values: dict[str, Any]) -> RunConfig:
    """Check nested values (as in run_config.json) and build the config.

    Raises: ConfigError, one sentence naming the first bad field, what it expects and what it found.
    """
    try:
        return RunConfig.model_validate(values)
    except ValidationError as exception:
        raise _refusal(exception) from None


def read_config(path: Path) -> RunConfig:
    """Read a `run_config.json`. Raises: ConfigError when it is not there, not JSON, or has a bad field."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as exception:
        reason = exception.strerror
        raise ConfigError(f"{path} cannot be read ({reason}). Give the path of a run_config.json.") from None
    except ValueError as exception:
        raise ConfigError(f"{path} is not JSON ({exception}). Mend it, or give that of another run.") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds a {type(values).__name__}; a run config is a JSON object of named fields.")
    return make_config(values)


@cache
def all_presets() -> dict[str, dict[str, Any]]:
    """The files in presets/ by name; one with "changes" is an experiment of several runs (`experiments.py`)."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(PRESETS_DIR.glob("*.json"))}


def preset_names() -> list[str]:
    """Of those that are one run."""
    return [name for name, values in all_presets().items() if "changes" not in values]


def read_preset(name: str) -> dict[str, Any]:
    """The values of a preset: a RunConfig without its name; `note` says what it reproduces and what to expect.

    Raises: ConfigError naming the presets there are, or the command for an experiment.
    """
    if name in preset_names():
        return deepcopy({key: value for key, value in all_presets()[name].items() if key != "local"})
    if name in all_presets():
        raise ConfigError(f"The preset '{name}' is several runs. Carry them out with: python -m pipeline sweep {name}.")
    raise ConfigError(f"There is no preset '{name}'. Choose one of: {', '.join(preset_names())}.")


def local_fields(preset: str) -> dict[str, Any]:
    """Fields, by dotted name, that fit a preset to all-MiniLM-L6-v2 where its own model cannot be had."""
    return {"model.base": "all-MiniLM-L6-v2", **all_presets()[preset].get("local", {})}


def set_field(values: dict[str, Any], dotted_name: str, value: Any) -> None:
    """Set `values["optim"]["learning_rate"]` from "optim.learning_rate"; an empty text means "not given" (null).

    Raises: ConfigError for a name that is no field, with the nearest one that is.
    """
    if dotted_name not in FIELDS:
        near = get_close_matches(dotted_name, FIELDS, n=1, cutoff=0.5)
        hint = f"Did you mean '{near[0]}'?" if near else f"Fields are: {', '.join(FIELDS)}."
        raise ConfigError(f"There is no field '{dotted_name}'. {hint}")
    *groups, leaf = dotted_name.split(".")
    for group in groups:
        values = values.setdefault(group, {})
    values[leaf] = None if value == "" and FIELDS[dotted_name].optional else value


def differing_fields(config: RunConfig, *others: RunConfig) -> list[str]:
    """Dotted names of the fields in which others differ from a config."""
    differing = (name for other in others for name in FIELDS if field_value(config, name) != field_value(other, name))
    return list(dict.fromkeys(differing))


def field_value(config: RunConfig, dotted_name: str) -> Any:
    return attrgetter(dotted_name)(config)


class FieldHelp(BaseModel, frozen=True):
    """What a form, the command line and a message need to know of one leaf of RunConfig."""

    name: str                                       # dotted: "optim.learning_rate"
    kind: Literal["text", "integer", "number", "switch", "choice"]
    default: Any
    description: str
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    optional: bool = False                          # None means "not given"


def _fields_of(model: type[BaseModel], prefix: str = "") -> Iterable[FieldHelp]:
    for name, info in model.model_fields.items():
        annotation: Any = info.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from _fields_of(annotation, f"{prefix}{name}.")
            continue
        optional = get_origin(annotation) in (Union, UnionType) and type(None) in get_args(annotation)
        if optional:
            annotation = next(arg for arg in get_args(annotation) if arg is not type(None))
        choices = tuple(map(str, get_args(annotation))) if get_origin(annotation) is Literal else ()
        kinds: dict[Any, Any] = {bool: "switch", int: "integer", float: "number"}
        limits = ("gt", "ge", "lt", "le")
        bounds = {key: getattr(item, key) for item in info.metadata for key in limits if hasattr(item, key)}
        yield FieldHelp(
            name=prefix + name,
            kind="choice" if choices else kinds.get(annotation, "text"),
            default=None if info.is_required() else info.default,
            description=info.description or "",
            choices=choices,
            minimum=bounds.get("ge", bounds.get("gt")),
            maximum=bounds.get("le", bounds.get("lt")),
            optional=optional,
        )


FIELDS: dict[str, FieldHelp] = {field.name: field for field in _fields_of(RunConfig)}


def _refusal(exception: ValidationError) -> ConfigError:
    """The first problem alone: mended, the next one shows."""
    error: Any = exception.errors()[0]
    words = {word for name in FIELDS for word in name.split(".")}
    name = ".".join(part for part in map(str, error["loc"]) if part in words)
    return ConfigError(_problem(name or "run config", error), name if name in FIELDS else "")


def _problem(name: str, error: dict[str, Any]) -> str:
    if name == "name":
        found = "none was given" if error["type"] == "missing" else f"found {_shown(error['input'])}"
        return f"{RUN_NAME_RULE}; {found}. Choose another name."
    if error["type"] == "extra_forbidden":
        unknown = ".".join(map(str, error["loc"]))
        near = get_close_matches(unknown, FIELDS, n=1, cutoff=0.5)
        return f"There is no field '{unknown}'. " + (f"Did you mean '{near[0]}'?" if near else "Take it out.")
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])[:1].upper() + str(error["ctx"]["error"])[1:] + "."
    if name == "schema_version":
        found = _shown(error["input"])
        return f"schema_version is {found}; this Volta reads {SCHEMA_VERSION}. Update Volta, or write the config anew."
    if error["type"] == "string_pattern_mismatch" and name in FIELDS:      # a description says more than a pattern
        return f"{name} cannot be {_shown(error['input'])}. {FIELDS[name].description}"
    expected = error["msg"].removeprefix("Input ").removeprefix("String ")      # "should be ...", "should match ..."
    description = FIELDS[name].description if name in FIELDS else ""
    return f"{name} {expected}; found {_shown(error['input'])}. {description}".strip()


def _shown(value: Any) -> str:
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
