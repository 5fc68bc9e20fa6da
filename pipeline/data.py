"""What will a run train on, select on and be tested on? A source becomes checked, cleaned, split examples."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.cleaning import clean, clean_all
from pipeline.columns import Columns, find_columns, text_values
from pipeline.config_parts import DataConfig
from pipeline.exceptions import DataError
from pipeline.extra_examples import num_extra, with_extra
from pipeline.labels import Labels, check_labels, label_values, name_labels, refuse_single_examples
from pipeline.overlap import count_repeats
from pipeline.reading import Source, read_source
from pipeline.sources import DATA_SHORT_NAMES, SPLIT_NAMES, Place, find_data
from pipeline.splitting import Drawn, draw_disjoint, draw_random, split_merged

_SENTIMENT = ["negative", "positive"]
KNOWN_LABEL_NAMES = {
    "starter": _SENTIMENT,
    "sst2": _SENTIMENT,
    "imdb": _SENTIMENT,
    "ag_news": ["World", "Sports", "Business", "Sci/Tech"],
}
_SHORT_NAME_OF = {hub_id: name for name, hub_id in DATA_SHORT_NAMES.items()}


@dataclass(frozen=True)
class SourceCounts:
    """One labelled split of the source as it is found: before limit, cleaning and splitting."""

    rows: int
    unlabelled: int
    empty: int
    repeated: int               # rows whose text already stood in an earlier row, letter for letter
    contradictory: int          # different texts that stand there with more than one label


@dataclass(frozen=True)
class Splits:
    """The examples of a run. Each table has the columns `example_id` ("<split>:<row>" of the source, rows from 0),
    `text` (cleaned) and `label_id`, then the other columns of the source."""

    train: pa.Table
    validation: pa.Table
    test: pa.Table
    label_names: list[str]                                              # C, in the order of label_id
    place: Place
    dropped: dict[str, int]                                             # by reason: rows; only reasons that apply
    fingerprints: dict[str, Any]                                        # by split: sha256, rows, labels
    source: dict[str, SourceCounts] = field(default_factory=dict)       # by split of the source
    added: dict[str, int] = field(default_factory=dict)                 # to train, by augmentation step and "extra"

    def __getitem__(self, split: str) -> pa.Table:
        """A split by its name. Raises: DataError for another name."""
        if split not in SPLIT_NAMES:
            raise DataError(f"There is no split '{split}'. Choose one of: {', '.join(SPLIT_NAMES)}.")
        table: pa.Table = getattr(self, split)
        return table


def load_splits(config: DataConfig) -> Splits:
    """Find, read, check, clean and split a source.

    A labelled test split is the test split; else the source's labelled validation split is; else one is drawn from
    train. Validation is drawn from train unless the source has both. `merge` puts train and validation together and
    splits anew, whatever else there is.
    Raises: DataError naming file, line or column, and the remedy.
    """
    place = find_data(config.source)
    source = read_source(place, config.encoding)
    columns = _columns(source, config)
    dropped: Counter[str] = Counter()
    examples = _labelled_examples(source, columns, dropped)
    counts = {split: _count(table) for split, table in examples.items()}
    examples = {split: _usable(table, dropped) for split, table in _limited(examples, config).items()}
    labels = _labels(examples, source, columns, place, config)
    examples = {split: _clean_and_number(table, labels, config) for split, table in examples.items()}
    train = examples["train"]
    refuse_single_examples(_ids(train), labels, source.files["train"], train["example_id"], _within(config))
    parts = with_extra(_split(examples, config, place, labels, dropped), config, labels, dropped)
    pa.default_memory_pool().release_unused()       # what the draw needed goes back to the machine before training
    _refuse_poor_split(parts, labels, place)
    return Splits(
        **parts,
        label_names=labels.names,
        place=place,
        dropped=dict(+dropped),
        fingerprints={split: fingerprint(table, labels.names) for split, table in parts.items()},
        source=counts,
        added=num_extra(parts["train"]),
    )


def preview(config: DataConfig, tokenizer: Any, n: int = 5) -> list[dict[str, Any]]:
    """The first n texts of train on their way into the model: raw, cleaned, as pieces and as their ids (truncated)."""
    source = read_source(find_data(config.source), config.encoding)
    texts = text_values(source.tables["train"], source.files["train"], _columns(source, config).text)
    rows = []
    for raw in texts.filter(not_blank(texts)).slice(0, n).to_pylist():
        cleaned = clean(raw, config.clean)
        ids = list(tokenizer(cleaned, truncation=True, max_length=config.max_length)["input_ids"])
        rows.append({"raw": raw, "cleaned": cleaned, "pieces": tokenizer.convert_ids_to_tokens(ids), "ids": ids})
    return rows


def slug(source: str) -> str:
    """A folder name for a source: "stanfordnlp/sst2" is "stanfordnlp__sst2", "my file.csv" is "my_file"."""
    name = source.strip().rstrip("/\\")
    if re.search(r"\.(parquet|jsonl|csv|tsv)$", name, re.IGNORECASE):
        name = re.split(r"[/\\]", name)[-1].rpartition(".")[0]
    safe = re.sub(r"[^A-Za-z0-9._-]", "_", name.replace("/", "__")).lstrip("._")
    return safe[-64:].lstrip("._") or "data"


def _columns(source: Source, config: DataConfig) -> Columns:
    return find_columns(source.tables["train"], source.files["train"], config.text_column, config.label_column)


def _labelled_examples(source: Source, columns: Columns, dropped: Counter[str]) -> dict[str, pa.Table]:
    """The examples of train, and of the other splits that have at least one label."""
    labelled = {}
    for split in source.tables:
        table = _examples(source, split, columns)
        if split == "train" or table["label"].null_count < table.num_rows:
            labelled[split] = table
        else:
            dropped[f"in the {split} split, which has no labels"] += table.num_rows
    return labelled


def _examples(source: Source, split: str, columns: Columns) -> pa.Table:
    """All rows of one split: example_id, text and label (null where there is none), then the other columns."""
    table, file = source.tables[split], source.files[split]
    ours = {
        "example_id": example_ids(split, table.num_rows),
        "text": text_values(table, file, columns.text),
        "label": label_values(table, file, columns.label),
    }
    others = [name for name in table.column_names if name not in (columns.text, columns.label)]
    taken = {*ours, "label_id"}
    return pa.table(ours | {f"source_{name}" if name in taken else name: table[name] for name in others})


def example_ids(split: str, num_rows: int) -> pa.Array:
    """"train:0", "train:1", ..."""
    return pc.binary_join_element_wise(pa.scalar(split), pa.array(np.arange(num_rows)).cast(pa.string()), ":")


def not_blank(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Where there is a text that is more than white space, (N,) booleans."""
    return pc.fill_null(pc.not_equal(pc.utf8_trim_whitespace(texts), ""), False)


def _count(table: pa.Table) -> SourceCounts:
    usable = _usable(table, Counter())
    label_codes = usable["label"].combine_chunks().dictionary_encode().indices.to_numpy()
    repeated, contradictory = count_repeats(usable["text"], label_codes)
    return SourceCounts(
        rows=table.num_rows,
        unlabelled=table["label"].null_count,
        empty=table.num_rows - (pc.sum(not_blank(table["text"])).as_py() or 0),      # of no rows the sum is none
        repeated=repeated,
        contradictory=contradictory,
    )


def _limited(examples: dict[str, pa.Table], config: DataConfig) -> dict[str, pa.Table]:
    """The first n rows of what will be split: train; for `merge`, train and validation as one table."""
    if config.split == "merge":
        examples = {"train": _concatenated([examples[split] for split in ("train", "validation") if split in examples])}
    return examples | {"train": examples["train"].slice(0, config.limit)}


def _concatenated(tables: list[pa.Table]) -> pa.Table:
    """All rows. Where the types of a column have nothing in common, only the columns of equal type are kept."""
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException:
        same = [name for name in tables[0].column_names
                if all(name in table.column_names and table[name].type == tables[0][name].type for table in tables)]
        return pa.concat_tables([table.select(same) for table in tables])


def _usable(examples: pa.Table, dropped: Counter[str]) -> pa.Table:
    labelled = kept(examples, pc.is_valid(examples["label"]), "unlabelled", dropped)
    return kept(labelled, not_blank(labelled["text"]), "empty", dropped)


def kept(examples: pa.Table, keep: pa.ChunkedArray, reason: str, dropped: Counter[str]) -> pa.Table:
    """The rows to keep; the others are counted under the reason."""
    num_dropped = examples.num_rows - (pc.sum(keep).as_py() or 0)
    dropped[reason] += num_dropped
    return examples.filter(keep) if num_dropped else examples       # a filter copies


def _labels(
    examples: dict[str, pa.Table], source: Source, columns: Columns, place: Place, config: DataConfig
) -> Labels:
    values = {split: table["label"] for split, table in examples.items()}
    found = check_labels(values, source.files, columns.label, _within(config))
    short_name = _SHORT_NAME_OF.get(place.location, place.name)
    return name_labels(found, KNOWN_LABEL_NAMES.get(short_name) or source.class_names.get(columns.label))


def _within(config: DataConfig) -> str:
    return f" in its first {config.limit:,} rows (data.limit)" if config.limit else ""


def _clean_and_number(examples: pa.Table, labels: Labels, config: DataConfig) -> pa.Table:
    others = [name for name in examples.column_names if name not in ("example_id", "text", "label")]
    ours = {
        "example_id": examples["example_id"],
        "text": clean_all(examples["text"], config.clean),
        "label_id": labels.ids(examples["label"]),
    }
    return pa.table(ours | {name: examples[name] for name in others})


def _split(
    examples: dict[str, pa.Table], config: DataConfig, place: Place, labels: Labels, dropped: Counter[str]
) -> dict[str, pa.Table]:
    """What the source holds out itself, and the rest drawn from train."""
    train, validation, test = examples["train"], examples.get("validation"), examples.get("test")
    if test is None:
        test, validation = validation, None         # an official split is worth more than one that we draw
    held_out = {split: table for split, table in (("validation", validation), ("test", test)) if table is not None}
    missing = [split for split in ("test", "validation") if split not in held_out]
    drawn = _drawn_rows(train, missing, config, place, labels)
    for split, num_rows in drawn.left_out.items():
        dropped[f"inside a {split} text"] += num_rows
    drawn_parts = {split: train.take(pa.array(rows)) for split, rows in drawn.rows.items()}
    parts = {split: (held_out | drawn_parts)[split] for split in SPLIT_NAMES}
    if config.split == "merge":     # repeats the classic report row for row, and that keeps what cleaning left empty
        return parts
    return {
        split: kept(table, not_blank(table["text"]), "empty after cleaning", dropped)
        for split, table in parts.items()
    }


def _drawn_rows(train: pa.Table, missing: list[str], config: DataConfig, place: Place, labels: Labels) -> Drawn:
    ratios = {"test": config.test_ratio, "validation": config.validation_ratio}
    wanted = {split: round(ratios[split] * train.num_rows) for split in missing}
    label_ids = _ids(train)
    if config.split == "disjoint":
        return draw_disjoint(train["text"], label_ids, wanted)
    try:
        if config.split == "merge":
            return split_merged(label_ids, config.validation_ratio, config.test_ratio)
        return draw_random(label_ids, wanted)
    except ValueError:              # scikit-learn's: a label has too few examples for its share
        counts = np.bincount(label_ids)
        raise DataError(
            f"'{place.name}' cannot be split with the same share of each label: '{labels.names[int(counts.argmin())]}' "
            f"has {counts.min()} of {counts.sum():,} examples. Add examples of it, change data.validation_ratio and "
            "data.test_ratio, or choose disjoint under data.split."
        ) from None


def _refuse_poor_split(parts: dict[str, pa.Table], labels: Labels, place: Place) -> None:
    counts = np.bincount(_ids(parts["train"]), minlength=len(labels.names))
    lacking = next((name for name, count in zip(labels.names, counts, strict=True) if not count), None)
    empty = next((split for split, table in parts.items() if not table.num_rows), None)
    if lacking or empty:
        left = f"training example of the label '{lacking}'" if lacking else f"{empty} example"
        raise DataError(
            f"'{place.name}' has no {left} left after cleaning and splitting. Add examples, take fewer cleaning steps, "
            "or choose random under data.split."
        )


def _ids(examples: pa.Table) -> np.ndarray:
    return np.asarray(examples["label_id"].to_numpy())


def fingerprint(examples: pa.Table, label_names: list[str]) -> dict[str, Any]:
    """What tells two data sets apart: a hash of ids, texts and labels in order, and how many have each label if any."""
    digest = hashlib.sha256()
    columns = ["example_id", "text", *(["label_id"] if label_names else [])]
    for batch in examples.select(columns).to_batches(max_chunksize=10_000):
        for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            digest.update(repr(row).encode())
    counts = np.bincount(_ids(examples), minlength=len(label_names)).tolist() if label_names else []
    by_name = dict(zip(label_names, counts, strict=True))
    return {"sha256": digest.hexdigest(), "rows": examples.num_rows, "labels": by_name}
