"""What is in the data? The data report and a preview of what the model will read, as blocks for the page."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pipeline.config import RunConfig
from reports.words import say, translate
from tabs.plan_view import rows_told
from tabs.shared import Block, column, columns, count, named, number, table, text

if TYPE_CHECKING:
    from pipeline.data_report import DataReport, SplitReport

NUM_PREVIEWED = 5
MAX_LABEL_COLUMNS = 8  # with more labels, the smallest and the largest share are shown


def data_blocks(config: RunConfig) -> list[Block]:
    """Read the data of a config and report on them, of texts without labels in short. Raises: as a start would."""
    from pipeline.augmentation import as_if_translated, augmented
    from pipeline.data import load_splits, preview
    from pipeline.data_report import data_report
    from pipeline.models import load_tokenizer
    from pipeline.unlabelled import load_texts

    if config.task == "mlm":
        texts = load_texts(config.data)
        sizes = rows_told({split: found["rows"] for split, found in texts.fingerprints.items()})
        return [text(sizes), left_out_block(texts.place.sentence, texts.dropped)]
    splits = augmented(load_splits(config.data), config, translate=as_if_translated)
    tokenizer = load_tokenizer(config.model.base)
    # As the run itself cuts texts: at the model's own limit where that is lower.
    data = config.data.model_copy(update={"max_length": min(config.data.max_length, tokenizer.model_max_length)})
    report = data_report(splits, tokenizer, data.max_length)
    steps = " · ".join(f"{count(copies)} {step}" for step, copies in splits.added.items())
    added = [text(say("data.added", steps=steps), "note")] if steps else []
    return [*added, *report_blocks(report, config), preview_table(preview(data, tokenizer, NUM_PREVIEWED))]


def copies_blocks(config: RunConfig) -> list[Block]:
    """Training examples beside the changed copies that the config makes of them. Raises: WorkbenchError."""
    from pipeline.augmentation import preview

    heads = columns("text", "what", "before", "after", "label_before", "label_after")
    return [table(say("data.copies"), heads, [tuple(pair) for pair in preview(config)])]


def report_blocks(report: DataReport, config: RunConfig) -> list[Block]:
    """Sizes, what should be heeded, and the rest as tables."""
    sizes = rows_told({name: split.rows for name, split in report.splits.items()})
    return [
        text(f"{sizes} · {_steps(report.splits['train'].rows, config)}"),
        *(text(sentence, "problem") for sentence in report.sentences()),
        left_out_block(report.place, report.dropped),
        splits_table(report),
        shared_table(report),
        source_table(report),
    ]


def left_out_block(place: str, dropped: dict[str, int]) -> Block:
    """Where the data were found, and what of them is left out."""
    reasons = " · ".join(f"{count(rows)} {reason}" for reason, rows in dropped.items())
    return text(say("data.left_out", place=place, reasons=reasons) if reasons else place, "note")


def _steps(num_train: int, config: RunConfig) -> str:
    steps = math.ceil(num_train / config.optim.batch_size) * config.optim.epochs
    return say("data.steps", steps=count(steps), size=count(config.optim.batch_size))


def splits_table(report: DataReport) -> Block:
    """A row per split: rows, the share of each label, lengths, repeats."""
    labels = list(report.splits["train"].labels)
    few = len(labels) <= MAX_LABEL_COLUMNS
    heads = [
        column("split"),
        column("rows", "number"),
        *(columns("number", "smallest_label", "largest_label") if not few else (named(x, "number") for x in labels)),
        *columns("number", "words_median", "p95", "longest", "pieces_median", "p95", "longest"),
        *columns("number", "truncated", "repeated", "several_labels"),
    ]
    rows = [
        [say(f"splits.{name}"), count(split.rows), *_shares(split, labels if few else None), *_lengths(split)]
        for name, split in report.splits.items()
    ]
    return table(say("data.splits"), heads, rows)


def _shares(split: SplitReport, labels: list[str] | None) -> list[str]:
    """Of these labels, else the smallest and the largest."""
    shares = {label: rows / split.rows if split.rows else 0.0 for label, rows in split.labels.items()}
    chosen = [shares[label] for label in labels] if labels else [min(shares.values()), max(shares.values())]
    return [number(share) for share in chosen]


def _lengths(split: SplitReport) -> list[str]:
    lengths = [
        cell for each in (split.words, split.pieces)
        for cell in (f"{each.median:.0f}", f"{each.p95:.0f}", count(each.max))
    ]
    return [*lengths, number(split.truncated_share), count(split.repeated), count(split.contradictory)]


def shared_table(report: DataReport) -> Block:
    """How many texts of one split are known from another: a leak makes a model look better than it is."""
    rows = [
        (
            say("data.second_in_first", second=say(f"splits.{shared.second}"), first=say(f"splits.{shared.first}")),
            count(shared.rows),
            count(shared.exactly),
            count(shared.normalised),
            say("data.part", n=count(shared.contained), all=count(shared.contained_rows)),
        )
        for shared in report.shared
    ]
    heads = [column("texts_of"), *columns("number", "rows", "exactly", "normalised", "contained")]
    return table(say("data.shared"), heads, rows)


def source_table(report: DataReport) -> Block:
    """What the source itself has, before anything was limited, cleaned or left out."""
    rows = [
        (translate(f"splits.{name}", name), *map(count, numbers))
        for name, found in report.source.items()
        for numbers in [(found.rows, found.unlabelled, found.empty, found.repeated, found.contradictory)]
    ]
    heads = [column("split"), *columns("number", "rows", "unlabelled", "empty", "repeated", "several_labels")]
    return table(say("data.source"), heads, rows)


def preview_table(rows: list[dict[str, Any]]) -> Block:
    """The first texts as the source has them, after cleaning, and as the model reads them."""
    cells = [(row["raw"], row["cleaned"], " ".join(row["pieces"]), " ".join(map(str, row["ids"]))) for row in rows]
    return table(say("data.preview"), columns("text", "raw", "cleaned", "pieces", "ids"), cells)
