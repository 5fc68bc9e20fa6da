"""What did a run learn from? Its training examples as its best model's last layer and an impartial encoder see them."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import get_ident
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from analysis.embeddings import Encoder, impartial_encoder, in_batches, sentence_embeddings
from pipeline.augmentation import COPIES_FILE, augmented
from pipeline.data import load_splits
from pipeline.encoding import encode
from pipeline.exceptions import DataError, ModelError, RunError, StorageError
from pipeline.metrics import softmax
from pipeline.models import members_of
from pipeline.predictor import Predictor
from pipeline.runs import Run, write_json

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

ARRAYS = ("features", "errors", "gradient_lengths", "embeddings")
FOLDER = "training_index"       # in the run's folder; left out of its zip, since it can be made anew
TEXTS_PER_ROUND = 256           # between two words on how far it is; predictions wait no longer than for these
PAIRS_SAMPLED = 2000            # of examples, squared
NEARBY_SHARE = 1e-4             # of all pairs of training examples are as close as those called near


@dataclass(frozen=True)
class TrainingIndex:
    """N training examples of a run. The arrays stay on disk until they are read."""

    example_ids: pa.ChunkedArray    # N
    texts: pa.ChunkedArray          # N, cleaned
    label_ids: np.ndarray           # (N,) int64
    features: np.ndarray            # (N, H) float16, what the last layer of the best model reads
    errors: np.ndarray              # (N, C) float32, the gradient of the loss by the logits
    gradient_lengths: np.ndarray    # (N,) float32, of the gradient by the last layer's weights
    embeddings: np.ndarray          # (N, E) float16, of length 1
    encoder: str                    # the name of what made the embeddings
    nearby: float                   # the cosine that 1 in 10,000 pairs of the examples reaches


def build_index(run: Run) -> Iterator[tuple[int, int]]:
    """Compute and keep the index; yields how many examples are done, and of how many. It is there at the end or not.

    Raises: DataError when the training data cannot be had or are no longer the same; RunError when the run has no
    model yet; ModelError when it has no last layer; StorageError when its folder cannot be written.
    """
    if not (run.best_folder / "config.json").is_file():
        raise RunError(f"'{run.name}' has no model yet: its first evaluation saves one. Let it train on, or resume it.")
    if members_of(run.best_folder):
        raise ModelError(f"'{run.name}' is an ensemble, whose members learnt apart. Ask one of them what taught it.")
    weights_written = _weights_written(run)     # before they are read: newer ones then make the index a stale one
    examples, predictor, encoder = _training_examples(run), Predictor.load(run.name), impartial_encoder(run)
    try:
        with tempfile.TemporaryDirectory(prefix=".new-index-", dir=run.folder, ignore_cleanup_errors=True) as temporary:
            whole = Path(temporary) / FOLDER
            whole.mkdir()
            pq.write_table(examples, whole / "examples.parquet")
            yield from _write_arrays(whole, examples, predictor, encoder, run.config.data.max_length)
            nearby = _nearby(np.load(whole / "embeddings.npy", mmap_mode="r"))
            manifest = {"weights_written": weights_written, "encoder": encoder.name, "nearby": nearby}
            write_json(whole / "manifest.json", manifest)
            shutil.rmtree(run.folder / FOLDER, ignore_errors=True)
            os.replace(whole, run.folder / FOLDER)
    except OSError as exception:
        raise StorageError(
            f"The training index cannot be written to {run.folder} ({exception.strerror or exception}). "
            "Make room there, or give the right to write."
        ) from None


def open_index(run: Run) -> TrainingIndex | None:
    """The index of the run's best model; None when none was built since that was saved."""
    folder = run.folder / FOLDER
    try:
        manifest = json.loads((folder / "manifest.json").read_bytes())
        if manifest["weights_written"] != _weights_written(run):
            return None
        examples = pq.read_table(folder / "examples.parquet")
        arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in ARRAYS}
        return TrainingIndex(
            examples["example_id"], examples["text"], examples["label_id"].to_numpy(), **arrays,
            encoder=manifest["encoder"], nearby=manifest["nearby"],
        )
    except (OSError, ValueError, KeyError):     # not there, or damaged
        return None


def last_layer(model: PreTrainedModel) -> torch.nn.Linear:
    """The last linear layer with an output per label. Raises: ModelError where there is none."""
    import torch

    linear = [module for module in model.modules() if isinstance(module, torch.nn.Linear)]
    layers = [layer for layer in linear if layer.out_features == model.config.num_labels]
    if not layers:
        raise ModelError(
            f"A {model.config.model_type} classifier does not end in a linear layer with an output per label, so what "
            "taught it cannot be traced. Choose a run with another model."
        )
    return layers[-1]


def features_of(
    predictor: Predictor, texts: pa.ChunkedArray | list[str], max_length: int | None = None
) -> np.ndarray:
    """What the last layer reads of texts already cleaned, (N, H) float32."""
    caught: list[torch.Tensor] = []
    thread = get_ident()

    def catch(layer: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        if get_ident() == thread:       # explanations use the same model in a thread of their own
            caught.append(inputs[0])

    def forward(batch: dict[str, torch.Tensor]) -> torch.Tensor:
        predictor.model(**batch)
        return caught.pop()

    with predictor.computing:
        encoded = encode(texts, predictor.tokenizer, min(max_length or predictor.max_length, predictor.max_length))
        hook = last_layer(predictor.model).register_forward_pre_hook(catch)
        try:
            return in_batches(encoded, predictor.model.device, forward)
        finally:
            hook.remove()


def errors_of(predictor: Predictor, features: np.ndarray, label_ids: np.ndarray) -> np.ndarray:
    """Softmax minus one-hot, (N, C): how the loss at these labels changes with the logits."""
    layer = last_layer(predictor.model)
    logits = features @ layer.weight.float().cpu().numpy().T
    if layer.bias is not None:
        logits = logits + layer.bias.float().cpu().numpy()
    errors = softmax(logits)
    errors[np.arange(len(label_ids)), label_ids] -= 1
    return errors


def _weights_written(run: Run) -> int:
    return (run.best_folder / "model.safetensors").stat().st_mtime_ns


def _training_examples(run: Run) -> pa.Table:
    splits = augmented(load_splits(run.config.data), run.config, run.folder / COPIES_FILE)
    trained_on = run.environment().get("data", {}).get("train", {})
    if trained_on.get("sha256") != splits.fingerprints["train"]["sha256"]:
        raise DataError(
            f"'{run.config.data.source}' is no longer what '{run.name}' was trained on: {trained_on.get('rows', 0):,} "
            f"examples then, {splits.train.num_rows:,} now, or other texts or labels. Bring back the data as it was."
        )
    return splits.train.select(["example_id", "text", "label_id"])


def _write_arrays(
    folder: Path, examples: pa.Table, predictor: Predictor, encoder: Encoder, max_length: int
) -> Iterator[tuple[int, int]]:
    n, label_ids = examples.num_rows, examples["label_id"].to_numpy()
    layer = last_layer(predictor.model)

    def array(name: str, dtype: Any, *width: int) -> np.ndarray:
        return np.lib.format.open_memmap(folder / f"{name}.npy", "w+", dtype, (n, *width))

    features = array("features", np.float16, layer.in_features)
    errors = array("errors", np.float32, layer.out_features)
    gradient_lengths = array("gradient_lengths", np.float32)
    embeddings = array("embeddings", np.float16, encoder.model.config.hidden_size)
    longest_first = np.argsort(-pc.utf8_length(examples["text"]).to_numpy())    # a quarter less time: little padding
    for start in range(0, n, TEXTS_PER_ROUND):
        rows = longest_first[start : start + TEXTS_PER_ROUND]
        texts = examples["text"].take(rows)
        found = features_of(predictor, texts, max_length)
        features[rows], errors[rows] = found, errors_of(predictor, found, label_ids[rows])
        gradient_lengths[rows] = np.linalg.norm(found, axis=1) * np.linalg.norm(errors[rows], axis=1)
        embeddings[rows] = sentence_embeddings(encoder, texts, max_length)
        yield start + len(rows), n


def _nearby(embeddings: np.ndarray) -> float:
    random = np.random.default_rng(0)
    size = min(PAIRS_SAMPLED, len(embeddings))
    rows, others = (random.choice(len(embeddings), size, replace=False) for _ in range(2))
    cosines = embeddings[rows].astype(np.float32) @ embeddings[others].astype(np.float32).T
    return float(np.quantile(cosines[rows[:, None] != others], 1 - NEARBY_SHARE))
