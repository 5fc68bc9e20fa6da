"""What is in this place? Reads the files of a data source into Arrow tables, or says in one sentence why not."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.exceptions import DataError
from pipeline.sources import DATA_SUFFIXES, SPLIT_NAMES, Place
from pipeline.text_files import MAX_ROWS, read_delimited, read_json_lines

MAX_GIGABYTES = 2                   # of one file
MAX_UNPACKED_GIGABYTES = 4          # of one Parquet file, as it says of itself: a small file can unpack to a huge table
ACCEPTED = "Volta reads .parquet, .jsonl (one JSON object a line), .csv and .tsv"


@dataclass(frozen=True)
class Source:
    """The tables of a source as they are, before any column is chosen."""

    tables: dict[str, pa.Table]                                             # by split: train, validation, test ...
    files: dict[str, str]                                                   # by split: what a message calls it
    class_names: dict[str, list[str]] = field(default_factory=dict)         # by column: names that the source gives


def read_source(place: Place, encoding: str = "utf-8", splits: Sequence[str] = SPLIT_NAMES) -> Source:
    """Read these splits of a source, as far as there are; a single file is its train split.

    Raises: DataError naming file, line or column, and the remedy. Of a source with one bad file nothing is kept.
    """
    if place.kind == "hub":
        return _read_hub(place.location, splits)
    path = Path(place.location)
    files = _split_files(path, splits) if path.is_dir() else {"train": path}
    tables = {split: read_table(file, encoding) for split, file in files.items()}
    return Source(tables, {split: file.name for split, file in files.items()})


def read_table(path: Path, encoding: str = "utf-8") -> pa.Table:
    """Read one file. The columns of a CSV or TSV file are all strings; those of JSONL and Parquet keep their types.

    Raises: DataError, as `read_source`.
    """
    suffix = path.suffix.lower()
    if suffix not in DATA_SUFFIXES:
        ending = f"ends in {suffix}" if suffix else "has no ending"
        raise DataError(f"{path.name} {ending}; {ACCEPTED}. Save it as one of these.")
    try:
        size = path.stat().st_size
        if size == 0:
            raise DataError(f"{path.name} is empty (0 bytes). Give a file with examples in it.")
        _refuse_gigabytes(f"{path.name} has", size, MAX_GIGABYTES)
        if suffix == ".parquet":
            table = _read_parquet(path)
        elif suffix == ".jsonl":
            table = read_json_lines(path, encoding)
        else:
            table = read_delimited(path, encoding, delimiter="," if suffix == ".csv" else "\t")
    except OSError as exception:
        reason = exception.strerror or str(exception)
        raise DataError(f"{path.name} cannot be read ({reason}). Check the file and who may read it.") from None
    twice = next((name for name in table.column_names if table.column_names.count(name) > 1), None)
    if twice:
        raise DataError(f"{path.name} has two columns named '{twice}'. Rename one of them.")
    if not table.num_rows:
        raise DataError(f"{path.name} has columns but no rows. Give a file with examples in it.")
    return table


def _split_files(folder: Path, splits: Sequence[str]) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for split in splits:
        found = [folder / f"{split}{suffix}" for suffix in DATA_SUFFIXES if (folder / f"{split}{suffix}").is_file()]
        if len(found) > 1:
            raise DataError(f"{folder} has both {found[0].name} and {found[1].name}. Keep one file per split.")
        if found:
            files[split] = found[0]
    if "train" not in files:
        raise DataError(
            f"{folder} has no train file; expected train.parquet, train.jsonl, train.csv or train.tsv, and validation "
            "and test likewise where there are any. Rename the file, or give the file itself."
        )
    return files


def _refuse_gigabytes(what_has: str, num_bytes: int, most: float) -> None:
    if num_bytes > most * 1024**3:
        found = num_bytes / 1024**3
        raise DataError(f"{what_has} {found:.1f} GB; at most {most:g} GB are read. Cut it into a smaller file.")


def _refuse_rows(name: str, num_rows: int) -> None:
    if num_rows > MAX_ROWS:
        raise DataError(f"{name} has {num_rows:,} rows; at most {MAX_ROWS:,} are read. Cut it into a smaller file.")


def _read_parquet(path: Path) -> pa.Table:
    try:
        with pq.ParquetFile(path) as file:
            metadata = file.metadata
            _refuse_rows(path.name, metadata.num_rows)
            unpacked = sum(metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups))
            _refuse_gigabytes(f"{path.name} unpacks to", unpacked, MAX_UNPACKED_GIGABYTES)
            table = file.read()
        table.validate(full=True)           # text that is not UTF-8 would only be found where it is first used
        return table
    except (pa.ArrowException, OSError) as exception:
        if isinstance(exception, OSError) and exception.errno:
            raise
        raise DataError(
            f"{path.name} is not a Parquet file, or is damaged. {ACCEPTED}: write it anew, or give it the ending of "
            "what it is."
        ) from None


def _read_hub(hub_id: str, splits: Sequence[str]) -> Source:
    """Read a data set of the Hub, through the cache of `datasets`; code that comes with a data set is never run."""
    if os.path.exists(hub_id):      # `datasets` would take the folder for it
        raise DataError(
            f"'{hub_id}' is also a folder here, without data in it. Give the full path of a folder with a train file, "
            "or start Volta elsewhere."
        )
    from datasets import ClassLabel, load_dataset
    from datasets.exceptions import DatasetsError

    try:
        found = load_dataset(hub_id)
    except (OSError, ValueError, RuntimeError, DatasetsError) as exception:
        reason = " ".join(str(exception).split())[:300].rstrip(". ")
        raise DataError(
            f"The data set '{hub_id}' could not be read from the Hugging Face Hub ({reason}). Check its name, your "
            "connection and, if it is gated, your access; or give a local file."
        ) from None
    tables = {split: found[split] for split in splits if split in found}
    if "train" not in tables:
        has = ", ".join(map(str, found))
        raise DataError(f"The data set '{hub_id}' has no split 'train'; it has: {has}. Save one of them as a file.")
    files = {split: f"{hub_id} ({split})" for split in tables}
    for split, rows in tables.items():
        _refuse_rows(files[split], rows.num_rows)
    features = tables["train"].features.items()
    return Source(
        tables={split: rows.with_format("arrow")[:] for split, rows in tables.items()},
        files=files,
        class_names={name: list(feature.names) for name, feature in features if isinstance(feature, ClassLabel)},
    )
