"""What must be here before the network goes? Loads models and data sets of the Hub into this machine's cache."""

from __future__ import annotations

import logging
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pipeline.exceptions import DataError, ModelError, WorkbenchError
from pipeline.reading import read_source
from pipeline.sources import DATA_SHORT_NAMES, SHORT_NAMES, Place, converted_folder, find_data, find_model, is_offline

log = logging.getLogger(__name__)

Kind = Literal["model", "dataset"]      # as the Hub says

# Config, tokenizer and weights, at the top of a repository: the same weights for other libraries stay where they are.
MODEL_FILES = ["*.json", "*.txt", "*.model", "model*.safetensors", "pytorch_model*.bin"]


class FetchError(WorkbenchError):
    """The Hub did not give it this time."""

    exit_status = 1


@dataclass(frozen=True)
class Fetched:
    """What is here now; the line that `fetch` prints of it."""

    name: str
    kind: Kind
    location: str       # a path, or the id of a data set in the cache of `datasets`
    bytes: int | None   # on this disk, a data set's in memory; None where it was here without the Hub


def find_wanted(name: str) -> tuple[Kind, Place]:
    """Is it a model or a data set, and where? The Hub is asked only about an owner/name that Volta does not know.

    Raises: ModelError for what is neither; FetchError when the Hub does not answer.
    """
    places: dict[Kind, Place] = {}
    with suppress(DataError):
        places["dataset"] = find_data(name)
    try:
        places["model"] = find_model(name)
    except ModelError:
        if not places:
            raise
    known = {"dataset": DATA_SHORT_NAMES.values(), "model": SHORT_NAMES.values()}
    for kind, place in places.items():
        if len(places) == 1 or place.kind != "hub" or place.location in known[kind]:
            return kind, place
    for kind, place in places.items():
        if _ask(name, "repo_exists", place.location, repo_type=kind):
            return kind, place
    raise ModelError(f"The Hugging Face Hub has no model and no data set '{name}'. Check its name, and your access.")


def fetch(name: str, kind: Kind, place: Place) -> Fetched:
    """Load it, saying how much that is. A file that came whole before a break is not loaded again.

    A model that has no safetensors is converted, once, into a folder of the run root.
    Raises: FetchError when the Hub breaks off; ModelError and DataError when what it gives is of no use.
    """
    if place.kind != "hub" or is_offline():
        log.info("%s Nothing is to be fetched.", place.sentence)
        return Fetched(name, kind, place.location, None)
    if kind == "dataset":
        _say_size(name, _ask(name, "snapshot_download", place.location, dry_run=True, repo_type=kind))
        tables = read_source(place).tables.values()     # the way that a training takes, checks and all
        return Fetched(name, kind, place.location, sum(table.nbytes for table in tables))
    wanted: dict[str, Any] = {"allow_patterns": MODEL_FILES, "ignore_patterns": ["*/*"]}
    files = _ask(name, "snapshot_download", place.location, dry_run=True, **wanted)
    if any(file.filename.endswith(".safetensors") for file in files):
        files = [file for file in files if not file.filename.endswith(".bin")]
    _say_size(name, files)
    names = [file.filename for file in files]
    folder = Path(_ask(name, "snapshot_download", place.location, allow_patterns=names))
    if any(file.endswith(".bin") for file in names):
        folder = _converted(folder, place.location)
    return Fetched(name, kind, str(folder), sum(path.stat().st_size for path in folder.iterdir() if path.is_file()))


def _ask(name: str, function: str, *arguments: Any, **options: Any) -> Any:
    import huggingface_hub

    try:
        return getattr(huggingface_hub, function)(*arguments, **options)
    except Exception as exception:      # its libraries raise all sorts of things when a connection breaks
        reason = " ".join(str(exception).split())[:300].rstrip(". ")
        raise FetchError(
            f"'{name}' could not be fetched from the Hugging Face Hub ({type(exception).__name__}: {reason}). "
            "Files that have come whole are kept: fetch it again to go on."
        ) from exception


def _say_size(name: str, files: list[Any]) -> None:     # DryRunFileInfo
    size = sum(file.file_size or 0 for file in files)
    here = sum(file.file_size or 0 for file in files if file.is_cached)
    log.info("%s: %.1f MB in %d files, of which %.1f MB are here.", name, size / 1e6, len(files), here / 1e6)


def _converted(folder: Path, hub_id: str) -> Path:
    """A copy with model.safetensors in place of pickles, which are read as numbers alone: no code of theirs runs."""
    import torch
    from safetensors.torch import save_file

    target = converted_folder(hub_id)
    if target.exists():
        return target
    temporary = target.with_name(f".{target.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    shutil.copytree(folder, temporary, ignore=shutil.ignore_patterns("*.bin", "*.bin.index.json"))
    weights: dict[str, Any] = {}
    for path in sorted(folder.glob("pytorch_model*.bin")):
        try:
            weights |= torch.load(path, map_location="cpu", weights_only=True)
        except Exception as exception:      # a damaged file, or one that holds more than numbers
            reason = " ".join(str(exception).split())[:200]
            raise ModelError(f"{path.name} of '{hub_id}' is refused ({reason}). Choose another model.") from None
    # Tied weights share their memory, which this format refuses: each gets its own.
    whole = {name: weight.contiguous().clone() for name, weight in weights.items()}
    save_file(whole, temporary / "model.safetensors", metadata={"format": "pt"})
    os.replace(temporary, target)
    return target
