"""What if the embeddings were a little worse? Adds the gradient of the loss where they are moved to raise it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipeline.config_parts import AdversarialConfig
from pipeline.objectives import statistics_at_rest

if TYPE_CHECKING:
    import torch
    from accelerate import Accelerator
    from transformers import PreTrainedModel


def backward_under_attack(
    loss: Callable[[], torch.Tensor],
    model: PreTrainedModel,
    attention_mask: torch.Tensor,
    config: AdversarialConfig,
    accelerator: Accelerator,
) -> torch.Tensor:
    """Add to the weights' gradients those of a batch's loss, and those of its loss under attack.

    What is moved is the output of the embedding of pieces, each example on its own: how a step is cut changes nothing.
    FGM is PGD with one move, as long as it may be.

    Args:
        loss: computes the loss of the batch anew, a scalar.
        attention_mask: of the batch, (B, T).
    Returns: The loss where nothing was moved.
    Source: Miyato et al. 2017, https://arxiv.org/abs/1605.07725, equation 5, without its scaling of the embeddings;
        Madry et al. 2018, https://arxiv.org/abs/1706.06083, section 2.1, in L2.
    """
    import torch

    num_steps, alpha = (config.steps, config.alpha) if config.name == "pgd" else (1, config.epsilon)
    shape = (*attention_mask.shape, model.get_input_embeddings().embedding_dim)
    delta = torch.zeros(shape, device=attention_mask.device, requires_grad=True)        # (B, T, H)
    with perturbed(model, delta):
        clean = loss()
    accelerator.backward(clean)
    with statistics_at_rest(model):
        for step in range(1, num_steps + 1):
            moved = delta.detach() + alpha * directions(delta.grad, attention_mask)     # type: ignore[arg-type]
            delta = moved.renorm(2, 0, config.epsilon).requires_grad_(step < num_steps)
            with perturbed(model, delta):
                worse = loss()
            # On the way only the next move is looked for; the gradients of the weights are those of the last place.
            accelerator.backward(worse, inputs=[delta] if step < num_steps else None)
    return clean


@contextmanager
def perturbed(model: PreTrainedModel, delta: torch.Tensor) -> Iterator[None]:
    """Add delta (B, T, H) to what the embedding of pieces gives."""
    hook = model.get_input_embeddings().register_forward_hook(lambda module, inputs, output: output + delta)
    try:
        yield
    finally:
        hook.remove()


def directions(gradient: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
    """Gradients (B, T, H) of L2 norm 1 per example, 0 on padding; all 0 for an example without a finite gradient."""
    import torch

    gradient = torch.where(attention_mask[:, :, None] > 0, gradient, 0)
    norms = gradient.norm(dim=(1, 2), keepdim=True)
    return torch.where(norms.isfinite() & (norms > 0), gradient / norms, 0)
