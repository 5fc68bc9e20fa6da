"""What else is trained on? Examples beside the source: the fix list of a run, or a file or data set of their own."""

from __future__ import annotations

from collections import Counter
from difflib import get_close_matches

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.catalog import load_run, run_names
from pipeline.cleaning import clean_all
from pipeline.columns import find_columns, text_values
from pipeline.config_parts import DataConfig
from pipeline.exceptions import DataError
from pipeline.judgements import fix_list
from pipeline.labels import Labels, label_values
from pipeline.overlap import is_in
from pipeline.reading import read_source
from pipeline.sources import Place, find_data


def with_extra(
    parts: dict[str, pa.Table], config: DataConfig, known: Labels, dropped: Counter[str]
) -> dict[str, pa.Table]:
    """The splits, with the extra examples behind those of train; none that stands in validation or test.

    Raises: DataError when there are none, or one has a label that the source does not have.
    """
    if not config.extra:
        return parts
    texts, labels = _texts_and_labels(config.extra)
    ids = {**known.id_of, **{name: label_id for label_id, name in enumerate(known.names)}}
    if unknown := sorted(set(labels) - ids.keys()):
        raise DataError(
            f"data.extra: '{config.extra}' has the label '{unknown[0]}', which '{config.source}' does not; "
            f"it has: {', '.join(known.names)}. Rename the label there."
        )
    cleaned = clean_all(pa.chunked_array([pa.array(texts, pa.large_string())]), config.clean)
    train = parts["train"]
    extra = pa.table({
        "example_id": pa.array([f"extra:{row}" for row in range(len(texts))]).cast(train["example_id"].type),
        "text": cleaned.cast(train["text"].type),
        "label_id": pa.array([ids[label] for label in labels]).cast(train["label_id"].type),
    })
    for split in ("validation", "test"):
        held_out = is_in(extra["text"], parts[split]["text"])
        dropped[f"of the extra examples, since they stand in {split}"] += int(held_out.sum())
        extra = extra.filter(pa.array(~held_out))
    return parts | {"train": pa.concat_tables([train, extra], promote_options="default")}


def num_extra(train: pa.Table) -> dict[str, int]:
    """How many of them there are, for Splits.added."""
    n = pc.sum(pc.starts_with(train["example_id"], "extra:")).as_py() or 0
    return {"extra": n} if n else {}


def _texts_and_labels(name: str) -> tuple[list[str], list[str]]:
    """Of a run's fix list, or of the training split of a source; the rows that have both."""
    if name in run_names():
        fixes = fix_list(load_run(name))
        texts, labels = [fix.text for fix in fixes], [fix.label for fix in fixes]
    else:
        source = read_source(_place_of(name), "utf-8")
        table, file = source.tables["train"], source.files["train"]
        columns = find_columns(table, file, None, None)
        found = text_values(table, file, columns.text), label_values(table, file, columns.label)
        rows = zip(*(column.to_pylist() for column in found), strict=True)
        both = [(text, label) for text, label in rows if text and text.strip() and label is not None]
        texts, labels = [text for text, _ in both], [label for _, label in both]
    if not texts:
        raise DataError(
            f"data.extra: '{name}' has no examples. Put sentences on its fix list, or leave data.extra empty."
        )
    return texts, labels


def _place_of(name: str) -> Place:
    try:
        return find_data(name)
    except DataError as exception:
        near = get_close_matches(name, run_names(), n=1)
        hint = f"Did you mean the run '{near[0]}'? " if near else ""
        raise DataError(f"data.extra is neither a run nor data. {hint}{exception}") from None
