"""Where does a sentence turn, and what does it negate? The clauses around but or although, and the scope of not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Literal

from pipeline.lexicon import CONTRACTIONS

Span = tuple[int, int]      # text[start:end]

_SUBJECT = (
    r"(?:i|you|he|she|it|we|they|this|that|these|those|there|the|an?|my|your|his|her|its|our|their|one|no|some|most"
    r"|neither|nothing|nobody|everything|everyone)\b"
)
_APOSTROPHES = str.maketrans("’‘`´", "''''")
_LINE_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_SENTENCE_END = re.compile(r"(?<!\bmr)(?<!\bmrs)(?<!\bdr)[.!?]+(?=\s|$)|[;\n]", re.IGNORECASE)
_EDGES = " \t\r\n,;:.–—-"
_WORD = re.compile(r"\b(?!(?:and|but|or|so)\b)\w", re.IGNORECASE)


def compile_cues(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE | re.VERBOSE)


def find_cues(pattern: re.Pattern[str], text: str) -> Iterator[Span]:
    """Matches of the group `cue`. Alternatives before it take up what only looks like a cue ("nothing but")."""
    return (match.span("cue") for match in pattern.finditer(text) if match["cue"])


def plain(text: str) -> str:
    """With straight apostrophes, and line breaks for <br>; no longer and no shorter."""
    return _LINE_BREAK.sub(lambda tag: "\n".ljust(len(tag[0])), text.translate(_APOSTROPHES))


# Contractions

_NEGATED = "|".join(form for form, spelled in CONTRACTIONS.items() if spelled.endswith(("n't", "not")))
_OTHERS = "|".join(form for form, spelled in CONTRACTIONS.items() if not spelled.endswith(("n't", "not")))
# IM is a messenger and NT a system in the news, and a wont a habit.
_BARE = r"(?:(?:his|her|its|their|my|our|your)\s+wont|(?-i:IM|NT)|wont\s+to)\b"

BARE_CONTRACTION = compile_cues(rf"\b{_BARE} | (?<![\w'@.-])(?P<cue>{_NEGATED}|{_OTHERS})(?![\w'])")


# Turns

@dataclass(frozen=True)
class Turn:
    """Two clauses and the word that sets one against the other; spans leave out spaces and commas around them."""

    kind: Literal["contrast", "concession"]
    first: Span         # the clauses in the order of the text; "Although A, B" begins with its cue
    cue: Span
    second: Span
    carrier: Span       # carries the sentence: what follows but, yet, however; what although, though, despite yield to


_CONTRAST = compile_cues(rf"""
    (?:\bnot|n't) \s+ (?:only|just|merely|simply)\b [^.;!?]*? \bbut\b | n't \s+ yet\b
    | (?:^|[.;!?]|\band\s) \s* tho(?:ugh)?\b | , \s* however \s* , (?!\s*{_SUBJECT})
    | \b (?: (?:nothing|anything|everything|everyone|none|no\s+one|nobody|all|help|choice|option) \s+ but\b
        | but \s+ also\b | (?:not|never|as) \s+ yet\b | yet \s* (?:[.,;:!?)]|$)
        | (?:as|even) \s+ tho(?:ugh)?\b | tho(?:ugh)? \s* (?:[.,;:!?)]|$) | however \s+ (?!{_SUBJECT})\w
        | (?P<cue> but | bt | (?:and\s+)?yet (?!\s+(?:to|another|again|more)\b) | however | though | tho )\b )
""")
_CONCESSION = compile_cues(r"""
    \b(?P<cue> although | altho | even\s+tho(?:ugh)? | despite | in\s+spite\s+of
    | (?: (?<![^.;!?(]) | (?<=[.;!?]\s) | (?<=\band\s) ) tho(?:ugh)? )\b
""")
_CONJUNCTION = re.compile(r"\b(?:and|but|or|so|that|because)\s*$", re.IGNORECASE)
_NEXT_SUBJECT = re.compile(rf",(?=\s*{_SUBJECT})", re.IGNORECASE)


def turn_of(text: str) -> Turn | None:
    """The last contrast whose clauses have a word each, or else the last such concession.

    None also where a clause is cut in two ("The story, however, is dull"; "The film, despite its flaws, works"). In a
    text of several sentences a clause that begins its sentence with the cue answers the sentence before.
    """
    text = plain(text)
    contrasts = (_contrast(text, cue) for cue in reversed([*find_cues(_CONTRAST, text)]))
    concessions = (_concession(text, cue) for cue in reversed([*find_cues(_CONCESSION, text)]))
    return next(filter(None, chain(contrasts, concessions)), None)


def concessions_of(text: str) -> Iterator[Span]:
    """Cues of concession, also those whose clauses cannot be told apart."""
    return find_cues(_CONCESSION, plain(text))


def _contrast(text: str, cue: Span) -> Turn | None:
    starts = [0, *(end.end() for end in _SENTENCE_END.finditer(text, 0, cue[0]))]
    first = next(filter(None, (_clause(text, start, cue[0]) for start in reversed(starts))), None)
    second = _clause(text, cue[1], _end_of_sentence(text, cue[1]))
    if first is None or second is None:
        return None
    main_clause_first = text[slice(*cue)].lower().startswith("tho")
    return Turn("contrast", first, cue, second, first if main_clause_first else second)


def _concession(text: str, cue: Span) -> Turn | None:
    start = max((end.end() for end in _SENTENCE_END.finditer(text, 0, cue[0])), default=0)
    end = _end_of_sentence(text, cue[1])
    before = None if _CONJUNCTION.search(text[start : cue[0]]) else _clause(text, start, cue[0])
    subject = _NEXT_SUBJECT.search(text, cue[1], end)
    comma = subject.start() if subject else text.find(",", cue[1], end)     # -1 where there is none
    if before:
        in_between = comma >= 0 and not subject and text[: cue[0]].rstrip().endswith(",")
        second = None if in_between else _clause(text, cue[1], end)
        return second and Turn("concession", before, cue, second, before)
    first, second = _clause(text, cue[1], max(comma, cue[1])), _clause(text, comma, end)
    return Turn("concession", first, cue, second, second) if first and second else None


def _end_of_sentence(text: str, position: int) -> int:
    """Of the sentence at a position; an end with no word before it ("yet ... it works") is none."""
    ends = (end.start() for end in _SENTENCE_END.finditer(text, position))
    return next((end for end in ends if _clause(text, position, end)), len(text))


def _clause(text: str, start: int, end: int) -> Span | None:
    """Without spaces, commas, dashes and full stops at its edges; None where it has no word but a conjunction."""
    clause = text[start:end]
    start += len(clause) - len(clause.lstrip(_EDGES))
    end -= len(clause) - len(clause.rstrip(_EDGES))
    return (start, end) if _WORD.search(clause) else None


# Negations

@dataclass(frozen=True)
class Negation:
    """A word that negates and what it bears on."""

    cue: Span               # "does n't" is one
    scope: Span             # from behind the cue to the end of its clause; empty where nothing follows
    spelled: str | None     # with its apostrophe, where it lacks one: dnt -> don't


NEGATION = compile_cues(rf"""
    \b (?: not \s+ (?:to\s+mention|least)\b | (?:or|why) \s+ not\b
    | no \s+ (?:doubt|wonder|question|matter|less|fewer|sooner|surprise)\b | no\.? \s* \d
    | without \s+ (?:an?\s+)? (?:doubt|question)\b | never \s? mind\b | none \s+ other\b
    | nothing \s+ (?:but|less\s+than|short\s+of)\b
    | (?:ca\s?n't|cannot|cant|could\s?n't|can\s+not) \s+ (?:help|wait)\b
    | {_BARE}
    | (?P<cue> (?:ca|wo|do|does|did|is|are|was|were|has|have|had|could|would|should|might|must|need|ai) \s? n't\b
        | (?<!['@.-]) (?:{_NEGATED}) (?![\w'])
        | (?:not|no[-\s]one|no\s+longer|no|never|neither|nor|none|nothing|nobody|nowhere|without|cannot)\b (?!-)
        | (?:lack|lacks|lacked|lacking|devoid\s+of|far\s+from|anything\s+but)\b
        | (?:(?:fail|refuse)(?:s|d|ed|ing)? | unable) \s+ to\b )
        (?! \s+ (?:only|just|merely|simply)\b) )
""")
_SCOPE_END = compile_cues(rf"""
    [.,;:!?()"–—\n] | --+ | \s-\s | $ | \b(?:
        but|bt|yet|however|tho|though|although|because|unless|except|while|whereas|nor
        | and\s+(?:{_SUBJECT}|not|never) )\b
""")

# A text without this has no negation: RE2's syntax, for whole columns.
NEGATION_SIGN = (
    rf"\b(not|no|never|neither|nor|none|nothing|nobody|nowhere|without|cannot|{_NEGATED})\b"
    r"|\b(lack|devoid|far\s+from|anything\s+but|fail|refuse|unable)|n't"
)


def negations_of(text: str) -> list[Negation]:
    """Words that negate, in order, and the rest of their clause: to punctuation, a conjunction, or a next subject.

    What only looks like one ("not only", "no doubt", "No. 1", "can't help") is left out, and so are hardly and barely,
    which diminish. Source: NegEx, https://doi.org/10.1006/jbin.2001.1029 (Chapman et al. 2001), with its phrases of
    three kinds (negating, pseudo-negating, ending the scope); here the scope is not cut at five words.
    """
    text = plain(text)
    return [_negation(text, cue) for cue in find_cues(NEGATION, text)]


def _negation(text: str, cue: Span) -> Negation:
    end = next(_SCOPE_END.finditer(text, cue[1])).start()
    scope = text[cue[1] : end]
    start = end - len(scope.lstrip())
    word = text[slice(*cue)]
    spelled = CONTRACTIONS.get(word.lower())
    if spelled and word[0].isupper():
        spelled = spelled.capitalize()
    return Negation(cue, (start, max(start, cue[1] + len(scope.rstrip()))), spelled)
