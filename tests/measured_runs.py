"""What do tests compare? Records of finished runs with chosen right answers and costs, written without a training."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from pipeline.catalog import create_run
from pipeline.data import slug
from pipeline.experiments import Experiment, Member, save_experiment
from pipeline.predictions import save_predictions
from pipeline.runs import Run, Status

GOLD = np.arange(400) % 2


def write_run(member: Member, num_wrong: int, seconds: float = 60.0, splits: tuple[str, ...] = ("validation",)) -> Run:
    """A finished run whose first examples, shifted by its seed, are wrong."""
    run = create_run(member.config)
    run.write_status(Status(state="finished", elapsed_seconds=seconds))
    for step in (1, 2, 3):
        run.append_metrics({"step": step, "memory_bytes": step * 10**8, "examples_per_second": 100.0 * step})
    wrong = np.isin(np.arange(400), np.arange(num_wrong) + member.seed)
    table = pa.table({
        "example_id": [f"x:{row}" for row in range(400)],
        "text": [f"text {row}" for row in range(400)],
        "label_id": GOLD,
    })
    logits = 3 * np.eye(2, dtype=np.float32)[np.where(wrong, 1 - GOLD, GOLD)]
    for split in splits:
        path = run.folder / "predictions" / slug(member.config.data.source) / f"{split}.parquet"
        save_predictions(path, table, logits, ["negative", "positive"])
    return run


def ablation(seeds: int = 1, **changes: dict) -> Experiment:
    """Kept in the run root."""
    experiment = Experiment(name="ablation", note="What helps?", changes=changes, seeds=tuple(range(1, seeds + 1)))
    save_experiment(experiment)
    return experiment
