"""What do the five families of encoders look like when tiny? One config each, and what their tests do with them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from pipeline.config_parts import ModelConfig
from pipeline.models import load_base_model, load_tokenizer, save_model
from tests.conftest import VOCABULARY

if TYPE_CHECKING:
    from transformers import PretrainedConfig

LABELS = ["negative", "positive"]
SENTENCES = ["good film", "the actor was very good but i love you", "bad"]
FAMILIES = ("bert", "roberta", "deberta-v2", "modernbert", "distilbert")


def tiny_config(family: str) -> PretrainedConfig:
    """A config of two layers and 32 features, dropout as the family has it, nothing else unlike the real ones."""
    from transformers import BertConfig, DebertaV2Config, DistilBertConfig, ModernBertConfig, RobertaConfig

    size = {
        "vocab_size": len(VOCABULARY), "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 64, "max_position_embeddings": 64,
    }
    # The ids of the tiny BERT's special pieces; the real ones of these two families lie beyond its vocabulary.
    special = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
    match family:
        case "bert":
            return BertConfig(**size)
        case "roberta":
            return RobertaConfig(**size, **special, type_vocab_size=1)
        case "deberta-v2":       # as deberta-v3-base has it
            return DebertaV2Config(
                **size, relative_attention=True, position_buckets=16, norm_rel_ebd="layer_norm", share_att_key=True,
                pos_att_type=["p2c", "c2p"], position_biased_input=False, type_vocab_size=0,
            )
        case "modernbert":
            return ModernBertConfig(**size, **special, cls_token_id=2, sep_token_id=3, reference_compile=False)
        case "distilbert":
            return DistilBertConfig(
                vocab_size=len(VOCABULARY), dim=32, n_layers=2, n_heads=2, hidden_dim=64, max_position_embeddings=64
            )
    raise KeyError(family)


def base_folder(folder: Path, config: Any, tokenizer_of: Path) -> Path:
    """A folder with a base model of random weights, and the tokenizer of another folder."""
    from transformers import AutoModel

    AutoModel.from_config(config).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tokenizer_of / name, folder)
    return folder


def build(base: Path | str, labels: list[str] = LABELS, seed: int = 0, **choices: Any) -> Any:
    """The base with a head for these labels; the seed decides a new head. Choices are fields of ModelConfig."""
    torch.manual_seed(seed)
    return load_base_model(ModelConfig(base=str(base), **choices), labels, torch.device("cpu"))[0]


def saved(base: Path, folder: Path, labels: list[str] = LABELS, seed: int = 0, **choices: Any) -> Path:
    """The folder, with what `build` gives saved in it."""
    save_model(build(base, labels, seed, **choices), load_tokenizer(str(base)), folder)
    return folder


def weights_of(model: Any) -> dict[str, torch.Tensor]:
    return {name: weight.clone() for name, weight in model.state_dict().items()}


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def logits_of(model: Any, tokenizer: Any) -> torch.Tensor:
    encoded = tokenizer(SENTENCES, padding=True, return_tensors="pt", return_token_type_ids=False)
    with torch.inference_mode():
        return model.eval()(**encoded).logits
