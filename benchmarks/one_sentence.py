"""How soon does Volta answer about one sentence, beside transformers' pipeline(), and does it say the same?

    python -m benchmarks.one_sentence       # about three minutes on two CPU cores

SST-2's validation and test sentences, one after the other, with one trained model, by

- volta_sentence: `Predictor.load(model).predict([text])`, which computes in ONNX Runtime after its third call;
- pipeline_sentence: `pipeline("text-classification", model=...)(text)`;
- what else Volta could compute with: torch alone, torch in bf16, ONNX Runtime with weights in 8 bits.

In each round each answers once, in turn, in a fresh process with the environment of a user's shell. `seconds` are the
median of a sentence; loading the model, and the first twenty sentences, are not counted.
"""

from __future__ import annotations

from typing import Any

from benchmarks.bulk_prediction import sentences
from benchmarks.contest import asked_for, compared, compete, machine, report, spread, take_turns, trained_model
from pipeline.models import choose_device

VOLTA, PIPELINE = "volta_sentence", "pipeline_sentence"
CONTENDERS = (VOLTA, PIPELINE, "torch_sentence", "torch_bf16_sentence", "onnx_int8_sentence")
AT_MOST = 0.55  # of the pipeline's seconds


def summary(rounds: list[dict[str, dict[str, Any]]]) -> dict[str, Any]:
    """By contender: seconds, their share of the pipeline's, labels that differ from the pipeline's."""
    lines = compared(rounds, PIPELINE)
    for contender, line in lines.items():
        line["p95"] = spread([each[contender]["p95"] for each in rounds])
        pairs = zip(rounds[0][contender]["labels"], rounds[0][PIPELINE]["labels"], strict=True)
        line["labels_differing"] = sum(label != expected for label, expected in pairs)
    met = lines[VOLTA][f"times_{PIPELINE}"]["median"] <= AT_MOST and not lines[VOLTA]["labels_differing"]
    return lines | {VOLTA: lines[VOLTA] | {"target": AT_MOST, "met": met}}


def main() -> None:
    options = asked_for(__doc__, model="sst2-minilm", rounds=5, texts=2_693, contenders=list(CONTENDERS))
    texts = sentences()[: options.texts]
    place, device = trained_model(options.model), choose_device().type
    task = {"name": options.model, "model": place.location, "texts": texts, "device": device}
    measured_on = machine()
    rounds = take_turns(options.rounds, options.contenders, lambda contender, _: compete(contender, task))
    found = summary(rounds)
    for result in (result for each in rounds for result in each.values()):
        del result["labels"]
    facts = {"benchmark": "one_sentence", "model": options.model, "texts": len(texts), "machine": measured_on}
    report({**facts, "summary": found, "raw": rounds})


if __name__ == "__main__":
    main()
