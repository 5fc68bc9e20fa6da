"""Which runs make an experiment? A base, named changes of its fields, seeds: read from a file that a person can write.

    {"name": "ablation", "base": "quick", "set": {"data.source": "starter"}, "seeds": [1, 2, 3], "test": true,
     "changes": {"slow": {"optim.learning_rate": 1e-5}, "cosine": {"optim.schedule": "cosine"}}}
"""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, StringConstraints, ValidationError

from pipeline.budgets import budget_fields, tell_fields
from pipeline.config import FIELDS, RUN_NAME_PATTERN, RunConfig, all_presets, make_config, read_preset, set_field
from pipeline.exceptions import ConfigError
from pipeline.runs import write_json
from pipeline.sources import SHORT_NAMES, run_root
from pipeline.stand_ins import refuse_what_is_lacking

log = logging.getLogger(__name__)

BASELINE = "baseline"


class PlannedRun(BaseModel, frozen=True, extra="forbid"):
    """One entry of the list of runs."""

    run: str
    variant: str
    seed: int


class Experiment(BaseModel, frozen=True, extra="forbid"):
    """What is compared. The base itself is a variant, too, unless each change begins with a base of its own."""

    name: Annotated[str, StringConstraints(pattern=RUN_NAME_PATTERN)] = Field(
        description="1 to 64 letters, digits, '.', '_' or '-'; its runs' names begin with it."
    )
    note: str = Field("", description="What it is for.")
    base: str | dict[str, Any] = Field({}, description="A preset, or values as in a run_config.json.")
    set: dict[str, Any] = Field({}, description="Fields of all runs, by dotted name.")
    changes: dict[str, dict[str, Any]] | list[dict[str, Any]] = Field(
        {},
        description="Fields that differ, by the name of the change, or a list of them, which is named by what differs. "
        "'base' in a change replaces the base; 'model.base' may name an earlier change: its run of the same seed.",
    )
    seeds: tuple[int, ...] = Field((), description="A run of each change with each seed; the base's seed if empty.")
    test: bool = Field(False, description="Evaluate each run on its test split, too.")
    runs: tuple[PlannedRun, ...] = Field((), description="Its runs, written down when it begins.")


@dataclass(frozen=True)
class Member:
    """One run of an experiment."""

    variant: str
    seed: int
    config: RunConfig
    base_run: str | None        # the earlier member that it goes on from

    @property
    def run(self) -> str:
        return self.config.name


def read_experiment(path: Path) -> Experiment:
    """Raises: ConfigError when it is not there, not JSON, or has a bad field."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_each_once)
    except OSError as exception:
        reason = exception.strerror
        raise ConfigError(f"{path} cannot be read ({reason}). Give the file, or the name, of an experiment.") from None
    except ValueError as exception:
        raise ConfigError(f"{path} is not JSON ({exception}). Mend it.") from None
    try:
        return Experiment.model_validate(values)
    except ValidationError as exception:
        raise ConfigError(_problem(exception)) from None


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of two changes of one name JSON would keep the last, in silence."""
    if twice := [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]:
        raise ValueError(f"'{twice[0]}' stands twice in one object")
    return dict(pairs)


def _problem(exception: ValidationError) -> str:
    """The first one alone: mended, the next one shows."""
    error: Any = exception.errors()[0]
    field = str(next(iter(error["loc"]), "experiment"))
    if error["type"] == "extra_forbidden":
        near = get_close_matches(field, Experiment.model_fields, n=1)
        hint = f"Did you mean '{near[0]}'?" if near else f"It has: {', '.join(Experiment.model_fields)}."
        return f"An experiment has no field '{field}'. {hint}"
    expected = error["msg"].removeprefix("Input ").removeprefix("String ")
    found = "none was given" if error["type"] == "missing" else f"found {error['input']!r:.80}"
    info = Experiment.model_fields.get(field)
    return f"'{field}' of an experiment {expected}; {found}. {info.description if info else ''}".strip()


# Presets of several runs


def experiment_presets() -> list[str]:
    return [name for name, values in all_presets().items() if "changes" in values]


def read_experiment_preset(name: str) -> Experiment:
    """Under the preset's own name."""
    values = {key: value for key, value in all_presets()[name].items() if key != "local"}
    return Experiment.model_validate({"name": name, **values})


def preset_configs(name: str) -> list[RunConfig]:
    """Of each of a preset's runs, under any names."""
    if name in experiment_presets():
        return [member.config for member in members_of(read_experiment_preset(name))]
    return [make_config({**read_preset(name), "name": name})]


def requested_experiment(
    given: str, name: str | None = None, budget: str = "full", fields: Mapping[str, Any] | None = None
) -> Experiment:
    """That of a file; else of the run root, as it was begun; else a preset. With what is asked for it is begun anew.

    Args:
        given: a path, an experiment or a preset.
        fields: of all its runs where a change has none of its own, by dotted name.
    Raises: ConfigError when it is not there or cannot be; when a preset needs what is not on this machine and the Hub
        cannot be asked, with what to add.
    """
    is_new = bool(name or fields) or budget != "full"
    is_preset = given in experiment_presets() and (is_new or given not in experiment_names())
    if Path(given).is_file():
        experiment, is_preset = read_experiment(Path(given)), False
    else:
        experiment = read_experiment_preset(given) if is_preset else load_experiment(given)
    if is_new:
        own = {"name": name or experiment.name, "set": {**experiment.set, **(fields or {})}}
        experiment = Experiment.model_validate(experiment.model_dump(exclude={"runs"}) | own)
        experiment = within_budget(experiment, budget, fields or {})
    configs = [member.config for member in members_of(experiment)]
    refuse_what_is_lacking(given if is_preset else None, *configs, asked=fields or ())
    return experiment


def within_budget(experiment: Experiment, budget: str, fields: Collection[str] = ()) -> Experiment:
    """With what the budget changes in each of its variants, but for the fields that were asked for by themselves.

    Raises: ConfigError for a budget, field, value or preset that is not one.
    """
    variants = _variants(experiment)
    for variant, changes in variants.items():
        usual = make_config({**_values(experiment, changes), "name": experiment.name})
        cut = {field: value for field, value in budget_fields(usual, budget).items() if field not in fields}
        if cut:
            log.info("%s, budget %s: %s.", variant, budget, tell_fields(usual, cut))
        variants[variant] = {**changes, **cut}
    return experiment.model_copy(update={"changes": variants})


# In the run root


def experiments_root() -> Path:
    return run_root() / "_experiments"


def experiment_names() -> list[str]:
    """Newest first."""
    paths = [path for path in experiments_root().glob("*.json") if re.fullmatch(RUN_NAME_PATTERN, path.stem)]
    return [path.stem for path in sorted(paths, key=lambda path: path.stat().st_mtime_ns, reverse=True)]


def load_experiment(name: str) -> Experiment:
    """Of the run root. Raises: ConfigError when there is none of that name, with the nearest ones."""
    if name in (names := experiment_names()):
        return read_experiment(experiments_root() / f"{name}.json")
    near = get_close_matches(name, names, n=3, cutoff=0.4)
    hint = f"Did you mean {' or '.join(near)}?" if near else "Give the file of one."
    raise ConfigError(f"There is no experiment '{name}'. {hint}")


def save_experiment(experiment: Experiment) -> Path:
    """Keep it in the run root, with the list of its runs. Raises: as `members_of`."""
    runs = [{"run": each.run, "variant": each.variant, "seed": each.seed} for each in members_of(experiment)]
    experiments_root().mkdir(parents=True, exist_ok=True)
    path = experiments_root() / f"{experiment.name}.json"
    write_json(path, {**experiment.model_dump(exclude_defaults=True), "runs": runs})
    return path


# Its members


def members_of(experiment: Experiment) -> list[Member]:
    """All variants with the first seed, then with the next: what is there early can be compared.

    Raises: ConfigError for a field, value or preset that is not one, and for two runs of one name.
    """
    variants = _variants(experiment)
    seeds = experiment.seeds or (None,)
    members: list[Member] = []
    for seed in dict.fromkeys(seeds):
        runs: dict[str, str] = {}       # by variant, of this seed
        for variant, changes in variants.items():
            name = _run_name(experiment, variant, seed)
            values = {**_values(experiment, changes), "name": name, "note": experiment.note}
            if seed is not None:
                values["seed"] = seed
            base = values["model"]["base"]
            # A change named as a known model is named after it: who asks for "scibert" wants the model.
            earlier = runs.get(base) if base not in SHORT_NAMES else None
            if earlier:
                set_field(values, "model.base", earlier)
            runs[variant] = name
            config = make_config(values)
            members.append(Member(variant, config.seed, config, earlier))
    if twice := [name for name, count in Counter(each.run for each in members).items() if count > 1]:
        raise ConfigError(f"Two runs of the experiment would be called '{twice[0]}'. Give its changes other names.")
    return members


def _variants(experiment: Experiment) -> dict[str, dict[str, Any]]:
    """Fields that are changed, by the name of the variant; first stands what the others are compared with."""
    changes = experiment.changes
    named = list(changes.items()) if isinstance(changes, dict) else [(_made_name(each), each) for each in changes]
    if twice := [name for name, count in Counter(name for name, _ in named).items() if count > 1]:
        raise ConfigError(f"Two changes would be called '{twice[0]}'. Give them names of their own.")
    if experiment.seeds and any("seed" in each for each in [experiment.set, *(each for _, each in named)]):
        raise ConfigError("An experiment with 'seeds' sets 'seed' for each run itself. Take 'seed' out of its fields.")
    alone = bool(named) and all("base" in each for _, each in named)
    return dict(named) if alone else {BASELINE: {}} | dict(named)


def _values(experiment: Experiment, changes: dict[str, Any]) -> dict[str, Any]:
    """Of a config, all of them but for the name."""
    base = changes.get("base", experiment.base)
    start = read_preset(base) if isinstance(base, str) else dict(base)
    values = make_config({**start, "name": experiment.name}).model_dump()
    for field, value in {**experiment.set, **changes}.items():
        if field != "base":
            set_field(values, field, value)
    return values


def _run_name(experiment: Experiment, variant: str, seed: int | None) -> str:
    short = re.sub(r"[^A-Za-z0-9._-]+", "-", variant.removeprefix(f"{BASELINE}+")).strip("-")
    several = len(set(experiment.seeds)) > 1
    name = f"{experiment.name}-{short}" + (f"-s{seed}" if several else "")
    if not short or len(name) > 64:
        found = f"'{name}' has {len(name)} characters" if short else f"'{variant}' has none of these"
        raise ConfigError(
            f"A run of the experiment needs a name of up to 64 letters, digits, '.', '_' or '-'; {found}. Give the "
            "experiment or the change a shorter name."
        )
    return name


def _made_name(changes: dict[str, Any]) -> str:
    """What differs, in short: baseline+bs32, baseline+bs32_lr5e-5; quick+bs32 where it has a base of its own."""
    base = changes.get("base", BASELINE)
    short = "_".join(_short(field, value) for field, value in changes.items() if field != "base")
    return "+".join(filter(None, [base if isinstance(base, str) else "own", short]))


def _short(field: str, value: Any) -> str:
    """optim.batch_size 32: bs32; optim.epochs 3: epochs3; loss.name focal: focal; data.clean.html true: html."""
    leaf = field.rpartition(".")[2]
    letters = "".join(word[0] for word in leaf.split("_")) if "_" in leaf else leaf
    kind = FIELDS[field].kind if field in FIELDS else "text"
    if kind == "switch":
        return leaf if value else f"no-{leaf}"
    if kind in ("integer", "number") and isinstance(value, int | float):
        return letters + re.sub(r"e-0*", "e-", f"{value:g}" if abs(value) < 1e6 else str(value))
    text = str(value).rstrip("/").rpartition("/")[2]
    return f"{leaf}-{text}" if value in (None, "", "none") else text
