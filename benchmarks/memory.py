"""How much memory do a million rows take, beyond the model that trains on them?

    python -m benchmarks.memory                     # about five minutes on two CPU cores
    python -m benchmarks.memory --rows 20000        # a quick check

A CSV of made-up rows (8 to 16 words each, out of 20,000 of the encoder's own, so that a text has about as many pieces
as a real one; two labels; seeded) is trained on with all-MiniLM-L6-v2, as `python -m pipeline train` does it. After 60
steps the run is stopped as a user stops it, and the most memory that was ever resident is read. The same with 2,000
rows is what Python, torch, model and optimizer take; the difference is what the rows take.
"""

from __future__ import annotations

import csv
import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.contest import asked_for, compete, machine, report, take_turns
from pipeline.models import load_tokenizer

BASE = "all-MiniLM-L6-v2"
FEW_ROWS = 2_000
NUM_WORDS = 20_000
AT_MOST = 2.0  # gigabytes
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


def main() -> None:
    options = asked_for(__doc__, rows=1_000_000, steps=60)
    measured_on = machine()
    words = vocabulary()

    def measure(num_rows: str, _: int) -> dict[str, Any]:
        with tempfile.TemporaryDirectory(prefix="volta-memory-") as folder:
            path = Path(folder, f"rows-{num_rows}.csv")
            write_rows(path, int(num_rows), words)
            config = {"name": path.stem, "data": {"source": str(path)}, "model": {"base": BASE}}
            task = {"config": config, "steps": options.steps}
            result = compete("volta_memory", task, VOLTA_HOME=folder, TMPDIR=folder)
            return {**result, "csv_bytes": path.stat().st_size}

    [found] = take_turns(1, (str(FEW_ROWS), str(options.rows)), measure)
    gigabytes = {num_rows: round(result["gigabytes"], 3) for num_rows, result in found.items()}
    difference = gigabytes[str(options.rows)] - gigabytes[str(FEW_ROWS)]
    target = {"difference_gigabytes": round(difference, 3), "target": AT_MOST, "met": difference < AT_MOST}
    report({"benchmark": "memory", "machine": measured_on, "summary": {"gigabytes": gigabytes, **target}, "raw": found})


if __name__ == "__main__":
    main()
