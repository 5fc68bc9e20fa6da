"""Which texts is a language learnt from? All of a source, whatever their labels, but none that is tested on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.cleaning import clean_all
from pipeline.columns import find_text_column, text_values
from pipeline.config import RunConfig
from pipeline.config_parts import DataConfig, split_names
from pipeline.data import Splits, example_ids, fingerprint, kept, load_splits, not_blank
from pipeline.exceptions import DataError
from pipeline.overlap import contains_any, is_in, normalise_all
from pipeline.reading import Source, read_source
from pipeline.sources import SPLIT_NAMES, Place, find_data
from pipeline.splitting import Drawn, draw_disjoint, draw_random

LEARNT_FROM = ("unsupervised", "train")     # in this order, of which data.limit takes the first rows
MIN_TEXTS = 10


def load_examples(config: RunConfig) -> Splits:
    """What a run's task learns from and is validated on. Raises: as `load_splits` and `load_texts`."""
    return load_texts(config.data) if config.task == "mlm" else load_splits(config.data)


def load_texts(config: DataConfig) -> Splits:
    """Find, read and split the texts of a source: no labels, and no test split.

    Its validation and test files are not learnt from. Left out, and counted, is what equals a text that is tested on,
    case and punctuation aside, or holds one of three or more words: those of these files, and those that runs on the
    data named in `avoid` hold out. Validation is drawn from the rest.

    Raises: DataError naming file or column, and the remedy.
    """
    place = find_data(config.source)
    source = read_source(place, config.encoding, (*SPLIT_NAMES, "unsupervised"))
    column = find_text_column(source.tables["train"], source.files["train"], config.text_column)
    dropped: Counter[str] = Counter()
    tables = [_texts(source, split, column, config) for split in LEARNT_FROM if split in source.tables]
    examples = pa.concat_tables(tables).slice(0, config.limit)
    examples = kept(examples, not_blank(examples["text"]), "empty", dropped)
    for name, held_out in _held_out(source, column, config):
        keep = pa.chunked_array([~occurs_in(examples["text"], held_out)])
        examples = kept(examples, keep, f"with a text that is held out of {name}", dropped)
    drawn = _draw(examples["text"], config, place)
    parts = {split: examples.take(pa.array(rows)) for split, rows in drawn.rows.items()}
    dropped["inside a validation text"] = drawn.left_out.get("validation", 0)
    return Splits(
        **parts,
        test=examples.slice(0, 0),
        label_names=[],
        place=place,
        dropped=dict(+dropped),
        fingerprints={split: fingerprint(table, []) for split, table in parts.items()},
    )


def _texts(source: Source, split: str, column: str, config: DataConfig) -> pa.Table:
    raw = pc.fill_null(text_values(source.tables[split], source.files[split], column), "")
    return pa.table({"example_id": example_ids(split, len(raw)), "text": clean_all(raw, config.clean)})


def _held_out(source: Source, column: str, config: DataConfig) -> Iterator[tuple[str, pa.ChunkedArray]]:
    for split in [split for split in source.tables if split not in LEARNT_FROM]:
        yield f"'{config.source}' ({split})", _texts(source, split, column, config)["text"]
    for name in split_names(config.avoid):
        data = config if name == config.source else DataConfig(source=name, clean=config.clean)
        try:
            splits = load_splits(data)
        except DataError as exception:
            raise DataError(f"data.avoid: {exception}") from None
        yield f"'{name}'", pa.chunked_array([*splits.validation["text"].chunks, *splits.test["text"].chunks])


def occurs_in(texts: pa.ChunkedArray, held_out: pa.ChunkedArray) -> np.ndarray:
    """(N,) bool: which of the N texts equal a held-out one, or contain one of three or more words; both normalised."""
    texts, held_out = normalise_all(texts), normalise_all(held_out.filter(not_blank(held_out)))
    return is_in(texts, held_out) | contains_any(texts, held_out)


def _draw(texts: pa.ChunkedArray, config: DataConfig, place: Place) -> Drawn:
    all_alike = np.zeros(len(texts), int)       # for a draw by labels
    wanted = {"validation": max(1, round(config.validation_ratio * len(texts)))}
    if len(texts) >= MIN_TEXTS:
        disjoint = config.split == "disjoint"
        drawn = draw_disjoint(texts, all_alike, wanted) if disjoint else draw_random(all_alike, wanted)
        if len(drawn.rows["train"]):
            return drawn
    raise DataError(
        f"'{place.name}' has too few texts that differ and are not held out: {len(texts)} before validation is drawn. "
        f"Give at least {MIN_TEXTS}."
    )
