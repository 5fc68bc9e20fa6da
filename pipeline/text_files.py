"""Is this text file whole? Reads CSV, TSV and JSON lines strictly, and names the line that is not as it should be."""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.columns import MISSING, NESTED
from pipeline.exceptions import DataError

MAX_ROWS = 5_000_000                # of one file
MAX_COLUMNS = 1_000
MAX_LINE_CHARACTERS = 10_000_000
_ROWS_OF_CHUNK = 20_000             # held as Python objects; the rest is in Arrow, a fraction of the size
_NOT_OF_FILES = {"idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape", "utf-7"}      # no files' own
_MARKS = {                          # the longer ones first: UTF-32's begins with UTF-16's
    "UTF-32": (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE),
    "UTF-16": (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE),
}
_DELIMITERS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars"}


def read_delimited(path: Path, encoding: str, delimiter: str) -> pa.Table:
    """Read a CSV or TSV file, header first; every column is a string column, missing cells are null.

    Raises: DataError naming the line.
    """
    columns: list[str] = []
    rows = _Rows(path)
    for line_number, cells in _records(path, encoding, delimiter):
        where = f"{path.name}, line {line_number}"
        if not columns:
            columns = _column_names(where, cells, delimiter)
        elif len(cells) == len(columns):
            rows.add({name: None if cell in MISSING else cell for name, cell in zip(columns, cells, strict=True)})
        else:
            header = ", ".join(columns[:10]) + (", ..." if len(columns) > 10 else "")
            raise DataError(
                f"{where}: {len(cells)} {'cell' if len(cells) == 1 else 'cells'} where the header has {len(columns)} "
                f"({header}). Leave no cell out, and put those with {_DELIMITERS[delimiter]} or line breaks in them in "
                "double quotes."
            )
    if not columns:
        raise DataError(f"{path.name} has nothing but white space. Give a file with a header line and examples.")
    return rows.table(pa.schema([(name, pa.string()) for name in columns]))


def read_json_lines(path: Path, encoding: str) -> pa.Table:
    """Read a file with one JSON object a line; a field that a line lacks is null there.

    Raises: DataError naming the line.
    """
    rows = _Rows(path)
    with _open(path, encoding) as file:
        for line_number, line in enumerate(_lines(file, path, encoding), start=1):
            if line.strip():
                rows.add(_json_object(f"{path.name}, line {line_number}", line))
    if not rows.num_rows:
        raise DataError(f"{path.name} has nothing but white space. Give a file with one JSON object a line.")
    return rows.table()


class _Rows:
    """Rows on their way into Arrow, a chunk at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.num_rows = 0
        self._columns: dict[str, None] = {}         # a set that keeps its order
        self._nested: dict[str, str] = {}           # by column: its first list or object, as JSON
        self._chunk: list[dict[str, Any]] = []
        self._tables: list[pa.Table] = []

    def add(self, row: dict[str, Any]) -> None:
        self.num_rows += 1
        if self.num_rows > MAX_ROWS:
            raise DataError(
                f"{self.path.name} has more than {MAX_ROWS:,} rows, the most that are read. Cut it into a smaller file."
            )
        self._columns |= dict.fromkeys(row)
        if len(self._columns) > MAX_COLUMNS:
            raise DataError(
                f"{self.path.name} has more than {MAX_COLUMNS:,} columns. Keep the text, the label and a few others."
            )
        self._chunk.append(row)
        if len(self._chunk) == _ROWS_OF_CHUNK:
            self._flush()

    def table(self, schema: pa.Schema | None = None) -> pa.Table:
        """All rows. Without a schema a column has the type of its values; where chunks differ in it, it is text."""
        self._flush()
        schema = schema or pa.schema([self._field(name) for name in self._columns])
        chunks = (
            {
                name: table[name].cast(type_, safe=False) if name in table.column_names else pa.nulls(len(table), type_)
                for name, type_ in zip(schema.names, schema.types, strict=True)
            }
            for table in self._tables
        )
        return pa.concat_tables([pa.table(chunk, schema=schema) for chunk in chunks])

    def _flush(self) -> None:
        for row in self._chunk:
            for name, value in row.items():
                if isinstance(value, list | dict):
                    self._nested.setdefault(name, json.dumps(value, ensure_ascii=False)[:60])
        columns = {name: _to_arrow([row.get(name) for row in self._chunk]) for name in self._columns}
        self._tables.append(pa.table(columns))
        self._chunk = []

    def _field(self, name: str) -> pa.Field:
        types = {table[name].type for table in self._tables if name in table.column_names} - {pa.null()}
        if types == {pa.int64(), pa.float64()}:
            types = {pa.float64()}
        metadata = {NESTED: self._nested[name]} if name in self._nested else None
        return pa.field(name, types.pop() if len(types) == 1 else pa.string(), metadata=metadata)


def _to_arrow(values: list[Any]) -> pa.Array:
    """A column of one type, NaN as null; values of several types, and nested ones, become text."""
    try:
        array = pa.array(values, from_pandas=True)
    except (pa.ArrowException, OverflowError, TypeError):
        array = None
    if array is None or pa.types.is_nested(array.type):
        return pa.array([_as_text(value) for value in values], pa.string())
    return array


def _as_text(value: Any) -> str | None:
    if value is None or value != value:         # only NaN is not itself
        return None
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _records(path: Path, encoding: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Each record of a CSV file with the line on which it starts; empty lines are passed over."""
    csv.field_size_limit(MAX_LINE_CHARACTERS)       # the library's own limit is 131,072, less than a long document
    with _open(path, encoding) as file:
        reader = csv.reader(_lines(file, path, encoding), delimiter=delimiter, strict=True)
        while True:
            line_number = reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as exception:
                raise DataError(
                    f"{path.name}, line {line_number}: broken quotes ({exception}). Close every double quote, "
                    f"separate cells with {_DELIMITERS[delimiter]}, and write a double quote inside a quoted cell "
                    'twice ("").'
                ) from None
            if cells:
                yield line_number, cells


def _column_names(where: str, cells: list[str], delimiter: str) -> list[str]:
    columns = [cell.strip() or f"column_{number}" for number, cell in enumerate(cells, start=1)]
    twice = next((name for name in columns if columns.count(name) > 1), None)
    if twice:
        raise DataError(f"{where}: the header has two columns named '{twice}'. Rename one of them.")
    other = next((mark for mark in _DELIMITERS if len(columns) == 1 and mark in columns[0]), None)
    if other:
        remedy = {"\t": "Give it the ending .tsv", ",": "Give it the ending .csv"}.get(other, "Save it with commas")
        raise DataError(
            f"{where}: the header is one column ('{columns[0][:80]}'), separated by {_DELIMITERS[other]} where the "
            f"ending of the file promises {_DELIMITERS[delimiter]}. {remedy}."
        )
    return columns


def _json_object(where: str, line: str) -> dict[str, Any]:
    try:
        value = json.loads(line.rstrip())
    except json.JSONDecodeError as exception:
        raise DataError(
            f"{where}: not JSON ({exception.msg} at character {exception.colno}). Write one JSON object on each line."
        ) from None
    except (ValueError, RecursionError):
        raise DataError(f"{where}: a number is too long or brackets nest too deeply. Write plain values.") from None
    if not isinstance(value, dict):
        raise DataError(
            f'{where}: expected a JSON object such as {{"text": "...", "label": 1}}, found {line.strip()[:40]}. '
            "Write one object on each line."
        )
    # JSON can spell half a character ("\ud83d" alone), which no file and no tokenizer can hold.
    if "\\ud" in line.lower() and re.search("[\ud800-\udfff]", json.dumps(value, ensure_ascii=False)):
        raise DataError(f"{where}: half of a character (such as \\ud83d alone). Write both halves, or take it out.")
    return value


def _open(path: Path, encoding: str) -> io.TextIOWrapper:
    """Open for reading as text. Raises: DataError for an encoding that does not exist, or a file that is not text."""
    name = _codec_name(encoding)
    with path.open("rb") as file:
        head = file.read(65_536)
    if not name.startswith(("utf-16", "utf-32")):
        if mark := next((name for name, marks in _MARKS.items() if head.startswith(marks)), None):
            raise DataError(
                f"{path.name} starts with the byte-order mark of {mark}. Set data.encoding to {mark.lower()}, or "
                "save it as UTF-8."
            )
        if b"\0" in head:
            raise DataError(
                f"{path.name} is binary, not text (byte {head.index(0):,} is zero). Save it as text, give it the "
                "ending of what it is, or name its encoding under data.encoding."
            )
    # newline="": the csv module itself keeps the line breaks inside quotes
    newline = None if path.suffix.lower() == ".jsonl" else ""
    return open(path, encoding="utf-8-sig" if name == "utf-8" else name, newline=newline)


def _codec_name(encoding: str) -> str:
    try:
        "".encode(encoding)                         # refuses what is no encoding of text, such as "zip"
        name = codecs.lookup(encoding).name
    except (LookupError, ValueError):
        name = None
    if name is None or name in _NOT_OF_FILES:
        raise DataError(
            f"'{encoding[:40]}' under data.encoding is no encoding of text files that Python knows. Name one such as "
            "utf-8, latin-1 or cp1252."
        )
    return name


def _lines(file: io.TextIOWrapper, path: Path, encoding: str) -> Iterator[str]:
    """The lines of a file, decoded; a file that is all one line is refused before it fills the memory."""
    try:
        while line := file.readline(MAX_LINE_CHARACTERS):
            if len(line) == MAX_LINE_CHARACTERS:
                raise DataError(
                    f"{path.name} has a line of more than {MAX_LINE_CHARACTERS:,} characters. Put each example on a "
                    "line of its own."
                )
            yield line
    except UnicodeError:
        line_number, byte = _first_undecodable(path, _codec_name(encoding))
        raise DataError(
            f"{path.name}, line {line_number} (byte {byte:,}) is not {encoding}. Set data.encoding to the encoding of "
            "the file (often cp1252 or latin-1 for older Western files), or save it as UTF-8."
        ) from None


def _first_undecodable(path: Path, codec: str) -> tuple[int, int]:
    """The line (from 1) and the byte (from 0) at which decoding fails; the file object itself knows only its buffer."""
    decoder = codecs.getincrementaldecoder(codec)()
    line_number, end = 1, 0
    with path.open("rb") as file:
        while chunk := file.read(2**20):
            end += len(chunk)
            try:
                line_number += decoder.decode(chunk).count("\n")
            except UnicodeDecodeError as exception:
                before = exception.object[: exception.start]        # begins with what the chunk before left over
                line_number += before.decode(codec, "replace").count("\n")
                return line_number, end - len(exception.object) + exception.start
            except UnicodeError:                                    # UTF-16 without its mark tells no position
                break
    return line_number, end                                         # the file ends in the middle of a character
