"""The attack on embeddings: its length, its direction, what it leaves alone, and the gradients that it adds."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy

from pipeline import adversarial
from pipeline.adversarial import backward_under_attack, directions, perturbed
from pipeline.config_parts import AdversarialConfig
from tests.tiny_encoders import FAMILIES, build, weights_of

INPUT_IDS = torch.tensor([[2, 5, 6, 7, 8, 3], [2, 15, 3, 0, 0, 0], [2, 9, 9, 9, 3, 0]])     # 0 is padding
BATCH = {"input_ids": INPUT_IDS, "attention_mask": (INPUT_IDS != 0).long()}
GOLD = torch.tensor([0, 1, 1])
Attack = dict[str, Any]


def loss_of(model: Any) -> Callable[[], torch.Tensor]:
    return lambda: cross_entropy(model(**BATCH).logits, GOLD, reduction="sum")


def attack(model: Any, **fields: Any) -> float:
    from accelerate import Accelerator

    config = AdversarialConfig(**fields)
    return backward_under_attack(loss_of(model), model, BATCH["attention_mask"], config, Accelerator(cpu=True)).item()


def gradients_of(model: Any) -> dict[str, torch.Tensor]:
    return {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}


@pytest.fixture
def deltas(monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """What is added to the embeddings, pass by pass; the first adds nothing."""
    seen: list[torch.Tensor] = []

    def watched(model: Any, delta: torch.Tensor) -> AbstractContextManager[None]:
        seen.append(delta.detach().clone())
        return perturbed(model, delta)

    monkeypatch.setattr(adversarial, "perturbed", watched)
    return seen


@pytest.fixture
def model(tiny_model: Path) -> Any:
    return build(tiny_model, dropout=0).train()


ATTACKS: list[Attack] = [       # short beside the embeddings: the gradient keeps its direction on the way
    {"name": "fgm", "epsilon": 0.02},
    {"name": "pgd", "epsilon": 0.02, "alpha": 0.008, "steps": 4},
]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("fields", ATTACKS)
def test_an_example_is_moved_by_epsilon_over_its_own_pieces_and_padding_not_at_all(
    tiny_bases: dict[str, Path], deltas: list[torch.Tensor], family: str, fields: Attack
) -> None:
    attack(build(tiny_bases[family], dropout=0).train(), **fields)
    assert torch.equal(deltas[0], torch.zeros(3, 6, 32))
    torch.testing.assert_close(deltas[-1].norm(dim=(1, 2)), torch.full((3,), 0.02))
    assert not deltas[-1][INPUT_IDS == 0].any()
    assert deltas[-1][INPUT_IDS != 0].any(dim=1).all()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("fields", ATTACKS)
def test_it_raises_the_loss_and_moves_no_weight(
    tiny_bases: dict[str, Path], deltas: list[torch.Tensor], family: str, fields: Attack
) -> None:
    model = build(tiny_bases[family], dropout=0).train()
    before = weights_of(model)
    clean = attack(model, **fields)
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    assert clean == pytest.approx(loss_of(model)().item(), rel=1e-6)
    with perturbed(model, deltas[-1]):
        assert loss_of(model)().item() > clean


def test_fgm_moves_along_the_gradient_of_the_embeddings(model: Any, deltas: list[torch.Tensor]) -> None:
    embeddings = model.get_input_embeddings()(INPUT_IDS).detach().requires_grad_()
    logits = model(inputs_embeds=embeddings, attention_mask=BATCH["attention_mask"]).logits
    cross_entropy(logits, GOLD, reduction="sum").backward()
    assert embeddings.grad is not None
    expected = embeddings.grad / embeddings.grad.norm(dim=(1, 2), keepdim=True)
    attack(model, name="fgm", epsilon=2)
    torch.testing.assert_close(deltas[-1], 2 * expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("fields", ATTACKS)
def test_the_gradient_under_attack_is_added_to_that_of_the_loss(
    model: Any, deltas: list[torch.Tensor], fields: Attack
) -> None:
    attack(model, **fields)
    got = gradients_of(model)
    model.zero_grad()
    loss_of(model)().backward()
    with perturbed(model, deltas[-1]):
        loss_of(model)().backward()
    expected = gradients_of(model)
    assert got.keys() == expected.keys()
    for name, gradient in got.items():
        torch.testing.assert_close(gradient, expected[name], msg=name)


def test_pgd_makes_moves_of_alpha_and_stays_within_epsilon(model: Any, deltas: list[torch.Tensor]) -> None:
    attack(model, name="pgd", epsilon=0.7, alpha=0.3, steps=4)
    lengths = [delta.norm(dim=(1, 2)) for delta in deltas]
    assert len(lengths) == 1 + 4
    torch.testing.assert_close(lengths[1], torch.full((3,), 0.3))
    moves = [(after - before).norm(dim=(1, 2)) for before, after in pairwise(deltas)]
    torch.testing.assert_close(moves[1], torch.full((3,), 0.3))
    assert all(length.max() <= 0.7 for length in lengths) and all(move.max() < 0.3001 for move in moves)


def test_fgm_is_pgd_with_one_move_of_epsilon(model: Any, deltas: list[torch.Tensor]) -> None:
    other = copy.deepcopy(model)
    attack(model, name="fgm", epsilon=0.5)
    attack(other, name="pgd", epsilon=0.5, alpha=0.5, steps=1)
    assert torch.equal(deltas[1], deltas[3])
    others = gradients_of(other)
    assert all(torch.equal(gradient, others[name]) for name, gradient in gradients_of(model).items())


def test_a_frozen_embedding_is_attacked_all_the_same(model: Any, deltas: list[torch.Tensor]) -> None:
    model.get_input_embeddings().requires_grad_(False)
    attack(model, name="fgm", epsilon=0.7)
    torch.testing.assert_close(deltas[-1].norm(dim=(1, 2)), torch.full((3,), 0.7))


def test_an_example_without_a_finite_gradient_stays_where_it_is() -> None:
    """As where fp16 overflowed: its scaler then skips the step, and a loss that is no number would end the run."""
    gradient = torch.tensor([[3.0, 4.0], [0, 0], [float("inf"), 1], [float("nan"), 1], [5, 12]])[:, None]
    mask = torch.ones(5, 1)
    expected = torch.tensor([[0.6, 0.8], [0, 0], [0, 0], [0, 0], [5 / 13, 12 / 13]])[:, None]
    torch.testing.assert_close(directions(gradient, mask), expected)


def test_what_stands_on_padding_is_left_out_even_if_it_is_no_number() -> None:
    gradient = torch.tensor([[[3.0, 4.0], [float("nan"), 7.0]]])
    assert directions(gradient, torch.tensor([[1, 0]])).tolist() == [[[pytest.approx(0.6), pytest.approx(0.8)], [0, 0]]]


def test_the_attack_leaves_no_hook_behind_when_a_pass_fails(model: Any) -> None:
    with pytest.raises(RuntimeError, match="no memory"), perturbed(model, torch.ones(3, 6, 32)):
        raise RuntimeError("no memory")
    assert not model.get_input_embeddings()._forward_hooks
