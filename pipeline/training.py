"""How does a model learn? The loop: a generator of step and evaluation results, to be left and taken up anywhere."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.classification import Labelled
from pipeline.config import RunConfig
from pipeline.encoding import epoch_batches
from pipeline.exceptions import WorkbenchError
from pipeline.gradients import Gradients
from pipeline.hardware import (
    choose_precision,
    forget_peak_memory,
    limit_kept_memory,
    memory_bytes,
    random_state,
    seed_everything,
    set_random_state,
)
from pipeline.layers import freeze
from pipeline.metrics import is_better
from pipeline.optimization import make_average, make_optimizer, make_scheduler
from pipeline.pretraining import Masked, MaskedTexts, masked_examples
from pipeline.team import Team

if TYPE_CHECKING:
    import pyarrow as pa
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from pipeline.data import Splits


TRIM_EVERY = 8          # steps


class TrainingError(WorkbenchError):
    """The loss or the gradient is no longer a number."""


@dataclass(frozen=True)
class StepResult:
    """One optimizer step."""

    step: int  # counted from 1 over the whole run
    epoch: float  # passes over the training examples so far
    loss: float  # the objective's mean per example of this step, in nats
    learning_rate: float  # of this step, in the optimizer's first group: the highest layer that trains
    grad_norm: float  # L2, before clipping
    examples_per_second: float
    tokens_per_second: float  # without padding
    memory_bytes: int  # CUDA: peak allocated since the last evaluation; else resident memory
    micro_batch_tokens: int  # how the step was cut: as configured, or less where that did not fit in memory
    seconds: float  # spent in steps since the run began, evaluations and breaks left out


@dataclass(frozen=True)
class EvaluationResult:
    """The metrics of one split at one step."""

    step: int
    epoch: float
    split: str
    metrics: dict[str, Any]
    is_best: bool
    logits: np.ndarray | None  # (N, C) float32; None where there are no labels to predict


class Training:
    """One training, from any state to its end.

    Evaluations compute in fp32, so that the metrics of a checkpoint are those that the Predictor gives.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        train: Labelled | MaskedTexts,
        validation: Labelled | Masked,
        label_names: list[str],
        config: RunConfig,
    ) -> None:
        from accelerate import Accelerator

        self.model, self.train, self.validation = model, train, validation
        self.label_names, self.config = label_names, config
        self.steps_per_epoch = math.ceil(len(train.encoded) / config.optim.batch_size)
        self.total_steps = self.steps_per_epoch * config.optim.epochs
        self.accelerator = Accelerator(
            cpu=model.device.type == "cpu",
            mixed_precision=choose_precision(config.hardware.precision, model.device),
            device_placement=False,
        )
        optimizer = make_optimizer(model, config.optim, model.device)
        self.scheduler = make_scheduler(optimizer, config.optim, self.total_steps)
        self.optimizer = self.accelerator.prepare(optimizer)
        objective = train.objective(config.loss, label_names)
        self.gradients = Gradients(
            model, objective, config.adversarial, self.accelerator, config.hardware.micro_batch_tokens
        )
        self.average: Any = make_average(model, config.optim.ema_decay) if config.optim.ema_decay else None

        self.team = Team()
        self.step = 0
        self.seconds = 0.0
        self.evaluated_step = -1
        self.best: dict[str, Any] | None = None  # {"metric", "value", "step"}
        self.best_loss: float | None = None
        self.evaluations_without_gain = 0
        self._epoch_batches: tuple[int, list[np.ndarray]] = (-1, [])

    @property
    def epoch(self) -> float:
        return self.step / self.steps_per_epoch

    @property
    def is_finished(self) -> bool:
        patience = self.config.stop.patience
        return self.step >= self.total_steps or 0 < patience <= self.evaluations_without_gain

    @property
    def evaluated_model(self) -> PreTrainedModel:
        """The one whose metrics are told and that is saved as best: the average where one is kept."""
        model: PreTrainedModel = self.average.module if self.average else self.model
        return model

    def results(self) -> Iterator[StepResult | EvaluationResult]:
        """All that is still to come. `state()` may be taken whenever a result has been yielded."""
        while True:
            due = is_evaluated(self.step, self.steps_per_epoch, self.config.stop.evaluate_every)
            if due and self.evaluated_step != self.step:
                yield self._evaluate()
            if self.is_finished:
                return
            yield self.take_step()

    def take_step(self) -> StepResult:
        """Raises: TrainingError before any weight is changed by a loss or gradient that is no number."""
        started = time.perf_counter()
        self.model.train()
        if self.config.model.unfreeze_each_epoch:
            freeze(self.model, self.config.model, self.step // self.steps_per_epoch)
        learning_rate = self.optimizer.param_groups[0]["lr"]
        rows = self._step_rows()
        self.team.seed(self.config.seed, self.step)
        whole = self.train.of_step(rows, self.step)
        part = whole.take(self.team.part(np.arange(len(rows))))
        # Of very short texts it may be that nothing is to be guessed.
        loss = self.team.add_up(self.gradients.compute(part, max(1, whole.num_targets)), self.gradients)
        if not math.isfinite(loss):
            raise self._not_a_number("loss", loss, self.step + 1)
        grad_norm = self._update()
        self.step += 1
        seconds = time.perf_counter() - started
        self.seconds += seconds
        if self.step % TRIM_EVERY == 0:
            limit_kept_memory(self.model.device)
        return StepResult(
            step=self.step,
            epoch=self.epoch,
            loss=loss,
            learning_rate=learning_rate,
            grad_norm=grad_norm,
            examples_per_second=len(rows) / seconds,
            tokens_per_second=int(self.train.encoded.lengths[rows].sum()) / seconds,
            memory_bytes=memory_bytes(self.model.device),
            micro_batch_tokens=self.gradients.micro_batch_tokens,
            seconds=self.seconds,
        )

    def _step_rows(self) -> np.ndarray:
        epoch, index = divmod(self.step, self.steps_per_epoch)
        return self.batches_of_epoch(epoch)[index]

    def batches_of_epoch(self, epoch: int) -> list[np.ndarray]:
        """The rows of each of its steps."""
        if self._epoch_batches[0] != epoch:
            lengths = self.train.encoded.lengths
            self._epoch_batches = (epoch, epoch_batches(lengths, self.config.optim.batch_size, self.config.seed, epoch))
        return self._epoch_batches[1]

    def _update(self) -> float:
        grad_norm = self.accelerator.clip_grad_norm_(self.model.parameters(), self.config.optim.max_grad_norm).item()
        # With fp16 the scaler itself skips a step whose gradients overflowed, and lowers its scale.
        if not math.isfinite(grad_norm) and self.accelerator.scaler is None:
            raise self._not_a_number("gradient norm", grad_norm, self.step + 1)
        self.optimizer.step()
        self.scheduler.step()
        self.optimizer.zero_grad()
        if self.average:
            self.average.update_parameters(self.model)
        return grad_norm

    def _not_a_number(self, what: str, value: float, step: int) -> TrainingError:
        if step == 0:
            return TrainingError(
                f"The {what} is {value} before the first step: the weights of '{self.config.model.base}' "
                "are damaged. Choose another model.base."
            )
        return TrainingError(
            f"The {what} became {value} at step {step}; the last good state is kept. "
            "Lower optim.learning_rate, lengthen the warm-up, or set hardware.precision to fp32."
        )

    def _evaluate(self) -> EvaluationResult:
        metrics, logits = self.validation.evaluate(self.evaluated_model.eval())
        forget_peak_memory(self.model.device)
        if not math.isfinite(metrics["loss"]):
            raise self._not_a_number("validation loss", metrics["loss"], self.step)
        is_best = self._note_evaluation(metrics)
        return EvaluationResult(self.step, self.epoch, "validation", metrics, is_best, logits)

    def _note_evaluation(self, metrics: dict[str, Any]) -> bool:
        """Keep the best, and count for the early stop. The weights before the first step are never "best"."""
        self.evaluated_step = self.step
        if self.step == 0:
            return False
        metric, _, and_loss = self.config.metric.partition("+")
        is_best = is_better(metric, metrics[metric], self.best["value"] if self.best else None)
        loss_fell = is_better("loss", metrics["loss"], self.best_loss)
        if is_best:
            self.best = {"metric": metric, "value": metrics[metric], "step": self.step}
        if loss_fell:
            self.best_loss = metrics["loss"]
        gained = is_best or (bool(and_loss) and loss_fell)
        self.evaluations_without_gain = 0 if gained else self.evaluations_without_gain + 1
        return is_best

    def state(self) -> dict[str, Any]:
        """All that is needed to go on bit for bit: references, to be saved before the next result is asked for."""
        scaler = self.accelerator.scaler
        return {
            **{name: getattr(self, name) for name in _COUNTERS},
            "micro_batch_tokens": self.gradients.micro_batch_tokens,
            "model": self.model.state_dict(),
            "average": self.average.state_dict() if self.average else None,
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "scaler": scaler.state_dict() if scaler else None,
            **random_state(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        for name in _COUNTERS:
            setattr(self, name, state[name])
        # Older states do not have it.
        self.gradients.micro_batch_tokens = state.get("micro_batch_tokens", self.gradients.micro_batch_tokens)
        self.model.load_state_dict(state["model"])
        if self.average:
            self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
        if self.accelerator.scaler and state["scaler"]:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        set_random_state(state)


def is_evaluated(step: int, steps_per_epoch: int, every: int) -> bool:
    """Before the first step, at the end of each epoch and, unless `every` is 0, every so many steps."""
    return step % steps_per_epoch == 0 or (every > 0 and step % every == 0)


def prepare_training(
    config: RunConfig, splits: Splits, train: pa.Table, device: torch.device
) -> tuple[Training, PreTrainedTokenizerBase]:
    """The training of a config before its first step, on these examples of train, and its tokenizer."""
    from pipeline.models import checkpoint_layers, load_base_model, load_language_model, max_positions

    seed_everything(config.seed, config.hardware.deterministic)
    if config.task == "mlm":
        model, tokenizer = load_language_model(config.model, device)
    else:
        model, tokenizer = load_base_model(config.model, splits.label_names, device)
    if config.hardware.gradient_checkpointing:
        checkpoint_layers(model)
    max_length = min(config.data.max_length, max_positions(model, tokenizer))
    if config.task == "mlm":
        masked = masked_examples(train["text"], splits.validation["text"], tokenizer, max_length, config)
        return Training(model, *masked, [], config), tokenizer
    tokenizer.model_max_length = max_length  # saved with the model: who predicts truncates alike
    examples = Labelled.of(train, tokenizer, max_length)
    validation = Labelled.of(splits.validation, tokenizer, max_length)
    return Training(model, examples, validation, splits.label_names, config), tokenizer


_COUNTERS = ("step", "seconds", "evaluated_step", "best", "best_loss", "evaluations_without_gain")
