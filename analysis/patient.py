"""Who is examined? A training as its run would begin it, on a sample of the data, before the first step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from pipeline.classification import Labelled
from pipeline.config import RunConfig
from pipeline.data import load_splits
from pipeline.exceptions import ConfigError
from pipeline.runs import Run

if TYPE_CHECKING:
    import torch

    from pipeline.training import Training

MAX_TRAIN, MAX_VALIDATION = 2_000, 500      # examples that are looked at
BATCH = 16


@dataclass
class Patient:
    """What a check may look at; tests make it ill here, below all that refuses a sick config."""

    config: RunConfig
    run: Run | None             # its record, where it has been trained
    num_train: int              # training examples in all
    texts: list[str]            # N, of the training examples that are looked at
    training: Training          # of these
    tokenizer: Any

    @property
    def model(self) -> Any:
        return self.training.model

    @property
    def gold_ids(self) -> np.ndarray:
        """(N,)"""
        train = self.training.train
        assert isinstance(train, Labelled)
        return train.gold_ids

    @property
    def label_names(self) -> list[str]:
        return self.training.label_names

    @property
    def chance_loss(self) -> float:
        """ln C, in nats: of a model that has learnt nothing."""
        return float(np.log(len(self.label_names)))

    def batch_rows(self) -> np.ndarray:
        """BATCH examples, as many of each label as can be, (B,)."""
        random = np.random.default_rng(self.config.seed)
        shuffled = random.permutation(len(self.gold_ids))
        turn = np.empty(len(shuffled), int)     # the how-manieth of its label each is
        for label_id in np.unique(self.gold_ids):
            of_label = np.flatnonzero(self.gold_ids[shuffled] == label_id)
            turn[of_label] = np.arange(len(of_label))
        return np.sort(shuffled[np.argsort(turn, kind="stable")[:BATCH]])

    def losses(self, rows: np.ndarray) -> torch.Tensor:
        """Cross-entropy of each of these examples in the run's own precision, (B,); the graph is kept."""
        import torch
        from torch.nn.functional import cross_entropy

        gold_ids = torch.from_numpy(self.gold_ids[rows]).to(self.model.device)
        with self.training.accelerator.autocast():
            logits = self.model(**self.training.train.encoded.batch(rows, self.model.device)).logits
        return cross_entropy(logits.float(), gold_ids, reduction="none")

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Whatever is done to the weights, to what is frozen and to dropout is undone at the end."""
        weights = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        trainable = {name: parameter.requires_grad for name, parameter in self.model.named_parameters()}
        dropout = {name: module.p for name, module in self.model.named_modules() if hasattr(module, "p")}
        try:
            yield
        finally:
            self.model.load_state_dict(weights)
            self.model.zero_grad(set_to_none=True)
            for name, parameter in self.model.named_parameters():
                parameter.requires_grad_(trainable[name])
            for name, module in self.model.named_modules():
                if name in dropout:
                    module.p = dropout[name]


def patient_of(config: RunConfig, run: Run | None = None) -> Patient:
    """Loads data and base model as the run would. Raises: as the run would; ConfigError for one without labels."""
    from accelerate.state import AcceleratorState

    from pipeline.models import choose_device
    from pipeline.training import prepare_training

    if config.task == "mlm":
        raise ConfigError("The task is mlm: it learns no labels, which is what is examined here. Examine a classifier.")
    # accelerate keeps one precision for a whole process; here one after the other may be examined, each in its own.
    AcceleratorState._reset_state(reset_partial_state=True)
    splits = load_splits(config.data)
    sample = _sample(splits.train, MAX_TRAIN, config.seed)
    some = replace(splits, validation=_sample(splits.validation, MAX_VALIDATION, config.seed))
    training, tokenizer = prepare_training(config, some, sample, choose_device(config.hardware.device))
    return Patient(config, run, splits.train.num_rows, sample["text"].to_pylist(), training, tokenizer)


def _sample(examples: pa.Table, n: int, seed: int) -> pa.Table:
    if examples.num_rows <= n:
        return examples
    return examples.take(np.sort(np.random.default_rng(seed).choice(examples.num_rows, n, replace=False)))
