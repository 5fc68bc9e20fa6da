"""How good is a run's best model on a split? Predicts the split, measures it, and keeps the predictions when asked."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.config_parts import DataConfig
from pipeline.data import load_splits
from pipeline.exceptions import DataError, RunError
from pipeline.metrics import compute_metrics
from pipeline.predictions import predictions_path, save_predictions
from pipeline.predictor import Predictor
from pipeline.runs import Run


def evaluate_run(
    run: Run, data: DataConfig | None = None, split: str = "validation", save: bool = False
) -> dict[str, Any]:
    """`{"run", "data", "split", "n", metrics...}` on the run's own data, or on others with the same labels.

    Raises: DataError when the data or split cannot be had, or the labels are not those of the run; RunError
        when it has no model yet; ModelError when its model cannot be loaded.
    """
    if not (run.best_folder / "config.json").is_file():
        raise RunError(f"'{run.name}' has no model yet: its first evaluation saves one. Let it train on, or resume it.")
    predictor = Predictor.load(run.name)        # first of all: a run that tells no labels may have data without any
    data = data or run.config.data
    splits = load_splits(data)
    examples = splits[split]
    gold_ids = _in_the_order_of(predictor.label_names, splits.label_names)[examples["label_id"].to_numpy()]
    logits, _ = predictor.logits(examples["text"])
    if save:
        if not run.folder.is_dir():     # made anew, it would be a run without a config
            raise RunError(f"'{run.name}' was deleted meanwhile: its predictions are not kept.")
        index = examples.column_names.index("label_id")
        examples = examples.set_column(index, "label_id", [gold_ids])
        path = predictions_path(run, split, data.source)
        save_predictions(path, examples, logits * np.float32(predictor.temperature), predictor.label_names)
    metrics = compute_metrics(logits, gold_ids, predictor.label_names)
    return {"run": run.name, "data": data.source, "split": split, "n": len(gold_ids), **metrics}


def _in_the_order_of(model_names: list[str], data_names: list[str]) -> np.ndarray:
    """Label ids of the data, (C,), to those of the model, matched by name."""
    if unknown := [name for name in data_names if name not in model_names]:
        raise DataError(
            f"The data has the label '{unknown[0]}', which the model does not know; "
            f"it knows: {', '.join(model_names)}. Choose data with the same labels."
        )
    return np.array([model_names.index(name) for name in data_names])
