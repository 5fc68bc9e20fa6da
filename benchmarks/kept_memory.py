"""What does it cost to give back the memory that steps on long texts leave behind?

    python -m benchmarks.kept_memory                # about half an hour on two CPU cores

Steps of 32 reviews of IMDB at 256 pieces in bf16 on a CPU, each way in a process of its own, in turn: what a step frees
is kept for the next one and given back where it is much, as Volta does it; kept for good; or never kept, as the C
library does it. Told are milliseconds of a step, and the gigabytes that were resident at the most after a step.
"""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from benchmarks.contest import asked_for, compared, data_at_hand, machine, report, spread, take_turns

WAYS = ["given_back", "kept", "never_kept"]
WARM_UP = 3


def measure(way: str, steps: int) -> dict[str, Any]:
    from pipeline import training
    from pipeline.config import make_config
    from pipeline.data import load_splits
    from pipeline.hardware import keep_freed_memory
    from pipeline.models import choose_device

    if way != "never_kept":
        keep_freed_memory()
    if way == "kept":
        training.limit_kept_memory = lambda device: None
    data = {"source": "imdb", "max_length": 256, "limit": 4_000, "split": "random"}
    config = make_config({"name": "kept", "data": data, "hardware": {"precision": "bf16"}})
    with data_at_hand():
        splits = load_splits(config.data)
    trained, _ = training.prepare_training(config, splits, splits.train, choose_device("cpu"))
    for _ in range(WARM_UP):
        trained.take_step()
    before, gigabytes = trained.seconds, []
    for _ in range(steps):
        gigabytes.append(trained.take_step().memory_bytes / 1e9)
    seconds = trained.seconds - before
    return {"seconds": seconds, "ms_a_step": 1000 * seconds / steps, "gigabytes": max(gigabytes)}


def main() -> None:
    options = asked_for(__doc__, steps=160, rounds=1, ways=WAYS)     # fewer steps never reach 8 GiB
    facts = {"benchmark": "kept_memory", "machine": machine()}

    def in_a_process(way: str, _: int) -> dict[str, Any]:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            return pool.submit(measure, way, options.steps).result()

    rounds = take_turns(options.rounds, options.ways, in_a_process)
    gigabytes = {way: spread([each[way]["gigabytes"] for each in rounds]) for way in options.ways}
    report({**facts, "summary": compared(rounds, options.ways[0]), "gigabytes": gigabytes, "raw": rounds})


if __name__ == "__main__":
    main()
