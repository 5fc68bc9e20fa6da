"""Back-translation: through the models in turn, and one sentence where they are not to be had."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.back_translation import back_translator, check_translators
from pipeline.exceptions import ModelError


@pytest.fixture(scope="module")
def translators(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two Marian models with random weights, with the tokenizer of the tiny BERT."""
    import torch
    from transformers import MarianConfig, MarianMTModel

    from pipeline.models import load_tokenizer

    tokenizer = load_tokenizer(str(tiny_model))
    folders = []
    for seed, name in enumerate(("there", "back")):
        torch.manual_seed(seed)
        sizes = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16}
        config = MarianConfig(
            vocab_size=len(tokenizer), max_position_embeddings=32, encoder_attention_heads=2, decoder_attention_heads=2,
            pad_token_id=0, eos_token_id=3, decoder_start_token_id=0, forced_eos_token_id=3, **sizes,
        )  # fmt: skip
        folders.append(tmp_path_factory.mktemp(name))
        MarianMTModel(config).save_pretrained(folders[-1])
        tokenizer.save_pretrained(folders[-1])
    return ", ".join(map(str, folders))


def test_texts_go_there_and_back_alike_each_time(translators: str) -> None:
    translate = back_translator(translators, "cpu")
    texts = ["a good film", "the story was very dull and cold " * 20]       # the second is cut at the model's positions
    once = translate(texts)
    assert once == translate(texts) and len(once) == 2 and once != texts
    there_and_there = back_translator(", ".join([translators.split(", ")[0]] * 2), "cpu")
    assert there_and_there(texts) != once


def test_where_a_translator_is_not_to_be_had_it_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelError) as caught:
        check_translators("Helsinki-NLP/opus-mt-en-xx, Helsinki-NLP/opus-mt-xx-en")
    assert str(caught.value) == (
        "No model 'Helsinki-NLP/opus-mt-en-xx' was found, and the Hub is switched off (HF_HUB_OFFLINE), and "
        "back_translation translates with it. Fetch it while the Hub can be reached, or take back_translation out of "
        "augment.steps."
    )


def test_one_translator_is_too_few() -> None:
    with pytest.raises(ModelError, match=r"translators is 'a/b'; back_translation needs .* one back\. Name both"):
        check_translators("a/b")
