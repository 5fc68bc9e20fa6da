"""The index of a run's training examples: what is in it, when it is stale, and what stands in its way."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import torch

from analysis import training_index
from analysis.embeddings import load_encoder, sentence_embeddings
from analysis.training_index import build_index, errors_of, features_of, last_layer, open_index
from pipeline.catalog import load_run
from pipeline.data import load_splits
from pipeline.exceptions import DataError, ModelError, RunError, StorageError
from pipeline.predictor import Predictor
from pipeline.runs import Run
from tests.tiny_encoders import FAMILIES, SENTENCES, build, saved


@pytest.fixture
def run(trained_root: Path, run_root: Path) -> Run:
    """A run of one's own, without an index."""
    shutil.copytree(trained_root / "tiny", run_root / "tiny")
    return load_run("tiny")


def test_an_index_holds_every_training_example_as_the_models_see_it(run: Run) -> None:
    progress = list(build_index(run))
    index = open_index(run)
    train = load_splits(run.config.data).train
    assert index and progress[-1] == (192, 192)
    assert index.example_ids.to_pylist() == train["example_id"].to_pylist()
    assert index.label_ids.tolist() == train["label_id"].to_pylist()
    predictor, texts = Predictor.load("tiny"), index.texts.to_pylist()
    assert index.features == pytest.approx(features_of(predictor, texts), abs=2e-3)     # float16
    probs = np.array([list(prediction.probabilities.values()) for prediction in predictor.predict(texts)])
    assert index.errors == pytest.approx(probs - np.eye(2)[index.label_ids], abs=1e-4)
    gradients = index.errors[:, :, None] * index.features.astype(np.float32)[:, None]      # (N, C, H), of the weights
    assert index.gradient_lengths == pytest.approx(np.sqrt((gradients**2).sum(axis=(1, 2))), rel=1e-2)
    assert index.embeddings == pytest.approx(sentence_embeddings(load_encoder(index.encoder), texts), abs=2e-3)
    assert isinstance(index.features, np.memmap)


def test_one_in_ten_thousand_pairs_is_near(run: Run) -> None:
    list(build_index(run))
    index = open_index(run)
    assert index
    cosines = index.embeddings.astype(np.float32) @ index.embeddings.astype(np.float32).T
    pairs = cosines[~np.eye(192, dtype=bool)]
    assert index.nearby == pytest.approx(np.quantile(pairs, 0.9999), abs=1e-5)


def test_there_is_no_index_before_it_is_whole_or_after_the_model_became_better(run: Run) -> None:
    assert open_index(run) is None
    building = build_index(run)
    next(building)
    assert open_index(run) is None
    building.close()                                        # as when a page is left
    assert not list(run.folder.glob(".new-index-*"))
    list(build_index(run))
    assert open_index(run)
    os.utime(run.best_folder / "model.safetensors", (2e9, 2e9))
    assert open_index(run) is None
    list(build_index(run))                                  # takes the old one's place
    assert open_index(run)


def test_a_damaged_index_counts_as_none(run: Run) -> None:
    list(build_index(run))
    (run.folder / "training_index" / "errors.npy").write_bytes(b"cut")
    assert open_index(run) is None


@pytest.mark.parametrize("family", FAMILIES)
def test_the_last_layer_of_every_family_makes_the_logits_of_its_features(
    tiny_bases: dict[str, Path], tmp_path: Path, family: str
) -> None:
    predictor = Predictor.load(str(saved(tiny_bases[family], tmp_path / "best")), device="cpu")
    layer = last_layer(predictor.model)
    logits = layer(torch.from_numpy(features_of(predictor, SENTENCES))).detach().numpy()
    assert logits == pytest.approx(predictor.logits(SENTENCES)[0], abs=1e-5)


def test_as_many_labels_as_features_do_not_hide_the_last_layer(tiny_model: Path) -> None:
    model = build(tiny_model, [str(label) for label in range(32)])
    assert last_layer(model) is model.classifier


def test_errors_are_the_gradient_of_the_loss_by_the_logits(tiny_classifier: Path) -> None:
    predictor = Predictor.load(str(tiny_classifier), device="cpu")
    features = features_of(predictor, SENTENCES)
    logits = last_layer(predictor.model)(torch.from_numpy(features)).detach().requires_grad_()
    torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1, 1]), reduction="sum").backward()
    assert logits.grad is not None
    assert errors_of(predictor, features, np.array([0, 1, 1])) == pytest.approx(logits.grad.numpy(), abs=1e-6)


def test_another_threads_explanation_is_not_taken_for_a_feature(tiny_classifier: Path) -> None:
    predictor = Predictor.load(str(tiny_classifier), device="cpu")
    expected = features_of(predictor, SENTENCES)
    forward = predictor.model.forward

    def with_a_guest(**batch: torch.Tensor) -> object:
        answer = forward(**batch)
        guest = Thread(target=forward, kwargs={"input_ids": torch.tensor([[2, 7, 3]])})
        guest.start()
        guest.join()
        return answer

    predictor.model.forward = with_a_guest      # type: ignore[method-assign]
    try:
        assert features_of(predictor, SENTENCES) == pytest.approx(expected)
    finally:
        predictor.model.forward = forward       # type: ignore[method-assign]


def test_what_stands_in_the_way_is_told(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(StorageError, match=r"\(No space left on device\). Make room"):
        patch.setattr(training_index, "write_json", no_room)
        list(build_index(run))
    assert open_index(run) is None and not list(run.folder.glob(".new-index-*"))

    data = run.config.data
    config = run.config.model_copy(update={"data": data.model_copy(update={"limit": 100})})
    with pytest.raises(DataError, match=r"is no longer what 'tiny' was trained on: 192 examples then, 80 now"):
        list(build_index(Run(run.folder, config)))
    config = run.config.model_copy(update={"data": data.model_copy(update={"source": str(tmp_path / "gone.csv")})})
    with pytest.raises(DataError, match="There is no file"):
        list(build_index(Run(run.folder, config)))
    shutil.rmtree(run.best_folder)
    with pytest.raises(RunError, match="'tiny' has no model yet: its first evaluation saves one."):
        list(build_index(run))


def test_a_model_that_ends_in_no_linear_layer_is_refused(tiny_classifier: Path) -> None:
    model = Predictor.load(str(tiny_classifier), device="cpu").model
    torch.manual_seed(0)
    other = type(model)(model.config)
    other.classifier = torch.nn.Identity()
    with pytest.raises(ModelError, match="A bert classifier does not end in a linear layer with an output per label"):
        last_layer(other)
