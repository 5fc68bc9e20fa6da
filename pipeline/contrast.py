"""How do two judgements become one sentence that turns? Templates of but, although and not, whose label is known.

What is joined is short and English: a clause ("the plot is thin"), a thing ("a gorgeous film") or a description ("dull
and lifeless"), with words of praise or blame of its own label and of no other. All else in a data set is left alone,
since two texts side by side are seldom one sentence.
"""

from __future__ import annotations

import re
from random import Random
from typing import NamedTuple

from pipeline.lexicon import OPPOSITES, POLARITY
from pipeline.text_changes import WORD, turns_or_negates

MAX_WORDS = 14
MAX_DESCRIBED = 6           # words of a description
MAX_NEGATED = 8             # words of what "not" is put into


class Judgement(NamedTuple):
    """A text that can be joined: without its final mark, small where it began with a capital."""

    text: str
    is_clause: bool         # else it lacks its "it is"
    polarity: int           # 1 or -1


# {a} yields to {b}, which carries the sentence; both are clauses.
_CLAUSES = (
    "{a}, but {b}", "{a}, yet {b}", "{a}; however, {b}", "although {a}, {b}", "even though {a}, {b}", "though {a}, {b}",
    "{b}, although {a}", "{b}, even though {a}",
)
_PHRASES = ("{a}, but {b}", "{a}, yet {b}", "{a} but {b}")
_VERB = (
    r"(?:is|are|was|were|has|have|had|does|do|did|can|could|will|would|makes|made|feels|felt|seems|seemed|looks|looked"
    r"|sounds|gets|got|gives|gave|takes|took|goes|went|comes|came|works|worked|runs|ran|keeps|kept|remains|becomes"
    r"|became|delivers|delivered|offers|offered|turns|turned|plays|played|tells|told|shows|showed|lacks|suffers|drags"
    r"|loved?|hated?|enjoyed?)\b"
)
_CLAUSE = re.compile(
    rf"(?:the|this|its|his|her|their|my|our|your|these|those) (?:[\w-]+ ){{1,3}}{_VERB}"
    rf"|(?:it|this|there|i|you|he|she|they|we)(?: [\w-]+ly)? {_VERB}"
    r"|(?:it|that|there|he|she) ?['’]s\b|(?:i|you|we|they) ?['’](?:m|re|ve)\b",
    re.IGNORECASE,
)
# A word in -ed before an article or "my" is its verb: "a mechanic handed back my keys" is no thing.
_THING = re.compile(
    rf"an? (?!.*(?: {_VERB}|['’](?:s|re|m|ve|d|ll)\b|\w+ed (?:\w+ )?(?:an?|the|my|our|your|his|her|their|its)\b))",
    re.IGNORECASE,
)
_BESIDES = frozenset("and very really so quite truly deeply utterly totally completely simply consistently".split())
_ADJECTIVE = re.compile(
    r".*(?:ing|ed|ful|ive|ous|al|ic|able|ible|less|[ei]ent|[gt]ant|(?<!l)(?<!it)y|(?:love|live|ug|sil|friend)ly)"
    r"|good|great|bad|dull|poor|weak|strong|sweet|smart|dumb|fresh|stale|sharp|warm|cold|flat|fake|lame|inept|absurd|crude"
)
# Part of a sentence, or more than one.
_NOT_ONE = re.compile(
    r"^[^A-Za-z]|(?<!^)\bthat\b|\b(?:who|which|whose|where|what|how|when|why|because|than|as if)\b"
    r"|[^\w\s,.!'’-]|--|[.!] |['’]s$|,$|\b(?!lovely|lively|ugly|silly|friendly|family)\w+ly$"
    r"|\b(?:an?|the|of|and|or|to|in|on|at|for|with|from|by|as|is|are|was|were|be|its?|his|her|their|that|very|so|more"
    r"|most|into|about|i|you|he|she|they|we)$",
    re.IGNORECASE,
)
_COPULA = re.compile(r"^[\w' ’-]+?(?:\b(?:is|are|was|were)\b|['’]s\b)", re.IGNORECASE)
# "Not perfect" is no blame, and "not the worst" no praise.
_TOO_STRONG = frozenset("perfect flawless best worst better worse awful terrible horrible masterpiece disaster".split())


def judgement(text: str, polarity: int) -> Judgement | None:
    """What can be joined of a text with this label; None for most."""
    text = text.strip().rstrip(" .!")
    words = WORD.findall(text.lower())
    signs = {POLARITY[word] for word in words if word in POLARITY}
    if len(words) > MAX_WORDS or signs != {polarity} or _NOT_ONE.search(text) or turns_or_negates(text):
        return None
    small = text if re.match(r"I\b", text) else text[0].lower() + text[1:]
    if _CLAUSE.match(text):
        return Judgement(small, True, polarity)
    describes = words[-1] in POLARITY and _ADJECTIVE.fullmatch(words[-1])
    is_thing = _THING.match(text) and not describes
    is_description = describes and (len(words) > 1 or words[0] in OPPOSITES) and len(words) <= MAX_DESCRIBED
    if is_thing or (is_description and all(word in POLARITY or word in _BESIDES for word in words)):
        return Judgement(small, False, polarity)
    return None


def joined(one: Judgement, other: Judgement, spaced: bool, rng: Random) -> tuple[str, int]:
    """Both in a sentence that turns, and the polarity of the one that carries it, drawn by lot.

    `spaced`: with a space before commas, as in SST-2.
    """
    yielding, carrying = (one, other) if rng.random() < 0.5 else (other, one)
    phrases = not one.is_clause and not other.is_clause and rng.random() < 0.5
    template = rng.choice(_PHRASES if phrases else _CLAUSES)
    a, b = (judged.text if phrases else _as_clause(judged) for judged in (yielding, carrying))
    return _written(template.format(a=a, b=b), spaced), carrying.polarity


def negated(judged: Judgement, spaced: bool, rng: Random) -> tuple[str, int] | None:
    """With "not" or "n't", and the other polarity; None where that would say less, or what it bears on is not sure."""
    words = WORD.findall(judged.text.lower())
    polar = [word for word in words if word in POLARITY]
    clause = _as_clause(judged)
    copula = _COPULA.match(clause)
    is_sure = len(words) <= MAX_NEGATED and len(polar) == 1 and "," not in clause and polar[0] in OPPOSITES
    if not is_sure or polar[0] in _TOO_STRONG or not copula:
        return None
    short = " n't" if spaced else "n't"
    no = " not" if copula[0].endswith(("'s", "’s")) else rng.choice([" not", short])
    return _written(f"{copula[0]}{no}{clause[copula.end():]}", spaced), -judged.polarity


def _as_clause(judged: Judgement) -> str:
    return judged.text if judged.is_clause else f"it is {judged.text}"


def _written(text: str, spaced: bool) -> str:
    return re.sub(r"(?<=\w)(?=[,;])", " ", text) + " ." if spaced else f"{text[0].upper()}{text[1:]}."
