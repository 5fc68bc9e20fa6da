"""Four heads on five families: what they read, that they come back as saved, and that all that explains them works."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from analysis.attribution import attribute
from analysis.embeddings import load_encoder, sentence_embeddings
from analysis.training_index import features_of, last_layer
from pipeline.catalog import create_run
from pipeline.config import make_config
from pipeline.heads import make_head, pool
from pipeline.jobs import carry_out
from pipeline.models import label_names_of, load_classifier, load_tokenizer, max_positions
from pipeline.onnx_forward import onnx_forward
from pipeline.predictions import read_predictions
from pipeline.predictor import Predictor
from tests.tiny_encoders import FAMILIES, LABELS, SENTENCES, build, equal, logits_of, saved, weights_of

CPU = torch.device("cpu")
HEADS = ("linear", "mean", "mlp", "mlp-batchnorm")

HIDDEN = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [8.0, 0.0]]])      # one text of three pieces


# What a head reads


@pytest.mark.parametrize("head, mask, expected", [
    ("linear", [1, 1, 1], [1, 2]),
    ("mlp", [1, 1, 1], [1, 2]),
    ("mlp-batchnorm", [1, 1, 1], [1, 2]),
    ("mean", [1, 1, 1], [4, 2]),
    ("mean", [1, 1, 0], [2, 3]),        # the last piece is padding
    ("mean", None, [4, 2]),
])
def test_a_head_reads_the_first_piece_or_the_mean_of_all(
    head: str, mask: list[int] | None, expected: list[float]
) -> None:
    pooled = pool(head, HIDDEN, None if mask is None else torch.tensor([mask]))
    assert pooled.tolist() == [expected]


@pytest.mark.parametrize("head, sizes", [
    ("linear", [(768, 4)]),
    ("mean", [(768, 4)]),
    ("mlp", [(768, 512), (512, 256), (256, 4)]),
    ("mlp-batchnorm", [(768, 512), (512, 256), (256, 4)]),
])
def test_layers_have_these_widths(head: str, sizes: list[tuple[int, int]]) -> None:
    layers = make_head(head, 768, 4, dropout=0.1)
    linear = [(each.in_features, each.out_features) for each in layers if isinstance(each, torch.nn.Linear)]
    norms = [each.num_features for each in layers if isinstance(each, torch.nn.BatchNorm1d)]
    assert linear == sizes
    assert norms == ([512, 256] if head == "mlp-batchnorm" else [])


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_text_has_the_same_logits_alone_and_beside_longer_ones(
    family: str, head: str, tiny_bases: dict[str, Path]
) -> None:
    tokenizer = load_tokenizer(str(tiny_bases[family]))
    model = build(tiny_bases[family], head=head)
    alone = tokenizer(SENTENCES[0], return_tensors="pt", return_token_type_ids=False)
    with torch.no_grad():
        expected = model.eval()(**alone).logits[0]
    torch.testing.assert_close(logits_of(model, tokenizer)[0], expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("head", HEADS)
def test_no_parameter_goes_unused(head: str, tiny_model: Path) -> None:
    model = build(tiny_model, head=head)
    model(input_ids=torch.tensor([[2, 6, 3], [2, 7, 3]])).logits.sum().backward()
    assert [name for name, each in model.named_parameters() if each.grad is None] == []


def test_dropout_is_set_in_the_head_too(tiny_model: Path) -> None:
    modules = build(tiny_model, head="mlp", dropout=0.37).modules()
    assert {each.p for each in modules if isinstance(each, torch.nn.Dropout)} == {0.37}


# Batch normalisation


def test_one_example_is_normalised_by_what_was_seen_so_far_and_leaves_it() -> None:
    head = make_head("mlp-batchnorm", 8, 2, dropout=0)
    head(torch.randn(16, 8, generator=torch.Generator().manual_seed(0)))
    seen, one = weights_of(head), torch.ones(1, 8)
    while_training = head(one)
    assert equal(weights_of(head), seen)
    torch.testing.assert_close(while_training, head.eval()(one))


def test_more_examples_are_normalised_as_torch_does_and_noted() -> None:
    head = make_head("mlp-batchnorm", 8, 2, dropout=0)
    examples = torch.randn(16, 8, generator=torch.Generator().manual_seed(0))
    normalised = torch.nn.BatchNorm1d(512)(head[0](examples))
    torch.testing.assert_close(head[1](head[0](examples)), normalised)
    assert head[1].num_batches_tracked == 1


# Saved and loaded


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_saved_comes_back_exactly(
    family: str, head: str, tiny_bases: dict[str, Path], tmp_path: Path
) -> None:
    folder = saved(tiny_bases[family], tmp_path / "best", ["a", "b", "c"], head=head)
    model, tokenizer = load_classifier(str(folder), CPU)
    expected = build(tiny_bases[family], ["a", "b", "c"], head=head)
    assert equal(weights_of(model), weights_of(expected))
    assert torch.equal(logits_of(model, tokenizer), logits_of(expected, tokenizer))
    assert label_names_of(model.config) == ["a", "b", "c"]
    assert max_positions(model, tokenizer) == max_positions(build(tiny_bases[family]), tokenizer)


@pytest.mark.parametrize("head", HEADS)
def test_a_run_with_any_head_and_a_last_batch_of_one_predicts_as_it_was_evaluated(
    head: str, run_root: Path, tiny_values: dict[str, Any]
) -> None:
    values = {
        **tiny_values,
        "data": {**tiny_values["data"], "limit": 97},      # 77 examples to train on
        "model": {**tiny_values["model"], "head": head},
        "optim": {"learning_rate": 1e-3, "batch_size": 19, "epochs": 1},
    }
    run = create_run(make_config(values))
    assert carry_out(run) == 0, run.log_tail()
    assert len(run.metrics()) == 2 + 5      # evaluations and steps: the last has one example
    [path] = run.folder.glob("predictions/*/validation.parquet")
    predictions = read_predictions(path)
    logits, _ = Predictor.load(run.name, device="cpu").logits(predictions.texts)
    assert np.abs(logits - predictions.logits).max() < 1e-6


def test_transformers_alone_refuses_such_a_head_instead_of_inventing_one(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import AutoModelForSequenceClassification
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    folder = saved(tiny_model, tmp_path / "best", head="mean")
    monkeypatch.delitem(CONFIG_MAPPING._extra_content, "volta_head")     # as in a process without Volta
    with pytest.raises(ValueError, match="model type `volta_head`"):
        AutoModelForSequenceClassification.from_pretrained(folder)


# Going on from a classifier


@pytest.mark.parametrize("old, new, labels, kept", [
    ("mlp", "mlp", LABELS, True),
    ("mlp", "mlp", ["a", "b", "c"], False),
    ("mean", "linear", LABELS, False),      # of the same shape, but it reads something else
    ("mlp", "own", LABELS, False),
    ("own", "mean", LABELS, False),
])
def test_a_head_is_kept_where_kind_and_labels_are_the_same_and_the_encoder_always(
    old: str, new: str, labels: list[str], kept: bool, tiny_model: Path, tmp_path: Path
) -> None:
    folder = saved(tiny_model, tmp_path / "best", head=old)
    first, second = (build(folder, labels, seed=seed, head=new) for seed in (5, 6))
    assert equal(weights_of(first), weights_of(second)) == kept
    encoder = weights_of(first.base_model.encoder)
    assert equal(encoder, weights_of(build(tiny_model).bert.encoder))


# All that looks at a classifier


@pytest.fixture(params=HEADS)
def predictor(request: pytest.FixtureRequest, sharp_model: Path, tmp_path: Path) -> Predictor:
    return Predictor.load(str(saved(sharp_model, tmp_path / "best", head=request.param)), device="cpu")


def test_onnx_runtime_has_the_logits_of_torch(predictor: Predictor) -> None:
    forward = onnx_forward(predictor.model)
    assert forward is not None
    batch = predictor.tokenizer(SENTENCES, padding=True, return_tensors="pt")
    expected = logits_of(predictor.model, predictor.tokenizer).numpy()
    assert forward(dict(batch)) == pytest.approx(expected, abs=1e-5)


def test_attributions_add_up_to_the_change_of_the_log_odds(predictor: Predictor, run_root: Path) -> None:
    assert attribute(predictor, SENTENCES[1]).delta < 0.02
    assert len(attribute(predictor, SENTENCES[0], method="gradient_x_input").scores) == 2


def test_the_features_of_the_last_layer_make_the_logits(predictor: Predictor) -> None:
    layer = last_layer(predictor.model)
    logits = features_of(predictor, SENTENCES) @ layer.weight.numpy().T + layer.bias.numpy()
    assert logits == pytest.approx(predictor.logits(SENTENCES)[0], abs=1e-5)


@pytest.mark.parametrize("head", HEADS)
def test_the_encoder_under_a_head_embeds_as_its_base_does(head: str, tiny_model: Path, tmp_path: Path) -> None:
    embeddings = [
        sentence_embeddings(load_encoder(str(folder)), SENTENCES)
        for folder in (tiny_model, saved(tiny_model, tmp_path / "best", head=head))
    ]
    assert embeddings[0] == pytest.approx(embeddings[1], abs=1e-6)
