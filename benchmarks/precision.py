"""What does a training step take in fp32, bf16 and fp16, and with layers that are computed twice?

    python -m benchmarks.precision                              # about four minutes on two CPU cores
    python -m benchmarks.precision --source imdb --length 256   # long texts

All in one process, in turn: in each round every way takes the same steps of 32 examples from the same weights, after a
few that are not counted. Memory is the most that a GPU's tensors took; a CPU's cannot be told apart in one process.
"""

from __future__ import annotations

from typing import Any

from benchmarks.contest import asked_for, data_at_hand, machine, report, spread, take_turns
from pipeline.config import make_config
from pipeline.data import Splits, load_splits
from pipeline.hardware import forget_peak_memory
from pipeline.models import choose_device
from pipeline.training import prepare_training

WARM_UP = 5
WAYS: dict[str, dict[str, Any]] = {
    "fp32": {"precision": "fp32"},
    "bf16": {"precision": "bf16"},
    "fp16": {"precision": "fp16"},                      # on a GPU alone
    "bf16, checkpointing": {"precision": "bf16", "gradient_checkpointing": True},
}


def measure(way: str, data: dict[str, Any], splits: Splits, steps: int) -> dict[str, Any]:
    """Milliseconds of a step, mean over the steps, and gigabytes at the peak."""
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)     # else the first way's precision is that of all
    device = choose_device()
    config = make_config({"name": "precision", "data": data, "hardware": WAYS[way]})
    training, _ = prepare_training(config, splits, splits.train, device)
    forget_peak_memory(device)
    for _ in range(WARM_UP):
        training.take_step()
    before = training.seconds
    for _ in range(steps):
        last = training.take_step()
    seconds = training.seconds - before
    gigabytes = last.memory_bytes / 1e9 if device.type == "cuda" else None
    return {"seconds": seconds, "ms_a_step": 1000 * seconds / steps, "gigabytes": gigabytes, "last_loss": last.loss}


def main() -> None:
    options = asked_for(__doc__, source="sst2", length=128, steps=60, rounds=3)
    data = {"source": options.source, "max_length": options.length, "limit": 5_000, "split": "random"}
    with data_at_hand():
        splits = load_splits(make_config({"name": "precision", "data": data}).data)
    device = choose_device()
    ways = [way for way in WAYS if way != "fp16" or device.type == "cuda"]
    facts = {"benchmark": "precision", "machine": machine(), "device": device_name(device)}
    rounds = take_turns(options.rounds, ways, lambda way, _: measure(way, data, splits, options.steps))
    summary = {
        way: {
            "ms_a_step": spread([each[way]["ms_a_step"] for each in rounds]),
            "gigabytes": rounds[-1][way]["gigabytes"],
            "times_fp32": spread([each[way]["seconds"] / each["fp32"]["seconds"] for each in rounds]),
        }
        for way in ways
    }
    report({**facts, "data": data, "summary": summary, "raw": rounds})


def device_name(device: Any) -> str:
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


if __name__ == "__main__":
    main()
