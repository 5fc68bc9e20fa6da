"""What is in the data? The data report and a preview of what the model will read, as blocks for the page."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pipeline.config import RunConfig
from tabs.shared import Block, count, number, table, text

if TYPE_CHECKING:
    from pipeline.data_report import DataReport, SplitReport

NUM_PREVIEWED = 5
MAX_LABEL_COLUMNS = 8  # with more labels, the smallest and the largest share are shown


def data_blocks(config: RunConfig) -> list[Block]:
    """Read the data of a config and report on them. Raises: WorkbenchError, as a start would."""
    from pipeline.data import load_splits, preview
    from pipeline.data_report import data_report
    from pipeline.models import load_tokenizer

    splits = load_splits(config.data)
    tokenizer = load_tokenizer(config.model.base)
    # As the run itself cuts texts: at the model's own limit where that is lower.
    data = config.data.model_copy(update={"max_length": min(config.data.max_length, tokenizer.model_max_length)})
    report = data_report(splits, tokenizer, data.max_length)
    return [*report_blocks(report, config), preview_table(preview(data, tokenizer, NUM_PREVIEWED))]


def report_blocks(report: DataReport, config: RunConfig) -> list[Block]:
    """Sizes, what should be heeded, and the rest as tables."""
    sizes = " · ".join(f"{count(split.rows)} {name}" for name, split in report.splits.items())
    left_out = " · ".join(f"{count(rows)} {reason}" for reason, rows in report.dropped.items())
    return [
        text(f"{sizes} · {_steps(report.splits['train'].rows, config)}"),
        *(text(sentence, "problem") for sentence in report.sentences() if sentence.startswith("Caution")),
        text(report.place + (f" Left out: {left_out}." if left_out else ""), "note"),
        splits_table(report),
        shared_table(report),
        source_table(report),
    ]


def _steps(num_train: int, config: RunConfig) -> str:
    steps = math.ceil(num_train / config.optim.batch_size) * config.optim.epochs
    return f"{count(steps)} steps of {count(config.optim.batch_size)} examples"


def splits_table(report: DataReport) -> Block:
    """A row per split: rows, the share of each label, lengths, repeats."""
    labels = list(report.splits["train"].labels)
    shares: list[str] = labels if len(labels) <= MAX_LABEL_COLUMNS else ["smallest label", "largest label"]
    numeric = [
        "rows",
        *shares,
        "words: median",
        "95%",
        "longest",
        "pieces: median",
        "95%",
        "longest",
        "truncated",
        "repeated",
        "several labels",
    ]
    rows = [
        [name, count(split.rows), *_shares(split, shares), *_lengths(split)] for name, split in report.splits.items()
    ]
    return table(
        "Splits: label shares, lengths, duplicates", [("split", ""), *((name, "number") for name in numeric)], rows
    )


def _shares(split: SplitReport, columns: list[str]) -> list[str]:
    shares = {label: rows / split.rows if split.rows else 0.0 for label, rows in split.labels.items()}
    chosen = (
        [shares[label] for label in columns]
        if set(columns) <= set(shares)
        else [min(shares.values()), max(shares.values())]
    )
    return [number(share) for share in chosen]


def _lengths(split: SplitReport) -> list[str]:
    cells = [f"{split.words.median:.0f}", f"{split.words.p95:.0f}", count(split.words.max)]
    if split.pieces is None or split.truncated_share is None:
        cells += ["", "", "", ""]
    else:
        cells += [
            f"{split.pieces.median:.0f}",
            f"{split.pieces.p95:.0f}",
            count(split.pieces.max),
            number(split.truncated_share),
        ]
    return [*cells, count(split.repeated), count(split.contradictory)]


def shared_table(report: DataReport) -> Block:
    """How many texts of one split are known from another: a leak makes a model look better than it is."""
    rows = [
        (
            f"{shared.second} in {shared.first}",
            count(shared.rows),
            count(shared.exactly),
            count(shared.normalised),
            f"{count(shared.contained)} of {count(shared.contained_rows)}",
        )
        for shared in report.shared
    ]
    columns = ["rows", "the same text", "but for case and punctuation", "one inside the other"]
    return table("Texts shared between splits", [("texts of", ""), *((name, "number") for name in columns)], rows)


def source_table(report: DataReport) -> Block:
    """What the source itself has, before anything was limited, cleaned or left out."""
    rows = [
        (name, *map(count, (found.rows, found.unlabelled, found.empty, found.repeated, found.contradictory)))
        for name, found in report.source.items()
    ]
    columns = ["rows", "unlabelled", "empty", "repeated", "several labels"]
    return table("The source as it was found", [("split", ""), *((name, "number") for name in columns)], rows)


def preview_table(rows: list[dict[str, Any]]) -> Block:
    """The first texts as the source has them, after cleaning, and as the model reads them."""
    cells = [(row["raw"], row["cleaned"], " ".join(row["pieces"]), " ".join(map(str, row["ids"]))) for row in rows]
    return table(
        "The first training texts", [("raw", "text"), ("cleaned", "text"), ("pieces", "text"), ("ids", "text")], cells
    )
