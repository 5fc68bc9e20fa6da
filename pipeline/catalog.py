"""Which runs are there? Made, found and listed by name, in the run root and among what comes with the project."""

from __future__ import annotations

import os
import re
import tempfile
from contextlib import suppress
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path

from pipeline.config import RUN_NAME_PATTERN, RUN_NAME_RULE, RunConfig, read_config
from pipeline.exceptions import ConfigError, RunError, StorageError
from pipeline.runs import Run, write_json
from pipeline.sources import bundled_run, run_root


def check_run_name(name: str) -> str:
    """Raises: RunError for a name outside the rule; the file system is not touched."""
    if not re.fullmatch(RUN_NAME_PATTERN, name):
        raise RunError(f"{RUN_NAME_RULE}; found {name[:80]!r}. Choose another name.")
    return name


def create_run(config: RunConfig) -> Run:
    """Make the record, with its config whole, before anything else happens.

    Raises: RunError when the name is taken; StorageError when the run root cannot be written.
    """
    folder = run_root() / check_run_name(config.name)
    if folder.exists():
        raise _name_taken(config.name)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Whole at once: a folder without its config would be neither a run nor free.
        with tempfile.TemporaryDirectory(prefix=".new-", dir=folder.parent, ignore_cleanup_errors=True) as temporary:
            whole = Path(temporary) / "run"
            whole.mkdir()
            write_json(whole / "run_config.json", config.model_dump())
            os.rename(whole, folder)
    except OSError as exception:
        if folder.exists():  # somebody else was quicker
            raise _name_taken(config.name) from None
        raise StorageError(
            f"The run root {folder.parent} cannot be written ({exception.strerror}). Set VOLTA_HOME to another folder."
        ) from None
    return Run(folder, config)


def _name_taken(name: str) -> RunError:
    return RunError(f"There is already a run '{name}'. Choose another name, or resume it.")


def load_run(name: str) -> Run:
    """Raises: RunError when there is no such run, with the nearest names; ConfigError when its config is damaged."""
    check_run_name(name)
    if folder := _run_folders().get(name):
        return Run(folder, read_config(folder / "run_config.json"))
    near = get_close_matches(name, run_names(), n=3, cutoff=0.4)
    raise RunError(
        f"There is no run '{name}'. "
        + (f"Did you mean {' or '.join(near)}?" if near else "See 'runs' for those there are.")
    )


def run_names() -> list[str]:
    """All runs, newest first; the one that comes with the project is there wherever the run root is."""
    written = []
    for name, folder in _run_folders().items():
        with suppress(FileNotFoundError):       # deleted a moment ago
            written.append(((folder / "run_config.json").stat().st_mtime, name))
    return [name for _, name in sorted(written, reverse=True)]


def all_runs() -> list[Run]:
    """All runs whose config can be read, newest first. A config is read once: it never changes."""
    runs = []
    for name, folder in _run_folders().items():
        path = folder / "run_config.json"
        try:
            written = path.stat().st_mtime_ns
            runs.append((written, name, Run(folder, _config_as_written(path, written))))
        except (OSError, ConfigError):      # damaged, or deleted a moment ago
            continue
    return [run for _, _, run in sorted(runs, key=lambda entry: entry[:2], reverse=True)]


@lru_cache(maxsize=4096)
def _config_as_written(path: Path, written: int) -> RunConfig:
    return read_config(path)


def is_bundled(run: Run) -> bool:
    """Is it the run that comes with the project?"""
    return run.folder.resolve() == bundled_run().resolve()


def _run_folders() -> dict[str, Path]:
    bundled = bundled_run() / "run_config.json"
    configs = [*([bundled] if bundled.is_file() else []), *run_root().glob("*/run_config.json")]
    return {path.parent.name: path.parent for path in configs if re.fullmatch(RUN_NAME_PATTERN, path.parent.name)}
