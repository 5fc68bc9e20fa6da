"""What can be made of the training examples? Changed copies, added behind them; what is held out stays as it is."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from random import Random
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import text_changes
from pipeline.back_translation import Translate, back_translator, check_translators
from pipeline.config import RunConfig
from pipeline.config_parts import AUGMENT_STEPS, AugmentConfig, split_names
from pipeline.contrast import joined, judgement, negated
from pipeline.data import Splits, fingerprint, load_splits
from pipeline.exceptions import ConfigError
from pipeline.overlap import MIN_WORDS, count_words, is_in, lies_inside, normalise_all

COPIES_FILE = "augmented.parquet"       # of the run record: what was added to its training examples
KEEP_LABEL = ("delete", "swap", "insert", "synonym", "characters", "sentences", "typos")
NEED_SENTIMENT = ("antonym", "contrast")
PREVIEWED_ROWS = 1_000                  # of train: enough for ten of most steps
NEGATED_SHARE = 1 / 3                   # of contrast copies, where "not" can be put in
_TRANSLATED_AT_ONCE = 32
_SPACED = re.compile(r"\w [,.]|\w n't\b")
_UNSPACED = re.compile(r"\w[,.](?:\s|$)|\wn't\b")


class Copy(NamedTuple):
    """A changed copy of a training example."""

    step: str           # of AUGMENT_STEPS
    row: int            # of train
    text: str
    label_id: int


class Pair(NamedTuple):
    """A training example and its copy, for the reader."""

    what: str           # the step
    before: str
    after: str
    label_before: str
    label_after: str


def augmented(
    splits: Splits, config: RunConfig, kept_at: Path | None = None, translate: Translate | None = None
) -> Splits:
    """The splits, with copies behind the examples of train; none that stands in validation or test.

    Kept in a file, they are read from it ever after: translations are slow, and another version might make others.

    Raises: as `check_augmentation`, of translators where none is given; ModelError when one cannot be loaded.
    """
    if not split_names(config.augment.steps):
        return splits
    if kept_at and kept_at.exists():
        return _with_copies(splits, pq.read_table(kept_at), Counter())
    _check_labels(config.augment, splits.label_names)
    made = make_copies(splits.train, splits.label_names, config, translate)
    copies, left_out = _not_held_out(_as_table(made, splits.train), splits)
    if kept_at:
        temporary = kept_at.with_name(f".{kept_at.name}.tmp")
        pq.write_table(copies, temporary)
        os.replace(temporary, kept_at)
    return _with_copies(splits, copies, left_out)


def check_augmentation(config: AugmentConfig, label_names: list[str]) -> None:
    """Raises: ConfigError for a step that these labels do not allow; ModelError for translators that are not there."""
    _check_labels(config, label_names)
    if "back_translation" in split_names(config.steps):
        check_translators(config.translators)


def _check_labels(config: AugmentConfig, label_names: list[str]) -> None:
    needing = next((step for step in split_names(config.steps) if step in NEED_SENTIMENT), None)
    if needing and sorted(name.lower() for name in label_names) != ["negative", "positive"]:
        raise ConfigError(
            f"augment.steps has {needing}, which needs the labels negative and positive; the data have "
            f"{', '.join(label_names)}. Take it out.",
            "augment.steps",
        )


def as_if_translated(texts: list[str]) -> list[str]:
    """In the place of translations, which take long: to count the copies before a run."""
    return [f"{text} ..." for text in texts]


def preview(config: RunConfig, n: int = 10) -> list[Pair]:
    """Up to n training examples and their copies, as many of each step as there are, in the order of the steps.

    Raises: ConfigError when there is no step; as `augmented`.
    """
    steps = split_names(config.augment.steps)
    if not steps:
        raise ConfigError(
            f"augment.steps is empty, so that no copies are made. Name one or more of {', '.join(AUGMENT_STEPS)}.",
            "augment.steps",
        )
    splits = load_splits(config.data)
    check_augmentation(config.augment, splits.label_names)
    train = splits.train.slice(0, PREVIEWED_ROWS)
    found: dict[str, list[Copy]] = {step: [] for step in steps}
    for copy in make_copies(train, splits.label_names, config):
        found[copy.step].append(copy)
        if min(map(len, found.values())) * len(steps) >= n:
            break
    in_turn = [copy for copies in zip_longest(*found.values()) for copy in copies if copy]
    chosen = sorted(in_turn[:n], key=lambda copy: steps.index(copy.step))
    return [_pair(copy, train, splits.label_names) for copy in chosen]


def _pair(copy: Copy, train: pa.Table, label_names: list[str]) -> Pair:
    before = label_names[train["label_id"][copy.row].as_py()]
    return Pair(copy.step, train["text"][copy.row].as_py(), copy.text, before, label_names[copy.label_id])


# How they are made

def make_copies(
    train: pa.Table, label_names: list[str], config: RunConfig, translate: Translate | None = None
) -> Iterator[Copy]:
    """Of each example that is drawn one copy, by a step that is drawn, or by another where that makes nothing new.

    Drawn by seed and example_id: other examples do not change what becomes of one, but for the partner in a contrast,
    and for a text that is there already.
    """
    steps, seed = split_names(config.augment.steps), config.augment.seed
    examples = _Examples(train["text"].to_pylist(), train["label_id"].to_pylist(), train["example_id"].to_pylist())
    changes = _changes(examples, label_names, config.augment)
    known = set(examples.texts)
    to_translate: list[int] = []        # rows
    for row, example_id in enumerate(examples.ids):
        rng = Random(f"{config.seed if seed is None else seed} {example_id}")
        if rng.random() >= config.augment.share:
            continue
        for step in rng.sample(steps, len(steps)):
            if step == "back_translation":
                to_translate.append(row)
                break
            copy = Copy(step, *changes[step](row, rng))
            if copy.text not in known:
                known.add(copy.text)
                yield copy
                break
    if to_translate:
        translate = translate or back_translator(config.augment.translators, config.hardware.device)
        yield from _translated(to_translate, examples, known, translate)


class _Examples(NamedTuple):
    """Those of train."""

    texts: list[str]            # N
    label_ids: list[int]        # N
    ids: list[str]              # N


# Of a row and a generator the row that was changed, its new text and its label; the old text where nothing changes.
_Change = Callable[[int, Random], tuple[int, str, int]]


def _changes(examples: _Examples, label_names: list[str], augment: AugmentConfig) -> dict[str, _Change]:
    """What each step does, but for back_translation, which waits for a batch."""
    texts, label_ids = examples.texts, examples.label_ids

    def keeping(change: Callable[[str, float, Random], str]) -> _Change:
        return lambda row, rng: (row, change(texts[row], augment.rate, rng), label_ids[row])

    changes = {name: keeping(getattr(text_changes, name)) for name in KEEP_LABEL}
    if not set(NEED_SENTIMENT) & set(split_names(augment.steps)):
        return changes
    positive = next(label_id for label_id, name in enumerate(label_names) if name.lower() == "positive")
    polarities = [1 if label_id == positive else -1 for label_id in label_ids]
    changes["antonym"] = lambda row, _: (row, text_changes.antonym(texts[row], polarities[row]), 1 - label_ids[row])
    changes["contrast"] = _contrasts(texts, polarities, {1: positive, -1: 1 - positive})
    return changes


def _contrasts(texts: list[str], polarities: list[int], label_ids: dict[int, int]) -> _Change:
    """Of an example that can be joined, else of one drawn: with one of the other label, or with "not" put in."""
    judged = {row: found for row, text in enumerate(texts) if (found := judgement(text, polarities[row]))}
    rows = {polarity: [row for row in judged if judged[row].polarity == polarity] for polarity in label_ids}
    spaced = sum(bool(_SPACED.search(text)) - bool(_UNSPACED.search(text)) for text in texts) > 0

    def contrast(row: int, rng: Random) -> tuple[int, str, int]:
        if not all(rows.values()):
            return row, texts[row], label_ids[polarities[row]]
        if row not in judged:
            row = rng.choice(rows[rng.choice((1, -1))])
        one, other = judged[row], judged[rng.choice(rows[-judged[row].polarity])]
        without = negated(one, spaced, rng) if rng.random() < NEGATED_SHARE else None
        text, polarity = without or joined(one, other, spaced, rng)
        return row, text, label_ids[polarity]

    return contrast


def _translated(rows: list[int], examples: _Examples, known: set[str], translate: Translate) -> Iterator[Copy]:
    rows = sorted(rows, key=lambda row: len(examples.texts[row]))       # next to no padding
    for start in range(0, len(rows), _TRANSLATED_AT_ONCE):
        batch = rows[start : start + _TRANSLATED_AT_ONCE]
        for row, text in zip(batch, translate([examples.texts[row] for row in batch]), strict=True):
            if text.strip() and text not in known:
                known.add(text)
                yield Copy("back_translation", row, text, examples.label_ids[row])


# Adding them

def _as_table(copies: Iterable[Copy], train: pa.Table) -> pa.Table:
    """As rows of train: example_id ("<step>:<number>"), text, label_id, and the id of the example it is a copy of."""
    made = list(copies)
    ids = train["example_id"].take(pa.array([copy.row for copy in made], pa.int64()))
    return pa.table({
        "example_id": pa.array([f"{copy.step}:{number}" for number, copy in enumerate(made)], train["example_id"].type),
        "text": pa.array([copy.text for copy in made], train["text"].type),
        "label_id": pa.array([copy.label_id for copy in made], train["label_id"].type),
        "copy_of": ids,
    })


def _not_held_out(copies: pa.Table, splits: Splits) -> tuple[pa.Table, Counter[str]]:
    """Without those that are a text of validation or test, but for case and punctuation, or three or more words of one:
    a copy must not undo what the split takes care of."""
    left_out: Counter[str] = Counter()
    for split in ("validation", "test"):
        texts, held_out = normalise_all(copies["text"]), normalise_all(splits[split]["text"])
        stands = is_in(texts, held_out)
        stands |= (count_words(texts).to_numpy() >= MIN_WORDS) & lies_inside(texts, held_out)
        left_out[f"of the augmented copies, since they stand in {split}"] = int(stands.sum())
        copies = copies.filter(pa.array(~stands))
    return copies, +left_out


def _with_copies(splits: Splits, copies: pa.Table, left_out: Counter[str]) -> Splits:
    train = pa.concat_tables([splits.train, copies], promote_options="default")
    steps = Counter(example_id.partition(":")[0] for example_id in copies["example_id"].to_pylist())
    return replace(
        splits,
        train=train,
        dropped=splits.dropped | left_out,
        added=splits.added | steps,
        fingerprints=splits.fingerprints | {"train": fingerprint(train, splits.label_names)},
    )
