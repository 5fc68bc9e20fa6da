"""What are the labels, what are they called, and in which order do they stand?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.columns import MISSING, is_string, plain, refuse_nested, shown
from pipeline.exceptions import DataError

MAX_LABELS = 100
_INT = re.compile(r"-?\d{1,18}", re.ASCII)
_WHOLE = re.compile(r"[-+]?\d{1,18}(\.0*)?", re.ASCII)
_NUMBER = re.compile(r"[-+]?((\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|inf)", re.ASCII)
_SHOWN = 60             # characters of a label that a message repeats


@dataclass(frozen=True)
class Labels:
    """The labels of a source."""

    names: list[str]                # C, in the order of their ids
    id_of: Mapping[str, int]        # by the value in the file, as text ("1", "true", "spam")

    def ids(self, values: pa.ChunkedArray) -> np.ndarray:
        """(N,) int64 of N label values."""
        found = values.combine_chunks().dictionary_encode()
        id_of_code = np.array([self.id_of[value] for value in found.dictionary.to_pylist()], np.int64)
        return id_of_code[found.indices.to_numpy()]


def label_values(table: pa.Table, file: str, name: str) -> pa.ChunkedArray:
    """Each row's label as text ("3", "true", "spam"); null where there is none, all null where the column is missing.

    Whole floats are ints ("2.0" is "2"), booleans in any spelling are "false" and "true"; -1 among ints is no label.
    Raises: DataError for values that cannot be labels.
    """
    if name not in table.column_names:
        near = next((other for other in table.column_names if other.strip().lower() == name.strip().lower()), None)
        if near:
            raise DataError(f"{file} has no label column '{name}', which train has, but '{near}'. Rename that one.")
        return pa.chunked_array([pa.nulls(table.num_rows, pa.string())])
    refuse_nested(table, file, name)
    column = plain(table[name])
    type_ = column.type
    numeric = pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_decimal(type_)
    if not (numeric or is_string(type_) or pa.types.is_boolean(type_) or pa.types.is_null(type_)):
        raise DataError(
            f"{file}: the label column '{name}' holds values of type {type_}; expected ints, strings or booleans. "
            f"Name another column under data.label_column; there are: {shown(table)}."
        )
    found = column.cast(pa.string()).combine_chunks().dictionary_encode()
    spelled = _spelled_alike([value.strip() for value in found.dictionary.to_pylist()], file, name)
    return pa.chunked_array([pa.array(spelled, pa.string()).take(found.indices)])


def name_labels(found: Iterable[str], known_names: list[str] | None) -> Labels:
    """Put labels in order: ints by number, all else by letter. `known_names`: what a source calls its ints 0, 1, ..."""
    values = order(found)
    are_known = known_names and all(value.isdecimal() and int(value) < len(known_names) for value in values)
    names = [known_names[int(value)] for value in values] if known_names and are_known else values
    return Labels(names, {value: label_id for label_id, value in enumerate(values)})


def order(values: Iterable[str]) -> list[str]:
    values = list(values)
    return sorted(values, key=int) if all(map(_INT.fullmatch, values)) else sorted(values)


def check_labels(
    values: Mapping[str, pa.ChunkedArray], files: Mapping[str, str], column: str, within: str = ""
) -> list[str]:
    """The different labels of train. `within`: what a message adds when only the first rows were taken.

    Raises: DataError for less than 2 or more than 100 labels, or one in another split that train does not have.
    """
    found = {split: pc.unique(of_split).to_pylist() for split, of_split in values.items()}
    train = order(found["train"])
    if len(train) < 2:
        only = f"only the label '{train[0]}'" if train else "no row with both a text and a label"
        raise DataError(
            f"{files['train']} has {only}{within} (label column '{column}'; missing labels and -1 are none); 2 to "
            f"{MAX_LABELS} labels are needed. Add examples, or name another column under data.label_column."
        )
    if len(train) > MAX_LABELS:
        raise DataError(
            f"{files['train']} has {len(train):,} different labels in its column '{column}'; at most {MAX_LABELS} are "
            "learnt. Group them, or name another column under data.label_column."
        )
    for split, labels in found.items():
        if not labels:
            raise DataError(f"{files[split]} has no row with both a text and a label. Mend it, or take it away.")
        unknown = order(set(labels) - set(train))
        if unknown:
            raise DataError(
                f"{files[split]} has the label '{unknown[0][:_SHOWN]}', which train does not have{within}; train has: "
                f"{', '.join(label[:_SHOWN] for label in train[:10])}. Use the same labels in all splits."
            )
    return train


def refuse_single_examples(
    ids: np.ndarray, labels: Labels, file: str, example_ids: pa.ChunkedArray, within: str = ""
) -> None:
    """Raises: DataError for a label with one example, which cannot be both learnt and checked."""
    for label_id in np.flatnonzero(np.bincount(ids, minlength=len(labels.names)) == 1):
        example_id = example_ids[int(np.flatnonzero(ids == label_id)[0])].as_py()
        raise DataError(
            f"{file}: the label '{labels.names[label_id][:_SHOWN]}' has a single example{within} ({example_id}, "
            "counted from 0), too few to learn and to check. Add examples of it, or take this one out."
        )


def _spelled_alike(distinct: list[str], file: str, name: str) -> list[str | None]:
    """One spelling for each label; None for what is none."""
    found = [value for value in distinct if value not in MISSING]
    spelled = {value: value for value in found}
    if all(_WHOLE.fullmatch(value) for value in found):
        spelled = {value: str(int(value.partition(".")[0])) for value in found}
        spelled = {value: word for value, word in spelled.items() if word != "-1"}
    elif all(value.lower() in ("true", "false") for value in found):
        spelled = {value: value.lower() for value in found}
    elif all(_NUMBER.fullmatch(value) or _WHOLE.fullmatch(value) for value in found):
        part = next(value for value in found if not _WHOLE.fullmatch(value))
        raise DataError(
            f"{file}: the label column '{name}' has numbers that are not whole, or endless (such as {part[:_SHOWN]}); "
            "expected classes. Round or name them, or name another column under data.label_column."
        )
    return [spelled.get(value) for value in distinct]
