"""How the weights move: each parameter in one group, the schedule's values, AdamW as torch has it."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from pipeline.config_parts import ModelConfig, OptimConfig
from pipeline.exceptions import ModelError
from pipeline.layers import freeze, parameter_blocks
from pipeline.optimization import (
    block_rates,
    make_average,
    make_optimizer,
    make_scheduler,
    parameter_groups,
    warmup_steps,
)
from tests.tiny_encoders import FAMILIES, tiny_config

CPU = torch.device("cpu")


def classifier(family: str) -> torch.nn.Module:
    from transformers import AutoModelForSequenceClassification

    return AutoModelForSequenceClassification.from_config(tiny_config(family))


def names_in_groups(model: torch.nn.Module) -> list[list[str]]:
    """Names of the parameters that decay, and of those that do not."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    return [[names[parameter] for parameter in group["params"]] for group in parameter_groups(model, OptimConfig())]


def two_layers() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.LayerNorm(8), torch.nn.Linear(8, 2))


def learning_rates(config: OptimConfig, total_steps: int) -> list[float]:
    """The rate of each step, and the one after the last."""
    optimizer = make_optimizer(two_layers(), config, CPU)
    scheduler = make_scheduler(optimizer, config, total_steps)
    rates = []
    for _ in range(total_steps + 1):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


# Groups


@pytest.mark.parametrize("family", FAMILIES)
def test_every_trainable_parameter_is_in_exactly_one_group(family: str) -> None:
    model = classifier(family)
    decaying, others = names_in_groups(model)
    assert sorted(decaying + others) == sorted(name for name, _ in model.named_parameters())


@pytest.mark.parametrize("family", FAMILIES)
def test_biases_and_norms_do_not_decay_and_all_else_does(family: str) -> None:
    model = classifier(family)
    norms = {
        f"{name}.weight" for name, module in model.named_modules() if isinstance(module, torch.nn.LayerNorm)
    }
    decaying, others = names_in_groups(model)
    spared = {name for name, _ in model.named_parameters() if name in norms or name.endswith("bias")}
    assert set(others) == spared
    assert len(norms) >= 4
    assert any("embeddings" in name for name in decaying)


def test_a_frozen_parameter_is_in_no_group() -> None:
    model = two_layers()
    model[0].weight.requires_grad = False
    assert names_in_groups(model) == [["2.weight"], ["0.bias", "1.weight", "1.bias", "2.bias"]]


def test_the_first_group_decays_as_told_and_the_second_not_at_all() -> None:
    groups = parameter_groups(two_layers(), OptimConfig(weight_decay=0.1))
    assert [group["weight_decay"] for group in groups] == [0.1, 0.0]


# Learning rates of their own

BLOCKS = ["embeddings", "layer.0", "layer.1", "layer.2", "layer.3", "head"]


@pytest.mark.parametrize("choices, expected", [       # in units of the learning rate, from the embeddings to the head
    ({}, [1, 1, 1, 1, 1, 1]),
    ({"head_multiplier": 10}, [1, 1, 1, 1, 1, 10]),
    ({"layer_decay": 0.5}, [1 / 16, 1 / 8, 1 / 4, 1 / 2, 1, 1]),
    ({"layer_decay": 0.5, "head_multiplier": 2}, [1 / 16, 1 / 8, 1 / 4, 1 / 2, 1, 2]),
    ({"groups": "embeddings=2e-2,lower=2e-2, upper = 3e-2, head=0.05"}, [2, 2, 2, 3, 3, 5]),
    ({"groups": "layer.1=7e-2"}, [1, 1, 7, 1, 1, 1]),
    ({"groups": "encoder=2e-2, layer.3=9e-2"}, [2, 2, 2, 2, 9, 1]),       # the later one holds
    ({"groups": "head=3e-2, layer.0=4e-2", "layer_decay": 0.5, "head_multiplier": 10}, [1 / 16, 4, 1 / 4, 1 / 2, 1, 3]),
])
def test_each_block_has_its_rate(choices: dict[str, Any], expected: list[float]) -> None:
    rates = block_rates(BLOCKS, OptimConfig(learning_rate=0.01, **choices))
    assert list(rates) == BLOCKS
    assert [rate / 0.01 for rate in rates.values()] == pytest.approx(expected)


@pytest.mark.parametrize("choices", [{"layer_decay": 0.5}, {"head_multiplier": 10}, {"groups": "lower=1e-3"}])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_parameter_is_once_in_a_group_with_the_rate_of_its_block(family: str, choices: dict[str, Any]) -> None:
    model = classifier(family)
    config = OptimConfig(learning_rate=0.1, weight_decay=0.2, **choices)
    blocks = parameter_blocks(model)
    rates = block_rates(list(blocks), config)
    expected = {
        parameter: (rates[block], 0.2 if parameter.ndim >= 2 else 0.0)
        for block, parameters in blocks.items() for parameter in parameters.values()
    }
    groups = make_optimizer(model, config, CPU).param_groups
    in_groups = [
        (parameter, (group["lr"], group["weight_decay"])) for group in groups for parameter in group["params"]
    ]
    assert len(in_groups) == len(expected) == len(list(model.parameters()))
    assert dict(in_groups) == expected


def test_blocks_of_one_rate_share_two_groups_from_the_top_layer_down_and_the_head_last() -> None:
    def names(**choices: Any) -> list[str]:
        return [group["name"] for group in parameter_groups(classifier("bert"), OptimConfig(**choices))]

    assert names() == ["matrices", "biases_and_norms"]      # as the states of earlier runs have them
    assert names(head_multiplier=10) == [
        "matrices of embeddings-layer.1", "biases_and_norms of embeddings-layer.1",
        "matrices of head", "biases_and_norms of head",
    ]
    assert [name for name in names(groups="lower=1e-3") if "matrices" in name] == [
        "matrices of layer.1", "matrices of layer.0", "matrices of embeddings", "matrices of head",
    ]
    assert [name for name in names(layer_decay=0.9) if "matrices" in name] == [
        "matrices of layer.1", "matrices of layer.0", "matrices of embeddings", "matrices of head",
    ]


def test_blocks_that_are_frozen_make_no_group() -> None:
    model = classifier("bert")
    freeze(model, ModelConfig(freeze="embeddings,1"))
    groups = parameter_groups(model, OptimConfig(layer_decay=0.5))
    assert [group["name"].split(" of ")[1] for group in groups] == ["layer.0", "layer.0", "head", "head"]
    alike = parameter_groups(model, OptimConfig(head_multiplier=10))       # all of the encoder at one rate
    assert [group["name"].split(" of ")[1] for group in alike] == ["layer.0", "layer.0", "head", "head"]


def test_a_rate_for_a_layer_that_is_not_there_is_refused() -> None:
    with pytest.raises(ModelError, match=r"^optim.groups names 'layer.4', but the model has embeddings, 4 layers"):
        block_rates(BLOCKS, OptimConfig(groups="layer.4=1e-5"))


def test_all_rates_follow_the_schedule_together() -> None:
    config = OptimConfig(learning_rate=0.01, head_multiplier=10, warmup_steps=0)
    optimizer = make_optimizer(classifier("bert"), config, CPU)
    scheduler = make_scheduler(optimizer, config, 4)
    for left in (1, 0.75, 0.5, 0.25):
        rates = [group["lr"] for group in optimizer.param_groups]
        assert rates == pytest.approx([0.01 * left, 0.01 * left, 0.1 * left, 0.1 * left])
        optimizer.step()
        scheduler.step()


# AdamW


def train_ten_steps(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    inputs = torch.randn(16, 4, generator=torch.Generator().manual_seed(1))
    for _ in range(10):
        optimizer.zero_grad()
        model(inputs).square().mean().backward()
        optimizer.step()
    return [parameter.detach() for parameter in model.parameters()]


def test_the_weights_move_as_those_of_torchs_plain_adamw() -> None:
    config = OptimConfig(learning_rate=0.01, weight_decay=0.1)
    ours, theirs = two_layers(), two_layers()
    reference = torch.optim.AdamW([
        {"params": [theirs[0].weight, theirs[2].weight], "weight_decay": 0.1},
        {"params": [theirs[0].bias, theirs[1].weight, theirs[1].bias, theirs[2].bias], "weight_decay": 0.0},
    ], lr=0.01, fused=False, foreach=False)
    start = [parameter.detach().clone() for parameter in ours.parameters()]
    moved = train_ten_steps(ours, make_optimizer(ours, config, CPU))
    for weight, expected, before in zip(moved, train_ten_steps(theirs, reference), start, strict=True):
        torch.testing.assert_close(weight, expected, atol=1e-6, rtol=1e-6)
        assert not torch.equal(weight, before)


def test_without_a_gradient_matrices_shrink_by_rate_times_decay_and_the_rest_stays() -> None:
    model = two_layers()
    before = copy.deepcopy(model.state_dict())
    optimizer = make_optimizer(model, OptimConfig(learning_rate=0.1, weight_decay=0.5), CPU)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, weight in model.state_dict().items():
        shrink = 1 - 0.1 * 0.5 if name in ("0.weight", "2.weight") else 1.0
        torch.testing.assert_close(weight, before[name] * shrink)


@pytest.mark.parametrize("device, fused", [("cpu", True), ("cuda", True), ("mps", True), ("meta", False)])
def test_adamw_is_fused_where_the_device_has_it(device: str, fused: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}
    monkeypatch.setattr(torch.optim, "AdamW", lambda groups, **arguments: given.update(arguments))
    make_optimizer(two_layers(), OptimConfig(learning_rate=0.25), torch.device(device))
    assert given == {"lr": 0.25, "fused": fused}


# The schedule


@pytest.mark.parametrize("schedule, total_steps, expected", [
    # at step 0, half of the warm-up, its end, a quarter and half of the way down, the end
    ("linear", 90, {0: 0, 5: 0.5, 10: 1, 30: 0.75, 50: 0.5, 90: 0}),
    ("cosine", 90, {0: 0, 5: 0.5, 10: 1, 30: 0.853553, 50: 0.5, 90: 0}),     # (1 + cos 45 degrees) / 2
    ("constant", 90, {0: 0, 5: 0.5, 10: 1, 30: 1, 50: 1, 90: 1}),
    ("polynomial", 90, {0: 0, 5: 0.5, 10: 1, 30: 0.5625, 50: 0.25, 90: 0}),     # squares of 3/4 and 1/2
])
def test_the_rate_rises_to_its_peak_and_falls_as_the_schedule_says(
    schedule: Any, total_steps: int, expected: dict[int, float]
) -> None:
    rates = learning_rates(OptimConfig(learning_rate=0.1, schedule=schedule, warmup_steps=10), total_steps)
    assert {step: rates[step] / 0.1 for step in expected} == pytest.approx(expected, abs=1e-6)


def test_both_groups_have_the_same_rate() -> None:
    config = OptimConfig(warmup_steps=2)
    optimizer = make_optimizer(two_layers(), config, CPU)
    scheduler = make_scheduler(optimizer, config, 10)
    for _ in range(5):
        optimizer.step()
        scheduler.step()
        assert optimizer.param_groups[0]["lr"] == optimizer.param_groups[1]["lr"] > 0


def test_without_warm_up_the_first_step_has_the_peak() -> None:
    assert learning_rates(OptimConfig(learning_rate=0.1, warmup_ratio=0), 4) == pytest.approx([
        0.1, 0.075, 0.05, 0.025, 0.0,
    ])


@pytest.mark.parametrize("ratio, steps, total_steps, expected", [
    (0.1, None, 100, 10),
    (0.06, None, 1980, 119),        # 118.8, rounded up
    (0.0, None, 100, 0),
    (0.1, 25, 100, 25),             # given in steps, it replaces the share
    (0.1, 0, 100, 0),
    (0.1, 500, 100, 100),           # no longer than the run
])
def test_warm_up_is_a_share_of_all_steps_unless_given_in_steps(
    ratio: float, steps: int | None, total_steps: int, expected: int
) -> None:
    assert warmup_steps(OptimConfig(warmup_ratio=ratio, warmup_steps=steps), total_steps) == expected


# The average


@pytest.mark.parametrize("decay, kept", [
    (0.9, [2 / 11, 3 / 12, 4 / 13]),        # the warm-up's
    (0.2, [2 / 11, 0.2, 0.2]),
])
def test_the_average_keeps_its_share_of_itself_and_less_in_the_first_steps(decay: float, kept: list[float]) -> None:
    model = two_layers()
    average = make_average(model, decay)
    weight, expected = model[0].weight, torch.empty(0)
    for step, share in enumerate([0.0, *kept]):
        torch.nn.init.constant_(weight, float(step + 1))
        average.update_parameters(model)
        expected = weight.detach().clone() if step == 0 else share * expected + (1 - share) * weight.detach()
        torch.testing.assert_close(average.module[0].weight, expected)
    assert torch.equal(average.module[2].weight, model[2].weight)       # what does not move is its own average


def test_the_average_takes_a_share_of_a_thousandth_in_the_long_run() -> None:
    model = two_layers()
    average = make_average(model, 0.999)
    average.n_averaged += 10_000
    before = average.module[0].weight.clone()
    torch.nn.init.zeros_(model[0].weight)
    average.update_parameters(model)
    torch.testing.assert_close(average.module[0].weight, 0.999 * before)
