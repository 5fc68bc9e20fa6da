"""How does a run leave this machine, come in from another, or go for good? A zip of its record, or a folder removed."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
import zipfile
import zlib
from pathlib import Path, PurePath, PurePosixPath

from pipeline.catalog import check_run_name, is_bundled
from pipeline.config import read_config
from pipeline.exceptions import ConfigError, RunError, StorageError
from pipeline.runs import Run
from pipeline.sources import run_root

MAX_UNPACKED_BYTES = 8 * 2**30
MAX_FILES = 10_000
MAX_CONFIG_BYTES = 10**6
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# A state: only this machine can go on from it, bit for bit; it is three times the model. An index is made anew.
# Trackers may write down whose machine it was.
NOT_PACKED = ("state", "training_index", "trackers")


def packed_files(run: Run) -> list[Path]:
    """What a zip of the run holds: all but states, an index of training data, trackers' files, locks, half a file."""
    paths = (path.relative_to(run.folder) for path in sorted(run.folder.rglob("*")) if path.is_file())
    return [path for path in paths if path.parts[0] not in NOT_PACKED and not _is_hidden(path)]


def _is_hidden(path: PurePath) -> bool:
    return any(part.startswith(".") for part in path.parts)


def pack_run(run: Run, folder: Path) -> Path:
    """Write `<folder>/<run>.zip`, which holds one folder of the run's name, and return its path."""
    target = folder / f"{run.name}.zip"
    # strict_timestamps: files may be older than the format, which begins in 1980
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1, strict_timestamps=False) as archive:
        for path in packed_files(run):
            how = zipfile.ZIP_STORED if path.suffix in (".safetensors", ".parquet") else None   # they do not shrink
            archive.write(run.folder / path, f"{run.name}/{path.as_posix()}", how)
    return target


def unpack_run(path: Path) -> Run:
    """Bring in a run from a zip that `pack_run` made; nothing is left behind when it is refused.

    Raises: RunError for a file that is no such zip, climbs out of its folder, is too large, or brings a name that is
    taken; ConfigError when its run_config.json is damaged; StorageError when the run root cannot be written.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            name = _checked_name(archive, path.name)
            return _unpacked(archive, name)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, RecursionError) as exception:
        raise RunError(f"{path.name} is not a whole zip file ({exception}). Make it anew: 'Download zip'.") from None


def _checked_name(archive: zipfile.ZipFile, file: str) -> str:
    """The name of the run in it, all members checked. Raises: RunError."""
    # Folders are made where a file needs one. Deflate alone unpacks bit by bit: the others could fill the memory.
    members = _files(archive)
    by_path = {PurePosixPath(member.filename): member for member in members}
    for path in by_path:
        if path.is_absolute() or ".." in path.parts or set(str(path)) & set("\\:\0") or len(path.parts) < 2:
            shown = str(path)[:80]
            raise RunError(f"{file} holds '{shown}', which is not inside one folder. Take a zip made by Volta.")
    tops = {path.parts[0] for path in by_path}
    config = by_path.get(PurePosixPath(next(iter(tops)), "run_config.json")) if len(tops) == 1 else None
    if config is None:
        raise RunError(f"{file} does not hold one run: one folder with a run_config.json. Take a zip made by Volta.")
    if len(archive.infolist()) > MAX_FILES or sum(member.file_size for member in members) > MAX_UNPACKED_BYTES:
        limit = f"{MAX_FILES:,} files and {MAX_UNPACKED_BYTES // 2**30} GB"
        raise RunError(f"{file} unpacks to more than {limit}, the most that is taken in. Copy its folder by hand.")
    if any(member.flag_bits & 1 or member.compress_type not in METHODS for member in members):
        raise RunError(f"{file} is encrypted, or packed in a rare way. Take a zip made by Volta.")
    if config.file_size > MAX_CONFIG_BYTES:
        raise RunError(f"The run_config.json in {file} is too large to be one. Take a zip made by Volta.")
    name = check_run_name(tops.pop())
    if (run_root() / name).exists():
        raise _name_taken(name)
    return name


def _unpacked(archive: zipfile.ZipFile, name: str) -> Run:
    root = run_root()
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".new-", dir=root, ignore_cleanup_errors=True) as temporary:
            for member in _files(archive):
                path = PurePosixPath(member.filename)
                if not _is_hidden(path) and path.parts[1] not in NOT_PACKED:
                    # Which file is newer than which is part of a record: predictions older than the model are not its.
                    written = time.mktime((*member.date_time, 0, 0, -1))
                    os.utime(archive.extract(member, temporary), (written, written))
            whole = Path(temporary) / name
            config = read_config(whole / "run_config.json")
            os.rename(whole, root / name)
    except ConfigError as exception:
        raise ConfigError(f"The run in the zip is damaged: {exception}") from None
    except OSError as exception:
        if (root / name).exists():      # another was quicker
            raise _name_taken(name) from None
        reason = exception.strerror or exception
        raise StorageError(f"The zip cannot be unpacked into the run root {root} ({reason}).") from None
    return Run(root / name, config)


def _files(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    return [member for member in archive.infolist() if not member.filename.endswith("/")]


def _name_taken(name: str) -> RunError:
    return RunError(f"There is already a run '{name}'. Delete that one first, or rename its folder.")


def delete_run(run: Run) -> None:
    """Remove a run's folder. Raises: RunError for one at work, or the one that comes with Volta."""
    if is_bundled(run):
        raise RunError(f"'{run.name}' comes with Volta and stays.")
    doomed = run.folder.with_name(f".deleted-{run.name}")       # gone at once, however long its files take
    shutil.rmtree(doomed, ignore_errors=True)
    try:
        with run.locked():
            os.rename(run.folder, doomed)
    except OSError as exception:
        raise StorageError(f"{run.folder} cannot be removed ({exception.strerror}). Remove it by hand.") from None
    shutil.rmtree(doomed, ignore_errors=True)


def size_in_bytes(run: Run) -> int:
    """What its whole folder takes on disk."""
    return sum(path.stat().st_size for path in run.folder.rglob("*") if path.is_file())
