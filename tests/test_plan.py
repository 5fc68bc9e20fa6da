"""The plan of a run: what it says is what the run then does."""

from __future__ import annotations

import math
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import plan as plan_module
from pipeline.catalog import create_run
from pipeline.config import make_config
from pipeline.exceptions import DataError
from pipeline.jobs import carry_out, device_lock
from pipeline.plan import make_plan
from tabs.plan_view import plan_blocks
from tests.command import volta
from tests.tiny_encoders import build


def test_a_plan_says_what_the_run_then_does(run_root: Path, tiny_values: dict[str, Any]) -> None:
    config = make_config({**tiny_values, "stop": {"evaluate_every": 5}})
    plan = make_plan(config)
    assert not run_root.exists()
    run = create_run(config)
    assert carry_out(run) == 0
    lines = run.metrics()
    steps = [line for line in lines if "split" not in line]
    assert plan.steps == len(steps) == 24
    assert plan.evaluations == len(lines) - len(steps)
    assert plan.rows == {split: found["rows"] for split, found in run.environment()["data"].items()}
    assert [group["name"] for group in plan.groups] == ["matrices", "biases_and_norms"]
    assert sum(group["parameters"] for group in plan.groups) == plan.trainable_parameters
    for group in plan.groups:
        assert steps[plan.warmup_steps]["learning_rate"] == pytest.approx(group["learning_rate"])
    assert plan.label_shares["train"] == {"negative": 0.5, "positive": 0.5}
    assert (plan.device, plan.precision) == ("cpu", "fp32")


def test_time_and_memory_are_of_the_size_of_what_was_measured(tiny_values: dict[str, Any]) -> None:
    plan = make_plan(make_config(tiny_values))
    assert plan.seconds >= plan.steps * plan.seconds_per_step > 0
    assert 1e8 < plan.peak_memory_bytes < 1e11
    assert plan.free_memory_bytes > 1e8
    assert plan.trainable_parameters == plan.parameters > 10_000


@pytest.mark.parametrize("choices, share", [
    ({"freeze": "encoder"}, 0.05),
    ({"freeze": "encoder", "head": "mlp"}, 0.9),        # 32 * 512 + 512 * 256 are more than the tiny encoder has
    ({"unfreeze_each_epoch": 1}, 1.0),                  # in time
])
def test_what_is_frozen_is_counted_but_does_not_train(
    choices: dict[str, Any], share: float, tiny_values: dict[str, Any]
) -> None:
    values = {**tiny_values, "model": {**tiny_values["model"], **choices}}
    plan = make_plan(make_config({**values, "optim": {**values["optim"], "layer_decay": 0.5}}))
    model = build(tiny_values["model"]["base"], **choices)
    assert plan.parameters == sum(each.numel() for each in model.parameters())
    assert plan.trainable_parameters == sum(each.numel() for each in model.parameters() if each.requires_grad)
    assert plan.trainable_parameters == sum(group["parameters"] for group in plan.groups)
    assert plan.trainable_parameters / plan.parameters == pytest.approx(share, abs=0.05)


def test_the_page_tells_the_rate_of_each_block_where_they_differ(tiny_values: dict[str, Any]) -> None:
    optim = {**tiny_values["optim"], "groups": "lower=2e-5, head=5e-3"}
    told = dict(plan_blocks(asdict(make_plan(make_config({**tiny_values, "optim": optim}))))[0]["rows"])
    assert told["Learning rate"] == "layer.1 0.001 · layer.0 2e-05 · embeddings 0.001 · head 0.005"


def test_of_many_examples_a_sample_is_measured_and_all_are_counted(
    tiny_values: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_module, "MEASURED_EXAMPLES", 40)
    plan = make_plan(make_config(tiny_values))
    assert plan.rows["train"] == 192
    assert plan.steps == 2 * math.ceil(192 / 16)


def test_the_measured_steps_are_of_evenly_spaced_lengths(
    tiny_values: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.training import Training

    taken: list[int] = []
    take_step = Training.take_step

    def watched(training: Training) -> Any:
        taken.append(int(training.train.encoded.lengths[training.batches_of_epoch(0)[training.step]].max()))
        return take_step(training)

    monkeypatch.setattr(Training, "take_step", watched)
    make_plan(make_config(tiny_values))
    assert taken[0] == max(taken)
    assert taken[1:] == sorted(taken[1:])
    assert len(taken) == 1 + plan_module.MEASURED_STEPS
    assert np.ptp(taken) > 3


def test_what_a_run_would_be_refused_for_refuses_its_plan(tiny_values: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="There is no file"):
        make_plan(make_config({**tiny_values, "data": {"source": "none.csv"}}))


def test_the_command_prints_the_plan_and_keeps_nothing(run_root: Path, tiny_values: dict[str, Any]) -> None:
    arguments = [
        f"--set={group}.{name}={value}" for group, fields in tiny_values.items() if group != "name"
        for name, value in fields.items()
    ]
    answer = volta("plan", *arguments)
    [plan] = answer.lines
    assert (answer.status, plan["steps"]) == (0, 24)
    assert not run_root.exists()


def test_the_page_tells_the_plan_in_words_and_warns_where_memory_is_short(tiny_values: dict[str, Any]) -> None:
    plan = {**asdict(make_plan(make_config(tiny_values))), "seconds": 200, "peak_memory_bytes": 2e9}
    table, *warnings = plan_blocks({**plan, "free_memory_bytes": 5e9})
    told = dict(table["rows"])
    assert told["Examples"] == "192 train · 24 validation · 24 test"
    assert told["Steps"] == "24, the first 2 of them warm-up"
    assert told["Time"].startswith("about 3 min 20 s (")
    assert not warnings
    with device_lock("cpu", threading.Event()):
        assert "A run is using this device" in plan_blocks({**plan, "free_memory_bytes": 5e9})[1]["text"]
    assert "may not fit in memory" in plan_blocks({**plan, "free_memory_bytes": 1e9})[1]["text"]
    assert plan_blocks({**plan, "free_memory_bytes": 5e9, "notes": ["A note."]})[1]["text"] == "A note."


def test_a_plan_says_where_it_measured_one_process_of_several(tiny_values: dict[str, Any]) -> None:
    hardware = {**tiny_values["hardware"], "processes": 2}
    told = "Time and memory are those of one process; 2 will share the examples of each step."
    assert make_plan(make_config(tiny_values)).notes == []
    assert make_plan(make_config({**tiny_values, "hardware": hardware})).notes == [told]
