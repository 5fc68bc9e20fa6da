"""Influence as Captum computes it, neighbours by cosine, marks where labels disagree, and words counted whole."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from captum.influence import TracInCPFast
from torch.utils.data import DataLoader, TensorDataset

from analysis.embeddings import load_encoder, sentence_embeddings
from analysis.neighbors import influences, nearest, word_counts
from analysis.training_index import TrainingIndex, errors_of, features_of
from pipeline.predictor import Predictor
from tests.tiny_encoders import FAMILIES, saved

TEXTS = ["good film", "bad story", "warm and clever", "dull boring actor", "the film was lovely", "awful and grey"]
LABEL_IDS = np.array([1, 0, 1, 0, 0, 0])        # of "the film was lovely" a wrong one
TEXT = "a good but grey film"


def index_of(predictor: Predictor, encoder: str, nearby: float = 0.9) -> TrainingIndex:
    features = features_of(predictor, TEXTS)
    errors = errors_of(predictor, features, LABEL_IDS)
    return TrainingIndex(
        example_ids=pa.chunked_array([[f"train:{row}" for row in range(6)]]),
        texts=pa.chunked_array([TEXTS]),
        label_ids=LABEL_IDS,
        features=features.astype(np.float16),
        errors=errors,
        gradient_lengths=np.linalg.norm(features, axis=1) * np.linalg.norm(errors, axis=1),
        embeddings=sentence_embeddings(load_encoder(encoder), TEXTS).astype(np.float16),
        encoder=encoder,
        nearby=nearby,
    )


@pytest.fixture(scope="module")
def predictor(sharp_model: Path) -> Predictor:
    return Predictor.load(str(sharp_model), device="cpu")


@pytest.fixture(scope="module")
def index(predictor: Predictor, tiny_model: Path) -> TrainingIndex:
    return index_of(predictor, str(tiny_model))


def captums(predictor: Predictor, gold_id: int) -> np.ndarray:
    """Captum's scores of the training texts for TEXT, (6,)."""

    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = predictor.model

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            return self.model(input_ids=input_ids, attention_mask=attention_mask).logits

    batch = predictor.tokenizer([*TEXTS, TEXT], padding=True, return_tensors="pt")
    ids, mask = batch["input_ids"], batch["attention_mask"]
    model = Logits().eval()
    name = next(name for name in ("classifier.out_proj", "classifier") if dict(model.model.named_modules()).get(name))
    tracing = TracInCPFast(
        model=model,
        final_fc_layer=model.model.get_submodule(name),
        train_dataset=DataLoader(TensorDataset(ids[:-1], mask[:-1], torch.from_numpy(LABEL_IDS)), batch_size=6),
        checkpoints=["the model as it is"],
        checkpoints_load_func=lambda model, checkpoint: 1.0,        # the learning rate
        loss_fn=torch.nn.CrossEntropyLoss(reduction="sum"),
    )
    scores = tracing.influence((ids[-1:], mask[-1:], torch.tensor([gold_id])))
    predictor.model.requires_grad_(False)
    return scores[0].detach().numpy()


@pytest.mark.parametrize("gold_id", [0, 1])
@pytest.mark.parametrize("family", FAMILIES)
def test_influence_is_that_of_captums_tracin_in_the_last_layer(
    tiny_bases: dict[str, Path], tmp_path: Path, family: str, gold_id: int
) -> None:
    predictor = Predictor.load(str(saved(tiny_bases[family], tmp_path / "best")), device="cpu")
    expected = captums(predictor, gold_id)
    proponents, opponents = influences(
        index_of(predictor, str(tiny_bases[family])), predictor, TEXT, gold_id, k=6, relative=False
    )
    found = {int(example.example_id.removeprefix("train:")): example.score for example in proponents + opponents}
    assert sorted(found) == list(range(6))
    assert [found[row] for row in range(6)] == pytest.approx(expected, rel=5e-3, abs=1e-3)      # features in float16
    for side, sign in ((proponents, -1.0), (opponents, 1.0)):
        assert [example.score for example in side] == sorted((example.score for example in side), key=sign.__mul__)


def test_proponents_lower_the_loss_of_the_gold_label_and_opponents_raise_it(
    predictor: Predictor, index: TrainingIndex
) -> None:
    """A small step of gradient descent on each example, in the last layer alone."""
    layer = predictor.model.classifier
    [features] = torch.from_numpy(features_of(predictor, [TEXT]))
    for examples, sign in zip(influences(index, predictor, TEXT, 1), (-1, 1), strict=True):
        assert examples
        for example in examples:
            row = int(example.example_id.removeprefix("train:"))
            gradient = torch.from_numpy(np.outer(index.errors[row], index.features[row]).astype(np.float32))
            before, after = (
                torch.nn.functional.cross_entropy(features @ weight.T + layer.bias, torch.tensor(1))
                for weight in (layer.weight, layer.weight - 1e-4 * gradient)
            )
            assert torch.sign(after - before) == sign


def test_relative_influence_is_that_of_a_gradient_of_length_one(predictor: Predictor, index: TrainingIndex) -> None:
    scores = [
        {example.text: example.score for side in influences(index, predictor, TEXT, 1, 6, relative) for example in side}
        for relative in (False, True)
    ]
    for row, text in enumerate(TEXTS):
        length = np.linalg.norm(np.outer(index.errors[row], index.features[row]))
        assert scores[1][text] == pytest.approx(scores[0][text] / length, rel=1e-2)


def test_an_example_without_any_error_left_has_no_influence(predictor: Predictor, index: TrainingIndex) -> None:
    learnt = replace(index, errors=np.zeros((6, 2), np.float32), gradient_lengths=np.zeros(6, np.float32))
    assert influences(learnt, predictor, TEXT, 1) == ([], [])


def test_a_text_is_nearest_to_itself_and_agrees_where_the_label_is_the_gold_one(
    predictor: Predictor, index: TrainingIndex
) -> None:
    first, *others = nearest(index, predictor, "warm and clever", gold_id=1, k=6)
    assert (first.example_id, first.text, first.label, first.agrees) == ("train:2", TEXTS[2], "positive", True)
    assert first.score == pytest.approx(1, abs=2e-3)
    assert [example.score for example in others] == sorted((example.score for example in others), reverse=True)
    assert {example.text for example in others if example.agrees} == {"good film"}


def test_an_example_is_marked_where_another_label_is_near(predictor: Predictor, index: TrainingIndex) -> None:
    angles = np.radians([0, 80, 10, 90, 4, 100])        # "the film was lovely" lies between the two positive ones
    made = replace(index, embeddings=np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float16))
    for nearby, marked in ((np.cos(np.radians(5)), {0, 4}), (np.cos(np.radians(8)), {0, 2, 4}), (0.9999, set())):
        made = replace(made, nearby=float(nearby))
        found = [example for side in influences(made, predictor, TEXT, 1, k=6) for example in side]
        assert {TEXTS.index(example.text) for example in found if example.opposite_nearby} == marked


@pytest.mark.parametrize("num_positive, marked", [(10, {"positive", "negative"}), (11, {"negative"})])
def test_only_the_ten_nearest_can_mark_an_example(
    predictor: Predictor, index: TrainingIndex, num_positive: int, marked: set[str]
) -> None:
    """One negative example beside many positive ones that are all alike."""
    n = num_positive + 1
    many = TrainingIndex(
        example_ids=pa.chunked_array([[f"train:{row}" for row in range(n)]]),
        texts=pa.chunked_array([["good"] * n]),
        label_ids=np.array([1] * num_positive + [0]),
        features=np.repeat(index.features[:1], n, axis=0),
        errors=np.repeat(index.errors[:1], n, axis=0),
        gradient_lengths=np.ones(n),
        embeddings=np.array([[1, 0]] * num_positive + [[0.96, 0.28]], dtype=np.float16),
        encoder="none",
        nearby=0.9,
    )
    found = [example for side in influences(many, predictor, TEXT, 1, k=n) for example in side]
    assert {example.label for example in found if example.opposite_nearby} == marked


def test_words_are_counted_whole_in_any_case_and_by_label() -> None:
    texts = ["Little else.", "a little, little film", "belittled", "über (über) Über", "don't", "in c++", "我很喜欢"]
    words = {
        "little": [1, 1, 0], "ÜBER": [0, 0, 1], "don't": [1, 0, 0], "c++": [0, 1, 0], "ber": [0, 0, 0],
        "street": [0, 0, 0], ".": [1, 0, 0], "喜欢": [0, 0, 1],
    }
    counts = word_counts(pa.chunked_array([texts]), np.array([0, 1, 1, 2, 0, 1, 2]), list(words))
    assert dict(zip(words, counts.tolist(), strict=True)) == words
