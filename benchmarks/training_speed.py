"""How fast does Volta train, beside transformers.Trainer and a plain loop, and how accurate is what each has learnt?

    python -m benchmarks.training_speed                         # about an hour on two CPU cores
    python -m benchmarks.training_speed --rows 500 --seeds 1    # a quick check

One epoch of all-MiniLM-L6-v2 on the first 10,000 rows of SST-2, with the same training examples for everybody, by

- volta_training: a run as users start it (batches of 32, learning rate 1e-4, auto precision);
- trainer_defaults: Trainer's own defaults (batches of 8, fp32, its rate of 5e-5), padded batch by batch;
- trainer_grouped_bf16: Trainer with like lengths together, bf16, batches of 32, rate 1e-4;
- padded_loop: a torch loop that pads to 128 pieces, fp32, batches of 32, rate 1e-4.

A round is a seed; in it each trains once, in turn, in a fresh process with the environment of a user's shell: Volta
sets OMP_WAIT_POLICY and GOMP_SPINCOUNT for itself, the others keep OpenMP's default. Timed is the loop: for Volta with
metric lines, status, states and best model written, less the seconds in which it evaluates; for Trainer all of
`train()`, which logs and saves nothing. Accuracy is that of one evaluator, Volta's Predictor in fp32, on GLUE's 872
validation sentences.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.contest import (
    compete,
    end_cleanly_when_terminated,
    machine,
    ratios,
    report,
    say,
    spread,
    sst2_at_hand,
)
from pipeline.config import DataConfig
from pipeline.data import Splits, load_splits
from pipeline.models import choose_device
from pipeline.predictor import Predictor
from pipeline.sources import find_model

VOLTA = "volta_training"
AT_LEAST = {"trainer_defaults": 3.5, "trainer_grouped_bf16": 1.0, "padded_loop": 13.0}  # times Volta's seconds
BASE = "all-MiniLM-L6-v2"
BATCH_SIZE, LEARNING_RATE = 32, 1e-4


def train(contender: str, seed: int, splits: Splits, rows: int, folder: Path) -> dict[str, Any]:
    """What one contender measured with one seed, and the accuracy of its model."""
    device = choose_device().type
    if contender == VOLTA:
        config = {
            "name": "volta",
            "seed": seed,
            "data": {"source": "sst2", "limit": rows},
            "model": {"base": BASE},
            "optim": {"learning_rate": LEARNING_RATE, "batch_size": BATCH_SIZE, "epochs": 1},
            "hardware": {"device": device},
        }
        # A temporary folder of its own: the device's lock is there, so that no other run is waited for.
        result = compete(contender, {"config": config}, VOLTA_HOME=str(folder), TMPDIR=str(folder))
        if result.pop("data") != splits.fingerprints:
            raise RuntimeError("Volta's run had other examples than the others were given.")
        model = folder / "volta" / "best"
    else:
        model = folder / "model"
        task = {
            "base": find_model(BASE).location,
            "texts": splits.train["text"].to_pylist(),
            "label_ids": splits.train["label_id"].to_pylist(),
            "seed": seed,
            "device": device,
            "batch_size": BATCH_SIZE,
            "learning_rate": LEARNING_RATE,
            "folder": str(model),
        }
        result = compete(contender, task, TMPDIR=str(folder))
    examples_per_second = result["examples"] / result["seconds"]
    return {
        "contender": contender,
        "seed": seed,
        **result,
        "examples_per_second": examples_per_second,
        "accuracy": accuracy(model, splits),
    }


def accuracy(model: Path, splits: Splits) -> float:
    logits, _ = Predictor.load(str(model)).logits(splits.test["text"])
    return float((logits.argmax(axis=1) == splits.test["label_id"].to_numpy()).mean())


def summary(results: list[dict[str, Any]], contenders: list[str]) -> dict[str, Any]:
    """By contender: seconds and accuracy over the seeds, and how many times as long as Volta it took in each round."""
    seeds = sorted({result["seed"] for result in results})
    found = {(result["contender"], result["seed"]): result for result in results}
    rounds = [{contender: found[contender, seed]["seconds"] for contender in contenders} for seed in seeds]
    lines: dict[str, Any] = {}
    for contender in contenders:
        accuracies = [found[contender, seed]["accuracy"] for seed in seeds]
        lines[contender] = {
            "seconds": spread([seconds[contender] for seconds in rounds]),
            "examples_per_second": spread([found[contender, seed]["examples_per_second"] for seed in seeds]),
            "accuracy": {"mean": round(statistics.mean(accuracies), 4), **spread(accuracies)},
        }
        if VOLTA in contenders and contender != VOLTA:
            times = ratios(rounds, contender, VOLTA)
            met = times["median"] >= AT_LEAST[contender]
            lines[contender] |= {"times_volta": times, "target": AT_LEAST[contender], "met": met}
    return lines


def main() -> None:
    names = [VOLTA, *AT_LEAST]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000, help="first rows of SST-2 to split and train on")
    parser.add_argument("--seeds", type=int, default=3, help="how many, and so how many rounds")
    parser.add_argument("--contenders", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names))
    options = parser.parse_args()
    end_cleanly_when_terminated()
    os.environ["TRANSFORMERS_VERBOSITY"] = "error"
    with sst2_at_hand():
        splits = load_splits(DataConfig(source="sst2", limit=options.rows))
    say(f"{splits.train.num_rows} training examples, {splits.test.num_rows} to measure accuracy on")
    measured_on = machine()
    results = []
    for seed in range(options.seeds):
        for contender in options.contenders:
            folder = Path(tempfile.mkdtemp(prefix="volta-training-speed-"))
            try:
                results.append(train(contender, seed, splits, options.rows, folder))
            finally:
                shutil.rmtree(folder, ignore_errors=True)
            last = results[-1]
            say(f"seed {seed}, {contender}: {last['seconds']:.1f} s, accuracy {last['accuracy']:.4f}")
    report(
        {
            "benchmark": "training_speed",
            "rows": options.rows,
            "training_examples": splits.train.num_rows,
            "machine": measured_on,
            "summary": summary(results, options.contenders),
            "raw": results,
        }
    )


if __name__ == "__main__":
    main()
