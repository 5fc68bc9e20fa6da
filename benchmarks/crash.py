"""Does a run killed with SIGKILL at a random moment, then resumed, end exactly as an undisturbed twin does?

    python -m benchmarks.crash --points 20

A tiny random BERT on made-up texts; the loop, the record and the processes are the real ones.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from pipeline.catalog import load_run
from pipeline.runs import Run
from pipeline.sources import PROJECT_ROOT

TIMINGS = {"seconds", "examples_per_second", "tokens_per_second", "memory_bytes"}


def start(arguments: list[str], run_root: Path, **environment: str) -> subprocess.Popen[str]:
    """`python -m pipeline ...` in a process of its own, saving a state after every step."""
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline", *arguments],
        cwd=PROJECT_ROOT,
        env={
            **os.environ,
            "VOLTA_HOME": str(run_root),
            "VOLTA_STATE_SECONDS": "0",
            "TMPDIR": str(run_root.parent),
            **environment,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    stdout, stderr = process.communicate(timeout=300)
    if process.returncode:
        raise RuntimeError(f"exit status {process.returncode}: {stderr}")
    return stdout


def train_undisturbed(values: dict[str, Any], run_root: Path) -> tuple[Run, float]:
    """The twin, and the seconds it took."""
    started = time.monotonic()
    finish(start(["train", "--config", _config_file({**values, "name": "twin"}, run_root)], run_root))
    return _run("twin", run_root), time.monotonic() - started


def train_with_kills(values: dict[str, Any], run_root: Path, kill_after: list[float]) -> tuple[Run, list[int]]:
    """Kill the run, and each of its resumes, after so many seconds; then resume it to its end.

    Returns the finished run, and the step at which each kill met it.
    """
    path = _config_file(values, run_root)
    process = start(["train", "--config", path], run_root)
    steps = []
    for seconds in kill_after:
        time.sleep(seconds)
        process.kill()
        process.communicate()
        created = (run_root / values["name"] / "run_config.json").exists()
        steps.append(_last_step(_run(values["name"], run_root)) if created else 0)
        process = start(["resume", values["name"]] if created else ["train", "--config", path], run_root)
    finish(process)
    return _run(values["name"], run_root), steps


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
    tables = [{path.name: pq.read_table(path) for path in each.prediction_paths()} for each in (run, twin)]
    if not tables[0] or tables[0] != tables[1]:
        found.append("predictions")
    if (run.status().state, run.status().best) != ("finished", twin.status().best):
        found.append("status")
    return found


def make_tiny(folder: Path) -> dict[str, Any]:
    """The values of a RunConfig for a random two-layer BERT and 320 made-up texts: 20 steps an epoch, 240 in all."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizer

    words = [f"{letter}{number}" for letter in "abcdefgh" for number in range(8)]
    model = folder / "model"
    model.mkdir(parents=True)
    (model / "vocab.txt").write_text(
        "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]), encoding="utf-8"
    )
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words) + 5,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(model)
    BertTokenizer(str(model / "vocab.txt"), model_max_length=64).save_pretrained(model)
    rng = random.Random(0)
    rows = [{"text": " ".join(rng.choices(words, k=rng.randint(2, 20))), "label": number % 2} for number in range(400)]
    (folder / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return {
        "name": "killed",
        "data": {"source": str(folder / "data.jsonl"), "split": "random"},
        "model": {"base": str(model)},
        "optim": {"learning_rate": 1e-3, "batch_size": 16, "epochs": 12},
        "stop": {"evaluate_every": 7},
        "hardware": {"device": "cpu"},
    }


def _config_file(values: dict[str, Any], run_root: Path) -> str:
    path = run_root.parent / f"{values['name']}.json"
    path.write_text(json.dumps(values), encoding="utf-8")
    return str(path)


def _run(name: str, run_root: Path) -> Run:
    os.environ["VOLTA_HOME"] = str(run_root)
    return load_run(name)


def _last_step(run: Run) -> int:
    return max((line["step"] for line in run.metrics()), default=0)


def _without_timings(run: Run) -> list[dict[str, Any]]:
    return [{key: value for key, value in line.items() if key not in TIMINGS} for line in run.metrics()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=20, help="random moments to kill at")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    randomness = random.Random(options.seed)
    folder = Path(tempfile.mkdtemp(prefix="volta-crash-"))
    try:
        values = make_tiny(folder / "tiny")
        (folder / "runs").mkdir()
        twin, seconds = train_undisturbed(values, folder / "runs")
        print(f"undisturbed: {seconds:.1f} s, {_last_step(twin)} steps", file=sys.stderr)
        equal = 0
        for point in range(options.points):
            moment = randomness.uniform(0, seconds)
            run, steps = train_with_kills({**values, "name": f"killed-{point}"}, folder / "runs", [moment])
            found = differences(run, twin)
            equal += not found
            print(
                json.dumps({"killed_after_seconds": round(moment, 2), "at_step": steps[0], "differs": found}),
                flush=True,
            )
        print(json.dumps({"points": options.points, "equal_to_twin": equal}))
    finally:
        shutil.rmtree(folder)
    sys.exit(equal != options.points)


if __name__ == "__main__":
    main()
