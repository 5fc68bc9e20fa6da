"""What does a model say about a file of texts? The file's rows with labels and probabilities beside them, as a CSV."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv

from pipeline.columns import find_text_column, is_string, plain, text_values
from pipeline.data import not_blank
from pipeline.exceptions import DataError
from pipeline.metrics import softmax
from pipeline.predictor import Predictor
from pipeline.reading import read_table

MAX_TEXTS = 100_000
TEXTS_PER_ROUND = 512       # between two words on how far it is
OURS = ("predicted", "probability", "truncated")


@dataclass(frozen=True)
class FilePrediction:
    """How far it is; the table is there when all are done."""

    done: int
    total: int
    text_column: str                    # its name in the table
    table: pa.Table | None = None       # the file's columns, then predicted, probability, truncated, a share per label


def predict_file(
    path: Path, predictor: Predictor, text_column: str | None = None, encoding: str = "utf-8"
) -> Iterator[FilePrediction]:
    """Predict a column of texts of a CSV, TSV, JSONL or Parquet file; a row without a text keeps empty cells.

    Raises: DataError for a file that cannot be read, has too many rows, or no column of texts, before the first yield.
    """
    source = read_table(path, encoding)
    if source.num_rows > MAX_TEXTS:
        found = f"{path.name} has {source.num_rows:,} rows"
        raise DataError(f"{found}; at most {MAX_TEXTS:,} fit. Cut it into smaller files.")
    name = find_text_column(source, path.name, text_column)
    texts = text_values(source, path.name, name)
    rows = np.flatnonzero(not_blank(texts).to_numpy(zero_copy_only=False))
    logits = np.zeros((len(rows), len(predictor.label_names)), np.float32)
    truncated = np.zeros(len(rows), bool)
    names = _names_in_the_csv(source, predictor.label_names)
    yield FilePrediction(0, len(rows), names[name])
    for start in range(0, len(rows), TEXTS_PER_ROUND):
        part = slice(start, start + TEXTS_PER_ROUND)
        logits[part], encoded = predictor.logits(predictor.cleaned(texts.take(rows[part]).to_pylist()))
        truncated[part] = encoded.truncated
        yield FilePrediction(min(start + TEXTS_PER_ROUND, len(rows)), len(rows), names[name])
    table = pa.table({new: plain(source[old]) for old, new in names.items()})
    table = _with_predictions(table, rows, logits, truncated, predictor.label_names)
    yield FilePrediction(len(rows), len(rows), names[name], table)


def save_csv(table: pa.Table, path: Path) -> None:
    pyarrow.csv.write_csv(table, path)


def _names_in_the_csv(source: pa.Table, label_names: list[str]) -> dict[str, str]:
    """New by old name of the source's columns that a CSV can hold: with a _ where one of ours has the name."""
    taken = {*OURS, *_names_of_shares(label_names)}
    names = {}
    for old in (field.name for field in source.schema if _fits_in_a_csv(field.type)):
        new = old
        while new in taken:
            new += "_"
        taken.add(new)
        names[old] = new
    return names


def _names_of_shares(label_names: list[str]) -> list[str]:
    return [f"probability of {name}" for name in label_names]


def _with_predictions(
    table: pa.Table, rows: np.ndarray, logits: np.ndarray, truncated: np.ndarray, label_names: list[str]
) -> pa.Table:
    """The table with our columns behind its own; null in all but these rows of it."""
    probs = softmax(logits)
    predicted = np.array(label_names, dtype=object)[probs.argmax(axis=1)]
    columns = {"predicted": predicted, "probability": probs.max(axis=1).round(6), "truncated": truncated}
    columns |= {name: probs[:, index].round(6) for index, name in enumerate(_names_of_shares(label_names))}
    places = np.full(table.num_rows, -1)
    places[rows] = np.arange(len(rows))
    ours = pa.table(columns).take(pa.array(places, mask=places < 0))
    for name in columns:
        table = table.append_column(name, ours[name])
    return table


def _fits_in_a_csv(type_: pa.DataType) -> bool:
    return is_string(type_) or pa.types.is_primitive(type_) or pa.types.is_decimal(type_) or pa.types.is_null(type_)
