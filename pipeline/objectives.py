"""What is made small while a model learns? Losses of a batch, summed over its examples."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipeline.config_parts import LossConfig
from pipeline.exceptions import ConfigError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Objective:
    """A loss for C labels.

    Sums over examples are divided by the N examples of the whole step, so an example counts the same however the step
    is cut. That holds for weights, too: sum(w_i * l_i) / N, where torch's weighted mean divides by sum(w_i) of the
    batch.
    """

    config: LossConfig
    weights: tuple[float, ...]      # C: the class weights or alpha

    def __call__(self, logits: torch.Tensor, gold_ids: torch.Tensor) -> torch.Tensor:
        """The loss of B examples, summed, in nats: logits (B, C) float32, gold_ids (B,).

        Source: label smoothing: Szegedy et al. 2016, https://arxiv.org/abs/1512.00567, section 7.
        """
        from torch.nn.functional import cross_entropy

        if self.config.name == "binary":
            return self._binary(logits, gold_ids)
        if self.config.name == "focal":
            return self._focal(logits, gold_ids)
        weights = logits.new_tensor(self.weights) if self.config.name == "weighted" else None
        return cross_entropy(logits, gold_ids, weights, reduction="sum", label_smoothing=self.config.label_smoothing)

    def _binary(self, logits: torch.Tensor, gold_ids: torch.Tensor) -> torch.Tensor:
        """Of the log-odds, the difference of the two logits: its sigmoid is the softmax that is shown and evaluated."""
        from torch.nn.functional import binary_cross_entropy_with_logits

        smoothing = self.config.label_smoothing
        targets = gold_ids * (1 - smoothing) + smoothing / 2
        return binary_cross_entropy_with_logits(logits[:, 1] - logits[:, 0], targets, reduction="sum")

    def _focal(self, logits: torch.Tensor, gold_ids: torch.Tensor) -> torch.Tensor:
        """alpha * (1 - p)^gamma * cross-entropy, p being the gold label's probability.

        Source: Lin et al. 2017, https://arxiv.org/abs/1708.02002, equation 5.
        """
        import torch
        from torch.nn.functional import cross_entropy

        smoothed = cross_entropy(logits, gold_ids, reduction="none", label_smoothing=self.config.label_smoothing)
        # 1 - p, exact where p is next to 1, and never 0, where a power below 1 has no gradient.
        missing = -torch.expm1(-cross_entropy(logits, gold_ids, reduction="none"))          # (B,)
        alpha = logits.new_tensor(self.weights)[gold_ids]
        return (alpha * missing.clamp_min(1e-12) ** self.config.focal_gamma * smoothed).sum()

    def r_drop(self, first: torch.Tensor, second: torch.Tensor, gold_ids: torch.Tensor) -> torch.Tensor:
        """The mean loss of two passes with other dropout, and their weighted KL divergence, mean of both directions.

        Args: first, second: logits (B, C).
        Source: Liang et al. 2021, https://arxiv.org/abs/2106.14448; the mean of two losses as in the authors' code.
        """
        from torch.nn.functional import kl_div

        p, q = first.log_softmax(-1), second.log_softmax(-1)
        both = kl_div(p, q, reduction="sum", log_target=True) + kl_div(q, p, reduction="sum", log_target=True)
        return (self(first, gold_ids) + self(second, gold_ids) + self.config.r_drop * both) / 2


def make_objective(config: LossConfig, label_names: list[str], gold_ids: np.ndarray) -> Objective:
    """The objective for C labels, given the gold ids of train, (N,). Raises: ConfigError."""
    num_labels = len(label_names)
    if config.name == "binary" and num_labels != 2:
        raise ConfigError(
            f"loss.name is 'binary', which needs two labels; there are {num_labels}. Set it to 'cross_entropy'.",
            "loss.name",
        )
    weights = np.ones(num_labels)
    if config.name == "weighted" and not config.class_weights:
        counts = np.bincount(gold_ids, minlength=num_labels)
        weights = len(gold_ids) / (num_labels * np.maximum(counts, 1))
    elif config.name == "weighted":
        weights = label_weights("loss.class_weights", config.class_weights, label_names)
    elif config.name == "focal" and config.focal_alpha:
        weights = label_weights("loss.focal_alpha", config.focal_alpha, label_names)
    return Objective(config, tuple(weights.tolist()))


def label_weights(field: str, text: str, label_names: list[str]) -> np.ndarray:
    """A weight for each of C labels from "2" (all alike), "1, 2.5" (in their order) or "spam=5" (the others 1), (C,).

    Raises: ConfigError.
    """
    parts = [part.rpartition("=") for part in text.split(",")]
    names = [name.strip() for name, _, _ in parts]
    try:
        numbers = np.array([float(number) for _, _, number in parts])
    except ValueError:
        numbers = np.array([np.nan])
    if np.isfinite(numbers).all() and (numbers > 0).all():
        if not any(names) and len(numbers) in (1, len(label_names)):
            return np.resize(numbers, len(label_names))
        if set(names) <= set(label_names):
            given = dict(zip(names, numbers, strict=True))
            return np.array([given.get(name, 1.0) for name in label_names])
    raise ConfigError(
        f"{field} is '{text}'; expected positive numbers, one for all labels, one for each of the "
        f"{len(label_names)} labels in their order, or label=number, separated by commas. "
        f"The labels are: {', '.join(label_names)}.",
        field,
    )


@contextmanager
def statistics_at_rest(model: torch.nn.Module) -> Iterator[None]:
    """Further passes over the same examples leave the running statistics of normalisation layers as they are."""
    moving = [module for module in model.modules() if getattr(module, "track_running_stats", False)]
    for module in moving:
        module.track_running_stats = False      # type: ignore[assignment]
    try:
        yield
    finally:
        for module in moving:
            module.track_running_stats = True   # type: ignore[assignment]
