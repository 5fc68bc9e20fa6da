"""What a model says of texts: the same whatever the batch, in the order asked, from a few models kept loaded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from pipeline import Predictor, predictor
from pipeline.config import make_config
from pipeline.encoding import encode
from pipeline.exceptions import ModelError
from pipeline.models import load_tokenizer
from pipeline.predictor import Prediction, predict_logits
from tests.conftest import BAD, FILLERS, GOOD
from tests.tiny_encoders import LABELS, build, saved


@pytest.fixture(autouse=True)
def nothing_loaded(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(Predictor, "_loaded", type(Predictor._loaded)())
    yield


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """60 texts of 1 to 90 words; the model has positions for 64 pieces."""
    random = np.random.default_rng(0)
    return [" ".join(random.choice(GOOD + BAD + FILLERS, random.integers(1, 91))) for _ in range(60)]


def probabilities(predictions: list[Prediction]) -> np.ndarray:
    """(N, C)"""
    return np.array([list(prediction.probabilities.values()) for prediction in predictions])


# One prediction


def test_a_prediction_tells_label_probabilities_and_how_the_text_was_read(sharp_model: Path) -> None:
    prediction = Predictor.load(str(sharp_model)).predict(["good film"])[0]
    assert prediction.text == "good film"
    assert list(prediction.probabilities) == LABELS                         # in the order of label ids
    assert sum(prediction.probabilities.values()) == pytest.approx(1)
    assert prediction.label == max(prediction.probabilities, key=lambda name: prediction.probabilities[name])
    assert prediction.label == LABELS[prediction.label_id]
    assert (prediction.truncated, prediction.num_pieces) == (False, 4)      # [CLS] good film [SEP]


@pytest.mark.parametrize("num_words, truncated, num_pieces", [(62, False, 64), (63, True, 64), (5000, True, 64)])
def test_a_text_longer_than_the_model_reads_is_marked_as_truncated(
    sharp_model: Path, num_words: int, truncated: bool, num_pieces: int
) -> None:
    prediction = Predictor.load(str(sharp_model)).predict(["good " * num_words])[0]
    assert (prediction.truncated, prediction.num_pieces) == (truncated, num_pieces)


@pytest.mark.parametrize("max_length, num_pieces", [(8, 8), (64, 12), (1000, 12), (None, 12)])
def test_a_shorter_limit_may_be_asked_for_and_a_longer_one_changes_nothing(
    sharp_model: Path, max_length: int | None, num_pieces: int
) -> None:
    loaded = Predictor.load(str(sharp_model))
    assert loaded.predict(["good " * 10], max_length)[0].num_pieces == num_pieces
    assert loaded.predict(["good " * 100], max_length)[0].num_pieces == (8 if max_length == 8 else 64)


@pytest.mark.parametrize("text", ["", "   ", "\0", "😀", "語" * 300, "[SEP] [PAD]", "\ud800 half a pair"])
def test_odd_texts_are_predicted_like_any_other(sharp_model: Path, text: str) -> None:
    prediction = Predictor.load(str(sharp_model)).predict([text])[0]
    assert prediction.label in LABELS
    assert json.dumps(prediction.text, ensure_ascii=False).encode()         # can be written and sent


# Many predictions


def test_no_texts_have_no_predictions(sharp_model: Path) -> None:
    assert Predictor.load(str(sharp_model)).predict([]) == []


def test_predictions_come_in_the_order_of_the_texts(sharp_model: Path, texts: list[str]) -> None:
    loaded = Predictor.load(str(sharp_model))
    predictions = loaded.predict(iter(texts))
    assert [prediction.text for prediction in predictions] == texts
    assert [prediction.label for prediction in predictions] == [loaded.predict([text])[0].label for text in texts]
    assert {prediction.label for prediction in predictions} == set(LABELS)


@pytest.mark.parametrize("tokens_per_batch", [1, 128, 100_000])
def test_a_text_has_the_same_probabilities_whatever_batch_it_is_in(
    sharp_model: Path, texts: list[str], tokens_per_batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = Predictor.load(str(sharp_model))
    alone = probabilities([loaded.predict([text])[0] for text in texts])
    assert alone[:, 0].std() > 0.1                                          # or else being the same is no feat
    monkeypatch.setattr(predictor, "TOKENS_PER_BATCH", tokens_per_batch)
    assert probabilities(loaded.predict(texts)) == pytest.approx(alone, abs=1e-5)
    order = np.random.default_rng(1).permutation(len(texts))
    shuffled = probabilities(loaded.predict([texts[row] for row in order]))
    assert shuffled == pytest.approx(alone[order], abs=1e-5)


def test_probabilities_are_those_of_the_pipeline_of_transformers(sharp_model: Path, texts: list[str]) -> None:
    from transformers import pipeline

    theirs = pipeline("text-classification", model=str(sharp_model), top_k=None, device="cpu")
    expected = [{item["label"]: item["score"] for item in items} for items in theirs(texts, truncation=True)]
    for prediction, scores in zip(Predictor.load(str(sharp_model), "cpu").predict(texts), expected, strict=True):
        assert prediction.probabilities == pytest.approx(scores, abs=1e-5)


def test_logits_are_the_models_own(sharp_model: Path) -> None:
    loaded = Predictor.load(str(sharp_model), "cpu")
    texts = ["good", "very bad film"]
    logits, encoded = loaded.logits(texts)
    with torch.no_grad():
        expected = loaded.model(**loaded.tokenizer(texts, padding=True, return_tensors="pt")).logits.numpy()
    assert logits == pytest.approx(expected, abs=1e-5)
    assert (logits.dtype, logits.shape, len(encoded)) == (np.float32, (2, 2), 2)


class Caching(torch.nn.Module):
    """A model that keeps a tensor of its first pass for all others, as some do with rotary positions."""

    config = SimpleNamespace(id2label={0: "a", 1: "b"})
    device = torch.device("cpu")

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(2))
        self.kept: torch.Tensor | None = None

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
        if self.kept is None:
            self.kept = torch.arange(2.0)
        return SimpleNamespace(logits=(self.weight * self.kept).expand(len(input_ids), 2))


def test_a_model_can_be_trained_on_after_it_has_predicted(tiny_model: Path) -> None:
    model = Caching()
    logits = predict_logits(model, encode(["good", "bad"], load_tokenizer(str(tiny_model)), 64))     # type: ignore[arg-type]
    assert logits.tolist() == [[0, 1], [0, 1]]
    model(torch.zeros(1, 2), torch.ones(1, 2)).logits.sum().backward()
    assert model.weight.grad is not None and model.weight.grad.tolist() == [0, 1]


def test_four_threads_at_once_get_what_one_gets(sharp_model: Path, texts: list[str]) -> None:
    expected = probabilities(Predictor.load(str(sharp_model)).predict(texts))
    Predictor._loaded.clear()

    def ask(start: int) -> tuple[Predictor, np.ndarray]:
        loaded = Predictor.load(str(sharp_model))           # all four ask while none is loaded yet
        return loaded, probabilities(loaded.predict(texts[start : start + 15]))

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(ask, [0, 15, 30, 45] * 3))
    assert len({id(loaded) for loaded, _ in answers}) == 1
    assert np.concatenate([probs for _, probs in answers[:4]]) == pytest.approx(expected, abs=1e-5)


# Cleaning as the run did


def save_run(root: Path, sharp_model: Path, name: str, **clean: bool) -> None:
    """A run record with nothing but its config and its best model."""
    (root / name).mkdir(parents=True)
    config = make_config({"name": name, "data": {"clean": clean}})
    (root / name / "run_config.json").write_text(json.dumps(config.model_dump()), encoding="utf-8")
    (root / name / "best").symlink_to(sharp_model)


def test_texts_are_cleaned_as_the_run_cleaned_those_it_learnt_from(run_root: Path, sharp_model: Path) -> None:
    save_run(run_root, sharp_model, "plain")
    save_run(run_root, sharp_model, "clean", html=True, punctuation=True)
    dirty = "<b>good</b>, film!"
    plain, clean = (Predictor.load(name).predict([dirty, "good film"]) for name in ("plain", "clean"))
    assert [prediction.num_pieces for prediction in clean] == [4, 4]
    assert probabilities(clean)[0] == pytest.approx(probabilities(clean)[1], abs=1e-5)
    assert plain[0].num_pieces > 4
    assert clean[0].text == dirty                           # what was asked is what is told


# Loading


def test_a_run_is_loaded_by_its_name(run_root: Path, sharp_model: Path) -> None:
    save_run(run_root, sharp_model, "a-run")
    assert Predictor.load("a-run").label_names == LABELS


def test_a_model_is_loaded_once(sharp_model: Path) -> None:
    assert Predictor.load(str(sharp_model)) is Predictor.load(str(sharp_model))


def test_of_three_models_the_one_used_longest_ago_is_let_go(tiny_model: Path, tmp_path: Path) -> None:
    names = [str(saved(tiny_model, tmp_path / name, seed=seed)) for seed, name in enumerate("abc")]
    a, b = (Predictor.load(name) for name in names[:2])
    assert Predictor.load(names[0]) is a                    # a is used again, so b is the oldest
    c = Predictor.load(names[2])
    assert list(Predictor._loaded.values()) == [a, c]
    assert Predictor.load(names[0]) is a
    assert Predictor.load(names[1]) is not b


def test_a_model_is_loaded_anew_once_a_better_one_was_saved_and_the_old_one_let_go(
    tiny_model: Path, tmp_path: Path
) -> None:
    folder = saved(tiny_model, tmp_path / "best", seed=1)
    old = Predictor.load(str(folder))
    saved(tiny_model, folder, seed=2)
    new = Predictor.load(str(folder))
    assert torch.equal(new.model.classifier.weight, build(tiny_model, seed=2).classifier.weight)
    assert not torch.equal(new.model.classifier.weight, old.model.classifier.weight)
    assert list(Predictor._loaded.values()) == [new]


@pytest.mark.parametrize("name, message", [
    ("no/such-model-here", "No model 'no/such-model-here' was found"),
    ("../runs", "'../runs' climbs up with '..', which is refused."),
    ("https://example.org/model", "'https://example.org/model' is a URL, and URLs are not opened."),
    ("", "'' is empty"),
])
def test_a_name_that_names_no_model_is_refused(name: str, message: str) -> None:
    with pytest.raises(ModelError) as caught:
        Predictor.load(name)
    assert str(caught.value).startswith(message)
    assert Predictor._loaded == {}


def test_a_base_model_without_a_trained_head_is_refused(tiny_model: Path) -> None:
    with pytest.raises(ModelError, match="is a base model without a trained classifier"):
        Predictor.load(str(tiny_model))


def test_a_device_that_is_not_there_is_refused(sharp_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_accelerator(**_: Any) -> None:
        return None

    monkeypatch.setattr(torch.accelerator, "current_accelerator", no_accelerator)
    with pytest.raises(ModelError, match=r"hardware\.device is 'cuda', but this machine has no such device"):
        Predictor.load(str(sharp_model), device="cuda")
