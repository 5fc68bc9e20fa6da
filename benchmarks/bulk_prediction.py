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

from typing import Any

from benchmarks.contest import asked_for, compared, compete, data_at_hand, machine, report, take_turns, trained_model
from pipeline.models import choose_device
from pipeline.reading import read_source
from pipeline.sources import find_data

VOLTA, BY_ONE, BY_32 = "volta_prediction", "pipeline_by_one", "pipeline_by_32"
AT_LEAST = 2.0  # times as fast as pipeline_by_one


def sentences() -> list[str]:
    with data_at_hand():
        tables = read_source(find_data("sst2")).tables
    texts: list[str] = [text for split in ("validation", "test") for text in tables[split]["sentence"].to_pylist()]
    return texts


def summary(rounds: list[dict[str, dict[str, Any]]]) -> dict[str, Any]:
    """By contender: seconds, how many times as long as Volta it took, labels that differ from Volta's."""
    lines = compared(rounds, VOLTA)
    for contender in (BY_ONE, BY_32):
        differing = (
            sum(label != volta for label, volta in zip(each[contender]["labels"], each[VOLTA]["labels"], strict=True))
            for each in rounds
        )
        lines[contender]["labels_differing"] = max(differing)
    first = lines[BY_ONE]
    met = first[f"times_{VOLTA}"]["median"] >= AT_LEAST and not first["labels_differing"]
    return lines | {BY_ONE: first | {"target": AT_LEAST, "met": met}}


def main() -> None:
    options = asked_for(__doc__, model="sst2-minilm", rounds=5, texts=2_693)
    texts = sentences()[: options.texts]
    place, device = trained_model(options.model), choose_device().type
    task = {"name": options.model, "model": place.location, "texts": texts, "device": device}
    measured_on = machine()
    rounds = take_turns(options.rounds, (VOLTA, BY_ONE, BY_32), lambda contender, _: compete(contender, task))
    facts = {"benchmark": "bulk_prediction", "model": options.model, "texts": len(texts), "machine": measured_on}
    found = summary(rounds)
    for result in (result for each in rounds for result in each.values()):
        del result["labels"]
    report({**facts, "summary": found, "raw": rounds})


if __name__ == "__main__":
    main()
