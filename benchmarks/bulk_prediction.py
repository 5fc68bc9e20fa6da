"""How fast does Volta predict many sentences, beside transformers' pipeline(), and does it say the same?

    python -m benchmarks.bulk_prediction                # about five minutes on two CPU cores
    python -m benchmarks.bulk_prediction --texts 200 --rounds 2 --model my-run

The 2,693 sentences of SST-2's validation and test files, with one trained model, by

- volta_prediction: `Predictor.load(model).predict(texts)`;
- pipeline_by_one: `pipeline("text-classification", model=...)(texts)`, whose default is one text at a time;
- pipeline_by_32: the same with batch_size=32.

In each round each predicts once, in turn, in a fresh process with the environment of a user's shell (Volta sets
OMP_WAIT_POLICY=passive for itself, the others keep OpenMP's default), on the same device, in fp32. Timed is the call
with all texts; loading the model, and a first call on a hundred texts, are not.
"""

from __future__ import annotations

import argparse
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
    trained_model,
)
from pipeline.models import choose_device
from pipeline.reading import read_source
from pipeline.sources import find_data

VOLTA = "volta_prediction"
OTHERS = ["pipeline_by_one", "pipeline_by_32"]
AT_LEAST = 2.0  # times as fast as pipeline_by_one


def sentences() -> list[str]:
    with sst2_at_hand():
        tables = read_source(find_data("sst2")).tables
    texts: list[str] = [text for split in ("validation", "test") for text in tables[split]["sentence"].to_pylist()]
    return texts


def summary(results: list[dict[str, dict[str, Any]]]) -> dict[str, Any]:
    """By contender: seconds over the rounds, how many times as long as Volta it took, labels that differ."""
    rounds = [{contender: result["seconds"] for contender, result in round_.items()} for round_ in results]
    lines: dict[str, Any] = {VOLTA: {"seconds": spread([seconds[VOLTA] for seconds in rounds])}}
    for contender in OTHERS:
        lines[contender] = {
            "seconds": spread([seconds[contender] for seconds in rounds]),
            "times_volta": ratios(rounds, contender, VOLTA),
            "labels_differing": max(_differing(round_[contender], round_[VOLTA]) for round_ in results),
        }
    first = lines[OTHERS[0]]
    first |= {"target": AT_LEAST, "met": first["times_volta"]["median"] >= AT_LEAST and not first["labels_differing"]}
    return lines


def _differing(result: dict[str, Any], other: dict[str, Any]) -> int:
    return sum(label != same for label, same in zip(result["labels"], other["labels"], strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="sst2-minilm", help="a run, a model folder or a Hub classifier")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--texts", type=int, help="only the first so many sentences")
    options = parser.parse_args()
    end_cleanly_when_terminated()
    texts = sentences()[: options.texts]
    task = {
        "name": options.model,
        "model": trained_model(options.model).location,
        "texts": texts,
        "device": choose_device().type,
    }
    measured_on = machine()
    results: list[dict[str, dict[str, Any]]] = []
    for number in range(1, options.rounds + 1):
        results.append({})
        for contender in (VOLTA, *OTHERS):
            results[-1][contender] = compete(contender, task)
            seconds = results[-1][contender]["seconds"]
            say(f"round {number}, {contender}: {len(texts)} texts in {seconds:.2f} s")
    lines = summary(results)
    for round_ in results:
        for result in round_.values():
            del result["labels"]
    report(
        {
            "benchmark": "bulk_prediction",
            "model": options.model,
            "texts": len(texts),
            "machine": measured_on,
            "summary": lines,
            "raw": results,
        }
    )


if __name__ == "__main__":
    main()
