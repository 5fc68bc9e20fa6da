"""Which column is the text, and which the label?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.exceptions import DataError

TEXT_COLUMNS = (
    "text", "sentence", "review", "content", "comment", "body", "message", "tweet", "document", "utterance",
    "description", "title", "headline", "question",
)  # fmt: skip
LABEL_COLUMNS = (
    "label", "labels", "sentiment", "class", "category", "target", "gold", "stars", "rating", "score", "intent",
    "polarity", "topic",
)  # fmt: skip
MISSING = {"", "NaN", "nan"}        # how spreadsheets and pandas write "nothing here" into a text file
NESTED = b"nested"          # key in a field's metadata: a list or object that the column has, where it has any
_FEW_VALUES = 100
_NUMBER = r"^\s*[-+]?\d[\d.,]*([eE][-+]?\d+)?\s*$"


@dataclass(frozen=True)
class Columns:
    text: str
    label: str


def find_columns(
    table: pa.Table, file: str, text_column: str | None = None, label_column: str | None = None
) -> Columns:
    """The columns that are named; else those with a usual name; else, of two, the one with few values is the label.

    Raises: DataError with the columns there are and the fields that name one.
    """
    if len(table.column_names) < 2:
        raise DataError(
            f"{file} has only one column ({shown(table)}); a text column and a label column are needed. "
            "Add the other one."
        )
    label = label_column or _usual(table, LABEL_COLUMNS, taken=[text_column])
    text = text_column or _usual_text(table, taken=[label])
    if len(table.column_names) == 2:
        text, label = _complete(table, text, label)
    columns = Columns(_present(table, file, "text", text), _present(table, file, "label", label))
    if columns.text == columns.label:
        raise DataError(
            f"{file}: '{text}' is named as text and as label. Name two columns, under data.text_column and "
            "data.label_column."
        )
    if not text_column and not label_column:
        _refuse_example_as_header(table, file, columns)
    return columns


def find_text_column(table: pa.Table, file: str, text_column: str | None = None) -> str:
    """Where there need be no label: the column that is named, the only one, the usual one, or the only one of strings.

    Raises: DataError with the columns there are.
    """
    strings = [field.name for field in table.schema if is_string(field.type) and not _nested(field)]
    only = table.column_names[0] if len(table.column_names) == 1 else strings[0] if len(strings) == 1 else None
    name = text_column or _usual_text(table, taken=[]) or only
    if name is None or name not in table.column_names:
        what = f"has no column '{name}'" if name else "has no column with a usual name for texts"
        raise DataError(f"{file} {what}; it has: {shown(table)}. Name the one with the texts.")
    return name


def text_values(table: pa.Table, file: str, name: str) -> pa.ChunkedArray:
    """The texts as large strings (2 GB of text overflow Arrow's small ones), null where there is none.

    Raises: DataError when the column is missing or holds no texts.
    """
    if name not in table.column_names:
        raise DataError(
            f"{file} has no text column '{name}', which train has; it has: {shown(table)}. Rename the column."
        )
    refuse_nested(table, file, name)
    column = plain(table[name])
    # Where there is not one text, none is a number: such rows are dropped as empty, and told so.
    if pa.types.is_null(column.type) or (
        is_string(column.type) and not pc.all(pc.match_substring_regex(column, _NUMBER)).as_py()
    ):
        return column.cast(pa.large_string())
    found = "numbers" if is_string(column.type) else f"values of type {column.type}"
    raise DataError(
        f"{file}: the text column '{name}' holds {found}, not texts. Name another column under data.text_column; "
        f"there are: {shown(table)}."
    )


def refuse_nested(table: pa.Table, file: str, name: str) -> None:
    """Raises: DataError when a JSONL file has lists or objects in this column, which were read as JSON text."""
    if example := _nested(table.schema.field(name)):
        raise DataError(
            f"{file}: the column '{name}' holds lists or objects (such as {example.decode()}); expected a text or a "
            "label in each row. Write them as plain values, or name other columns under data.text_column and "
            "data.label_column."
        )


def _nested(field: pa.Field) -> bytes | None:
    return (field.metadata or {}).get(NESTED)


def plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The values themselves, for which Arrow has all its functions: not codes of a dictionary, nor views of strings."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column.cast(pa.large_string()) if pa.types.is_string_view(column.type) else column


def is_string(type_: pa.DataType) -> bool:
    value_type = type_.value_type if pa.types.is_dictionary(type_) else type_
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(test(value_type) for test in tests)


def shown(table: pa.Table) -> str:
    return ", ".join(table.column_names[:20]) + (", ..." if len(table.column_names) > 20 else "")


def _usual(table: pa.Table, usual: Iterable[str], taken: list[str | None]) -> str | None:
    by_lowercase = {name.strip().lower(): name for name in reversed(table.column_names) if name not in taken}
    return next((by_lowercase[name] for name in usual if name in by_lowercase), None)


def _usual_text(table: pa.Table, taken: list[str | None]) -> str | None:
    """Of the columns with a usual name the first that holds strings; else the first, so that a message names it."""
    no_strings = [field.name for field in table.schema if _nested(field) or not is_string(field.type)]
    return _usual(table, TEXT_COLUMNS, [*taken, *no_strings]) or _usual(table, TEXT_COLUMNS, taken)


def _complete(table: pa.Table, text: str | None, label: str | None) -> tuple[str | None, str | None]:
    """Of two columns: the one that is left over, or both told apart by how many different values they have."""
    if text or label:
        left = [name for name in table.column_names if name not in (text, label)]
        return text or left[0], label or left[0]
    try:
        counts = {name: pc.count_distinct(plain(table[name])).as_py() for name in table.column_names}
    except pa.ArrowNotImplementedError:     # lists and the like, which are neither
        return None, None
    few, many = sorted(counts, key=lambda name: counts[name])
    clear = counts[few] <= _FEW_VALUES and counts[few] < counts[many] and is_string(table[many].type)
    return (many, few) if clear else (None, None)


def _present(table: pa.Table, file: str, what: str, name: str | None) -> str:
    if name is None:
        raise DataError(
            f"{file}: which column is the {what}? It has: {shown(table)}. Name one under data.{what}_column."
        )
    if name not in table.column_names:
        raise DataError(
            f"{file} has no column '{name}'; it has: {shown(table)}. Name one of these under data.{what}_column."
        )
    return name


def _refuse_example_as_header(table: pa.Table, file: str, columns: Columns) -> None:
    """A file without a header has its first example there, and so a label for the name of the label column."""
    usual = columns.text.strip().lower() in TEXT_COLUMNS or columns.label.strip().lower() in LABEL_COLUMNS
    labels = table[columns.label]
    if usual or not is_string(labels.type):
        return
    if pc.any(pc.equal(plain(labels), columns.label)).as_py():
        raise DataError(
            f"{file}: its first line ('{columns.text[:60]}', '{columns.label}') seems to be an example, not the names "
            "of the columns. Add a first line such as text,label."
        )
