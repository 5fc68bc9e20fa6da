"""What did a checkpoint say about a split? Predictions, as a run record keeps them in one Parquet file."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.data import slug
from pipeline.exceptions import RunError
from pipeline.models import temperature_of
from pipeline.runs import Run


@dataclass(frozen=True)
class Predictions:
    """What one checkpoint says about one split of N examples with C labels."""

    example_ids: list[str]      # N, "<split of the source>:<row in it>"
    texts: list[str]            # N, as the model read them (cleaned)
    label_names: list[str]      # C, in the order of the columns of `logits`
    gold_ids: np.ndarray        # (N,) int64
    logits: np.ndarray          # (N, C) float32, before softmax, divided by the temperature of the run


def predictions_path(run: Run, split: str, data: str | None = None) -> Path:
    """Where a run keeps what its best model says about a split of its own data, or of another source."""
    return run.folder / "predictions" / slug(data or run.config.data.source) / f"{split}.parquet"


def current_test_path(run: Run) -> Path | None:
    """Where they stand of its own test split; None unless they were made since its best model was saved."""
    path, best = predictions_path(run, "test"), run.best_folder
    # An ensemble has no weights beside its config, which is written last.
    model = next((file for file in (best / "model.safetensors", best / "config.json") if file.exists()), None)
    is_current = model and path.exists() and path.stat().st_mtime >= model.stat().st_mtime
    return path if is_current else None


def save_predictions(path: Path, examples: pa.Table, logits: np.ndarray, label_names: list[str]) -> None:
    """Write a split's examples (with the source's other columns) beside their logits, as the weights alone give them.

    Atomically. The temperature of a run that was calibrated is applied by whoever reads them, so that it can change.
    """
    # Where the source is itself a file of predictions, its columns make room for ours.
    renamed = {"label_id": "gold_id", "gold_id": "source_gold_id", "logits": "source_logits"}
    table = examples.rename_columns([renamed.get(name, name) for name in examples.column_names])
    table = table.append_column("logits", pa.array(list(logits), type=pa.list_(pa.float32())))
    table = table.replace_schema_metadata({"label_names": json.dumps(label_names)})
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    pq.write_table(table, temporary)
    os.replace(temporary, path)


def read_predictions(path: Path, example_id: str | None = None) -> Predictions:
    """All, or those of one example, of a run's file `<run>/predictions/<data>/<split>.parquet`.

    Raises: RunError when the file is not there or is not a predictions file, or the run's temperature is damaged.
    """
    try:
        table = pq.read_table(path, filters=None if example_id is None else [("example_id", "=", example_id)])
        label_names = json.loads(table.schema.metadata[b"label_names"])
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as exception:
        reason = " ".join(str(exception).split())
        raise RunError(f"{path} is not a predictions file ({reason}). Make it anew with 'evaluate --save'.") from None
    logits = pc.list_flatten(table["logits"]).to_numpy().reshape(-1, len(label_names))
    return Predictions(
        example_ids=table["example_id"].to_pylist(),
        texts=table["text"].to_pylist(),
        label_names=label_names,
        gold_ids=table["gold_id"].to_numpy(),
        logits=logits / np.float32(temperature_of(path.parents[2] / "best")),
    )
