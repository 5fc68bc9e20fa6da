"""What does a model say about these texts? The one place that loads models for the tabs, the command line and HTTP."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa

from pipeline.cleaning import clean
from pipeline.config import read_config
from pipeline.config_parts import CleanConfig
from pipeline.encoding import Encoded, encode, micro_batches
from pipeline.metrics import softmax
from pipeline.models import (
    CALIBRATION_FILE,
    choose_device,
    label_names_of,
    load_classifier,
    max_positions,
    members_of,
    temperature_of,
)
from pipeline.onnx_forward import Forward, onnx_forward
from pipeline.sources import Place, find_model

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

MODELS_KEPT = 2                 # loaded at once; the one used longest ago goes first
CALLS_IN_TORCH = 3              # then ONNX Runtime is worth the second or two that it takes to begin with
TOKENS_PER_BATCH = 2048         # measured: on a CPU larger batches are no faster, on a GPU 8 times this fits anywhere


@dataclass(frozen=True)
class Prediction:
    """What the model says about one text."""

    text: str
    label: str
    label_id: int
    probabilities: dict[str, float]     # by label name, in the order of label ids; they sum to 1
    truncated: bool
    num_pieces: int


def predict_logits(model: PreTrainedModel, encoded: Encoded, forward: Forward | None = None) -> np.ndarray:
    """Logits (N, C) float32 in the order given, by torch or by another forward; batches are made of like lengths.

    The model must be in eval mode.
    """
    import torch

    def by_torch(batch: dict[str, torch.Tensor]) -> np.ndarray:
        return model(**batch).logits.float().cpu().numpy()

    forward = forward or by_torch
    device = model.device
    logits = np.zeros((len(encoded), len(label_names_of(model.config))), np.float32)
    with torch.no_grad():           # not inference_mode: what a model caches meanwhile (RoPE) is trained with later
        for rows in micro_batches(np.arange(len(encoded)), encoded.lengths, tokens_per_batch(device)):
            logits[rows] = forward(encoded.batch(rows, device))
    return logits


def tokens_per_batch(device: torch.device) -> int:
    return TOKENS_PER_BATCH * (1 if device.type == "cpu" else 16)


class Predictor:
    """A trained classifier on one device, shared by every thread.

    >>> Predictor.load("sst2-minilm").predict(["I LOVE YOU but you dnt love me"])[0].label
    'positive'
    """

    _loaded: ClassVar[OrderedDict[tuple[Any, ...], Predictor]] = OrderedDict()
    _loading: ClassVar[threading.Lock] = threading.Lock()

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        max_length: int,
        cleaning: CleanConfig,
        temperature: float = 1.0,
    ) -> None:
        self.model = model.requires_grad_(False)    # what is explained are gradients of embeddings, not of weights
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.cleaning = cleaning        # what was done to the texts it learnt from is done to those it is asked about
        self.label_names = label_names_of(model.config)
        self.temperature = temperature
        if temperature != 1:        # in the model itself, so that whoever asks it, words and gradients too, agrees
            model.register_forward_hook(partial(_divide_logits, temperature))
        self.computing = threading.Lock()
        self._num_calls = 0
        self._forward: Forward | None = None        # torch's, unless ONNX Runtime has the same weights

    @classmethod
    def load(cls, name: str, device: str = "auto") -> Predictor:
        """A run's best model, a model folder or a Hub classifier; kept loaded until two others were used since.

        A run's model is loaded anew once training has saved a better one, or once it was calibrated.
        Raises: ModelError when it is not found, or has no trained head; RunError when its temperature is damaged.
        """
        place = find_model(name)
        files = [Path(place.location) / file for file in ("config.json", "model.safetensors", CALIBRATION_FILE)]
        key = (place.location, device, *(path.stat().st_mtime_ns if path.exists() else 0 for path in files))
        with cls._loading:
            if key not in cls._loaded:
                cls._loaded[key] = load_anew(place, choose_device(device))
                for old in [old for old in cls._loaded if old[:2] == key[:2] and old != key]:
                    del cls._loaded[old]
            cls._loaded.move_to_end(key)
            while len(cls._loaded) > MODELS_KEPT:
                cls._loaded.popitem(last=False)
            return cls._loaded[key]

    def logits(self, texts: pa.ChunkedArray | list[str], max_length: int | None = None) -> tuple[np.ndarray, Encoded]:
        """Logits (N, C) float32 in the order given of texts already cleaned, and the pieces that the model read."""
        with self.computing:       # one text at a time: two threads on the same cores only slow each other down
            encoded = encode(texts, self.tokenizer, min(max_length or self.max_length, self.max_length))
            if self._num_calls == CALLS_IN_TORCH and self.model.device.type == "cpu":
                self._forward = onnx_forward(self.model)
            self._num_calls += 1
            return predict_logits(self.model, encoded, self._forward), encoded

    def cleaned(self, texts: Iterable[str]) -> list[str]:
        """The texts as the model reads them."""
        return [clean(_whole(text), self.cleaning) for text in texts]

    def predict(self, texts: Iterable[str], max_length: int | None = None) -> list[Prediction]:
        """A prediction per text, in the order given. A text has the same probabilities (to 1e-5) in any batch."""
        texts = [_whole(text) for text in ([texts] if isinstance(texts, str) else texts)]
        logits, encoded = self.logits(self.cleaned(texts), max_length)
        rows = zip(texts, softmax(logits), encoded.truncated, encoded.lengths, strict=True)
        return [
            Prediction(
                text=text,
                label=self.label_names[int(probs.argmax())],
                label_id=int(probs.argmax()),
                probabilities=dict(zip(self.label_names, probs.tolist(), strict=True)),
                truncated=bool(truncated),
                num_pieces=int(num_pieces),
            )
            for text, probs, truncated, num_pieces in rows
        ]


def load_anew(place: Place, device: torch.device) -> Predictor:
    """What stands there, an ordinary model or an ensemble. Raises: ModelError."""
    folder = Path(place.location)
    if members := members_of(folder):
        from pipeline.ensembles import EnsemblePredictor

        loaded = [load_anew(Place(str(member), "local", str(member)), device) for member in members]
        return EnsemblePredictor(loaded, _cleaning_of(place), temperature_of(folder))
    model, tokenizer = load_classifier(place.name, device)
    return Predictor(model, tokenizer, max_positions(model, tokenizer), _cleaning_of(place), temperature_of(folder))


def _divide_logits(temperature: float, model: Any, inputs: Any, output: Any) -> None:
    output.logits = output.logits / temperature


def _whole(text: str) -> str:
    """Half a surrogate pair, as a broken client may send it, is no character: '?' takes its place."""
    return text.encode(errors="replace").decode()


def _cleaning_of(place: Place) -> CleanConfig:
    record = Path(place.location).parent / "run_config.json"
    return read_config(record).data.clean if place.kind in ("run", "bundled") else CleanConfig()
