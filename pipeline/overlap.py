"""Which texts lie inside others? Leaks between splits hide in parts of sentences as well as in whole ones."""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.cleaning import map_texts, stream_texts

MIN_WORDS = 3                       # a shorter training text ("a film") lies inside nearly everything and tells nothing
_NEEDLES_OF_BLOCK = 50_000          # held as Python objects at a time
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation + "‘’‚“”„«»…–—¿¡、。，！？：；（）《》「」")


def normalise(text: str) -> str:
    """Words without case and punctuation, one space between them; a text of punctuation alone (":(") stays as it is."""
    words = text.casefold().translate(_NO_PUNCTUATION).split()
    return " ".join(words or text.split())


def normalise_all(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    return map_texts(texts, normalise)


def count_words(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.count_substring_regex(texts, r"\S+")


def hash_texts(texts: pa.ChunkedArray) -> np.ndarray:
    """(N,) int64, equal for equal texts, in this process only. That two of 5 million differing texts share one is
    a chance of one in a million; a table of the texts themselves would double their memory."""
    return np.fromiter(map(hash, stream_texts(texts)), np.int64, len(texts))


def is_in(texts: pa.ChunkedArray, known: pa.ChunkedArray) -> np.ndarray:
    """(N,) bool: which of the N texts equal one of the known."""
    return np.isin(hash_texts(texts), hash_texts(known))


def count_repeats(texts: pa.ChunkedArray, label_ids: np.ndarray) -> tuple[int, int]:
    """How many rows repeat the text of an earlier row, and how many different texts have more than one label."""
    hashes, text_ids = np.unique(hash_texts(texts), return_inverse=True)
    labelled_texts = np.unique(np.stack([text_ids, label_ids]), axis=1)         # each text once with each of its labels
    labels_of_text = np.bincount(labelled_texts[0], minlength=len(hashes))
    return len(texts) - len(hashes), int((labels_of_text > 1).sum())


def lies_inside(needles: pa.ChunkedArray, haystack: pa.ChunkedArray) -> np.ndarray:
    """(N,) bool: which of the N needles are a run of whole words of another, longer text of the haystack.

    Both are normalised. Equal texts do not count; a text without any word lies inside every other text.
    """
    found = [needles_found for needles_found, _ in _search(needles, haystack)]
    return np.concatenate(found) if found else np.zeros(0, bool)


def contains_any(haystack: pa.ChunkedArray, needles: pa.ChunkedArray) -> np.ndarray:
    """(N,) bool: which of the N texts of the haystack contain another, shorter needle of three or more words."""
    contains = np.zeros(len(haystack), bool)
    long_enough = pc.greater_equal(count_words(needles), MIN_WORDS)
    for _, holders in _search(needles.filter(long_enough), haystack):
        contains |= holders
    return contains


def _search(needles: pa.ChunkedArray, haystack: pa.ChunkedArray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For each block of needles: which of them were found, and which texts of the haystack hold one of them.

    A needle is looked for only in texts that have its rarest word, so nearly all pairs are never compared.
    """
    vocabulary = None
    if len(haystack) < len(needles):
        vocabulary = {word for text in stream_texts(haystack) for word in text.split()}
    for start in range(0, len(needles), _NEEDLES_OF_BLOCK):
        block = needles.slice(start, _NEEDLES_OF_BLOCK).to_pylist()
        possible = {needle for needle in block if vocabulary is None or vocabulary.issuperset(needle.split())}
        by_rarest_word = _index(possible - {""})
        found = {""} if len(haystack) else set()
        holders = np.zeros(len(haystack), bool)
        for row, text in enumerate(stream_texts(haystack)):
            padded = f" {text} "
            for word in by_rarest_word.keys() & text.split():
                held = [needle for needle in by_rarest_word[word] if f" {needle} " in padded and needle != text]
                found.update(held)
                holders[row] |= bool(held)
        yield np.array([needle in found for needle in block], bool), holders


def _index(needles: set[str]) -> dict[str, list[str]]:
    """The needles under the rarest of their words: rare among the needles; of two such, the longer."""
    num_needles = Counter(word for needle in needles for word in set(needle.split()))
    index: dict[str, list[str]] = {}
    for needle in needles:
        # The word itself decides at last: a set's order changes from process to process.
        rarest = min(set(needle.split()), key=lambda word: (num_needles[word], -len(word), word))
        index.setdefault(rarest, []).append(needle)
    return index
