"""How do several processes take one step? Each computes a part of its examples; their gradients are added up.

By hand, after the last piece of a step: DistributedDataParallel averages over processes, not over examples, and wants
one backward pass over all weights, where a step may have an empty part, two passes (R-Drop), moved embeddings (FGM,
PGD) and frozen layers that wake up, or begin anew with smaller pieces.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

    from pipeline.gradients import Gradients


class ProcessLost(Exception):
    """Another process of the run has ended."""


@dataclass(frozen=True)
class Team:
    """The processes of a run, as one of them sees them."""

    rank: int = 0       # 0 leads: it alone evaluates, saves and writes
    size: int = 1

    def part(self, rows: np.ndarray) -> np.ndarray:
        """Its own of a step's rows, which may be none."""
        return rows[self.rank :: self.size]

    def seed(self, seed: int, step: int) -> None:
        """Other dropout in each process. Only the leader's random numbers go on from step to step, and into a state."""
        import torch

        if self.rank:
            torch.manual_seed(int(np.random.SeedSequence([seed, step, self.rank]).generate_state(1)[0]))

    def add_up(self, loss: float, gradients: Gradients) -> float:
        """Leave in every process the gradients of all, and the smallest size of pieces. Returns the sum of the losses.

        A weight that no process has used keeps no gradient, as in one process: AdamW would let one of zeros decay.

        Raises: ProcessLost.
        """
        import torch

        if self.size == 1:
            return loss
        weights = [weight for weight in gradients.model.parameters() if weight.requires_grad]
        told = self._exchange([loss, gradients.micro_batch_tokens, *(weight.grad is not None for weight in weights)])
        flat = torch.cat([(torch.zeros_like(each) if each.grad is None else each.grad).flatten() for each in weights])
        with _others_may_end():
            torch.distributed.all_reduce(flat)
        summed = flat.split([weight.numel() for weight in weights])
        for weight, gradient, is_used in zip(weights, summed, told[:, 2:].any(0).tolist(), strict=True):
            weight.grad = gradient.view_as(weight) if is_used else None
        gradients.micro_batch_tokens = int(told[:, 1].min())
        return float(told[:, 0].sum())

    def _exchange(self, values: list[float]) -> torch.Tensor:
        """What each process tells, (size, n) float64. On the CPU, where a dead process raises; NCCL waits for it."""
        import torch

        told = [torch.empty(len(values), dtype=torch.float64) for _ in range(self.size)]
        with _others_may_end():
            torch.distributed.all_gather(told, torch.tensor(values, dtype=torch.float64))
        return torch.stack(told)

    def shared(self, state: dict[str, Any]) -> dict[str, Any]:
        """The leader's. Raises: ProcessLost."""
        import torch

        buffer = io.BytesIO()
        if self.rank == 0:
            torch.save(state, buffer)
        box = [buffer.getvalue()]
        with _others_may_end():
            torch.distributed.broadcast_object_list(box)
        state = torch.load(io.BytesIO(box[0]), map_location="cpu", weights_only=True)
        return state


@contextmanager
def _others_may_end() -> Iterator[None]:
    try:
        yield
    except RuntimeError as exception:       # of torch: the connection to another process was closed
        raise ProcessLost from exception
