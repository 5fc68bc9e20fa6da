"""Can this model learn as it is set up? Its parameters, one batch forward and back, its rates, one batch by heart."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.check import Check
from analysis.patient import BATCH, Patient
from pipeline.config_parts import OptimConfig
from pipeline.layers import parameter_blocks
from pipeline.optimization import make_optimizer, make_scheduler, warmup_steps

BY_HEART_STEPS, BY_HEART = 60, 0.95     # accuracy that one batch must reach in so many steps
MAX_DROPOUT = 0.5
MOSTLY_FROZEN = 0.25            # share of parameters that train, at most
MIN_UPDATE, MAX_UPDATE = 2e-5, 0.1      # of a weight matrix by one step, over its own size; usual is about 1e-3
MAX_WARMUP = 0.5                        # share of all steps
USUAL_RATE, HIGH_RATE, LOW_RATE, USUAL_DROPOUT = 1e-4, 2e-4, 5e-5, 0.1


def checks_of_learning(patient: Patient) -> Iterator[Check]:
    yield about_parameters(patient)
    yield about_dropout(patient)
    yield from about_one_step(patient)
    yield about_rates(patient)
    yield about_one_batch(patient)


def about_parameters(patient: Patient) -> Check:
    blocks = {
        block: {
            "parameters": sum(weight.numel() for weight in weights.values()),
            "trainable": sum(weight.numel() for weight in weights.values() if weight.requires_grad),
        }
        for block, weights in parameter_blocks(patient.model).items()
    }
    total, trainable = (sum(of_it[key] for of_it in blocks.values()) for key in ("parameters", "trainable"))
    frozen = [block for block, of_it in blocks.items() if not of_it["trainable"]]
    kinds = sorted({str(weight.dtype).removeprefix("torch.") for weight in patient.model.parameters()})
    told = (
        f"{trainable:,} of {total:,} parameters train ({trainable / total:.1%}), in {', '.join(kinds)}; "
        f"frozen: {', '.join(frozen) or 'nothing'}."
    )
    return Check("parameters", told, "" if trainable else "frozen", {"blocks": blocks, "share": trainable / total})


def about_dropout(patient: Patient) -> Check:
    highest = max((module.p for module in _dropouts(patient)), default=0.0)
    told = f"At most {highest:.0%} of a layer's values are dropped."
    return Check("dropout", told, "dropout" if highest > MAX_DROPOUT else "", {"dropout": highest})


def _dropouts(patient: Patient) -> list[Any]:
    from torch.nn import Dropout

    return [module for module in patient.model.modules() if isinstance(module, Dropout)]


def about_one_step(patient: Patient) -> Iterator[Check]:
    """Forward and back on one batch, and one step at the highest rate: loss, gradients and changes by block."""
    with patient.kept():
        patient.model.train()
        loss = patient.losses(patient.batch_rows()).mean()
        loss.backward()
        blocks = parameter_blocks(patient.model)
        norms = {block: _norm(weights.values()) for block, weights in blocks.items()}
        yield _about_loss(patient, loss.item(), norms)
        yield _about_gradients(patient, blocks, norms)
        if math.isfinite(loss.item()):
            yield _about_update(patient)


def _norm(weights: Any) -> float:
    """L2, of the gradients that there are."""
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    return math.sqrt(sum(float(gradient.double().pow(2).sum()) for gradient in gradients))


def _about_loss(patient: Patient, loss: float, norms: dict[str, float]) -> Check:
    is_number = math.isfinite(loss) and all(map(math.isfinite, norms.values()))
    overflow = "fp16_overflow" if patient.config.hardware.precision == "fp16" else "not_finite"
    told = (
        f"The loss of one batch is {loss:.3f}; knowing nothing costs {patient.chance_loss:.3f} (ln "
        f"{len(patient.label_names)})" + ("." if is_number else ", and a gradient is no number.")
    )
    values = {"loss": loss, "chance_loss": patient.chance_loss}
    return Check("loss of one batch", told, "" if is_number else overflow, values)


def _about_gradients(patient: Patient, blocks: dict[str, dict[str, Any]], norms: dict[str, float]) -> Check:
    trained = {block for block, weights in blocks.items() if any(each.requires_grad for each in weights.values())}
    cut_off = [block for block in blocks if block in trained and norms[block] == 0]
    told = (
        f"No gradient reaches {', '.join(cut_off)}, though not frozen." if cut_off
        else "A gradient reaches every block that is not frozen."
    )
    return Check("gradients", told, "detached" if cut_off else "", {"gradient_norms": norms})


def _about_update(patient: Patient) -> Check:
    """Of the matrices that have a gradient: the median of |change| / |weights| by one step at the peak rate."""
    import torch

    optim = patient.config.optim
    matrices = [each for each in patient.model.parameters() if each.grad is not None and each.ndim >= 2]
    before = [each.detach().clone() for each in matrices]
    make_optimizer(patient.model, optim, patient.model.device).step()
    with torch.no_grad():
        ratios = [float((a - b).norm() / b.norm().clamp_min(1e-12)) for a, b in zip(matrices, before, strict=True)]
    median = float(np.median(ratios)) if ratios else 0.0
    symptom = "rate_small" if median < MIN_UPDATE else "rate_large" if median > MAX_UPDATE else ""
    told = f"One step at the peak rate of {optim.learning_rate:g} changes a weight matrix by {median:.1e} of its size."
    return Check("size of a step", told, symptom if ratios else "", {"update": median})


def about_rates(patient: Patient) -> Check:
    """The learning rate of each group over the run, and parameters in no group or in two."""
    optim = patient.config.optim
    optimizer = make_optimizer(patient.model, optim, patient.model.device)
    steps = math.ceil(patient.num_train / optim.batch_size) * optim.epochs
    share_of_peak = make_scheduler(optimizer, optim, steps).lr_lambdas[0]
    warmup = warmup_steps(optim, steps)
    moments = {"start": 0, "warmed_up": warmup, "half": steps // 2, "end": steps}
    rates = {
        group["name"]: {when: group["initial_lr"] * share_of_peak(step) for when, step in moments.items()}
        for group in optimizer.param_groups
    }
    grouped = [id(each) for group in optimizer.param_groups for each in group["params"]]
    trained = [id(each) for each in patient.model.parameters() if each.requires_grad]
    left_out = set(trained) - set(grouped)
    twice = len(grouped) - len(set(grouped))
    symptom = "not_in_optimizer" if left_out or twice else "warmup" if warmup > MAX_WARMUP * steps else ""
    told = (
        f"{steps:,} steps, {warmup:,} of them warming up; {len(left_out)} parameters are in no group of the optimizer, "
        f"{twice} in two."
    )
    return Check("learning rates", told, symptom, {"rates": rates, "steps": steps, "warmup": warmup})


# One batch by heart


@dataclass(frozen=True)
class Attempt:
    """What came of learning one batch by heart."""

    steps: int
    accuracy: float
    losses: tuple[float, ...]

    @property
    def learnt(self) -> bool:
        return self.accuracy > BY_HEART


def about_one_batch(patient: Patient) -> Check:
    """It must learn 16 examples by heart; where it cannot, the change that makes it can names the sickness.

    Source: Karpathy 2019, http://karpathy.github.io/2019/04/25/recipe/ ("overfit one batch").
    """
    attempt = by_heart(patient, patient.config.optim)
    told = f"{attempt.accuracy:.0%} of {BATCH} examples after {attempt.steps} steps on them alone"
    values = {"losses": attempt.losses, "accuracy": attempt.accuracy}
    if attempt.learnt:
        return _but_slowly(patient, attempt) or Check("one batch by heart", f"{told}: it can learn.", values=values)
    for symptom, what, change, optim in _changes(patient):
        with patient.kept():
            change()
            changed = by_heart(patient, optim)
        if changed.learnt:
            told = f"{told}; {what}, {changed.accuracy:.0%} after {changed.steps}."
            return Check("one batch by heart", told, symptom, values | {"mended_by": what})
    return Check("one batch by heart", f"{told}, and no change tried here helps.", "not_learning", values)


def _but_slowly(patient: Patient, attempt: Attempt) -> Check | None:
    """Where most is frozen and the batch was learnt late: freezing is to blame if without it half the steps suffice."""
    weights = list(patient.model.parameters())
    trainable = sum(each.numel() for each in weights if each.requires_grad) / sum(each.numel() for each in weights)
    if trainable > MOSTLY_FROZEN or attempt.steps <= BY_HEART_STEPS / 2:
        return None
    with patient.kept():
        _unfreeze(patient)
        free = by_heart(patient, patient.config.optim)
    if not free.learnt or 2 * free.steps > attempt.steps:
        return None
    told = f"It takes {attempt.steps} steps for {BATCH} examples by heart; with nothing frozen, {free.steps}."
    return Check("one batch by heart", told, "frozen", {"losses": attempt.losses, "mended_by": "with nothing frozen"})


def _changes(patient: Patient) -> Iterator[tuple[str, str, Callable[[], None], OptimConfig]]:
    """What may be wrong, the change that would mend it, in words and as an act, and the optimizer's config with it."""
    optim = patient.config.optim
    usual = optim.model_copy(update={"learning_rate": USUAL_RATE, "groups": "", "layer_decay": 1.0})
    if any(not each.requires_grad for each in patient.model.parameters()):
        yield "frozen", "with nothing frozen", lambda: _unfreeze(patient), optim
    if any(module.p > USUAL_DROPOUT for module in _dropouts(patient)):
        yield "dropout", f"with dropout {USUAL_DROPOUT:g}", lambda: _drop_less(patient), optim
    if optim.learning_rate < USUAL_RATE or optim.groups:
        yield "rate_small", f"at a rate of {USUAL_RATE:g}", lambda: None, usual
    if optim.learning_rate > HIGH_RATE:
        yield "rate_large", f"at a rate of {LOW_RATE:g}", lambda: None, usual.model_copy(
            update={"learning_rate": LOW_RATE}
        )
    if any(not each.requires_grad for each in patient.model.parameters()):
        yield "frozen", f"with nothing frozen, at a rate of {USUAL_RATE:g}", lambda: _unfreeze(patient), usual


def _unfreeze(patient: Patient) -> None:
    patient.model.requires_grad_(True)


def _drop_less(patient: Patient) -> None:
    for module in _dropouts(patient):
        module.p = min(module.p, USUAL_DROPOUT)


def by_heart(patient: Patient, optim: OptimConfig) -> Attempt:
    """Learn one batch from the weights as they are, at the peak rates, for BY_HEART_STEPS at most; undone after."""
    import torch

    rows, losses, accuracy, step = patient.batch_rows(), [], 0.0, 0
    with patient.kept():
        optimizer = make_optimizer(patient.model, optim, patient.model.device)
        for step in range(1, BY_HEART_STEPS + 1):
            patient.model.train()
            loss = patient.losses(rows).mean()
            losses.append(loss.item())
            if not math.isfinite(losses[-1]):
                break
            loss.backward()
            torch.nn.utils.clip_grad_norm_(patient.model.parameters(), optim.max_grad_norm)
            optimizer.step()
            optimizer.zero_grad()
            if step % 10 == 0 and (accuracy := _accuracy(patient, rows)) > BY_HEART:
                break
    return Attempt(step, accuracy, tuple(losses))


def _accuracy(patient: Patient, rows: np.ndarray) -> float:
    from pipeline.predictor import predict_logits

    patient.model.eval()
    predicted = predict_logits(patient.model, patient.training.train.encoded.take(rows)).argmax(axis=1)
    return float((predicted == patient.gold_ids[rows]).mean())
