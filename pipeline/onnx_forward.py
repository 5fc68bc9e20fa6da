"""How does a CPU get through one sentence fastest? By ONNX Runtime, with weights that are held against torch's."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.heads import encoder_config_of

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

Forward = Callable[[dict[str, "torch.Tensor"]], np.ndarray]     # a batch to its logits, (B, C) float32

NAMES = ("input_ids", "attention_mask")
MAX_DIFFERENCE = 1e-4       # of a logit; 4e-6 was the largest seen
SPIN_MICROSECONDS = "100"   # measured: as good as the default for one caller, and a run beside it keeps its cores
TRIED_SHAPES = ((1, 3), (3, 17))    # other ones than it is exported with

log = logging.getLogger(__name__)


def onnx_forward(model: PreTrainedModel) -> Forward | None:
    """A classifier's forward in ONNX Runtime, fp32 on the CPU, or None where it cannot be had or says something else.

    Takes a second or two, and the memory of the weights once more. For a sentence of two dozen pieces it takes about
    0.4 of torch's time: torch packs the weights anew for each product, ONNX Runtime packed them when it was loaded.
    """
    import torch

    try:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.add_session_config_entry("session.intra_op.spin_duration_us", SPIN_MICROSECONDS)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            export(model, path)
            session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

        def forward(batch: dict[str, torch.Tensor]) -> np.ndarray:
            [logits] = session.run(None, {name: batch[name].numpy() for name in NAMES})
            return np.asarray(logits)

        difference = _difference(model, forward)
    except Exception as exception:      # exporters fail in many ways; torch, which is always there, does not
        log.info("ONNX Runtime is not used: %s", " ".join(str(exception).split())[:200])
        return None
    if difference > MAX_DIFFERENCE:
        log.info("ONNX Runtime is not used: its logits differ from torch's by %.2g.", difference)
        return None
    return forward


def export(model: PreTrainedModel, path: Path) -> None:
    """Write a classifier as ONNX, from input_ids and attention_mask, (B, T) each, to logits, (B, C)."""
    import torch

    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.model(input_ids=input_ids, attention_mask=attention_mask).logits
            return logits

    example = _example(model, 2, 5)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")     # that a traced model may not generalise: it is tried on other shapes
        # The newer exporter (dynamo=True) takes six seconds of Python for what this one does in one.
        torch.onnx.export(
            Logits().eval(),
            tuple(example[name] for name in NAMES),
            path,
            dynamo=False,
            input_names=list(NAMES),
            output_names=["logits"],
            dynamic_axes={name: {0: "batch", 1: "pieces"} for name in NAMES},
        )


def _difference(model: PreTrainedModel, forward: Forward) -> float:
    """The largest difference between the logits of the two, on texts of random pieces and unlike lengths."""
    import torch

    found = 0.0
    for num_texts, num_pieces in TRIED_SHAPES:
        batch = _example(model, num_texts, num_pieces)
        with torch.no_grad():
            expected = model(**batch).logits.numpy()
        found = max(found, float(np.abs(forward(batch) - expected).max()))
    return found


def _example(model: PreTrainedModel, num_texts: int, num_pieces: int) -> dict[str, torch.Tensor]:
    import torch

    random = torch.Generator().manual_seed(0)
    mask = torch.ones(num_texts, num_pieces, dtype=torch.long)
    mask[0, num_pieces // 2 + 1 :] = 0      # the first one is padded
    ids = torch.randint(encoder_config_of(model.config).vocab_size, mask.shape, generator=random)
    return {"input_ids": ids, "attention_mask": mask}
