"""What will this run do, and what will it take? Told before it starts, from data, model and a few real steps."""

from __future__ import annotations

import math
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil

from pipeline.augmentation import as_if_translated, augmented, check_augmentation
from pipeline.config import RunConfig
from pipeline.tracking import tracking_notes
from pipeline.unlabelled import load_examples

if TYPE_CHECKING:
    import pyarrow as pa
    import torch

    from pipeline.training import Training

MEASURED_STEPS = 8          # each from the middle of an eighth of all steps by length: their mean stands for an epoch
MEASURED_EXAMPLES = 20_000  # at most so many are tokenised
MEASURED_TEXTS = 128        # of validation


@dataclass(frozen=True)
class Plan:
    """What a run will do and take. Seconds and memory are those of this process, which has done a bit of it."""

    rows: dict[str, int]                        # by split
    label_shares: dict[str, dict[str, float]]   # by split and label
    steps: int
    warmup_steps: int
    evaluations: int                            # with the one before the first step
    groups: list[dict[str, Any]]                # name, parameters, learning_rate (at its peak) and weight_decay of each
    parameters: int
    trainable_parameters: int                   # at any time of the run
    device: str
    precision: str                              # fp32, bf16 or fp16
    free_memory_bytes: int                      # of the device, before
    peak_memory_bytes: int
    seconds_per_step: float
    seconds: float                              # of all steps and evaluations; loading and saving come on top
    notes: list[str]                            # what is not as one may expect, a sentence each


def make_plan(config: RunConfig) -> Plan:
    """Load everything as the run would, take a few steps, and throw the result away. Raises: as the run would."""
    from pipeline.hardware import choose_precision, keep_freed_memory
    from pipeline.optimization import warmup_steps
    from pipeline.processes import process_devices
    from pipeline.training import is_evaluated, prepare_training

    splits = load_examples(config)
    check_augmentation(config.augment, splits.label_names)
    splits = augmented(splits, config, translate=as_if_translated)
    devices = process_devices(config.hardware)
    device = devices[0]
    free_memory = _free_memory(device)
    whole = config.model.model_copy(update={"unfreeze_each_epoch": 0})      # the last epochs are the longest
    sample = _sample(splits.train, config.seed)
    training, _ = prepare_training(config.model_copy(update={"model": whole}), splits, sample, device)
    keep_freed_memory()
    # A text may be cut into several inputs.
    inputs = len(training.train.encoded) * splits.train.num_rows // sample.num_rows
    steps_per_epoch = math.ceil(inputs / config.optim.batch_size)
    steps = steps_per_epoch * config.optim.epochs
    evaluations = sum(is_evaluated(step, steps_per_epoch, config.stop.evaluate_every) for step in range(steps + 1))
    seconds_per_step = _seconds_per_step(training)
    precision = choose_precision(config.hardware.precision, device)
    weights = list(training.model.parameters())
    return Plan(
        rows={split: found["rows"] for split, found in splits.fingerprints.items()},
        label_shares={
            split: {label: rows / found["rows"] for label, rows in found["labels"].items()}
            for split, found in splits.fingerprints.items()
        },
        steps=steps,
        warmup_steps=warmup_steps(config.optim, steps),
        evaluations=evaluations,
        groups=[
            {
                "name": group["name"],
                "parameters": sum(weight.numel() for weight in group["params"]),
                "learning_rate": group["initial_lr"],
                "weight_decay": group["weight_decay"],
            }
            for group in training.optimizer.param_groups
        ],
        parameters=sum(weight.numel() for weight in weights),
        trainable_parameters=sum(weight.numel() for weight in weights if weight.requires_grad),
        device=str(device),
        precision="fp32" if precision == "no" else precision,
        free_memory_bytes=free_memory,
        seconds_per_step=seconds_per_step,
        seconds=steps * seconds_per_step + evaluations * _seconds_per_evaluation(training),
        peak_memory_bytes=_peak_memory(device),
        notes=[*_share_note(len(devices)), *tracking_notes(config.track)],
    )


def _share_note(num_processes: int) -> list[str]:
    measured = f"Time and memory are those of one process; {num_processes} will share the examples of each step."
    return [measured] if num_processes > 1 else []


def _sample(train: pa.Table, seed: int) -> pa.Table:
    if train.num_rows <= MEASURED_EXAMPLES:
        return train
    return train.take(np.sort(np.random.default_rng(seed).choice(train.num_rows, MEASURED_EXAMPLES, replace=False)))


def _seconds_per_step(training: Training) -> float:
    """Mean over steps of evenly spread lengths, after one of the longest that is not counted: it takes the memory."""
    lengths = [training.train.encoded.lengths[rows].max() for rows in training.batches_of_epoch(0)]
    by_length = np.argsort(lengths)
    num_measured = min(MEASURED_STEPS, len(by_length))
    chosen = by_length[((np.arange(num_measured) + 0.5) * len(by_length) / num_measured).astype(int)]
    seconds = []
    for step in [by_length[-1], *chosen]:
        training.step = int(step)
        seconds.append(1 / training.take_step().examples_per_second * len(training.batches_of_epoch(0)[step]))
    return float(np.mean(seconds[1:]))


def _seconds_per_evaluation(training: Training) -> float:
    num_texts = len(training.validation.encoded)
    rows = np.linspace(0, num_texts - 1, min(MEASURED_TEXTS, num_texts)).round().astype(int)
    some = training.validation.take(rows)
    training.model.eval()
    some.take(np.arange(1)).evaluate(training.model)        # imports what metrics need
    started = time.perf_counter()
    some.evaluate(training.model)
    return (time.perf_counter() - started) * num_texts / len(rows)


def _free_memory(device: torch.device) -> int:
    import torch

    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)


def _peak_memory(device: torch.device) -> int:
    """CUDA: most that was allocated; else the most that this process ever had resident."""
    import torch

    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    try:
        import resource
    except ImportError:     # Windows
        return int(psutil.Process().memory_info().peak_wset)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)
