"""How does a step get its gradients? In pieces that fit in memory, by one pass or two, under attack or not."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from pipeline.adversarial import backward_under_attack
from pipeline.config_parts import AdversarialConfig
from pipeline.encoding import micro_batches
from pipeline.hardware import random_state, set_random_state
from pipeline.objectives import Objective, statistics_at_rest

if TYPE_CHECKING:
    import torch
    from accelerate import Accelerator
    from transformers import PreTrainedModel

    from pipeline.training import Labelled

log = logging.getLogger(__name__)


@dataclass
class Gradients:
    """Those of an objective over training examples, left in a model's weights."""

    model: PreTrainedModel
    train: Labelled
    objective: Objective
    attack: AdversarialConfig
    accelerator: Accelerator
    micro_batch_tokens: int     # pieces of a step have at most so many; halved where they do not fit in memory

    def compute(self, rows: np.ndarray, num_examples: int) -> float:
        """Compute those of a step of so many examples, for weights that have none yet. Returns its loss, their mean.

        Args: rows: the step's, or a part of them, (B,); the gradients and losses of its parts add up to the step's.

        Where memory does not suffice, begins anew with pieces of half the size, from then on.

        Raises: the device's own exception where the longest text alone does not fit.
        """
        from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size

        random = random_state()
        buffers = [buffer.clone() for buffer in self.model.buffers()]       # among them statistics of a batch norm
        try:
            return self._add_pieces(rows, num_examples)
        except RuntimeError as exception:
            longest = self.train.encoded.lengths[rows].max()
            if not should_reduce_batch_size(exception) or self.micro_batch_tokens <= longest:
                raise
        # Outside of the handler: its exception holds on to what filled the memory.
        self.micro_batch_tokens //= 2
        log.warning("Out of memory: steps are cut into pieces of %d tokens from here on.", self.micro_batch_tokens)
        self.model.zero_grad()
        clear_device_cache(garbage_collection=True)
        set_random_state(random)
        for buffer, before in zip(self.model.buffers(), buffers, strict=True):
            buffer.copy_(before)
        return self.compute(rows, num_examples)

    def _add_pieces(self, rows: np.ndarray, num_examples: int) -> float:
        import torch

        loss = 0.0
        for micro in micro_batches(rows, self.train.encoded.lengths, self.micro_batch_tokens):
            batch = self.train.encoded.batch(micro, self.model.device)
            gold_ids = torch.from_numpy(self.train.gold_ids[micro]).to(self.model.device)
            share = partial(self._share, batch, gold_ids, num_examples)
            if self.attack.name == "none":
                micro_loss = share()
                self.accelerator.backward(micro_loss)
            else:
                mask = batch["attention_mask"]
                micro_loss = backward_under_attack(share, self.model, mask, self.attack, self.accelerator)
            loss += micro_loss.item()
        return loss

    def _share(self, batch: dict[str, torch.Tensor], gold_ids: torch.Tensor, num_examples: int) -> torch.Tensor:
        """Summed, and divided by the examples of the whole step: however it is cut, each example counts once."""
        logits = self._logits(batch)
        if not self.objective.config.r_drop:
            return self.objective(logits, gold_ids) / num_examples
        with statistics_at_rest(self.model):
            return self.objective.r_drop(logits, self._logits(batch), gold_ids) / num_examples

    def _logits(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        with self.accelerator.autocast():
            logits: torch.Tensor = self.model(**batch).logits
        return logits.float()
