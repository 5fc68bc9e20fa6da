"""Does a run killed with SIGKILL at a random moment, then resumed, end exactly as an undisturbed twin does?

    python -m benchmarks.crash --points 20

The tests' tiny random BERT, on their made-up texts; the loop, the record and the processes are the real ones.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.contest import asked_for, report, say
from pipeline.catalog import load_run, run_names
from pipeline.jobs import start_command
from pipeline.runs import Run
from tests.command import training_arguments
from tests.conftest import values_of_a_tiny_run, write_tiny_data, write_tiny_model

TIMINGS = {"seconds", "examples_per_second", "tokens_per_second", "memory_bytes"}


def start(arguments: list[str]) -> subprocess.Popen[str]:
    return start_command(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finish(process: subprocess.Popen[str]) -> None:
    _, stderr = process.communicate(timeout=300)
    if process.returncode:
        raise RuntimeError(f"exit status {process.returncode}: {stderr}")


def train_undisturbed(values: dict[str, Any]) -> tuple[Run, float]:
    """The twin, and the seconds it took."""
    started = time.monotonic()
    finish(start(training_arguments({**values, "name": "twin"})))
    return load_run("twin"), time.monotonic() - started


def train_with_kills(values: dict[str, Any], kill_after: list[float]) -> tuple[Run, list[int]]:
    """Kill the run, and each of its resumes, after so many seconds; then resume it to its end.

    Returns the finished run, and the step at which each kill met it.
    """
    name = values["name"]
    process = start(training_arguments(values))
    steps = []
    for seconds in kill_after:
        time.sleep(seconds)
        process.kill()
        process.communicate()
        created = name in run_names()
        steps.append(_last_step(load_run(name)) if created else 0)
        process = start(["resume", name] if created else training_arguments(values))
    finish(process)
    return load_run(name), steps


def differences(run: Run, twin: Run) -> list[str]:
    """What differs between two finished runs, timings aside: weights, metric lines, predictions, how they ended."""
    import pyarrow.parquet as pq
    import torch

    found = []
    if (run.best_folder / "model.safetensors").read_bytes() != (twin.best_folder / "model.safetensors").read_bytes():
        found.append("best weights")
    states = [torch.load(each.states()[0] / "state.pt", weights_only=True)["model"] for each in (run, twin)]
    if any(not torch.equal(states[0][name], states[1][name]) for name in states[0].keys() | states[1].keys()):
        found.append("last weights")
    if _without_timings(run) != _without_timings(twin):
        found.append("metric lines")
    kept = [sorted(each.folder.glob("predictions/*/*.parquet")) for each in (run, twin)]
    tables = [{path.name: pq.read_table(path) for path in paths} for paths in kept]
    if not tables[0] or tables[0] != tables[1]:
        found.append("predictions")
    if (run.status().state, run.status().best) != ("finished", twin.status().best):
        found.append("status")
    return found


def _last_step(run: Run) -> int:
    return max((line["step"] for line in run.metrics()), default=0)


def _without_timings(run: Run) -> list[dict[str, Any]]:
    return [{key: value for key, value in line.items() if key not in TIMINGS} for line in run.metrics()]


def main() -> None:
    options = asked_for(__doc__, points=20, seed=0)
    randomness = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="volta-crash-", ignore_cleanup_errors=True) as folder:
        # A state after every step; and locks of its own, so that no other run is waited for.
        os.environ |= {"VOLTA_HOME": f"{folder}/runs", "VOLTA_STATE_SECONDS": "0", "TMPDIR": folder}
        values = values_of_a_tiny_run(
            write_tiny_model(Path(folder, "model")), write_tiny_data(Path(folder, "data.jsonl"))
        )
        values["optim"]["epochs"] = 20      # 240 steps
        values |= {"stop": {"evaluate_every": 7}, "hardware": {"device": "cpu"}}
        twin, seconds = train_undisturbed(values)
        say(f"undisturbed: {seconds:.1f} s, {_last_step(twin)} steps")
        equal = 0
        for point in range(options.points):
            moment = randomness.uniform(0, seconds)
            run, [step] = train_with_kills({**values, "name": f"killed-{point}"}, [moment])
            found = differences(run, twin)
            equal += not found
            report({"killed_after_seconds": round(moment, 2), "at_step": step, "differs": found})
    report({"points": options.points, "equal_to_twin": equal})
    sys.exit(equal != options.points)


if __name__ == "__main__":
    main()
