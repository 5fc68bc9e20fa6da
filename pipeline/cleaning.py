"""What is taken out of a text before a model reads it? Four named steps, each off unless it is asked for."""

from __future__ import annotations

import html
import re
import string
from collections.abc import Callable, Iterator
from itertools import islice

import pyarrow as pa

from pipeline.config_parts import CleanConfig

_TAG = re.compile(r"<[^<>]+>")
_ROWS_OF_CHUNK = 10_000
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


# In the order in which they are done: entities hold punctuation ("&amp;"), and what is deleted leaves spaces behind.
STEPS: dict[str, Callable[[str], str]] = {
    "html": lambda text: html.unescape(_TAG.sub(" ", text)),        # "fish &amp; chips<br />" becomes "fish & chips "
    "punctuation": lambda text: text.translate(_NO_PUNCTUATION),    # ASCII, as the classic report does: "dont"
    "lowercase": str.lower,
    "spaces": lambda text: " ".join(text.split()),
}


def clean(text: str, config: CleanConfig) -> str:
    for name, step in STEPS.items():
        if getattr(config, name):
            text = step(text)
    return text


def clean_all(texts: pa.ChunkedArray, config: CleanConfig) -> pa.ChunkedArray:
    """Clean a column of texts."""
    if not any(getattr(config, name) for name in STEPS):
        return texts
    return map_texts(texts, lambda text: clean(text, config))


def map_texts(texts: pa.ChunkedArray, function: Callable[[str], str]) -> pa.ChunkedArray:
    """Apply a function to each text of a column."""
    results = map(function, stream_texts(texts))
    chunks = iter(lambda: pa.array(islice(results, _ROWS_OF_CHUNK), pa.large_string()), pa.array([], pa.large_string()))
    return pa.chunked_array(list(chunks), pa.large_string())


def stream_texts(texts: pa.ChunkedArray) -> Iterator[str]:
    """The texts one by one; only some thousand are Python objects at a time."""
    for chunk in texts.chunks:
        for start in range(0, len(chunk), _ROWS_OF_CHUNK):
            yield from chunk.slice(start, _ROWS_OF_CHUNK).to_pylist()
