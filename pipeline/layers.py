"""Which parameters are the embeddings, a layer, the head? The blocks of any encoder, and which of them are frozen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.config_parts import ModelConfig
from pipeline.exceptions import ModelError

if TYPE_CHECKING:
    import torch


def parameter_blocks(model: Any) -> dict[str, dict[str, torch.nn.Parameter]]:
    """Every parameter once, by name, in blocks from the bottom up: embeddings, layer.0 to layer.<n - 1>, head.

    What follows the layers (a pooler, ModernBERT's last norm) counts to the head; what stands beside them (DeBERTa's
    relative positions, which every layer reads) counts to the embeddings.

    Raises: ModelError when the encoder is not made of a list of layers.
    """
    body = model.base_model
    layers, after = _layers_of(body)
    block_of = dict.fromkeys(body.parameters(), "embeddings")
    block_of |= {each: "head" for child in after for each in child.parameters()}
    block_of |= {each: f"layer.{number}" for number, layer in enumerate(layers) for each in layer.parameters()}
    blocks: dict[str, dict[str, torch.nn.Parameter]] = {
        name: {} for name in ("embeddings", *(f"layer.{number}" for number in range(len(layers))), "head")
    }
    for name, parameter in model.named_parameters():
        blocks[block_of.get(parameter, "head")][name] = parameter
    return blocks


def _layers_of(body: torch.nn.Module) -> tuple[torch.nn.ModuleList, list[torch.nn.Module]]:
    """The encoder's layers, and what follows them in it."""
    from torch.nn import ModuleList

    children = list(body.children())
    lists = (
        (module, children[number + 1 :])
        for number, child in enumerate(children) for module in child.modules() if isinstance(module, ModuleList)
    )
    layers, after = next(lists, (ModuleList(), []))
    if not layers or any(isinstance(child, ModuleList) for child in after):     # XLM has a list for each kind of part
        raise ModelError(
            f"The layers of {type(body).__name__} are not known to Volta. Set model.freeze, model.unfreeze_each_epoch, "
            "optim.head_multiplier, optim.layer_decay and optim.groups to their defaults, or choose another model.base."
        )
    return layers, after


def blocks_called(word: str, blocks: list[str], field: str) -> list[str]:
    """What a word of model.freeze or optim.groups means among a model's blocks. Raises: ModelError."""
    layers = blocks[1:-1]
    half = len(layers) // 2
    meanings = {block: [block] for block in blocks}
    meanings |= {str(number): [layer] for number, layer in enumerate(layers)}
    meanings |= {f"top-{kept}": blocks[: len(layers) + 1 - kept] for kept in range(len(layers) + 1)}
    meanings |= {"none": [], "half": blocks[: half + 1], "encoder": blocks[:-1]}
    meanings |= {"lower": layers[:half], "upper": layers[half:]}
    if word not in meanings:
        raise ModelError(
            f"{field} names '{word}', but the model has embeddings, {len(layers)} layers (numbered 0 to "
            f"{len(layers) - 1} from the bottom up) and a head. Name one of those."
        )
    return meanings[word]


def freeze(model: Any, config: ModelConfig, epoch: int | None = None) -> None:
    """Frozen parameters get no gradient. Without an epoch: only those frozen for good.

    Gradual unfreezing begins with the head alone; source: Howard and Ruder 2018, https://arxiv.org/abs/1801.06146,
    section 3.3.

    Raises: ModelError when the model lacks what is to be frozen, or nothing is left to train.
    """
    blocks = parameter_blocks(model)
    names = list(blocks)
    frozen = {name for word in config.freeze.split(",") for name in blocks_called(word.strip(), names, "model.freeze")}
    if epoch is not None:
        frozen |= set(names[: max(0, len(names) - 1 - epoch * config.unfreeze_each_epoch)])
    if frozen.issuperset(names):
        raise ModelError(f"model.freeze is '{config.freeze}', which leaves nothing to train. Take out 'head'.")
    for name, parameters in blocks.items():
        for parameter in parameters.values():
            parameter.requires_grad_(name not in frozen)
