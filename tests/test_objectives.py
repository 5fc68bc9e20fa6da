"""The losses, each against its own formula or a library: summed, so that no cut of a step changes anything."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from pipeline.config import make_config
from pipeline.config_parts import LossConfig
from pipeline.exceptions import ConfigError
from pipeline.objectives import Objective, label_weights, make_objective, statistics_at_rest

TWO, THREE = ["ham", "spam"], ["bad", "so-so", "good"]
LOGITS = torch.tensor([[2.0, -1.0, 0.5], [0.0, 0.0, 0.0], [-3.0, 1.0, 2.0], [0.1, 0.2, 0.3]])
GOLD = torch.tensor([0, 1, 2, 2])


def objective(label_names: list[str] = THREE, **fields: Any) -> Objective:
    return make_objective(LossConfig(**fields), label_names, GOLD.numpy())


def test_the_default_is_torchs_cross_entropy_summed() -> None:
    assert torch.equal(objective()(LOGITS, GOLD), cross_entropy(LOGITS, GOLD, reduction="sum"))


@pytest.mark.parametrize("fields", [
    {"name": "focal", "focal_gamma": 0},
    {"name": "focal", "focal_gamma": 0, "focal_alpha": 1},
    {"name": "weighted", "class_weights": "1, 1, 1"},
])
@pytest.mark.parametrize("smoothing", [0, 0.3])
def test_without_what_makes_them_different_losses_are_cross_entropy(fields: dict[str, Any], smoothing: float) -> None:
    expected = cross_entropy(LOGITS, GOLD, reduction="sum", label_smoothing=smoothing)
    torch.testing.assert_close(objective(**fields, label_smoothing=smoothing)(LOGITS, GOLD), expected)


def test_label_smoothing_spreads_its_share_of_the_target_over_all_labels() -> None:
    targets = torch.tensor([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8], [0.1, 0.1, 0.8]])
    expected = -(targets * LOGITS.log_softmax(-1)).sum()
    torch.testing.assert_close(objective(label_smoothing=0.3)(LOGITS, GOLD), expected)


@pytest.mark.parametrize("smoothing", [0, 0.2])
def test_binary_is_that_of_the_log_odds_and_so_cross_entropy_over_two_labels(smoothing: float) -> None:
    logits, gold = LOGITS[:, :2], torch.tensor([0, 1, 1, 0])
    loss = objective(TWO, name="binary", label_smoothing=smoothing)(logits, gold)
    targets = torch.tensor([0.0, 1, 1, 0]) * (1 - smoothing) + smoothing / 2
    torch.testing.assert_close(
        loss, binary_cross_entropy_with_logits(logits[:, 1] - logits[:, 0], targets, reduction="sum")
    )
    torch.testing.assert_close(loss, cross_entropy(logits, gold, reduction="sum", label_smoothing=smoothing))


def test_a_weight_multiplies_its_labels_losses_and_nothing_is_divided_by_it() -> None:
    losses = cross_entropy(LOGITS, GOLD, reduction="none")
    expected = 3 * losses[0] + 0.5 * losses[1] + 2 * losses[2] + 2 * losses[3]
    torch.testing.assert_close(objective(name="weighted", class_weights="3,0.5,2")(LOGITS, GOLD), expected)


def test_weights_not_given_are_the_inverse_of_the_labels_frequency_as_sklearn_balances() -> None:
    from sklearn.utils.class_weight import compute_class_weight

    gold = np.array([0, 1, 1, 2, 2, 2, 2, 2])
    weights = make_objective(LossConfig(name="weighted"), THREE, gold).weights
    assert weights == pytest.approx([8 / 3, 8 / 6, 8 / 15])
    assert weights == pytest.approx(compute_class_weight("balanced", classes=np.arange(3), y=gold))
    assert np.mean(np.array(weights)[gold]) == pytest.approx(1)
    assert all(map(math.isfinite, make_objective(LossConfig(name="weighted"), [*THREE, "never"], gold).weights))


@pytest.mark.parametrize("gamma, alpha, expected", [
    (2, "", 0.25 * math.log(2)),        # p = 1/2: (1 - p)^2 = 1/4
    (1, "", 0.5 * math.log(2)),
    (2, "0.25", 0.0625 * math.log(2)),
    (0, "1, 3", 3 * math.log(2)),       # of the gold label
    (0, "spam=4", 4 * math.log(2)),
    (0, "ham=4", math.log(2)),
])
def test_focal_spares_what_is_likely_already(gamma: float, alpha: str, expected: float) -> None:
    focal = objective(TWO, name="focal", focal_gamma=gamma, focal_alpha=alpha)
    assert focal(torch.zeros(1, 2), torch.tensor([1])).item() == pytest.approx(expected)


@pytest.mark.parametrize("gamma", [0, 0.5, 2])
def test_focal_has_a_gradient_where_nothing_is_left_to_learn(gamma: float) -> None:
    logits = torch.tensor([[1000.0, 0], [0, 1000]], requires_grad=True)
    objective(TWO, name="focal", focal_gamma=gamma)(logits, torch.tensor([0, 0])).backward()
    assert logits.grad is not None
    torch.testing.assert_close(logits.grad, torch.tensor([[0.0, 0], [-1, 1]]))


# R-Drop


def test_r_drop_of_two_like_passes_is_the_loss_itself() -> None:
    loss = objective(r_drop=5)
    torch.testing.assert_close(loss.r_drop(LOGITS, LOGITS, GOLD), loss(LOGITS, GOLD))


@pytest.mark.parametrize("fields", [{}, {"name": "focal"}, {"name": "weighted"}, {"label_smoothing": 0.1}])
def test_r_drop_adds_the_mean_kl_divergence_of_both_directions_to_the_mean_loss(fields: dict[str, Any]) -> None:
    from scipy.stats import entropy

    first, second = LOGITS, LOGITS.flip(0)
    p, q = first.softmax(-1).numpy(), second.softmax(-1).numpy()
    kl = (entropy(p, q, axis=1) + entropy(q, p, axis=1)).sum() / 2
    loss = objective(**fields, r_drop=3)
    expected = (loss(first, GOLD) + loss(second, GOLD)) / 2 + 3 * kl
    assert loss.r_drop(first, second, GOLD).item() == pytest.approx(expected.item())


def test_at_rest_a_batch_norm_computes_as_in_training_and_its_statistics_stay() -> None:
    norm, inputs = torch.nn.BatchNorm1d(3), 5 + LOGITS
    usual = norm(inputs)
    before = {name: value.clone() for name, value in norm.state_dict().items()}
    with statistics_at_rest(torch.nn.Sequential(norm)):
        assert torch.equal(norm(inputs), usual)
    assert all(torch.equal(value, before[name]) for name, value in norm.state_dict().items())
    norm(inputs)
    assert norm.num_batches_tracked == 2


# Weights as they are written


@pytest.mark.parametrize("text, expected", [
    ("2", [2, 2, 2]),
    ("1, 2.5,.5", [1, 2.5, 0.5]),
    ("good=3", [1, 1, 3]),
    (" good = 3 , bad=1e-1", [0.1, 1, 3]),
])
def test_weights_are_given_for_all_in_order_or_by_name(text: str, expected: list[float]) -> None:
    assert label_weights("loss.class_weights", text, THREE).tolist() == expected


def test_a_label_may_have_an_equals_sign_of_its_own() -> None:
    assert label_weights("loss.class_weights", "a=b=2", ["a=b", "c"]).tolist() == [2, 1]


@pytest.mark.parametrize("text", [
    "1, 2", "heavy", "great=2", "good=", "1, good=2", "good=-1", "0", "nan", "inf", "1,,2", ",",
])
def test_other_weights_are_refused_with_what_is_expected_and_the_labels(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        objective(name="weighted", class_weights=text)
    assert str(caught.value) == (
        f"loss.class_weights is '{text}'; expected positive numbers, one for all labels, one for each of the 3 labels "
        "in their order, or label=number, separated by commas. The labels are: bad, so-so, good."
    )
    assert caught.value.field == "loss.class_weights"


def test_a_wrong_alpha_is_told_by_its_own_name() -> None:
    with pytest.raises(ConfigError, match=r"^loss\.focal_alpha is 'half'; expected positive numbers"):
        objective(name="focal", focal_alpha="half")


def test_binary_needs_two_labels() -> None:
    with pytest.raises(ConfigError) as caught:
        objective(name="binary")
    assert str(caught.value) == (
        "loss.name is 'binary', which needs two labels; there are 3. Set it to 'cross_entropy'."
    )


def test_what_another_loss_would_read_is_not_looked_at() -> None:
    assert objective(class_weights="heavy", focal_alpha="half").weights == (1, 1, 1)


def test_an_alpha_may_be_written_as_a_number() -> None:
    assert make_config({"name": "a", "loss": {"focal_alpha": 0.25}}).loss.focal_alpha == "0.25"
