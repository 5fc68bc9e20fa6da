"""Mean-pooled embeddings, and an encoder that knows whether it has seen the labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from analysis import embeddings
from analysis.embeddings import impartial_encoder, load_encoder, sentence_embeddings
from pipeline.catalog import load_run
from pipeline.runs import Run
from tests.tiny_encoders import FAMILIES, SENTENCES


@pytest.mark.parametrize("family", FAMILIES)
def test_an_embedding_is_the_mean_of_the_hidden_states_of_a_text_alone(
    tiny_bases: dict[str, Path], family: str
) -> None:
    encoder = load_encoder(str(tiny_bases[family]))
    found = sentence_embeddings(encoder, SENTENCES)
    for sentence, embedding in zip(SENTENCES, found, strict=True):
        ids = encoder.tokenizer(sentence, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            mean = encoder.model(input_ids=ids).last_hidden_state[0].mean(dim=0).numpy()
        assert embedding == pytest.approx(mean / np.linalg.norm(mean), abs=1e-5)


def test_the_impartial_encoder_is_the_base_that_the_run_started_from(trained: Path, tiny_model: Path) -> None:
    encoder = impartial_encoder(load_run("tiny"))
    assert (encoder.name, encoder.seen_labels) == (str(tiny_model), False)


def based_on(base: str) -> Run:
    run = load_run("tiny")
    model = run.config.model.model_copy(update={"base": base})
    return Run(run.folder, run.config.model_copy(update={"model": model}))


@pytest.mark.parametrize("base", ["tiny", "a-model-that-is-gone"])
def test_another_takes_the_place_of_a_base_that_is_a_run_or_not_to_be_had(trained: Path, base: str) -> None:
    encoder = impartial_encoder(based_on(base))
    assert (encoder.name, encoder.seen_labels) == ("all-MiniLM-L6-v2", False)


def test_where_no_other_is_to_be_had_the_runs_own_encoder_says_that_it_has_seen_the_labels(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embeddings, "STAND_IN", "gone-as-well")
    encoder = impartial_encoder(based_on("a-model-that-is-gone"))
    assert (encoder.name, encoder.seen_labels) == ("tiny", True)
    assert sentence_embeddings(encoder, SENTENCES).shape == (3, 32)
