"""The loop: exact batches, one curve however a step is cut, bit-for-bit repeats, stopping rules, no NaN ever kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.config import make_config
from pipeline.encoding import encode
from pipeline.hardware import seed_everything
from pipeline.layers import parameter_blocks
from pipeline.models import load_base_model
from pipeline.predictor import predict_logits
from pipeline.training import (
    EvaluationResult,
    Labelled,
    StepResult,
    Training,
    TrainingError,
)
from tests.conftest import BAD, FILLERS, GOOD

CPU = torch.device("cpu")
LABELS = ["negative", "positive"]


def make_training(tiny_model: Path, num_train: int = 64, **changes: dict[str, Any]) -> Training:
    """A training of the tiny model on made-up texts of 2 to 12 words."""
    values: dict[str, Any] = {
        "name": "t",
        "model": {"base": str(tiny_model)},
        "hardware": {"precision": "fp32", "device": "cpu"},
        "optim": {"learning_rate": 1e-3, "batch_size": 16, "epochs": 2},
    }
    for group, fields in changes.items():
        values[group] = {**values.get(group, {}), **fields}
    config = make_config(values)
    seed_everything(config.seed, deterministic=True)
    model, tokenizer = load_base_model(config.model, LABELS, CPU)
    random = np.random.default_rng(1)

    def labelled(count: int) -> Labelled:
        gold_ids = np.arange(count) % 2
        texts = [
            " ".join([*random.choice(GOOD if gold else BAD, 2), *random.choice(FILLERS, random.integers(0, 10))])
            for gold in gold_ids
        ]
        return Labelled(encode(texts, tokenizer, 32), gold_ids)

    return Training(model, labelled(num_train), labelled(20), LABELS, config)


def losses(training: Training) -> list[float]:
    return [result.loss for result in training.results() if isinstance(result, StepResult)]


def weights(training: Training) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in training.model.state_dict().items()}


def assert_same_weights(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_loss_falls(tiny_model: Path) -> None:
    curve = losses(make_training(tiny_model, optim={"epochs": 8, "learning_rate": 5e-3}))
    assert np.mean(curve[-4:]) < 0.5 * np.mean(curve[:4])


def test_a_step_of_32_and_four_micro_batches_of_8_give_the_same_curve(tiny_model: Path) -> None:
    whole = make_training(tiny_model, model={"dropout": 0}, optim={"batch_size": 32, "epochs": 4})
    cut = make_training(
        tiny_model, model={"dropout": 0}, optim={"batch_size": 32, "epochs": 4}, hardware={"micro_batch_tokens": 8 * 14}
    )
    assert losses(whole) == pytest.approx(losses(cut), abs=1e-5)


def test_a_step_cut_into_single_examples_gives_the_same_curve_too(tiny_model: Path) -> None:
    changes: dict[str, Any] = {"model": {"dropout": 0}}
    whole, cut = (
        make_training(tiny_model, **changes),
        make_training(tiny_model, **changes, hardware={"micro_batch_tokens": 8}),
    )
    assert losses(whole) == pytest.approx(losses(cut), abs=1e-5)


def test_the_loss_of_a_step_is_the_mean_over_its_examples(tiny_model: Path) -> None:
    training = make_training(tiny_model, model={"dropout": 0}, hardware={"micro_batch_tokens": 40})
    rows = training._step_rows()
    batch = training.train.encoded.batch(rows)
    gold_ids = torch.from_numpy(training.train.gold_ids[rows])
    expected = torch.nn.functional.cross_entropy(training.model.train()(**batch).logits, gold_ids).item()
    assert losses(training)[0] == pytest.approx(expected, abs=1e-6)


def test_every_step_has_exactly_batch_size_examples_and_the_last_of_an_epoch_the_rest(tiny_model: Path) -> None:
    training = make_training(tiny_model, num_train=70)
    steps = []
    step_rows = training._step_rows
    training._step_rows = lambda: steps.append(step_rows()) or steps[-1]  # type: ignore[method-assign, func-returns-value]
    list(training.results())
    assert [sorted(np.concatenate(steps[first : first + 5])) for first in (0, 5)] == [list(range(70))] * 2
    assert sorted(map(len, steps)) == [6, 6] + [16] * 8


def test_the_same_seed_gives_the_same_run_bit_for_bit(tiny_model: Path) -> None:
    one = make_training(tiny_model)
    losses_of_one = losses(one)
    other = make_training(tiny_model)
    assert losses(other) == losses_of_one
    assert_same_weights(weights(one), weights(other))


def test_another_seed_gives_another_run(tiny_model: Path) -> None:
    changes: dict[str, Any] = {"model": {"dropout": 0}, "optim": {"learning_rate": 1e-9}}
    losses_of_one = losses(make_training(tiny_model, **changes))
    other = make_training(tiny_model, **changes)  # the same weights, next to no learning: only the order differs
    other.config = other.config.model_copy(update={"seed": 7})
    assert losses(other) != losses_of_one


UNFREEZING = {"model": {"unfreeze_each_epoch": 1, "head": "mlp-batchnorm"}, "optim": {"layer_decay": 0.8, "epochs": 3}}


@pytest.mark.parametrize("hardware, others", [
    ({"precision": "fp32"}, {}),
    ({"precision": "bf16"}, {}),
    ({"precision": "fp32"}, {"optim": {"ema_decay": 0.9}, "loss": {"r_drop": 1}, "adversarial": {"name": "fgm"}}),
    ({"precision": "fp32"}, UNFREEZING),
], ids=["fp32", "bf16", "average", "unfreezing"])
@pytest.mark.parametrize("leave_after", [1, 2, 3, 6, 7, 9])  # results: an evaluation, steps, an evaluation ...
def test_a_training_left_at_any_result_goes_on_bit_for_bit(
    tiny_model: Path, tmp_path: Path, leave_after: int, hardware: dict[str, Any], others: dict[str, Any]
) -> None:
    changes: dict[str, Any] = {"hardware": hardware, **others, "stop": {"evaluate_every": 3}}
    undisturbed = make_training(tiny_model, **changes)
    expected = [vars(result) for result in undisturbed.results()]

    left = make_training(tiny_model, **changes)
    results = left.results()
    got = [vars(next(results)) for _ in range(leave_after)]
    torch.save(left.state(), tmp_path / "state.pt")
    taken_up = make_training(tiny_model, **changes)
    torch.rand(3)  # whatever else drew random numbers meanwhile
    taken_up.load_state(torch.load(tmp_path / "state.pt", weights_only=True))
    got += [vars(result) for result in taken_up.results()]

    timings = {"seconds", "examples_per_second", "tokens_per_second", "memory_bytes", "logits"}
    assert [{k: v for k, v in g.items() if k not in timings} for g in got] == [
        {k: v for k, v in e.items() if k not in timings} for e in expected
    ]
    assert_same_weights(weights(taken_up), weights(undisturbed))
    assert_same_weights(taken_up.evaluated_model.state_dict(), undisturbed.evaluated_model.state_dict())


def test_in_gradual_unfreezing_a_block_moves_from_the_epoch_on_that_unfreezes_it(tiny_model: Path) -> None:
    training = make_training(tiny_model, model={"unfreeze_each_epoch": 1}, optim={"epochs": 4})
    results, moved = training.results(), []
    next(results)
    for _ in range(4):
        before = weights(training)
        while not isinstance(next(results), EvaluationResult):
            pass
        moved.append([
            block for block, parameters in parameter_blocks(training.model).items()
            if any(not torch.equal(parameter, before[name]) for name, parameter in parameters.items())
        ])
    assert moved == [
        ["head"], ["layer.1", "head"], ["layer.0", "layer.1", "head"], ["embeddings", "layer.0", "layer.1", "head"]
    ]


def test_evaluates_before_the_first_step_every_n_steps_and_at_each_epoch(tiny_model: Path) -> None:
    training = make_training(tiny_model, stop={"evaluate_every": 3})
    steps = [result.step for result in training.results() if isinstance(result, EvaluationResult)]
    assert steps == [0, 3, 4, 6, 8]  # 4 steps an epoch


def test_what_is_evaluated_is_the_average_where_one_is_kept_and_it_changes_no_step(tiny_model: Path) -> None:
    plain = make_training(tiny_model)
    expected = list(plain.results())
    averaged = make_training(tiny_model, optim={"ema_decay": 0.9})
    results = list(averaged.results())
    steps, others = ([one.loss for one in each if isinstance(one, StepResult)] for each in (results, expected))
    assert steps == others
    assert_same_weights(weights(averaged), weights(plain))
    assert plain.evaluated_model is plain.model
    assert not averaged.evaluated_model.training
    assert averaged.average.n_averaged == averaged.total_steps
    last = results[-1]
    assert isinstance(last, EvaluationResult)
    assert np.array_equal(last.logits, predict_logits(averaged.evaluated_model, averaged.validation.encoded))
    assert not np.array_equal(last.logits, predict_logits(averaged.model.eval(), averaged.validation.encoded))


def test_the_best_evaluation_is_the_highest_macro_f1_and_never_the_untrained_one(tiny_model: Path) -> None:
    training = make_training(tiny_model, optim={"epochs": 6})
    evaluations = [result for result in training.results() if isinstance(result, EvaluationResult)]
    assert not evaluations[0].is_best and evaluations[1].is_best
    assert training.best is not None
    assert training.best["value"] == max(evaluation.metrics["macro_f1"] for evaluation in evaluations[1:])


def evaluations_without_gain(training: Training, values: list[tuple[float, float]]) -> list[int]:
    """Feed (macro F1, loss) pairs to the stopping rule."""
    training.step = 1
    counts = []
    for macro_f1, loss in values:
        training._note_evaluation({"macro_f1": macro_f1, "loss": loss})
        counts.append(training.evaluations_without_gain)
    return counts


def test_patience_counts_evaluations_without_a_better_metric(tiny_model: Path) -> None:
    training = make_training(tiny_model, stop={"patience": 2})
    assert evaluations_without_gain(training, [(0.5, 1.0), (0.5, 0.9), (0.4, 0.8)]) == [0, 1, 2]
    assert training.is_finished


def test_with_metric_and_loss_together_either_resets_the_patience(tiny_model: Path) -> None:
    training = make_training(tiny_model, stop={"patience": 2, "metric": "macro_f1+loss"})
    assert evaluations_without_gain(training, [(0.5, 1.0), (0.5, 0.9), (0.4, 0.95), (0.6, 0.99)]) == [0, 0, 1, 0]
    assert training.best is not None and training.best["value"] == 0.6  # the weights kept are still the metric's


def test_early_stopping_ends_a_run_that_cannot_gain(tiny_model: Path) -> None:
    training = make_training(tiny_model, optim={"epochs": 50, "learning_rate": 1e-9}, stop={"patience": 2})
    assert max(result.step for result in training.results()) == 3 * 4  # one that counts as best, two without gain


def test_a_loss_that_is_no_number_ends_the_run_and_leaves_the_weights(tiny_model: Path) -> None:
    training = make_training(tiny_model)
    results = training.results()
    next(results), next(results)
    with torch.no_grad():
        training.model.classifier.bias.fill_(float("nan"))
    before = weights(training)["bert.encoder.layer.0.attention.self.query.weight"]
    with pytest.raises(
        TrainingError, match=r"The loss became nan at step 2; the last good state is kept\. Lower optim"
    ):
        next(results)
    assert torch.equal(weights(training)["bert.encoder.layer.0.attention.self.query.weight"], before)


def test_a_base_with_damaged_weights_is_told_before_the_first_step(tiny_model: Path) -> None:
    training = make_training(tiny_model)
    with torch.no_grad():
        training.model.classifier.bias.fill_(float("nan"))
    with pytest.raises(TrainingError, match="The validation loss is nan before the first step: the weights of"):
        next(training.results())


def test_a_gradient_that_is_no_number_ends_the_run_before_any_weight_moves(tiny_model: Path) -> None:
    training = make_training(tiny_model)
    training.model.classifier.weight.register_hook(lambda gradient: gradient * float("inf"))
    before = weights(training)
    results = training.results()
    next(results)
    with pytest.raises(TrainingError, match="The gradient norm became (nan|inf) at step 1"):
        next(results)
    assert_same_weights(weights(training), before)


def test_gradients_are_clipped_to_the_norm_and_reported_before_clipping(tiny_model: Path) -> None:
    training = make_training(tiny_model, optim={"max_grad_norm": 0.01, "schedule": "constant", "warmup_ratio": 0})
    seen = []
    step = training.optimizer.step

    def watch(*arguments: Any, **more: Any) -> Any:
        gradients = [parameter.grad for parameter in training.model.parameters() if parameter.grad is not None]
        seen.append(torch.stack([gradient.norm() for gradient in gradients]).norm().item())
        return step(*arguments, **more)

    training.optimizer.step = watch
    reported = [result.grad_norm for result in training.results() if isinstance(result, StepResult)]
    assert seen == pytest.approx([0.01] * len(seen), rel=1e-3)
    assert min(reported) > 0.01


def test_the_learning_rate_of_a_step_is_the_one_it_used(tiny_model: Path) -> None:
    training = make_training(tiny_model, optim={"warmup_steps": 4, "schedule": "linear"})
    rates = [result.learning_rate for result in training.results() if isinstance(result, StepResult)]
    assert rates == pytest.approx([0, 2.5e-4, 5e-4, 7.5e-4, 1e-3, 7.5e-4, 5e-4, 2.5e-4])


def test_evaluation_leaves_the_training_untouched(tiny_model: Path) -> None:
    often = losses(make_training(tiny_model, stop={"evaluate_every": 1}))
    assert often == losses(make_training(tiny_model))
