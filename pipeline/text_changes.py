"""How is a text changed so that its label stays? Words, letters, sentences, misspellings; and opposites, which flip it.

Each change is given the text, the share of its words to change (at least one) and a random generator; where there is
nothing to change it gives the text back. Words of praise and blame, negations and turns are neither left out nor moved.
Source: EDA, Wei and Zou 2019, https://arxiv.org/abs/1901.11196 (delete, swap, insert, synonym), which has no such care.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from random import Random

from pipeline.lexicon import CONTRACTIONS, HINGES, OPPOSITES, POLARITY, SPELLINGS, SYNONYMS

Span = tuple[int, int]      # text[start:end]

# Neither tags (<br) and entities (&amp;) nor what follows an apostrophe ('s); n't is a word of SST-2's.
WORD = re.compile(r"(?<![\w'’&<-])[A-Za-z]+(?:['’-][A-Za-z]+)*(?!\w)")
_VOWEL_SOUND = re.compile(r"(?!uni|use|one|eu)[aeiou]|hon(?:est|or)|hour", re.IGNORECASE)
_ARTICLE = re.compile(r"(?<![\w'’])(an?)(\s+)$", re.IGNORECASE)
# A sentence that begins with "But" answers the one before, and stays with it. Neither "..." nor "George W." ends one.
_SENTENCE = re.compile(
    r"\w.*?(?:[!?]+|(?<!\.)(?<!\b\w)(?<!\b(?:mr|ms|dr|st|jr|vs|no))(?<!\bmrs)\.)(?!\.)"
    r"(?=\s*$|\s+(?!(?:but|yet|however|still|though|although)\b)\w)",
    re.IGNORECASE | re.DOTALL,
)
_KEYS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_MIN_LETTERS = 4            # of a word that gets a wrong letter
_MAX_FLIPPED = 30           # words of a text that is flipped: a longer one says more than its words of praise


def _typos() -> dict[str, list[str]]:
    """The misspellings of a word or contraction: "but" has "bt", "don't" has "dont" and "dnt"."""
    wrong_of = defaultdict(list)
    for wrong, right in (SPELLINGS | CONTRACTIONS).items():
        wrong_of[right].append(wrong)
    return dict(wrong_of)


TYPOS = _typos()
_SPELLED = sorted(TYPOS, key=len, reverse=True)     # "a lot" before "a"
_MISSPELLABLE = re.compile(     # also "do n't" and "i 'm", as SST-2 has them
    r"(?<![\w'’-])(?:" + "|".join(re.sub("(n?)'", r" ?\1['’]", right) for right in _SPELLED) + r")(?![\w'’-])",
    re.IGNORECASE,
)


# Words

def delete(text: str, rate: float, rng: Random) -> str:
    """Words left out, never all of them."""
    num_words = len(WORD.findall(text))
    for start, end in sorted(_drawn(_loose(text), text, rate, rng)[: num_words - 1], reverse=True):
        before = text[:start]
        text = before.rstrip() + text[end:] if before.strip() else text[end:].lstrip()
    return text


def swap(text: str, rate: float, rng: Random) -> str:
    """Words that change places in pairs."""
    return _swapped(text, _loose(text), rate * len(WORD.findall(text)), rng)


def insert(text: str, rate: float, rng: Random) -> str:
    """Synonyms of words of the text, those of no polarity, put in anywhere."""
    words = [match.span() for match in WORD.finditer(text)]
    known = [(a, b) for a, b in words if (word := text[a:b].lower()) in SYNONYMS and word not in POLARITY]
    new = [rng.choice(SYNONYMS[text[start:end].lower()]) for start, end in _drawn(known, text, rate, rng)]
    places = rng.sample([end for _, end in words], len(new))
    return _replaced(text, {(place, place): f" {word}" for place, word in zip(places, new, strict=True)})


def synonym(text: str, rate: float, rng: Random) -> str:
    """Words replaced by synonyms of the same polarity."""
    known = [match.span() for match in WORD.finditer(text) if match[0].lower() in SYNONYMS]
    drawn = _drawn(known, text, rate, rng)
    return _replaced(text, {(a, b): rng.choice(SYNONYMS[text[a:b].lower()]) for a, b in drawn})


def antonym(text: str, polarity: int) -> str:
    """The text of a polarity (1 or -1) made one of the other: all its words of praise or blame by their opposites.

    Unchanged where that would not flip it for sure: a word has no opposite or the other polarity, or the text turns,
    negates or is long. A rate has no place here: half of it flipped says both.
    """
    words = list(WORD.finditer(text))
    polar = [match for match in words if match[0].lower() in POLARITY]
    fits = all(POLARITY[word := match[0].lower()] == polarity and word in OPPOSITES for match in polar)
    if not fits or len(words) > _MAX_FLIPPED or turns_or_negates(text):
        return text
    return _replaced(text, {match.span(): OPPOSITES[match[0].lower()] for match in polar})


def turns_or_negates(text: str) -> bool:
    return any(word in HINGES or word.endswith("n't") for word in WORD.findall(text.lower().replace("’", "'")))


# Letters

def characters(text: str, rate: float, rng: Random) -> str:
    """A wrong letter inside a word of four letters or more; its first and last stay, so that it is still read."""
    long = [match.span() for match in WORD.finditer(text) if match[0].isalpha() and len(match[0]) >= _MIN_LETTERS]
    return _replaced(text, {(a, b): _mistyped(text[a:b], rng) for a, b in _drawn(long, text, rate, rng)})


def _mistyped(word: str, rng: Random) -> str:
    """Two letters swapped, one left out, doubled, or that of a key beside it."""
    place = rng.randrange(1, len(word) - 2)
    before, letter, following, after = word[:place], word[place], word[place + 1], word[place + 2 :]
    row = next((keys for keys in _KEYS if letter.lower() in keys), letter)
    beside = row[(row.find(letter.lower()) + rng.choice((-1, 1))) % len(row)]
    return before + rng.choice([following + letter, following, 2 * letter + following, beside + following]) + after


def typos(text: str, rate: float, rng: Random) -> str:
    """Words and contractions as people misspell them; where there are some that decide the label, those alone."""
    known = [match.span() for match in _MISSPELLABLE.finditer(text)]
    deciding = [(a, b) for a, b in known if (word := _in_table(text[a:b])) in HINGES or word in POLARITY]
    drawn = _drawn(deciding or known, text, rate, rng)
    return _replaced(text, {(a, b): rng.choice(TYPOS[_in_table(text[a:b])]) for a, b in drawn})


def _in_table(found: str) -> str:
    return re.sub(" (n?)'", r"\1'", found.lower().replace("’", "'"))


# Sentences

def sentences(text: str, rate: float, rng: Random) -> str:
    """Whole sentences that change places; the rate is the share of the text's sentences."""
    found = [match.span() for match in _SENTENCE.finditer(text)]
    return _swapped(text, found, rate * len(found), rng)


# What they are made of

def _loose(text: str) -> list[Span]:
    """Words that neither judge nor turn nor negate."""
    words = ((match, match[0].lower().replace("’", "'")) for match in WORD.finditer(text))
    return [
        match.span() for match, word in words
        if word not in POLARITY and word not in HINGES and not word.endswith("n't")
    ]


def _drawn(spans: Sequence[Span], text: str, rate: float, rng: Random) -> list[Span]:
    """The share of the text's words, at least one and at most all that can be changed."""
    return rng.sample(spans, min(len(spans), max(1, round(rate * len(WORD.findall(text))))))


def _swapped(text: str, spans: Sequence[Span], number: float, rng: Random) -> str:
    """So many of these change places in pairs, at least two."""
    num_pairs = min(len(spans) // 2, max(1, round(number / 2)))
    drawn = rng.sample(spans, 2 * num_pairs)
    pairs = list(zip(drawn[::2], drawn[1::2], strict=True))
    return _rebuilt(text, {one: text[slice(*other)] for a, b in pairs for one, other in ((a, b), (b, a))})


def _replaced(text: str, changes: dict[Span, str]) -> str:
    """With new words, in the case of the old ones, and with their article: "an awful film" for "a great film"."""
    with_articles = {}
    for (start, end), new in changes.items():
        old = text[start:end]
        new = new.upper() if len(old) > 1 and old.isupper() else new.capitalize() if old[:1].isupper() else new
        if old and (article := _ARTICLE.search(text[:start])):
            start = article.start()
            new = article[1][0] + ("n" if _VOWEL_SOUND.match(new) else "") + article[2] + new
        with_articles[start, end] = new
    return _rebuilt(text, with_articles)


def _rebuilt(text: str, changes: dict[Span, str]) -> str:
    for start, end in sorted(changes, reverse=True):
        text = text[:start] + changes[start, end] + text[end:]
    return text
