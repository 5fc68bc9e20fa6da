"""What turns hidden states into logits? Heads that go on any encoder, beside the one that its own class brings."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig

MODEL_TYPE = "volta_head"   # unknown to transformers alone: it refuses to load one, and invents no classifier
WIDTHS = (512, 256)         # of an MLP's hidden layers
DROPOUT = 0.1


def head_of(model_config: PretrainedConfig) -> str:
    """As in ModelConfig.head."""
    return str(model_config.head) if model_config.model_type == MODEL_TYPE else "own"


def encoder_config_of(model_config: PretrainedConfig) -> PretrainedConfig:
    encoder: PretrainedConfig = model_config.encoder if model_config.model_type == MODEL_TYPE else model_config
    return encoder


def with_head(encoder_config: PretrainedConfig, head: str) -> PretrainedConfig:
    """The config of a classifier with this head on an encoder."""
    config: PretrainedConfig = encoder_config if head == "own" else register_heads()(encoder=encoder_config, head=head)
    return config


@cache
def register_heads() -> Any:
    """From now on transformers' Auto classes load these heads in this process. Returns the class of their configs."""
    from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, PretrainedConfig

    class HeadConfig(PretrainedConfig):
        model_type = MODEL_TYPE
        sub_configs: ClassVar[dict[str, Any]] = {"encoder": AutoConfig}

        def __init__(self, encoder: Any = None, head: str = "linear", dropout: float = DROPOUT, **others: Any) -> None:
            self.encoder = AutoConfig.for_model(**encoder) if isinstance(encoder, dict) else encoder
            self.head, self.dropout = head, dropout
            super().__init__(**others)

    model_class = _model_class(HeadConfig)
    AutoConfig.register(MODEL_TYPE, HeadConfig)
    AutoModel.register(HeadConfig, model_class)
    AutoModelForSequenceClassification.register(HeadConfig, model_class)
    return HeadConfig


def _model_class(head_config: Any) -> Any:
    from transformers import AutoModel, PreTrainedModel
    from transformers.modeling_outputs import SequenceClassifierOutput

    class EncoderForSequenceClassification(PreTrainedModel):     # by its name, one with a trained head
        config_class = head_config
        base_model_prefix = "encoder"
        _supports_sdpa = True       # that is, if the encoder does

        def __init__(self, config: Any) -> None:
            super().__init__(config)
            self.encoder = AutoModel.from_config(config.encoder)
            if hasattr(self.encoder, "pooler"):
                self.encoder.pooler = None      # the heads take the hidden states themselves
            self.head = make_head(config.head, config.encoder.hidden_size, config.num_labels, config.dropout)
            self.post_init()

        def forward(
            self, input_ids: Any = None, attention_mask: Any = None, inputs_embeds: Any = None, **others: Any
        ) -> SequenceClassifierOutput:
            encoded = self.encoder(
                input_ids=input_ids, attention_mask=attention_mask, inputs_embeds=inputs_embeds, **others
            )
            pooled = pool(self.config.head, encoded.last_hidden_state, attention_mask)
            return SequenceClassifierOutput(logits=self.head(pooled))

    return EncoderForSequenceClassification


def pool(head: str, hidden: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """(B, T, H) to (B, H): the first piece, [CLS]; for the head `mean` the mean over the pieces, padding left out."""
    if head != "mean":
        return hidden[:, 0]
    if mask is None:
        return hidden.mean(dim=1)
    weights = mask[..., None].to(hidden.dtype)
    return (hidden * weights).sum(dim=1) / weights.sum(dim=1)


def make_head(head: str, hidden_size: int, num_labels: int, dropout: float) -> torch.nn.Sequential:
    """(B, H) to logits, (B, C): one layer, or for an MLP layers of 512, 256 and C."""
    from torch.nn import Dropout, Linear, ReLU, Sequential

    if not head.startswith("mlp"):
        return Sequential(Dropout(dropout), Linear(hidden_size, num_labels))
    layers: list[torch.nn.Module] = []
    for width_in, width in pairwise((hidden_size, *WIDTHS)):
        norm = [_batch_norm(width)] if head == "mlp-batchnorm" else []
        layers += [Linear(width_in, width), *norm, ReLU(), Dropout(dropout)]
    return Sequential(*layers, Linear(WIDTHS[-1], num_labels))


def _batch_norm(width: int) -> torch.nn.BatchNorm1d:
    import torch

    class BatchNorm(torch.nn.BatchNorm1d):
        def forward(self, input: torch.Tensor) -> torch.Tensor:
            if len(input) > 1:
                return super().forward(input)
            # One example has no variance: as in eval mode, it is held against what was seen so far.
            return torch.nn.functional.batch_norm(
                input, self.running_mean, self.running_var, self.weight, self.bias, training=False, eps=self.eps
            )

    return BatchNorm(width)
