"""Words of a text and their pieces: every character once, whatever the script, and nothing of what was cut off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from analysis.text_spans import TextPieces, text_pieces
from pipeline.exceptions import ModelError
from pipeline.models import load_tokenizer


@pytest.fixture(scope="module")
def tokenizer(tiny_model: Path):
    return load_tokenizer(str(tiny_model))


def words(found: TextPieces) -> list[str]:
    return [found.text[word.start : word.end] for word in found.words]


@pytest.mark.parametrize("text, expected", [
    ("a good film", ["a", "good", "film"]),
    ("I LOVE YOU but you dnt love me", ["I", "LOVE", "YOU", "but", "you", "dnt", "love", "me"]),
    ("it isn't good, really!", ["it", "isn't", "good,", "really!"]),
    ("  good \t\n film ", ["good", "film"]),
    ("films goodly", ["films", "goodly"]),                      # of several pieces each
    ("state-of-the-art", ["state-of-the-art"]),
    ("good \U0001f600 film", ["good", "\U0001f600", "film"]),
    ("good\U0001f600film", ["good\U0001f600film"]),              # one unknown piece to BERT
    ("go\u200bod", ["go\u200bod"]),                              # a zero-width space is no space
    ("電影好看", ["電", "影", "好", "看"]),
    ("хороший фильм", ["хороший", "фильм"]),
    ("فيلم جيد", ["فيلم", "جيد"]),
    ("cafe\u0301 good", ["cafe\u0301", "good"]),
    ("", []),
    (" \u200b ", []),
])
def test_words_are_what_a_reader_calls_words(tokenizer, text: str, expected: list[str]) -> None:
    assert words(text_pieces(text, tokenizer, 64)) == expected


@pytest.mark.parametrize("text", ["it isn't good, really!", "films goodly \U0001f600 電影", "go\u200bod cafe\u0301"])
def test_each_piece_but_the_special_ones_is_in_one_word(tokenizer, text: str) -> None:
    found = text_pieces(text, tokenizer, 64)
    positions = [piece for word in found.words for piece in word.pieces]
    assert positions == list(range(1, len(found.input_ids) - 1))        # [CLS] and [SEP] stand around them
    assert found.input_ids == tokenizer(text)["input_ids"]


def test_what_was_cut_off_is_in_no_word(tokenizer) -> None:
    found = text_pieces("good " * 100, tokenizer, 8)
    assert words(found) == ["good"] * 6
    assert len(found.input_ids) == 8


def byte_level() -> Any:
    """As RoBERTa's and ModernBERT's: a piece holds the space before it."""
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.train_from_iterator([SENTENCE] * 5, trainers.BpeTrainer(initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return inner


def unigram() -> Any:
    """As DeBERTa-v3's: a mark stands for the space."""
    inner = Tokenizer(models.Unigram())
    inner.pre_tokenizer = pre_tokenizers.Metaspace()
    inner.train_from_iterator([SENTENCE] * 5, trainers.UnigramTrainer(unk_token="<unk>", special_tokens=["<unk>"]))
    return inner


SENTENCE = "a good film, but it isn't dull"


@pytest.mark.parametrize("make", [byte_level, unigram])
def test_tokenizers_that_count_spaces_to_their_pieces_give_the_same_words(make: Any) -> None:
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=make())
    found = text_pieces(SENTENCE, tokenizer, 64)
    assert words(found) == SENTENCE.split()
    emoji = text_pieces("good \U0001f600 film", tokenizer, 64)      # of four bytes, so of up to four pieces
    assert words(emoji) == ["good", "\U0001f600", "film"]


def test_a_tokenizer_without_offsets_is_refused(tokenizer) -> None:
    class Slow:
        is_fast = False

    with pytest.raises(ModelError, match="does not tell where its pieces stand"):
        text_pieces("good", Slow(), 32)     # type: ignore[arg-type]
