"""Which block a parameter belongs to, in each family; what freezing leaves out, and in which epoch."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.config_parts import ModelConfig
from pipeline.exceptions import ModelError
from pipeline.layers import blocks_called, freeze, parameter_blocks
from tests.tiny_encoders import FAMILIES, build

TWELVE = ["embeddings", *(f"layer.{number}" for number in range(12)), "head"]


def training_blocks(model: Any) -> list[str]:
    """Blocks whose parameters all train; each block must train or be frozen as a whole."""
    trains = {name: {each.requires_grad for each in block.values()} for name, block in parameter_blocks(model).items()}
    assert all(len(kinds) == 1 for kinds in trains.values())
    return [name for name, kinds in trains.items() if kinds == {True}]


# Blocks


@pytest.mark.parametrize("head", ["own", "mean"])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_parameter_is_in_exactly_one_block(family: str, head: str, tiny_bases: dict[str, Path]) -> None:
    model = build(tiny_bases[family], head=head)
    blocks = parameter_blocks(model)
    assert list(blocks) == ["embeddings", "layer.0", "layer.1", "head"]
    assert all(blocks.values())
    in_blocks = [name for block in blocks.values() for name in block]
    assert sorted(in_blocks) == sorted(name for name, _ in model.named_parameters())


@pytest.mark.parametrize("family, block, names", [
    ("bert", "embeddings", ["bert.embeddings.word_embeddings.weight", "bert.embeddings.LayerNorm.bias"]),
    ("bert", "layer.1", ["bert.encoder.layer.1.attention.self.query.weight"]),
    ("bert", "head", ["bert.pooler.dense.weight", "bert.pooler.dense.bias", "classifier.weight", "classifier.bias"]),
    ("roberta", "head", ["classifier.dense.weight", "classifier.out_proj.bias"]),
    ("deberta-v2", "embeddings", ["deberta.encoder.rel_embeddings.weight", "deberta.encoder.LayerNorm.weight"]),
    ("deberta-v2", "head", ["pooler.dense.weight", "classifier.weight"]),
    ("modernbert", "layer.0", ["model.layers.0.attn.Wqkv.weight"]),
    ("modernbert", "head", ["model.final_norm.weight", "head.dense.weight", "classifier.weight"]),
    ("distilbert", "layer.1", ["distilbert.transformer.layer.1.ffn.lin1.weight"]),
    ("distilbert", "head", ["pre_classifier.weight", "classifier.bias"]),
])
def test_each_family_has_its_parameters_where_they_work(
    family: str, block: str, names: list[str], tiny_bases: dict[str, Path]
) -> None:
    assert parameter_blocks(build(tiny_bases[family]))[block].keys() >= set(names)


@pytest.mark.parametrize("body", ["Linear", "XLMModel"])        # no layers; a list for each kind of part
def test_an_encoder_that_is_no_list_of_layers_is_refused_with_what_to_set(body: str) -> None:
    from transformers import XLMConfig, XLMModel

    size = {"emb_dim": 8, "n_layers": 2, "n_heads": 2, "n_words": 9}
    model = torch.nn.Module()
    model.base_model = torch.nn.Linear(2, 2) if body == "Linear" else XLMModel(XLMConfig(**size))
    with pytest.raises(ModelError) as caught:
        parameter_blocks(model)
    assert str(caught.value) == (
        f"The layers of {body} are not known to Volta. Set model.freeze, model.unfreeze_each_epoch, "
        "optim.head_multiplier, optim.layer_decay and optim.groups to their defaults, or choose another model.base."
    )


# Words


@pytest.mark.parametrize("word, expected", [
    ("none", []),
    ("embeddings", ["embeddings"]),
    ("head", ["head"]),
    ("7", ["layer.7"]),
    ("layer.7", ["layer.7"]),
    ("half", ["embeddings", "layer.0", "layer.1", "layer.2", "layer.3", "layer.4", "layer.5"]),
    ("lower", ["layer.0", "layer.1", "layer.2", "layer.3", "layer.4", "layer.5"]),
    ("upper", ["layer.6", "layer.7", "layer.8", "layer.9", "layer.10", "layer.11"]),
    ("top-9", ["embeddings", "layer.0", "layer.1", "layer.2"]),
    ("top-12", ["embeddings"]),
    ("encoder", TWELVE[:-1]),
    ("top-0", TWELVE[:-1]),
])
def test_a_word_names_blocks_of_a_model_of_twelve_layers(word: str, expected: list[str]) -> None:
    assert blocks_called(word, TWELVE, "model.freeze") == expected


@pytest.mark.parametrize("word", ["12", "top-13", "layer.12"])
def test_a_block_that_the_model_lacks_is_refused_with_those_there_are(word: str) -> None:
    with pytest.raises(ModelError) as caught:
        blocks_called(word, TWELVE, "model.freeze")
    assert str(caught.value) == (
        f"model.freeze names '{word}', but the model has embeddings, 12 layers (numbered 0 to 11 from the bottom up) "
        "and a head. Name one of those."
    )


# Freezing


@pytest.mark.parametrize("frozen, trains", [
    ("none", ["embeddings", "layer.0", "layer.1", "head"]),
    ("embeddings", ["layer.0", "layer.1", "head"]),
    ("half", ["layer.1", "head"]),
    ("encoder", ["head"]),
    ("1", ["embeddings", "layer.0", "head"]),
    ("embeddings, 1", ["layer.0", "head"]),
])
@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_frozen_gets_no_gradient_and_all_else_does(
    frozen: str, trains: list[str], family: str, tiny_bases: dict[str, Path]
) -> None:
    model = build(tiny_bases[family], freeze=frozen).train()
    model(input_ids=torch.tensor([[2, 6, 3]])).logits[0, 0].backward()
    with_gradient = {
        name for name, block in parameter_blocks(model).items() if all(each.grad is not None for each in block.values())
    }
    assert training_blocks(model) == trains
    assert with_gradient == set(trains)


def test_no_gradient_is_computed_below_the_lowest_layer_that_trains(tiny_model: Path) -> None:
    carries_gradient = []
    model = build(tiny_model, freeze="half")
    for layer in model.bert.encoder.layer:
        layer.register_forward_hook(lambda layer, inputs, output: carries_gradient.append(output.requires_grad))
    model(input_ids=torch.tensor([[2, 6, 3]]))
    assert carries_gradient == [False, True]


def test_frozen_layers_keep_their_dropout(tiny_model: Path) -> None:
    assert all(module.training for module in build(tiny_model, freeze="encoder").train().modules())


def test_freezing_all_is_refused(tiny_model: Path) -> None:
    with pytest.raises(ModelError) as caught:
        build(tiny_model, freeze="encoder,head")
    assert str(caught.value) == "model.freeze is 'encoder,head', which leaves nothing to train. Take out 'head'."


# Gradual unfreezing


def by_epoch(model: Any, config: ModelConfig, epochs: Iterable[int]) -> list[list[str]]:
    found = []
    for epoch in epochs:
        freeze(model, config, epoch)
        found.append(training_blocks(model))
    return found


def test_each_epoch_trains_one_layer_more_and_the_embeddings_last(tiny_model: Path) -> None:
    assert by_epoch(build(tiny_model), ModelConfig(unfreeze_each_epoch=1), range(5)) == [
        ["head"],
        ["layer.1", "head"],
        ["layer.0", "layer.1", "head"],
        ["embeddings", "layer.0", "layer.1", "head"],
        ["embeddings", "layer.0", "layer.1", "head"],
    ]


def test_what_is_frozen_for_good_stays_so(tiny_model: Path) -> None:
    config = ModelConfig(freeze="embeddings,1", unfreeze_each_epoch=2)
    assert by_epoch(build(tiny_model), config, [0, 1, 9]) == [["head"], ["layer.0", "head"], ["layer.0", "head"]]
