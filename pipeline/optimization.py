"""How do the weights move? Parameter groups, AdamW and the learning rate's schedule."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pipeline.config import OptimConfig

if TYPE_CHECKING:
    import torch
    from torch.optim.swa_utils import AveragedModel


def parameter_groups(model: torch.nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Every trainable parameter exactly once, by name of its group: matrices decay; biases and norms do not."""
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {"name": "matrices", "params": [each for each in trainable if each.ndim >= 2], "weight_decay": weight_decay},
        {"name": "biases_and_norms", "params": [each for each in trainable if each.ndim < 2], "weight_decay": 0.0},
    ]


def make_optimizer(model: torch.nn.Module, config: OptimConfig, device: torch.device) -> torch.optim.AdamW:
    """AdamW, fused where the device has it.

    Source: Loshchilov and Hutter 2019, https://arxiv.org/abs/1711.05101.
    """
    import torch

    fused = device.type in ("cpu", "cuda", "mps")
    groups = parameter_groups(model, config.weight_decay)
    return torch.optim.AdamW(groups, lr=config.learning_rate, fused=fused)


def warmup_steps(config: OptimConfig, total_steps: int) -> int:
    if config.warmup_steps is not None:
        return min(config.warmup_steps, total_steps)
    return math.ceil(config.warmup_ratio * total_steps)


def make_scheduler(optimizer: torch.optim.Optimizer, config: OptimConfig, total_steps: int) -> Any:
    """Linear warm-up from 0 to the peak, then linear or half-cosine to 0 at `total_steps`, or constant."""
    from transformers import get_scheduler

    name = {"constant": "constant_with_warmup"}.get(config.schedule, config.schedule)
    return get_scheduler(name, optimizer, warmup_steps(config, total_steps), total_steps)


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
