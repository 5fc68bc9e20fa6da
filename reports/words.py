"""Which words does the page use? One file per language in words/; each value is a template with named values.

English has every word, and a language that lacks one borrows it. What `pipeline` says, its errors above all, is English
in every language: page, terminal and log say the same.
"""

from __future__ import annotations

import json
from collections import ChainMap
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "words"
ENGLISH = "en"

_reader: Callable[[], str] | None = None


def speak_for(reader: Callable[[], str]) -> None:
    """From now on `reader` tells the language of whoever reads: `tabs` alone can know."""
    global _reader
    _reader = reader


def language() -> str:
    return _reader() if _reader else ENGLISH


@lru_cache(maxsize=1)
def languages() -> list[str]:
    """Codes of all languages, English first."""
    return sorted((path.stem for path in FOLDER.glob("*.json")), key=lambda code: (code != ENGLISH, code))


@lru_cache
def own_words(code: str) -> dict[str, str]:
    """What a language's file holds, by dotted key."""
    return dict(_flat(json.loads((FOLDER / f"{code}.json").read_text(encoding="utf-8"))))


def words_of(code: str) -> ChainMap[str, str]:
    return ChainMap(own_words(code), own_words(ENGLISH))


def _flat(words: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in words.items():
        yield from _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else [(prefix + name, value)]


def say(key: str, **values: Any) -> str:
    """Raises: KeyError for a key that English does not have: a bug."""
    return words_of(language())[key].format(**values)


def translate(key: str, english: str) -> str:
    """Of what has its English elsewhere, such as the help of a config's field."""
    return words_of(language()).get(key, english)


def meaning(term: str) -> str:
    """Of a term, or of the one that a column's key begins with ("loss" of "loss_before"); empty where there is none."""
    known = [key for key in words_of(ENGLISH) if f"terms.{term}_".startswith(f"{key}_")]
    return say(max(known, key=len)) if known else ""
