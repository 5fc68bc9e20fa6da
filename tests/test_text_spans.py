"""Words of a text and their pieces: every character once, whatever the script, and nothing of what was cut off."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.text_spans import TextPieces, text_pieces
from pipeline.exceptions import ModelError
from pipeline.models import load_tokenizer
from tests.tiny_encoders import FAMILIES


@pytest.fixture(scope="module")
def tokenizer(tiny_model: Path):
    return load_tokenizer(str(tiny_model))


def words(found: TextPieces) -> list[str]:
    return found.word_texts


@pytest.mark.parametrize("text, expected", [
    ("a good film", ["a", "good", "film"]),
    ("I LOVE YOU but you dnt love me", ["I", "LOVE", "YOU", "but", "you", "dnt", "love", "me"]),
    ("it isn't good, really!", ["it", "isn't", "good,", "really!"]),
    ("  good \t\n film ", ["good", "film"]),
    ("films goodly", ["films", "goodly"]),                      # of several pieces each
    ("state-of-the-art", ["state-of-the-art"]),
    ("good \U0001f600 film", ["good", "\U0001f600", "film"]),
    ("good\U0001f600film", ["good", "\U0001f600", "film"]),
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


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_of_encoders_has_words(tiny_bases: dict[str, Path], family: str) -> None:
    found = text_pieces("a good film, but dull", load_tokenizer(str(tiny_bases[family])), 32)
    assert words(found) == ["a", "good", "film,", "but", "dull"]


def test_a_byte_level_tokenizer_that_counts_spaces_to_its_pieces_gives_the_same_words(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE(unk_token="<unk>", vocab={"<unk>": 0, "<pad>": 1, "▁": 2, "g": 3, "o": 4}, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>", pad_token="<pad>")
    assert words(text_pieces("go goo", tokenizer, 32)) == ["go", "goo"]


def test_a_tokenizer_without_offsets_is_refused(tokenizer) -> None:
    class Slow:
        is_fast = False

    with pytest.raises(ModelError, match="does not tell where its pieces stand"):
        text_pieces("good", Slow(), 32)     # type: ignore[arg-type]
