"""How a step gets its gradients: no cut changes them, memory that does not suffice is cut smaller, fp16 is unscaled."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Container
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.config import make_config
from pipeline.data import load_splits
from pipeline.models import checkpoint_layers
from pipeline.training import Training, prepare_training
from tests.test_training import assert_same_weights, losses, make_training, weights
from tests.tiny_encoders import FAMILIES

CPU = torch.device("cpu")
Changes = dict[str, Any]

LOSSES: list[Changes] = [
    {"loss": {"name": "binary"}},
    {"loss": {"name": "weighted", "class_weights": "positive=3"}},
    {"loss": {"name": "focal", "focal_alpha": "0.25, 0.75"}},
    {"loss": {"label_smoothing": 0.2}},
    {"loss": {"r_drop": 2}},
    {"adversarial": {"name": "fgm", "epsilon": 0.1}},
    {"adversarial": {"name": "pgd", "epsilon": 0.1, "alpha": 0.04}},
    {"loss": {"name": "focal", "label_smoothing": 0.1, "r_drop": 2}, "adversarial": {"name": "pgd", "epsilon": 0.1}},
]


@pytest.mark.parametrize("changes", LOSSES, ids=str)
def test_a_step_cut_into_single_examples_gives_the_same_curve_with_every_loss_and_attack(
    tiny_model: Path, changes: Changes
) -> None:
    changes = {"model": {"dropout": 0}, "optim": {"epochs": 1, "warmup_ratio": 0}, **changes}
    whole = losses(make_training(tiny_model, **changes))
    cut = losses(make_training(tiny_model, **changes, hardware={"micro_batch_tokens": 8}))
    assert whole == pytest.approx(cut, abs=1e-5)


@pytest.mark.parametrize("changes", [change for change in LOSSES if change != {"loss": {"name": "binary"}}], ids=str)
def test_every_loss_and_attack_learns_otherwise_than_plain_cross_entropy(tiny_model: Path, changes: Changes) -> None:
    plain, other = make_training(tiny_model), make_training(tiny_model, **changes)
    losses(plain), losses(other)
    assert not torch.equal(plain.model.classifier.weight, other.model.classifier.weight)


def test_metrics_are_those_of_plain_cross_entropy_whatever_is_made_small(tiny_model: Path) -> None:
    training = make_training(tiny_model, loss={"name": "weighted", "class_weights": "100"})
    results = training.results()
    evaluation: Any = next(results)
    step: Any = next(results)
    assert evaluation.metrics["loss"] < 1 and step.loss > 30


# Batch norm


def with_batch_norm(tiny_model: Path, **changes: Any) -> Training:
    """As `make_training`, which seeds: a second one is to be made after the first has done its steps."""
    training = make_training(tiny_model, **changes)
    training.model.classifier = torch.nn.Sequential(torch.nn.BatchNorm1d(32), torch.nn.Linear(32, 2))
    return training


@pytest.mark.parametrize("changes", [{}, {"loss": {"r_drop": 1}}, {"adversarial": {"name": "pgd"}}], ids=str)
def test_statistics_move_once_a_step_by_what_was_not_attacked(tiny_model: Path, changes: Changes) -> None:
    plain = with_batch_norm(tiny_model, model={"dropout": 0})
    plain.take_step()
    other = with_batch_norm(tiny_model, model={"dropout": 0}, **changes)
    other.take_step()
    norm = other.model.classifier[0]
    assert norm.num_batches_tracked == 1
    torch.testing.assert_close(norm.running_mean, plain.model.classifier[0].running_mean)
    torch.testing.assert_close(norm.running_var, plain.model.classifier[0].running_var)


# Memory


def run_out_of_memory(training: Training, passes: Container[int]) -> None:
    """Let these passes of the model, counted from 1, fail as on CUDA when all layers are computed."""
    count = itertools.count(1)

    def fail(module: Any, inputs: Any, output: Any) -> None:
        if next(count) in passes:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    training.model.register_forward_hook(fail)


@pytest.mark.parametrize("failing, changes", [      # all amid the second piece of the first step
    (2, {}),
    (2, {"hardware": {"precision": "bf16"}}),
    (4, {"loss": {"r_drop": 1}}),
    (7, {"adversarial": {"name": "pgd"}}),
], ids=str)
def test_out_of_memory_the_step_is_taken_again_in_halves_as_if_nothing_had_happened(
    tiny_model: Path, caplog: pytest.LogCaptureFixture, failing: int, changes: Changes
) -> None:
    hardware = {"precision": "fp32", **changes.get("hardware", {})}
    short = with_batch_norm(tiny_model, **{**changes, "hardware": {**hardware, "micro_batch_tokens": 140}})
    run_out_of_memory(short, [failing])
    with caplog.at_level(logging.WARNING):
        steps = [short.take_step() for _ in range(4)]
    ample = with_batch_norm(tiny_model, **{**changes, "hardware": {**hardware, "micro_batch_tokens": 70}})
    assert [step.loss for step in steps] == [ample.take_step().loss for _ in range(4)]
    assert_same_weights(weights(short), weights(ample))
    assert [step.micro_batch_tokens for step in steps] == [70] * 4
    assert caplog.messages == ["Out of memory: steps are cut into pieces of 70 tokens from here on."]


def test_a_halved_size_is_kept_when_a_run_goes_on(tiny_model: Path) -> None:
    training = make_training(tiny_model)
    run_out_of_memory(training, [1, 2])
    training.take_step()
    taken_up = make_training(tiny_model)
    taken_up.load_state(training.state())
    assert taken_up.take_step().micro_batch_tokens == 2048


def test_a_state_from_before_sizes_were_kept_has_the_configured_one(tiny_model: Path) -> None:
    training = make_training(tiny_model)
    state = training.state()
    del state["micro_batch_tokens"]
    training.load_state(state)
    assert training.take_step().micro_batch_tokens == 8192


def test_where_one_text_alone_does_not_fit_the_run_ends_with_the_devices_own_exception(tiny_model: Path) -> None:
    training = make_training(tiny_model, hardware={"micro_batch_tokens": 32})
    run_out_of_memory(training, range(1, 100))
    with pytest.raises(torch.OutOfMemoryError, match="CUDA out of memory"):
        training.take_step()


def test_another_exception_is_not_taken_for_a_lack_of_memory(tiny_model: Path) -> None:
    training = make_training(tiny_model)
    training.model.register_forward_hook(lambda *_: (_ for _ in ()).throw(RuntimeError("a bug")))
    with pytest.raises(RuntimeError, match="a bug"):
        training.take_step()
    assert training.gradients.micro_batch_tokens == 8192


@pytest.mark.parametrize("family", FAMILIES)
def test_layers_computed_twice_give_the_same_step_bit_for_bit(tiny_bases: dict[str, Path], family: str) -> None:
    """With dropout, which is the same both times; FGM asks for gradients of the embeddings, too."""
    kept = make_training(tiny_bases[family], adversarial={"name": "fgm"})
    expected = [kept.take_step().loss for _ in range(2)]
    twice = make_training(tiny_bases[family], adversarial={"name": "fgm"})
    checkpoint_layers(twice.model)
    assert [twice.take_step().loss for _ in range(2)] == expected
    assert_same_weights(weights(twice), weights(kept))


@pytest.mark.parametrize("wanted", [True, False])
def test_layers_are_computed_twice_where_the_config_says_so(tiny_values: dict, wanted: bool) -> None:
    tiny_values["hardware"] = {**tiny_values["hardware"], "gradient_checkpointing": wanted}
    config = make_config(tiny_values)
    splits = load_splits(config.data)
    training, _ = prepare_training(config, splits, splits.train, CPU)
    calls = []
    training.model.bert.encoder.layer[0].intermediate.register_forward_hook(lambda *_: calls.append(1))
    training.take_step()
    assert len(calls) == (2 if wanted else 1)


# fp16: accelerate's own scaling, here on a CPU, where a scale that is a power of two changes no bit


def with_scaler(training: Training, scale: float) -> Training:
    """The training as it is under fp16, but for the half precision itself."""
    from accelerate.optimizer import AcceleratedOptimizer

    accelerator, scaler = training.accelerator, torch.amp.GradScaler("cpu", init_scale=scale)
    training.optimizer = AcceleratedOptimizer(training.optimizer.optimizer, device_placement=False, scaler=scaler)
    accelerator.scaler, accelerator._optimizers = scaler, [training.optimizer]
    accelerator.native_amp, accelerator.state._mixed_precision = True, "fp16"
    accelerator.autocast = nullcontext
    return training


@pytest.mark.parametrize("changes", [{}, {"adversarial": {"name": "pgd"}}, {"loss": {"r_drop": 1}}], ids=str)
def test_scaled_gradients_are_unscaled_before_they_are_clipped(tiny_model: Path, changes: Changes) -> None:
    changes = {"optim": {"max_grad_norm": 0.1}, **changes}
    plain = make_training(tiny_model, **changes)
    expected = [plain.take_step() for _ in range(4)]
    scaled = with_scaler(make_training(tiny_model, **changes), 2.0**16)
    got = [scaled.take_step() for _ in range(4)]
    assert [(step.loss, step.grad_norm) for step in got] == [(step.loss, step.grad_norm) for step in expected]
    assert_same_weights(weights(scaled), weights(plain))


@pytest.mark.parametrize("changes", [{}, {"adversarial": {"name": "pgd"}}], ids=str)
def test_a_step_whose_scaled_gradients_overflow_is_left_out_and_the_next_ones_are_scaled_less(
    tiny_model: Path, changes: Changes
) -> None:
    training = with_scaler(make_training(tiny_model, **changes), 1e35)
    training.model.classifier.weight.register_hook(lambda gradient: gradient * 1e6)
    before = weights(training)
    result = training.take_step()
    assert result.loss < 2 and not result.grad_norm < float("inf")
    assert_same_weights(weights(training), before)
    assert training.accelerator.scaler is not None and training.accelerator.scaler.get_scale() == pytest.approx(5e34)
