"""How much memory do a million rows take, beyond the model that trains on them?

    python -m benchmarks.memory                     # about five minutes on two CPU cores
    python -m benchmarks.memory --rows 20000        # a quick check

A CSV of made-up rows (8 to 16 words each, out of 20,000 of the encoder's own, so that a text has about as many pieces
as a real one; two labels; seeded) goes through `python -m pipeline train` with all-MiniLM-L6-v2. After 60 steps the run
is stopped as a user stops it, and the most memory that was ever resident is read. The same with 2,000 rows is what
Python, torch, model and optimizer take; the difference is what the rows take.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.contest import end_cleanly_when_terminated, machine, report, say, users_environment
from pipeline.models import load_tokenizer
from pipeline.sources import PROJECT_ROOT

BASE = "all-MiniLM-L6-v2"
FEW_ROWS = 2_000
NUM_WORDS = 20_000
AT_MOST_GIGABYTES = 2.0
LIMIT_SECONDS = 3600.0
ROWS_AT_ONCE = 10_000


def write_rows(path: Path, num_rows: int, words: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for start in range(0, num_rows, ROWS_AT_ONCE):
            num = min(ROWS_AT_ONCE, num_rows - start)
            drawn = words[rng.integers(len(words), size=(num, 16))]
            lengths, labels = rng.integers(8, 17, size=num).tolist(), rng.integers(2, size=num).tolist()
            writer.writerows(
                (" ".join(row[:length]), label) for row, length, label in zip(drawn, lengths, labels, strict=True)
            )


def vocabulary() -> np.ndarray:
    """Whole words that the encoder's tokenizer knows, in alphabetical order before they are drawn from it."""
    known = sorted(word for word in load_tokenizer(BASE).get_vocab() if re.fullmatch("[a-z]{2,}", word))
    return np.random.default_rng(0).permutation(np.array(known, dtype=object))[:NUM_WORDS]


def train(num_rows: int, num_steps: int, words: np.ndarray, folder: Path) -> dict[str, Any]:
    """Train for so many steps, stop, and tell the peak of resident memory."""
    path = folder / f"rows-{num_rows}.csv"
    write_rows(path, num_rows, words)
    name = f"rows-{num_rows}"
    with open(folder / f"{name}.txt", "w+", encoding="utf-8") as output:
        began = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "pipeline", "train", "--name", name, *_set(source=path)],
            cwd=PROJECT_ROOT,
            env=users_environment(VOLTA_HOME=str(folder), TMPDIR=str(folder)),
            stdout=output,
            stderr=output,
        )
        try:
            peak, seconds_to_first_step = watch(process, folder / name, num_steps, began)
        finally:
            process.kill()
            process.wait()
        status = _status(folder / name)
        if process.returncode or status.get("state") not in ("stopped", "finished"):
            output.seek(0)
            raise RuntimeError(f"The run with {num_rows} rows is {status.get('state')}:\n{output.read()[-3000:]}")
    return {
        "rows": num_rows,
        "steps": status["step"],
        "peak_bytes": peak,
        "csv_bytes": path.stat().st_size,
        "seconds_to_first_step": seconds_to_first_step,
    }


def watch(process: subprocess.Popen[str] | subprocess.Popen[bytes], run: Path, num_steps: int, began: float) -> Any:
    """Peak bytes and seconds to the first step. The process is asked to stop once it has taken enough steps."""
    peak, first, asked = 0, None, False
    while process.poll() is None:
        if time.monotonic() - began > LIMIT_SECONDS:
            raise RuntimeError(f"{run.name} took more than {LIMIT_SECONDS:.0f} s.")
        peak = max(peak, resident_bytes(process.pid))
        steps = _status(run).get("step", 0)
        if steps and first is None:
            first = time.monotonic() - began
        if steps >= num_steps and not asked:
            process.terminate()
            asked = True
        time.sleep(0.1)
    return peak, first


def resident_bytes(pid: int) -> int:
    """The most that was ever resident, where the system keeps count (Linux); else what is resident now."""
    path = Path(f"/proc/{pid}/status")
    if path.exists():
        try:
            peak = re.search(r"VmHWM:\s*(\d+) kB", path.read_text(encoding="utf-8"))
        except ProcessLookupError:
            return 0
        return int(peak[1]) * 1024 if peak else 0
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def _set(source: Path) -> list[str]:
    return ["--set", f"data.source={source}", "--set", f"model.base={BASE}", "--set", "optim.batch_size=32"]


def _status(run: Path) -> dict[str, Any]:
    path = run / "status.json"
    values: dict[str, Any] = json.loads(path.read_bytes()) if path.exists() else {}
    return values


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--steps", type=int, default=60, help="taken before the run is stopped")
    options = parser.parse_args()
    end_cleanly_when_terminated()
    measured_on = machine()
    words = vocabulary()
    results = []
    with tempfile.TemporaryDirectory(prefix="volta-memory-") as folder:
        for num_rows in (FEW_ROWS, options.rows):
            results.append(train(num_rows, options.steps, words, Path(folder)))
            last = results[-1]
            say(
                f"{num_rows} rows: {last['peak_bytes'] / 1e9:.2f} GB at most, "
                f"{last['seconds_to_first_step']:.0f} s to the first steps"
            )
    difference = (results[1]["peak_bytes"] - results[0]["peak_bytes"]) / 1e9
    report(
        {
            "benchmark": "memory",
            "machine": measured_on,
            "summary": {
                "gigabytes": {str(result["rows"]): round(result["peak_bytes"] / 1e9, 3) for result in results},
                "difference_gigabytes": round(difference, 3),
                "target": AT_MOST_GIGABYTES,
                "met": difference < AT_MOST_GIGABYTES,
            },
            "raw": results,
        }
    )


if __name__ == "__main__":
    main()
