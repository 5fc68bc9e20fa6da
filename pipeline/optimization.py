"""How do the weights move? Parameter groups, AdamW and the learning rate's schedule."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import groupby
from typing import TYPE_CHECKING, Any

from pipeline.config_parts import OptimConfig
from pipeline.layers import blocks_called, parameter_blocks

if TYPE_CHECKING:
    import torch
    from torch.optim.swa_utils import AveragedModel


def parameter_groups(model: torch.nn.Module, config: OptimConfig) -> list[dict[str, Any]]:
    """Every trainable parameter exactly once: matrices decay; biases and norms do not.

    Two groups where all have one learning rate; else two for each run of blocks that share one, from the top layer
    down and the head last, so that the first group's rate is the one that a run reports.
    """
    if config.head_multiplier == config.layer_decay == 1 and not config.groups:
        return _by_decay(model.parameters(), config.weight_decay)
    blocks = parameter_blocks(model)
    rates = block_rates(list(blocks), config)
    *encoder, head = blocks
    groups = []
    for (rate, _), run in groupby([*reversed(encoder), head], lambda block: (rates[block], block == head)):
        names = [name for name in run if any(weight.requires_grad for weight in blocks[name].values())]
        if not names:       # all frozen
            continue
        parameters = [parameter for name in names for parameter in blocks[name].values()]
        called = " of " + (names[0] if len(names) == 1 else f"{names[-1]}-{names[0]}")
        groups += [{**group, "lr": rate} for group in _by_decay(parameters, config.weight_decay, called)]
    return [group for group in groups if group["params"]]


def block_rates(blocks: list[str], config: OptimConfig) -> dict[str, float]:
    """The peak learning rate of each block of a model, given from the bottom up. Raises: ModelError.

    The top layer has `learning_rate`, and each layer below `layer_decay` times that of the one above it.
    Source: Sun et al. 2019, https://arxiv.org/abs/1905.05583 (layer-wise decreasing rate).
    """
    *encoder, head = blocks
    top = len(encoder) - 1
    rates = {block: config.learning_rate * config.layer_decay ** (top - depth) for depth, block in enumerate(encoder)}
    rates[head] = config.learning_rate * config.head_multiplier
    for group in filter(None, config.groups.split(",")):
        word, rate = group.split("=")
        rates |= dict.fromkeys(blocks_called(word.strip(), blocks, "optim.groups"), float(rate))
    return rates


def _by_decay(parameters: Iterable[torch.nn.Parameter], decay: float, called: str = "") -> list[dict[str, Any]]:
    trainable = [parameter for parameter in parameters if parameter.requires_grad]
    matrices, others = ([each for each in trainable if (each.ndim >= 2) == wanted] for wanted in (True, False))
    return [
        {"name": f"matrices{called}", "params": matrices, "weight_decay": decay},
        {"name": f"biases_and_norms{called}", "params": others, "weight_decay": 0.0},
    ]


def make_optimizer(model: torch.nn.Module, config: OptimConfig, device: torch.device) -> torch.optim.AdamW:
    """AdamW, fused where the device has it.

    Source: Loshchilov and Hutter 2019, https://arxiv.org/abs/1711.05101.
    """
    import torch

    fused = device.type in ("cpu", "cuda", "mps")
    groups = parameter_groups(model, config)
    return torch.optim.AdamW(groups, lr=config.learning_rate, fused=fused)


def warmup_steps(config: OptimConfig, total_steps: int) -> int:
    if config.warmup_steps is not None:
        return min(config.warmup_steps, total_steps)
    return math.ceil(config.warmup_ratio * total_steps)


def make_scheduler(optimizer: torch.optim.Optimizer, config: OptimConfig, total_steps: int) -> Any:
    """Linear warm-up from 0 to the peak, then linear, half-cosine or square to 0 at `total_steps`, or constant."""
    from transformers import get_scheduler

    name = {"constant": "constant_with_warmup"}.get(config.schedule, config.schedule)
    own = {"power": 2.0, "lr_end": 0.0} if name == "polynomial" else None
    return get_scheduler(name, optimizer, warmup_steps(config, total_steps), total_steps, own)


def make_average(model: torch.nn.Module, decay: float) -> AveragedModel:
    """An exponential moving average of the weights, to be updated after each step.

    The first update takes the weights as they are; the n-th after it keeps min(decay, (1 + n) / (10 + n)) of the
    average, which would else stay near the first weights for 1 / (1 - decay) steps.
    Source: https://www.tensorflow.org/api_docs/python/tf/train/ExponentialMovingAverage (`num_updates`).
    """
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

    def move(averages: Any, weights: Any, num_averaged: Any) -> None:
        num = int(num_averaged)
        get_ema_multi_avg_fn(min(decay, (1 + num) / (10 + num)))(averages, weights, num)

    return AveragedModel(model, multi_avg_fn=move)
