"""How long should OpenMP's idle threads spin, so that a run is quick alone and two programs can share the cores?

    python -m benchmarks.spinning           # about six minutes

Training steps of all-MiniLM-L6-v2 on SST-2 (batches of 32), examples per second: one process alone, then two at once,
for several values of GOMP_SPINCOUNT; `default` leaves libgomp its own, which spins for milliseconds. The values take
turns. pipeline/__init__.py sets the one chosen.
"""

from __future__ import annotations

import statistics
from concurrent.futures import ThreadPoolExecutor

from benchmarks.contest import asked_for, compete, data_at_hand, machine, report, take_turns
from pipeline.sources import find_data

COUNTS = ("default", "0", "1000", "10000")


def train_at_once(num_processes: int, count: str) -> float:
    """Mean examples per second of each of the processes."""
    # An empty policy is libgomp's own: only an unset variable would be set to `passive` by Volta.
    environment = {"GOMP_SPINCOUNT": count} if count != "default" else {"OMP_WAIT_POLICY": "", "GOMP_SPINCOUNT": ""}
    with ThreadPoolExecutor() as threads:
        started = [threads.submit(compete, "volta_steps", {}, **environment) for _ in range(num_processes)]
        return statistics.mean(process.result()["examples_per_second"] for process in started)


def measure(count: str, _: int) -> dict[str, float]:
    return {"alone": train_at_once(1, count), "two at once": train_at_once(2, count)}


def main() -> None:
    options = asked_for(__doc__, rounds=3)
    with data_at_hand():
        find_data("sst2")
    measured_on = machine()
    rounds = take_turns(options.rounds, COUNTS, measure)
    summary = {
        count: {name: round(statistics.median(each[count][name] for each in rounds)) for name in rounds[0][count]}
        for count in COUNTS
    }
    report({"benchmark": "spinning", "machine": measured_on, "summary": summary, "raw": rounds})


if __name__ == "__main__":
    main()
