"""Where do the weights come from and go to? Loads an encoder with its classification head, and saves it atomically."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.config_parts import ModelConfig
from pipeline.exceptions import ModelError, RunError
from pipeline.heads import encoder_config_of, head_of, register_heads, with_head
from pipeline.layers import freeze
from pipeline.sources import find_model

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase


CALIBRATION_FILE = "calibration.json"     # beside the weights that it was fitted to
ENSEMBLE_TYPE = "volta_ensemble"         # of config.json; transformers alone does not know it, and refuses to load one


def choose_device(name: str = "auto") -> torch.device:
    """The one place that decides where to compute: CUDA, else Apple's MPS, else the CPU, unless one is named.

    Raises: ModelError when the named device is not on this machine.
    """
    import torch

    accelerator = torch.accelerator.current_accelerator(check_available=True)
    found = accelerator.type if accelerator is not None and accelerator.type in ("cuda", "mps") else "cpu"
    device = torch.device(found if name == "auto" else name)
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", 0)        # one name for one device: its lock has it
    count = torch.accelerator.device_count() if device.type == found else 0
    if device.type != "cpu" and (device.index or 0) >= count:
        raise ModelError(
            f"hardware.device is '{name}', but this machine has no such device. Set it to 'auto' or 'cpu'."
        )
    return device


def load_tokenizer(base: str) -> PreTrainedTokenizerBase:
    """The tokenizer of a run, a folder, a package or a Hub model. Raises: ModelError."""
    from transformers import AutoTokenizer

    tokenizer = _from_pretrained(AutoTokenizer, base)
    if tokenizer.vocab_size <= len(set(tokenizer.all_special_ids)):     # transformers makes up an empty one
        raise ModelError(f"'{base}' has no tokenizer. Put the files of its tokenizer beside its weights.")
    if tokenizer.pad_token_id is None:
        raise ModelError(
            f"'{base}' has no padding token, so it is no BERT-like encoder. Choose one such as bert-base-uncased."
        )
    return tokenizer


def load_base_model(
    config: ModelConfig, label_names: list[str], device: torch.device
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """An encoder with a head for these labels, in fp32, with what is frozen for good frozen, and its tokenizer.

    A classifier with such a head and these very labels keeps it; any other base gets a new one, drawn from torch's
    current seed.

    Raises: ModelError naming the base and what to do.
    """
    from transformers import AutoConfig

    if members_of(Path(find_model(config.base).location)):
        raise ModelError(
            f"'{config.base}' is several models that answer together, and has no weights to train further. "
            "Choose one of its members, or average their weights into one model."
        )
    tokenizer = load_tokenizer(config.base)
    found = _from_pretrained(AutoConfig, config.base)
    if not _is_encoder(encoder_config_of(found)):
        raise ModelError(f"'{config.base}' is not an encoder. Choose a BERT-like model such as bert-base-uncased.")
    same_head = head_of(found) == config.head
    keep_head = same_head and _has_trained_head(found) and label_names_of(found) == label_names
    model_config = found if same_head else with_head(encoder_config_of(found), config.head)
    model_config.id2label = dict(enumerate(label_names))
    model_config.label2id = {name: label_id for label_id, name in enumerate(label_names)}
    if config.dropout is not None:
        _set_dropout(model_config, config.dropout)
        _set_dropout(encoder_config_of(model_config), config.dropout)
    model = _load_classifier(config.base, device, model_config, keep_head)
    if config.freeze != "none":
        freeze(model, config)
    return model, tokenizer


def _load_classifier(base: str, device: torch.device, model_config: PretrainedConfig, keep_head: bool) -> Any:
    from transformers import AutoModel, AutoModelForSequenceClassification

    if keep_head:
        return _load_weights(AutoModelForSequenceClassification, base, device, config=model_config)
    encoder: Any = _load_weights(AutoModel, base, device).base_model
    return _on_encoder(AutoModelForSequenceClassification, encoder, model_config)


def _on_encoder(auto_class: Any, encoder: Any, model_config: PretrainedConfig) -> Any:
    """A new head, on the weights of an encoder."""
    model = auto_class.from_config(
        model_config, dtype=encoder.dtype, attn_implementation=encoder.config._attn_implementation
    ).to(encoder.device)
    # Some heads do without the encoder's pooler, which AutoModel always brings: its surplus is left out.
    model.base_model.load_state_dict(encoder.state_dict(), strict=False)
    return model


def load_language_model(
    config: ModelConfig, device: torch.device
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """An encoder with a head that fills masks, in fp32, with what is frozen for good frozen, and its tokenizer.

    A base without such a head gets one: a new layer, drawn from torch's current seed, and its own embeddings turned
    round (they stay tied). An encoder's pooler takes no part, but stays with it for the head of a later run.

    Raises: ModelError naming the base and what to do.
    """
    from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM

    tokenizer = load_tokenizer(config.base)
    found = _from_pretrained(AutoConfig, config.base)
    model_config = encoder_config_of(found)
    _refuse_without_masks(config.base, model_config, tokenizer)
    if config.dropout is not None:
        _set_dropout(model_config, config.dropout)
    encoder: Any = _load_weights(AutoModel, config.base, device).base_model
    if _has_masked_lm_head(found):
        model: Any = _load_weights(AutoModelForMaskedLM, config.base, device, config=model_config)
    else:
        model = _on_encoder(AutoModelForMaskedLM, encoder, model_config)
    if getattr(encoder, "pooler", None):
        model.base_model.pooler = encoder.pooler
    if config.freeze != "none":
        freeze(model, config)
    return model, tokenizer


def _refuse_without_masks(base: str, model_config: PretrainedConfig, tokenizer: PreTrainedTokenizerBase) -> None:
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

    lacks = {
        "its family has no head for it": model_config.model_type not in MODEL_FOR_MASKED_LM_MAPPING_NAMES,
        "its tokenizer has no mask": tokenizer.mask_token_id is None,
        "its tokenizer does not tell which pieces make a word": not tokenizer.is_fast,
    }
    if lack := next((lack for lack, is_so in lacks.items() if is_so), None):
        raise ModelError(
            f"'{base}' cannot learn by masked-language modelling: {lack}. Choose another, such as bert-base-uncased."
        )


def has_masked_lm_head(base: str) -> bool:
    """Do its weights have a head that fills masks? Raises: ModelError."""
    from transformers import AutoConfig

    return _has_masked_lm_head(_from_pretrained(AutoConfig, base))


def load_classifier(base: str, device: torch.device) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A trained classifier and its tokenizer, in fp32 and eval mode. Raises: ModelError when it has no trained head."""
    from transformers import AutoConfig, AutoModelForSequenceClassification

    model_config = _from_pretrained(AutoConfig, base)
    if not _has_trained_head(model_config):
        raise ModelError(f"'{base}' is a base model without a trained classifier. Train on it first, or choose a run.")
    model = _load_weights(AutoModelForSequenceClassification, base, device, config=model_config)
    return model.eval(), load_tokenizer(base)


def load_masked_lm(base: str, device: torch.device) -> tuple[PreTrainedModel, PreTrainedTokenizerBase] | None:
    """A model with its masked-language-modelling head, in fp32 and eval mode; None where its weights have none.

    Raises: ModelError when it is not found or cannot be loaded.
    """
    from transformers import AutoConfig, AutoModelForMaskedLM

    model_config = _from_pretrained(AutoConfig, base)
    if not _has_masked_lm_head(model_config):
        return None
    return _load_weights(AutoModelForMaskedLM, base, device, config=model_config).eval(), load_tokenizer(base)


def load_translator(base: str, device: torch.device) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A model that writes one text for another, such as opus-mt-en-de, in fp32 and eval mode. Raises: ModelError."""
    from transformers import AutoModelForSeq2SeqLM

    return _load_weights(AutoModelForSeq2SeqLM, base, device).eval(), load_tokenizer(base)


def checkpoint_layers(model: PreTrainedModel) -> None:
    """While it trains, each layer is computed again for its gradients rather than kept.

    Source: Chen et al. 2016, https://arxiv.org/abs/1604.06174.
    """
    encoder: Any = model.base_model
    # transformers gave it another name in 5.
    enable = getattr(encoder, "activation_checkpointing_enable", None) or encoder.gradient_checkpointing_enable
    enable({"use_reentrant": False})


def label_names_of(model_config: PretrainedConfig) -> list[str]:
    """Label names in the order of their ids, (C,); a config.json may list them in any other."""
    names: dict[int, str] = dict(model_config.id2label)     # type: ignore[arg-type]
    return [names[label_id] for label_id in range(len(names))]


def max_positions(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int:
    """Longest input in pieces that the model has positions for."""
    config = encoder_config_of(model.config)
    positions = getattr(config, "max_position_embeddings", None) or tokenizer.model_max_length
    # RoBERTa's positions start behind its padding index, so two of the 514 can never be used.
    offset = config.pad_token_id + 1 if config.model_type in ("roberta", "xlm-roberta", "camembert") else 0
    return int(min(positions - offset, tokenizer.model_max_length))


def save_model(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Save as Hugging Face files; a crash at any moment leaves the old weights or the new.

    The first save moves a whole new folder into place. Later ones replace only `model.safetensors`, in one rename,
    because nothing else changes while a run trains. A temperature fitted to the old weights goes before them.
    """
    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    model.save_pretrained(temporary, max_shard_size="100GB")
    with open(temporary / "model.safetensors", "rb") as file:
        os.fsync(file.fileno())
    if folder.exists():
        (folder / CALIBRATION_FILE).unlink(missing_ok=True)
        os.replace(temporary / "model.safetensors", folder / "model.safetensors")
        shutil.rmtree(temporary)
    else:
        tokenizer.save_pretrained(temporary)
        os.replace(temporary, folder)


def temperature_of(folder: Path) -> float:
    """What the logits of the model in this folder are divided by; 1 unless it was calibrated. Raises: RunError."""
    path = folder / CALIBRATION_FILE
    if not path.is_file():
        return 1.0
    try:
        temperature = float(json.loads(path.read_bytes())["temperature"])
    except (ValueError, KeyError, TypeError):
        temperature = 0.0
    if not 0 < temperature < float("inf"):
        raise RunError(f"{path} holds no temperature above 0. Remove it, or calibrate the run anew.")
    return temperature


def members_of(folder: Path) -> list[Path]:
    """The folders of the models that answer together as this one; none for an ordinary model."""
    try:
        config = json.loads((folder / "config.json").read_bytes())
        names = config["members"] if config["model_type"] == ENSEMBLE_TYPE else []
    except (OSError, ValueError, KeyError, TypeError):      # told by whoever loads it
        return []
    return [folder / "members" / str(number) for number in range(len(names))]


def _is_encoder(model_config: PretrainedConfig) -> bool:
    """Can it classify, and was it made to read texts rather than to write them?"""
    from transformers.models.auto import modeling_auto

    kind = model_config.model_type
    classifies = kind in modeling_auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES
    # Some encoders, BERT among them, can also be set up to write; their own task is to fill masks.
    writes = (
        kind in modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
        and kind not in modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES
    )
    turned_around = model_config.is_encoder_decoder or getattr(model_config, "is_decoder", False)
    return classifies and not writes and not turned_around


def _has_trained_head(model_config: PretrainedConfig) -> bool:
    return "ForSequenceClassification" in str(model_config.architectures)


def _has_masked_lm_head(model_config: PretrainedConfig) -> bool:
    return any(name.endswith("ForMaskedLM") for name in model_config.architectures or [])


def _set_dropout(model_config: PretrainedConfig, dropout: float) -> None:
    for name, value in model_config.to_dict().items():
        if "dropout" in name and not isinstance(value, bool) and (value is None or isinstance(value, int | float)):
            setattr(model_config, name, dropout)


def _load_weights(auto_class: Any, base: str, device: torch.device, **arguments: Any) -> PreTrainedModel:
    import torch
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()      # of reading a file; a download keeps its own
    # SDPA's flash kernel is slower than plain attention on a CPU for texts of a dozen pieces. Elsewhere transformers
    # chooses: SDPA, but not for a model that has none (DeBERTa).
    attention = "eager" if device.type == "cpu" else None
    model = _from_pretrained(
        auto_class, base, dtype=torch.float32, attn_implementation=attention, use_safetensors=True, **arguments
    )
    return model.to(device)


def _from_pretrained(auto_class: Any, base: str, **arguments: Any) -> Any:
    place = find_model(base)
    register_heads()
    try:
        return auto_class.from_pretrained(place.location, **arguments)
    except Exception as exception:      # damaged or foreign files make the libraries raise all sorts of things
        reason = " ".join(str(exception).split())[:300]
        raise ModelError(
            f"{place.sentence} It cannot be loaded: {reason.rstrip('.')}. Choose another model, or mend it."
        ) from exception
