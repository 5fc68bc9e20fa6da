"""Which words of a text does each piece belong to? Pieces of a tokenizer, put together to what a reader calls words."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.exceptions import ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Word:
    """Characters of a text that stand together, and the pieces that the model reads for them."""

    start: int
    end: int                # text[start:end] is the word
    pieces: tuple[int, ...]     # positions in the model's input


@dataclass(frozen=True)
class TextPieces:
    """A text as the model reads it: T pieces with the special ones, and its words. What was truncated has no word."""

    text: str
    input_ids: list[int]        # T
    words: list[Word]

    def split(self) -> tuple[list[tuple[str, str]], str]:
        """What stands before each word, and the word; and what stands behind the last one."""
        ends = [0, *(word.end for word in self.words)]
        spans = zip(ends, self.words, strict=False)
        return [(self.text[end : w.start], self.text[w.start : w.end]) for end, w in spans], self.text[ends[-1] :]


def text_pieces(text: str, tokenizer: PreTrainedTokenizerBase, max_length: int) -> TextPieces:
    """Words end at white space; scripts that do without it (Chinese, Japanese) and emoji are cut as the tokenizer cuts.

    Raises: ModelError for a tokenizer that does not tell where its pieces stand.
    """
    if not tokenizer.is_fast:
        raise ModelError("This model's tokenizer does not tell where its pieces stand. Choose a model with a fast one.")
    encoding = tokenizer(text, truncation=True, max_length=max_length, return_offsets_mapping=True).encodings[0]
    words: list[Word] = []
    tokenizers_word: int | None = None      # of the piece before
    for piece, ((start, end), word_id) in enumerate(zip(encoding.offsets, encoding.word_ids, strict=True)):
        start, end = _without_spaces(text, start, end)
        if word_id is None or start >= end:     # a special piece, or one for no character
            continue
        last = words[-1] if words else None
        if last and (word_id == tokenizers_word or _stand_together(text, last.end, start)):
            words[-1] = Word(last.start, max(last.end, end), (*last.pieces, piece))
        else:
            words.append(Word(start, end, (piece,)))
        tokenizers_word = word_id
    return TextPieces(text, list(encoding.ids), _with_marks(text, words))


def _with_marks(text: str, words: list[Word]) -> list[Word]:
    """With what stands at a word and is in no piece: an accent that combines, a zero-width character."""
    found: list[Word] = []
    for index, word in enumerate(words):
        start, end = word.start, word.end
        next_start = words[index + 1].start if index + 1 < len(words) else len(text)
        while start > (found[-1].end if found else 0) and not text[start - 1].isspace():
            start -= 1
        while end < next_start and not text[end].isspace():
            end += 1
        found.append(Word(start, end, word.pieces))
    return found


def _without_spaces(text: str, start: int, end: int) -> tuple[int, int]:
    """Some tokenizers count the space before a word to its first piece."""
    piece = text[start:end]
    return start + len(piece) - len(piece.lstrip()), end - len(piece) + len(piece.rstrip())


def _stand_together(text: str, end: int, start: int) -> bool:
    """No space between two pieces, and neither side of the seam is of a script that needs none."""
    between = text[end:start]
    return not any(map(str.isspace, between)) and not _is_wide(text[end - 1]) and not _is_wide(text[start])


def _is_wide(character: str) -> bool:
    return unicodedata.east_asian_width(character) in ("W", "F")
