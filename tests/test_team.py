"""A step taken by several: its parts add up to the whole, whatever is made small, and dropout is each one's own."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.team import ProcessLost, Team
from tests.test_gradients import LOSSES, Changes
from tests.test_training import make_training


def test_the_parts_of_a_step_hold_each_row_once_and_may_be_empty() -> None:
    parts = [Team(rank, 3).part(np.arange(4)).tolist() for rank in range(3)]
    assert parts == [[0, 3], [1], [2]]
    assert [len(Team(rank, 3).part(np.arange(1))) for rank in range(3)] == [1, 0, 0]


@pytest.mark.parametrize("changes", [{}, *LOSSES], ids=str)
@pytest.mark.parametrize("num_rows", [16, 1])
def test_losses_and_gradients_of_the_parts_add_up_to_those_of_the_step(
    tiny_model: Path, changes: Changes, num_rows: int
) -> None:
    training = make_training(tiny_model, model={"dropout": 0}, **changes)
    rows = np.arange(num_rows)
    weights = [weight for weight in training.model.parameters()]
    loss = training.gradients.compute(training.train.take(rows), num_rows)
    whole = [weight.grad for weight in weights]
    training.model.zero_grad()
    losses = [
        training.gradients.compute(training.train.take(Team(rank, 3).part(rows)), num_rows) for rank in range(3)
    ]
    assert sum(losses) == pytest.approx(loss, abs=1e-6)
    for weight, gradient in zip(weights, whole, strict=True):
        assert (weight.grad is None) == (gradient is None)
        if gradient is not None:
            torch.testing.assert_close(weight.grad, gradient, atol=1e-6, rtol=1e-4)


def test_dropout_is_another_in_each_process_and_step_and_is_drawn_again_after_a_resume() -> None:
    def drawn(rank: int, step: int) -> float:
        Team(rank, 3).seed(42, step)
        return torch.rand(1).item()

    assert len({drawn(rank, step) for rank in (1, 2) for step in (0, 1)}) == 4
    assert drawn(1, 7) == drawn(1, 7)
    assert drawn(0, 7) != drawn(0, 7)      # the leader's go on, and are part of a saved state


def test_gradients_and_losses_are_summed_and_what_no_process_used_keeps_none(monkeypatch: pytest.MonkeyPatch) -> None:
    model = torch.nn.ParameterDict({name: torch.nn.Parameter(torch.zeros(2)) for name in ("both", "other", "unused")})
    model["frozen"] = torch.nn.Parameter(torch.zeros(3), requires_grad=False)
    model["both"].grad = torch.tensor([1.0, 2.0])
    gradients: Any = SimpleNamespace(model=model, micro_batch_tokens=64)

    def all_gather(told: list[torch.Tensor], mine: torch.Tensor) -> None:
        told[0].copy_(mine)
        told[1].copy_(torch.tensor([0.25, 32, True, True, False]))      # the other: loss, tokens, which weights it used

    monkeypatch.setattr(torch.distributed, "all_gather", all_gather)
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda flat: flat.add_(torch.tensor([10.0, 10, 3, 4, 0, 0])))
    assert Team(0, 2).add_up(0.5, gradients) == 0.75
    assert gradients.micro_batch_tokens == 32       # one ran out of memory: all cut alike from here on
    found = {name: weight.grad if weight.grad is None else weight.grad.tolist() for name, weight in model.items()}
    assert found == {"both": [11, 12], "other": [3, 4], "unused": None, "frozen": None}


def test_a_connection_that_is_closed_means_a_lost_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(*_: Any) -> None:
        raise RuntimeError("Connection closed by peer")

    monkeypatch.setattr(torch.distributed, "all_gather", closed)
    with pytest.raises(ProcessLost):
        Team(0, 2).add_up(0.5, SimpleNamespace(model=torch.nn.Linear(1, 1), micro_batch_tokens=64))
