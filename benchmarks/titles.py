"""What does a two-column file of 232,402 titles take, from the report on it to a run?

    python -m benchmarks.titles                     # about two minutes on two CPU cores
    python -m benchmarks.titles --folder titles     # keeps the made-up titles there: train.csv and test.csv

Titles of papers in four fields are made up (seeded; one in twenty has the label of another field) and written as two
CSV files with the columns title and field, 232,402 rows to train on and 976 to test with. Then each step of the way is
done by a process of its own, as a user does it, and its seconds and the most memory that was ever resident are read.
"""

from __future__ import annotations

import csv
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.contest import asked_for, machine, report, say, users_environment
from pipeline.sources import PROJECT_ROOT

NUM_ROWS = {"train": 232_402, "test": 976}
MISLABELLED = 0.05
THINGS = {
    "biology": "protein cell genome enzyme neuron bacterium antibody tissue receptor membrane mutation plant virus",
    "computing": "network compiler database graph kernel robot cache protocol parser sensor classifier cluster agent",
    "materials": "alloy polymer crystal film fibre ceramic graphene coating lattice electrode composite oxide wafer",
    "economics": "market tax wage household bank tariff auction firm pension loan price contract budget",
}
QUALITIES = (
    "adaptive robust sparse thermal dynamic local hidden mixed stable rapid linear dense partial coupled noisy large "
    "regional early novel weak"
).split()
ACTS = (
    "a study of;on the growth of;measuring;modelling;towards a theory of;prediction of;a survey of;the role of;"
    "limits of;a comparison of;evidence from;control of;an experiment with;long-term effects of"
).split(";")
SETTINGS = (
    "under stress;over time;in small samples;with missing data;at low cost;across scales;under uncertainty;"
    "after a shock;in open systems;without supervision;at high speed;in the field;by simulation"
).split(";")

BASE = "all-MiniLM-L6-v2"
SPLIT = "import sys; from pipeline.config_parts import DataConfig; from pipeline.data import load_splits\n" \
    "splits = load_splits(DataConfig(source=sys.argv[1]))\n"
REPORT = f"from pipeline.models import load_tokenizer; from pipeline.data_report import data_report\n{SPLIT}" \
    f"report = data_report(splits, load_tokenizer('{BASE}')); counts = report.source['train']\n" \
    "print(counts.repeated, 'repeats', counts.contradictory, 'texts with two labels', *report.shared, sep='\\n')"
# Presets made for such titles; the local model, as their own would have to come from the Hub.
FROM = ["--preset", "unfreeze", "--set", f"model.base={BASE}"]


def title(field: str, rng: random.Random) -> str:
    first, second = rng.sample(THINGS[field].split(), 2)
    stranger = rng.choice(THINGS[rng.choice(list(THINGS))].split())
    about = f"{rng.choice(QUALITIES)} {first} and {second}"
    return f"{rng.choice(ACTS)} {about} {rng.choice(SETTINGS)}, {rng.choice(('as in', 'beyond', 'with'))} a {stranger}"


def write_titles(folder: Path) -> None:
    rng = random.Random(0)
    for split, num_rows in NUM_ROWS.items():
        with open(folder / f"{split}.csv", "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["title", "field"])
            for _ in range(num_rows):
                field = rng.choice(list(THINGS))
                told = rng.choice([each for each in THINGS if each != field]) if rng.random() < MISLABELLED else field
                writer.writerow([title(field, rng).capitalize(), told])


def measured(name: str, arguments: list[str], **environment: str) -> dict[str, Any]:
    """Seconds and peak memory of `python ARGUMENTS`, and what it printed. Raises: RuntimeError when it fails."""
    began = time.monotonic()
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as problems:
        process = subprocess.Popen(
            [sys.executable, *arguments], cwd=PROJECT_ROOT, env=users_environment(**environment), stdout=output,
            stderr=problems,
        )
        _, status, usage = os.wait4(process.pid, 0)     # of this process alone, and of what it has waited for
        output.seek(0)
        problems.seek(0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RuntimeError(f"{name} ended with {process.returncode}:\n{problems.read()[-2000:]}")
        gigabytes = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9
        found = {"seconds": round(time.monotonic() - began, 1), "gigabytes": round(gigabytes, 2)}
        say(f"{name}: {found['seconds']} s, {found['gigabytes']} GB")
        return {**found, "printed": output.read().strip()}


def way(folder: Path, home: str) -> dict[str, dict[str, Any]]:
    data = ["--set", f"data.source={folder}"]
    steps = {
        "split": ["-c", SPLIT, str(folder)],
        "report": ["-c", REPORT, str(folder)],
        "plan of all rows": ["-m", "pipeline", "plan", *FROM, *data],
        "run, quick": ["-m", "pipeline", "train", *FROM, *data, "--budget", "quick", "--name", "titles"],
        "evaluate on test": ["-m", "pipeline", "evaluate", "titles", "--split", "test"],
    }
    return {name: measured(name, arguments, VOLTA_HOME=home) for name, arguments in steps.items()}


def main() -> None:
    options = asked_for(__doc__, folder="")
    measured_on = machine()
    with tempfile.TemporaryDirectory(prefix="volta-titles-") as home:
        folder = Path(options.folder or Path(home, "titles")).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        write_titles(folder)
        written = {"seconds": round(time.monotonic() - began, 1), "bytes": (folder / "train.csv").stat().st_size}
        found = way(folder, home)
    say(found["report"]["printed"])
    score = json.loads(found["evaluate on test"]["printed"])
    summary = {name: {key: step[key] for key in ("seconds", "gigabytes")} for name, step in found.items()}
    summary |= {"written": written, "test": {key: score[key] for key in ("n", "accuracy", "macro_f1")}}
    report({"benchmark": "titles", "machine": measured_on, "summary": summary, "raw": found})


if __name__ == "__main__":
    main()
