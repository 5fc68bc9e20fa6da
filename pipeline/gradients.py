"""How does a step get its gradients? In pieces that fit in memory, by one pass or two, under attack or not."""

from __future__ import annotations

import logging
from collections.abc import Callable
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

    from pipeline.classification import Labelled
    from pipeline.pretraining import Masked

log = logging.getLogger(__name__)


@dataclass
class Gradients:
    """Those of an objective over the examples of a step, left in a model's weights."""

    model: PreTrainedModel
    objective: Objective
    attack: AdversarialConfig
    accelerator: Accelerator
    micro_batch_tokens: int     # pieces of a step have at most so many; halved where they do not fit in memory

    def compute(self, examples: Labelled | Masked, num_targets: int) -> float:
        """Compute those of a step of so many targets, for weights that have none yet. Returns its loss, their mean.

        Args: examples: the step's, or a part of them; the gradients and losses of its parts add up to the step's.

        Where memory does not suffice, begins anew with pieces of half the size, from then on.

        Raises: the device's own exception where the longest text alone does not fit.
        """
        from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size

        random = random_state()
        buffers = [buffer.clone() for buffer in self.model.buffers()]       # among them statistics of a batch norm
        try:
            return self._add_pieces(examples, num_targets)
        except RuntimeError as exception:
            longest = examples.encoded.lengths.max(initial=0)
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
        return self.compute(examples, num_targets)

    def _add_pieces(self, examples: Labelled | Masked, num_targets: int) -> float:
        loss = 0.0
        lengths = examples.encoded.lengths
        for micro in micro_batches(np.arange(len(lengths)), lengths, self.micro_batch_tokens):
            batch, gold_ids = examples.batch(micro, self.model.device)
            logits = partial(self._logits, examples, batch)
            share = partial(self._share, logits, gold_ids, num_targets)
            if self.attack.name == "none":
                micro_loss = share()
                self.accelerator.backward(micro_loss)
            else:
                mask = batch["attention_mask"]
                micro_loss = backward_under_attack(share, self.model, mask, self.attack, self.accelerator)
            loss += micro_loss.item()
        return loss

    def _share(self, logits: Callable[[], torch.Tensor], gold_ids: torch.Tensor, num_targets: int) -> torch.Tensor:
        """Summed, and divided by the targets of the whole step: however it is cut, each target counts once."""
        first = logits()
        if not self.objective.config.r_drop:
            return self.objective(first, gold_ids) / num_targets
        with statistics_at_rest(self.model):
            return self.objective.r_drop(first, logits(), gold_ids) / num_targets

    def _logits(self, examples: Labelled | Masked, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        with self.accelerator.autocast():
            logits = examples.logits(self.model, batch)
        return logits.float()
