"""Which texts negate, turn, compare, ask? Phenomena of language, each found by a rule that it states."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from string import ascii_lowercase
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from analysis.clauses import (
    BARE_CONTRACTION,
    NEGATION,
    NEGATION_SIGN,
    Span,
    compile_cues,
    concessions_of,
    find_cues,
    negations_of,
    plain,
    turn_of,
)
from pipeline.lexicon import COMMON_WORDS, CONTRACTIONS, GIVEN_NAMES, POLARITY, SPELLINGS

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

CHUNKS_PER_CALL = 100_000       # bounds the Python lists that a tokenizer returns
MANY_PIECES = 4
RARE_WORDS_RULE = f"Has a word that the tokenizer does not know or cuts into {MANY_PIECES} pieces or more."


@dataclass(frozen=True)
class Phenomenon:
    """A phenomenon of language in English texts."""

    name: str
    rule: str                               # one sentence for the reader
    sign: str                               # RE2: a text without a match cannot have it; quick, on a whole column
    find: Callable[[str], Iterable[Span]]   # the cue words in a plain text


def spans_of(text: str) -> dict[str, list[Span]]:
    """Where the cue words of each phenomenon stand, for those that the text has; of a fragment, the whole text."""
    straight = plain(text)
    found = {name: [*phenomenon.find(straight)] for name, phenomenon in PHENOMENA.items()}
    return {name: spans for name, spans in found.items() if spans}


class Named(Mapping[str, np.ndarray]):
    """What a rule may name, (N,) bool by name; each is computed when first asked for."""

    def __init__(self, masks: Mapping[str, Callable[[], np.ndarray]]) -> None:
        self.masks = masks
        self.known: dict[str, np.ndarray] = {}

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.known:
            self.known[name] = self.masks[name]()
        return self.known[name]

    def __contains__(self, name: object) -> bool:       # a Mapping would compute it to say so
        return name in self.masks

    def __iter__(self) -> Iterator[str]:
        return iter(self.masks)

    def __len__(self) -> int:
        return len(self.masks)


class PhenomenaOf(Named):
    """Which of N texts have each phenomenon, (N,) bool by its name."""

    def __init__(self, texts: Sequence[str]) -> None:
        straight = pa.array([plain(text) for text in texts], pa.large_string())
        super().__init__({name: partial(_have, phenomenon, straight) for name, phenomenon in PHENOMENA.items()})


def _have(phenomenon: Phenomenon, texts: pa.Array) -> np.ndarray:
    found = np.zeros(len(texts), bool)
    rows = np.flatnonzero(pc.match_substring_regex(texts, phenomenon.sign, ignore_case=True))
    found[rows] = [any(phenomenon.find(text)) for text in texts.take(rows).to_pylist()]
    return found


def pieces_table(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> np.ndarray:
    """Which of N texts have rare words (RARE_WORDS_RULE), (N,) bool; the tokenizer is a fast one."""
    chunks = sorted({chunk for text in texts for chunk in text.split()})        # few, beside all words of the texts
    rare: set[str] = set()
    for start in range(0, len(chunks), CHUNKS_PER_CALL):
        some = chunks[start : start + CHUNKS_PER_CALL]
        # A space before it makes byte-level pieces those of a word inside a text.
        encodings = tokenizer([f" {chunk}" for chunk in some], add_special_tokens=False).encodings
        for chunk, encoding in zip(some, encodings, strict=True):
            words = encoding.word_ids       # of its pieces; those of one word stand together
            is_cut = any(a == b for a, b in zip(words, words[MANY_PIECES - 1 :], strict=False))
            if is_cut or tokenizer.unk_token_id in encoding.ids:
                rare.add(chunk)
    return np.array([not rare.isdisjoint(text.split()) for text in texts], bool)


# The rules

_FUNCTION = (
    r"(?:an?|the|i|he|she|it|its|we|they|you|this|that|these|those|there|is|are|was|were|be|do|does|did|has|have|had|can"
    r"|could|will|would|to|of|in|on|at|as|by|for|from|with|and|or|but|if|when|why|how|what|who|my|his|her|our|your|their)\b"
)

_NO_COMPARATIVE = r"(?:rather|other|another|never|ever|over|after|either|clever)\b"
_COMPARATIVE = compile_cues(rf"""
    \bas \s+ (?:well|soon|long|far|much|many|early|late|recently) \s+ as\b | \bmore \s+ often \s+ than \s+ not\b
    | \b(?P<cue> (?: more|less|fewer|better|worse | (?!{_NO_COMPARATIVE})\w{{2,}}er )
            (?: \s+ (?!(?:rather|other|different|than|more|less)\b)[\w'-]+ ){{0,5}}?
            \s+ than\b (?! \s+ (?:\d|(?:two|three|half|enough)\b))
        | as \s+ (?!{_FUNCTION})[\w'-]+ (?:\s+ [\w'-]+){{0,3}}? \s+ as\b )
""")
_USED_TO = compile_cues(r"""
    \b(?:would|could|should|might) (?:\s?n't|\s+not)? (?:\s+\w+ly|\s+also|\s+even)? (?:\s+have|\s?'ve|\s+of) \s+
        (?:to|an?|the|no|any|some|more|much|little|you|us|me|it|course)\b
    | (?P<cue> \b(?:i|you|he|she|it|we|they|who|that|which|there|people) \s+ used \s+ to\b
        | \bused \s+ to \s+ (?:be|have|love|like|think|feel|enjoy|hate|believe|mean)\b
        | \b(?:would|could|should|might) (?:\s?n't|\s+not)? (?:\s+\w+ly|\s+also|\s+even)? (?:\s+have|\s?'ve|\s+of)\b
        | \b(?:would|could|should)(?:ve|a)\b )
""")
_STRONGLY = (
    "very|really|extremely|incredibly|absolutely|totally|utterly|completely|truly|highly|deeply|thoroughly|entirely"
    "|exceptionally|exceedingly|immensely|insanely|enormously|hugely|wholly|quite"
)
_WEAKLY = (
    "barely|hardly|scarcely|rarely|seldom|somewhat|slightly|mildly|fairly|moderately|marginally|vaguely|relatively"
    "|partly|almost|nearly|rather|kinda|sorta"
)
_INTENSIFIER = compile_cues(rf"""
    \bvery \s+ (?:act|beginning|center|core|definition|end|essence|existence|fabric|fact|first|heart|idea|last|least
        |moment|nature|notion|people|place|reason|same|soul|start|thing|things|thought|word|words)\b
    | \bso \s+ (?:far|forth|on|called|long\s+as)\b | \btoo \s+ (?:{_FUNCTION}) | \bso \s+ {_FUNCTION}
    | \b(?P<cue> {_STRONGLY} | such \s+ an? | so (?=\s+\w) | too (?=\s+\w)
        | pretty (?= \s+ (?:much|good|bad|great|cool|funny|awful|boring|dull|nice|decent|close|weak|strong|stupid|silly
            |slow|thin|interesting|damn)\b) )\b
""")
_DIMINISHER = compile_cues(rf"""
    \brather \s+ than\b | (?:\bbut|\bwould|'d) \s+ rather\b
    | \b(?:the|that|this|any|some|what|every|one|an?|no) \s+ (?:[\w'-]+\s+){{0,2}} (?:kind|sort) \s+ of\b
    | \b(?P<cue> {_WEAKLY} | kind\s+of | sort\s+of | a\s+(?:bit|tad)
        | a\s+little (?= \s* (?:$|[.,;:!?)]) | \s+ (?:too|more|less|bit|better|worse|over|of|on|in|to|slow|long|dull
            |thin|silly|predictable|boring|dark|odd|bland|flat|dry|short|much|like|and|but|yet)\b )
        | little (?= \s+ (?:else|more|less|to|of|in|on|new|wit|substance|sense|interest|reason|doubt|about|that|help
            |surprise|value|effort|time|depth|originality|fun|humor)\b )
        )\b
""")
_QUESTION = compile_cues(r"""
    (?P<start> ^[^\w?]* )? (?P<cue> \? (?!\w) | (?(start) (?:(?:why|how|where|when|what|who)\s+)?
        (?:is|are|was|do|does|did|can|could|would|will|has|have) (?:\s?n't)? \s+
        (?:i|you|he|she|it|we|they|this|there|anyone|anybody)\b | (?!)) )
""")
_STRETCHED = compile_cues(r"""
    \b(?: (?-i:[A-Z]{1,4}|[A-Z]*III+) | [vx]?i{3,} | x{3,} | w{3}\S* )\b | https?:\S*
    | (?<![\w'@\#/.-]) (?P<cue> \w* (?P<letter>[a-z])(?P=letter){2} \w* ) (?![\w'-])
""")
_WORD = re.compile(r"\w+(?:[-'.]\w+)*")
_SPLIT_OFF = {"'s", "n't", "'re", "'ve", "'ll", "'d", "'m"}       # from the word before, in SST-2
_NEXT_WORD = re.compile(
    r"(?:(?:an?|the|all|that|too|so|very|really|even|quite|as|entirely|exactly|be|been|get)\s+)*(?P<word>[\w'-]+)", re.I
)
_PARTICLES = frozenset("the of and de la le du da di van von der den el al mr mrs dr jr sr st s".split())
_OF_A_NAME = re.compile(r"\bthe\b|'s\s+\w", re.IGNORECASE)
_ENDINGS = ("ing", "ed", "ly", "ness", "tion", "ous", "ful", "less", "able", "ible", "ive", "ment", "ism")


def _by(pattern: re.Pattern[str]) -> Callable[[str], Iterable[Span]]:
    return lambda text: find_cues(pattern, text)


def _contrasts(text: str) -> list[Span]:
    turn = turn_of(text)
    return [turn.cue] if turn and turn.kind == "contrast" else []


def _double_negations(text: str) -> list[Span]:
    negations = negations_of(text)
    found: list[Span] = []
    for outer in negations:
        inner = [
            other.cue for other in negations
            if outer.scope[0] <= other.cue[0] < outer.scope[1]
            and text[slice(*other.cue)].lower() != text[slice(*outer.cue)].lower()      # "no plot no wit"
        ]
        found += [outer.cue, *inner] if inner else []
        next_to_it = _NEXT_WORD.match(text, *outer.scope)
        if next_to_it and POLARITY.get(next_to_it["word"].lower()) == -1:
            found += [outer.cue, next_to_it.span("word")]
    return sorted(set(found))


def _misspellings(text: str) -> list[Span]:
    words = (word for word in _WORD.finditer(text) if not word[0].isupper() or text.isupper())     # BT is a company
    listed = [word.span() for word in words if word[0].lower() in SPELLINGS]
    return sorted([*listed, *find_cues(BARE_CONTRACTION, text), *find_cues(_STRETCHED, text)])


def _mixed_polarity(text: str) -> list[Span]:
    polar = [word for word in _WORD.finditer(text) if word[0].lower() in POLARITY]
    return [word.span() for word in polar] if len({POLARITY[word[0].lower()] for word in polar}) == 2 else []


def _whole(text: str) -> list[Span]:
    start = len(text) - len(text.lstrip())
    return [(start, len(text.rstrip()))]


def _fragment(text: str) -> list[Span]:
    words = [chunk for chunk in text.split() if chunk not in _SPLIT_OFF and any(map(str.isalnum, chunk))]
    return _whole(text) if 1 <= len(words) <= 3 else []


def _names_only(text: str) -> list[Span]:
    words = [word for word in _WORD.findall(text) if word.lower() not in _PARTICLES and not word.isdigit()]
    lowered = [word.lower().removesuffix("'s") for word in words]
    if not words or any(word in COMMON_WORDS or word in POLARITY for word in lowered):
        return []
    if not (text.islower() or text.isupper()):
        return _whole(text) if all(word[0].isupper() for word in words) else []
    are_other = any(word.endswith(_ENDINGS) or word.removesuffix("s") in COMMON_WORDS for word in lowered[1:])
    return _whole(text) if lowered[0] in GIVEN_NAMES and not are_other and not _OF_A_NAME.search(text) else []


def _any(words: Iterable[str]) -> str:
    return rf"\b({'|'.join(words)})(\b|\W|$)"          # RE2's \b takes the é of cliché for no letter


PHENOMENA = {phenomenon.name: phenomenon for phenomenon in (
    Phenomenon(
        "contrast", "Has but, bt, yet, however or though between two clauses; not nothing but, not yet, even though.",
        r"\b(but|bt|yet|however|tho|though)\b", _contrasts,
    ),
    Phenomenon(
        "concession", "Has although, even though, despite or in spite of, or though where a sentence begins or after"
        " and.",
        r"\b(altho|tho|despite|in\s+spite)", concessions_of,
    ),
    Phenomenon(
        "negation", "Has not, n't, no, never, neither, nor, none, nothing, nobody, without, lacks, fails to or the"
        " like; not where it only looks so (not only, no doubt).",
        NEGATION_SIGN, _by(NEGATION),
    ),
    Phenomenon(
        "bare_contraction", "Has a contraction without its apostrophe, such as dont, dnt, cant or im.",
        _any(CONTRACTIONS), _by(BARE_CONTRACTION),
    ),
    Phenomenon(
        "double_negation", "Has a negation in the scope of another (not without), or one right before a negative word"
        " of the lexicon (not bad).",
        NEGATION_SIGN, _double_negations,
    ),
    Phenomenon(
        "comparative", "Has more, less, better, worse or an -er word before than, or as before as; not rather than or"
        " as well as.",
        r"\bthan\b|(?s)\bas\s.*\sas\b", _by(_COMPARATIVE),
    ),
    Phenomenon(
        "used_to", "Says what was or might have been: used to, would have, could have, should have; not is used to.",
        r"\b(used\s+to|(would|could|should|might).*(have|ve|of)|(w|c|sh)ould(ve|a))\b", _by(_USED_TO),
    ),
    Phenomenon(
        "intensifier", "Has very, really, so, too, extremely or the like before what it strengthens.",
        rf"\b(so|too|pretty|such|{_STRONGLY})\b", _by(_INTENSIFIER),
    ),
    Phenomenon(
        "diminisher", "Has barely, hardly, somewhat, slightly, little, a bit, almost or the like; not a little girl.",
        rf"\b(little|bit|tad|kind\s+of|sort\s+of|{_WEAKLY})\b", _by(_DIMINISHER),
    ),
    Phenomenon(
        "question", "Has a question mark, or begins as a question does (why do you, is it).",
        r"\?|^\W*(why|how|where|when|what|who|is|are|was|do|does|did|can|could|would|will|has|have)", _by(_QUESTION),
    ),
    Phenomenon("fragment", "Has three words at most.", "", _fragment),
    Phenomenon(
        "names_only", "Has only capitalised words that are in no list of common words; where all is in one case, only"
        " such words behind a given name.",
        _any(GIVEN_NAMES) + r"|(?-i:\p{Lu})", _names_only,
    ),
    Phenomenon(
        "misspelling", "Has a letter three times in a row, a contraction without its apostrophe, or a word from a list"
        " of frequent misspellings; others are not seen.",
        _any([*SPELLINGS, *CONTRACTIONS]) + "|" + "|".join(letter * 3 for letter in ascii_lowercase), _misspellings,
    ),
    Phenomenon(
        "mixed_polarity", "Has both positive and negative words of the lexicon.",
        _any(word for word in POLARITY if POLARITY[word] < 0), _mixed_polarity,
    ),
)}  # fmt: skip
