"""How fast does Volta explain a sentence, beside a loop of Captum's 50 steps, and how complete is either?

    python -m benchmarks.attribution_speed              # about two minutes on two CPU cores

The first hundred of SST-2's validation sentences, one after the other, with one trained model, by

- volta_attribution: integrated gradients of the log-odds, as many steps as the sentence needs (at most 1% missed);
- captum_50_steps: Captum's IntegratedGradients of the logit with its usual 50 steps.

In each round each explains once, in turn, in a fresh process with the environment of a user's shell, in fp32. Timed is
the loop; loading the model, and five first sentences, are not. The delta is the share of the whole difference that the
attributions miss.
"""

from __future__ import annotations

import argparse
import statistics
from typing import Any

from benchmarks.bulk_prediction import sentences
from benchmarks.contest import compete, end_cleanly_when_terminated, machine, ratios, report, say, spread, trained_model
from pipeline.models import choose_device

VOLTA, CAPTUM = "volta_attribution", "captum_50_steps"
AT_LEAST = 2.0  # times as fast
AT_MOST = 0.01  # delta


def summary(results: list[dict[str, dict[str, Any]]]) -> dict[str, Any]:
    rounds = [{contender: result["seconds"] for contender, result in round_.items()} for round_ in results]
    lines: dict[str, Any] = {}
    for contender in (VOLTA, CAPTUM):
        deltas = results[0][contender]["deltas"]  # the same in every round
        lines[contender] = {
            "seconds": spread([seconds[contender] for seconds in rounds]),
            "delta": {"median": statistics.median(deltas), "highest": max(deltas)},
        }
    times = ratios(rounds, CAPTUM, VOLTA)
    complete = lines[VOLTA]["delta"]["highest"] <= AT_MOST
    lines[CAPTUM] |= {"times_volta": times, "target": AT_LEAST, "met": times["median"] >= AT_LEAST and complete}
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="sst2-minilm", help="a run, a model folder or a Hub classifier")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--texts", type=int, default=100, help="only the first so many sentences")
    options = parser.parse_args()
    end_cleanly_when_terminated()
    texts = sentences()[: options.texts]
    place = trained_model(options.model)
    task = {"name": options.model, "model": place.location, "texts": texts, "device": choose_device().type}
    measured_on = machine()
    results: list[dict[str, dict[str, Any]]] = []
    for number in range(1, options.rounds + 1):
        results.append({contender: compete(contender, task) for contender in (VOLTA, CAPTUM)})
        seconds = {contender: round(result["seconds"], 2) for contender, result in results[-1].items()}
        say(f"round {number}: {seconds}")
    lines = summary(results)
    report(
        {
            "benchmark": "attribution_speed",
            "model": options.model,
            "texts": len(texts),
            "machine": measured_on,
            "summary": lines,
            "raw": results,
        }
    )


if __name__ == "__main__":
    main()
