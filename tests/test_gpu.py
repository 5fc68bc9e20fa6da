"""What can be seen on a GPU alone; skipped where there is none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.catalog import create_run
from pipeline.config import make_config
from pipeline.jobs import carry_out
from pipeline.runs import Run
from tests.conftest import forget_precision

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")


@pytest.fixture(autouse=True)
def whole_memory(run_root: Path) -> Iterator[None]:
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)
    torch.cuda.empty_cache()


def carried_out(name: str, tiny_model: Path, tiny_data: Path, **groups: dict[str, Any]) -> Run:
    values = {
        "name": name,
        "data": {"source": str(tiny_data)},
        "model": {"base": str(tiny_model)},
        "optim": {"learning_rate": 5e-3, "batch_size": 32, "epochs": 4},
    }
    run = create_run(make_config({**values, **groups}))
    assert carry_out(run) == 0, run.log_tail(20)
    return run


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_run_learns_on_the_gpu_in_each_precision(precision: str, tiny_model: Path, tiny_data: Path) -> None:
    run = carried_out("learns", tiny_model, tiny_data, hardware={"precision": precision})
    assert run.environment()["device"].startswith("cuda")
    assert run.status().best["value"] > 0.9


def test_a_run_repeats_bit_for_bit_on_the_same_gpu(tiny_model: Path, tiny_data: Path) -> None:
    losses = [
        [line["loss"] for line in steps_of(carried_out(name, tiny_model, tiny_data))] for name in ("first", "second")
    ]
    assert losses[0] == losses[1]


def test_fp16_takes_gradients_down_to_their_true_size_before_it_clips_them(tiny_model: Path, tiny_data: Path) -> None:
    """A scaled gradient would have a norm of tens of thousands: all steps would be clipped to next to nothing."""
    first = {}
    for precision in ("fp32", "fp16"):
        forget_precision()
        run = carried_out(precision, tiny_model, tiny_data, hardware={"precision": precision})
        first[precision] = steps_of(run)[0]["grad_norm"]
    assert first["fp16"] == pytest.approx(first["fp32"], rel=0.05)


def test_out_of_memory_cuts_steps_into_smaller_pieces_and_goes_on(tiny_model: Path, tmp_path: Path) -> None:
    data = tmp_path / "long.jsonl"
    rows = [{"text": f"{'good' if n % 2 else 'bad'} film " * 30, "label": "ab"[n % 2]} for n in range(500)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    groups = {
        "data": {"source": str(data), "split": "random"},
        "optim": {"batch_size": 256, "epochs": 2},
        "hardware": {"precision": "fp32", "micro_batch_tokens": 1_000_000},
    }
    needed = steps_of(carried_out("enough", tiny_model, data, **groups))[-1]["memory_bytes"]
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(0.7 * needed / torch.cuda.get_device_properties(0).total_memory)
    run = carried_out("too-little", tiny_model, data, **groups)
    assert "Out of memory" in run.log_tail(200)
    assert steps_of(run)[-1]["micro_batch_tokens"] < 1_000_000
    assert run.status().step == steps_of(run)[-1]["step"] == 4


def steps_of(run: Run) -> list[dict[str, Any]]:
    return [line for line in run.metrics() if "grad_norm" in line]
