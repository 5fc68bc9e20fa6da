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

import os
import statistics
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.contest import asked_for, compared, compete, data_at_hand, machine, report, say, spread, take_turns
from pipeline.config_parts import DataConfig
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
    config = {
        "name": "volta",
        "seed": seed,
        "data": {"source": "sst2", "limit": rows},
        "model": {"base": BASE},
        "optim": {"learning_rate": LEARNING_RATE, "batch_size": BATCH_SIZE, "epochs": 1},
        "hardware": {"device": device},
    }
    task = {
        "config": config,       # for Volta; the rest is for the others
        "base": find_model(BASE).location,
        "texts": splits.train["text"].to_pylist(),
        "label_ids": splits.train["label_id"].to_pylist(),
        "seed": seed,
        "device": device,
        "batch_size": BATCH_SIZE,
        "learning_rate": LEARNING_RATE,
        "folder": str(folder / "model"),
    }
    # A temporary folder of its own: the device's lock is there, so that no other run is waited for.
    result = compete(contender, task, VOLTA_HOME=str(folder), TMPDIR=str(folder))
    if result.pop("data", splits.fingerprints) != splits.fingerprints:
        raise RuntimeError("Volta's run had other examples than the others were given.")
    model = folder / ("volta/best" if contender == VOLTA else "model")
    logits, _ = Predictor.load(str(model)).logits(splits.test["text"])
    accuracy = float((logits.argmax(axis=1) == splits.test["label_id"].to_numpy()).mean())
    return {**result, "examples_per_second": result["examples"] / result["seconds"], "accuracy": accuracy}


def summary(rounds: list[dict[str, dict[str, Any]]]) -> dict[str, Any]:
    """By contender: seconds and accuracy over the seeds, and how many times as long as Volta it took in each round."""
    lines = compared(rounds, VOLTA)
    for contender, line in lines.items():
        accuracies = [each[contender]["accuracy"] for each in rounds]
        line["examples_per_second"] = spread([each[contender]["examples_per_second"] for each in rounds])
        line["accuracy"] = {"mean": round(statistics.mean(accuracies), 4), **spread(accuracies)}
        if times := line.get(f"times_{VOLTA}"):
            line |= {"target": AT_LEAST[contender], "met": times["median"] >= AT_LEAST[contender]}
    return lines


def main() -> None:
    options = asked_for(__doc__, rows=10_000, seeds=3, contenders=[VOLTA, *AT_LEAST])
    os.environ["TRANSFORMERS_VERBOSITY"] = "error"
    with data_at_hand():
        splits = load_splits(DataConfig(source="sst2", limit=options.rows))
    examples = splits.train.num_rows
    say(f"{examples} training examples, {splits.test.num_rows} to measure accuracy on")
    measured_on = machine()

    def measure(contender: str, seed: int) -> dict[str, Any]:
        with tempfile.TemporaryDirectory(prefix="volta-training-speed-", ignore_cleanup_errors=True) as folder:
            return train(contender, seed, splits, options.rows, Path(folder))

    rounds = take_turns(options.seeds, options.contenders, measure)
    facts = {"benchmark": "training_speed", "rows": options.rows, "training_examples": examples}
    report({**facts, "machine": measured_on, "summary": summary(rounds), "raw": rounds})


if __name__ == "__main__":
    main()
