"""How long should OpenMP's idle threads spin, so that a run is quick alone and two programs can share the cores?

    python -m benchmarks.spinning

Training steps of all-MiniLM-L6-v2 on SST-2 (batches of 32), examples per second: one process alone, then two at once,
for several values of GOMP_SPINCOUNT; `default` leaves libgomp its own, which spins for milliseconds. The values take
turns, three rounds. pipeline/__init__.py sets the one chosen.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from typing import Any

from benchmarks.contest import end_cleanly_when_terminated, machine, report, say, sst2_at_hand, users_environment
from pipeline.sources import PROJECT_ROOT

COUNTS = ("default", "0", "1000", "10000")
ROUNDS = 3
STEPS_BEFORE, STEPS = 10, 40


def measure() -> float:
    """Examples per second of this process over 40 steps, after ten that are not counted."""
    import torch

    from pipeline.config import make_config
    from pipeline.data import load_splits
    from pipeline.encoding import encode
    from pipeline.models import load_base_model
    from pipeline.training import Labelled, StepResult, Training, seed_everything

    values = {"source": "sst2", "limit": 3_000, "split": "random"}
    config = make_config({"name": "spinning", "data": values, "hardware": {"device": "cpu"}})
    splits = load_splits(config.data)
    seed_everything(config.seed, deterministic=True)
    model, tokenizer = load_base_model(config.model, splits.label_names, torch.device("cpu"))
    train, few = (
        Labelled(encode(part["text"], tokenizer, config.data.max_length), part["label_id"].to_numpy())
        for part in (splits.train, splits.validation.slice(0, 10))
    )
    steps = (
        result
        for result in Training(model, train, few, splits.label_names, config).results()
        if isinstance(result, StepResult)
    )
    for _ in range(STEPS_BEFORE):
        next(steps)
    started = time.perf_counter()
    for _ in range(STEPS):
        next(steps)
    return STEPS * config.optim.batch_size / (time.perf_counter() - started)


def train_at_once(num_processes: int, count: str) -> float:
    """Mean examples per second of each of the processes."""
    # An empty policy is libgomp's own: only an unset variable would be set to `passive` by Volta.
    environment = {"GOMP_SPINCOUNT": count} if count != "default" else {"OMP_WAIT_POLICY": "", "GOMP_SPINCOUNT": ""}
    command = [sys.executable, "-m", "benchmarks.spinning", "measure"]
    processes = [
        subprocess.Popen(
            command,
            cwd=PROJECT_ROOT,
            env=users_environment(**environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(num_processes)
    ]
    return statistics.mean(float(process.communicate()[0].split()[-1]) for process in processes)


def main() -> None:
    if sys.argv[1:] == ["measure"]:
        print(measure())
        return
    end_cleanly_when_terminated()
    before = machine()
    raw: dict[str, dict[str, list[float]]] = {count: {"alone": [], "two at once": []} for count in COUNTS}
    with sst2_at_hand():
        for number in range(ROUNDS):
            for count in COUNTS:
                raw[count]["alone"].append(train_at_once(1, count))
                raw[count]["two at once"].append(train_at_once(2, count))
                say(f"round {number + 1}: {count}: {json.dumps({key: round(v[-1]) for key, v in raw[count].items()})}")
    summary: dict[str, Any] = {
        count: {key: round(statistics.median(values)) for key, values in figures.items()}
        for count, figures in raw.items()
    }
    report({"benchmark": "spinning", "summary": summary, "raw": raw, "cores": os.cpu_count(), "machine": before})


if __name__ == "__main__":
    main()
