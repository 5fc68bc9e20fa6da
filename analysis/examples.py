"""What is asked of the examples again and again? Predictions with all that lists, rules and slices look up in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.data import slug
from pipeline.exceptions import RunError
from pipeline.metrics import example_losses, softmax
from pipeline.overlap import count_words
from pipeline.predictions import Predictions
from pipeline.runs import Run


@dataclass(frozen=True)
class Texts:
    """N texts and what a rule may ask of them; training texts are no more than that."""

    texts: pa.Array             # N, large strings
    num_words: np.ndarray       # (N,), between spaces


@dataclass(frozen=True)
class Examples(Texts):
    """N predictions; made once from a file and kept by the caller."""

    predictions: Predictions
    predicted_ids: np.ndarray   # (N,)
    probability: np.ndarray     # (N,) of the predicted label
    losses: np.ndarray          # (N,) in nats

    @property
    def wrong(self) -> np.ndarray:
        """(N,) bool"""
        return self.predicted_ids != self.predictions.gold_ids


@dataclass(frozen=True)
class PredictionsFile:
    """One file of a run's predictions."""

    data: str       # as its folder is called: the slug of the source
    split: str
    path: Path


def texts_of(texts: Sequence[str]) -> Texts:
    array = pa.array(texts, pa.large_string())
    return Texts(array, count_words(array).to_numpy())


def examples_of(predictions: Predictions) -> Examples:
    texts = texts_of(predictions.texts)
    return Examples(
        texts=texts.texts,
        num_words=texts.num_words,
        predictions=predictions,
        predicted_ids=predictions.logits.argmax(axis=1),
        probability=softmax(predictions.logits).max(axis=1),
        losses=example_losses(predictions.logits, predictions.gold_ids),
    )


def predictions_files(run: Run) -> list[PredictionsFile]:
    """All that the run keeps, newest first."""
    paths = (run.folder / "predictions").glob("*/[!.]*.parquet")
    newest_first = sorted(paths, key=lambda path: (-path.stat().st_mtime, path))
    return [PredictionsFile(path.parent.name, path.stem, path) for path in newest_first]


def newest_predictions(run: Run, data: str | None = None, split: str | None = None) -> PredictionsFile:
    """The newest file of the run, or the newest about this data (a source or its slug) and this split.

    Raises: RunError when there is none.
    """
    files = predictions_files(run)
    for file in files:
        if (data is None or file.data == slug(data)) and (split is None or file.split == split):
            return file
    wanted = {"--data": data, "--split": split}
    options = "".join(f" {option} {value}" for option, value in wanted.items() if value)
    there = ", ".join(f"{file.data} {file.split}" for file in files) or "none at all"
    raise RunError(
        f"'{run.name}' keeps no such predictions (it has {there}). "
        f"Make them with 'python -m pipeline evaluate {run.name}{options} --save'."
    )
