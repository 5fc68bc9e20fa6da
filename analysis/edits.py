"""What would change the prediction? Edits of a sentence, each put to the model, and the smallest ones that flip it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from analysis.clauses import Negation, Turn
from pipeline.lexicon import OPPOSITES, SPELLINGS
from pipeline.metrics import softmax
from pipeline.predictor import Predictor

MAX_CHANGES = 3             # words that are left out or replaced
MAX_FLIPS = 3
BEAM = 4                    # sentences that are changed further, where one change is not enough
MAX_WORDS = 60              # of a sentence that is edited word by word
WORD = re.compile(r"\w+(?:['’]\w+)*")
SPELLED_WORD = re.compile(r"(?<![\w.@/#-])\w+(?:['’]\w+)*(?![\w@/-]|\.\w)")
NOT = re.compile(r"n['’]?t$|^not$", re.IGNORECASE)      # what 'not' can be put elsewhere for
AUXILIARY = re.compile(
    r"\b(?:is|are|was|were|am|do|does|did|can|could|will|would|has|have|had|should|must|may|might)\b(?!\s*n['’o]t)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Edit:
    """A changed sentence, and what was changed in plain words."""

    what: str
    text: str
    num_changes: int = 1


@dataclass(frozen=True)
class Trial:
    """What the model says about an edit."""

    what: str
    text: str
    label: str                  # the predicted one
    probability: float          # of it
    shift: float                # of the probability of what was predicted before the edit
    num_changes: int = 1
    mends: bool = False         # an error: the gold label is predicted now


@dataclass(frozen=True)
class Sentence:
    """A sentence under examination: what is said of it, and which labels would mend that."""

    predictor: Predictor
    text: str                   # as the model reads it
    label: str                  # the predicted one
    probability: float
    gold: str | None            # None: not known
    substitutes: Callable[[str], Iterator[Edit]] | None = None      # beside the lexicon's

    @property
    def is_error(self) -> bool:
        return self.gold is not None and self.gold != self.label

    def flips(self, trial: Trial) -> bool:
        """To the gold label, where the prediction is wrong; else to any other one."""
        return trial.label == self.gold if self.is_error else trial.label != self.label

    def ask(self, edits: Iterable[Edit]) -> list[Trial]:
        """Those that leave a text to ask about, in the order given."""
        edits = [edit for edit in edits if edit.text.strip()]
        if not edits:
            return []
        logits, _ = self.predictor.logits([edit.text for edit in edits])
        names, probs = self.predictor.label_names, softmax(logits)
        shifts = probs[:, names.index(self.label)] - self.probability
        return [
            Trial(
                edit.what, edit.text, names[int(row.argmax())], float(row.max()), float(shift), edit.num_changes,
                mends=self.is_error and names[int(row.argmax())] == self.gold,
            )
            for edit, row, shift in zip(edits, probs, shifts, strict=True)
        ]


def examine(
    predictor: Predictor,
    text: str,
    gold: str | None = None,
    substitutes: Callable[[str], Iterator[Edit]] | None = None,
) -> Sentence:
    [text] = predictor.cleaned([text])
    [prediction] = predictor.predict([text])
    probability = prediction.probabilities[prediction.label]
    return Sentence(predictor, text, prediction.label, probability, gold, substitutes)


# Turns

def clause_edits(text: str, turn: Turn) -> list[Edit]:
    """Each clause alone, and the two in the other order."""
    first, cue, second = (_cut(text, span) for span in (turn.first, turn.cue, turn.second))
    leads = turn.cue[0] < turn.first[0]         # "although A, B": the cue goes with the first
    swapped = f"{second}, {cue} {first}" if leads else f"{second} {cue} {first}"
    return [
        Edit("the first half alone", first),
        Edit("the second half alone", second),
        Edit("the halves swapped", swapped),
    ]


def cue_edits(text: str, turn: Turn) -> list[Edit]:
    """Another word in the place of the turn, or none."""
    cue = _cut(text, turn.cue)
    others = [other for other in ("but", "however", "although") if other != cue.lower()]
    edits = [Edit(f"'{other}' for '{cue}'", _replaced(text, turn.cue, other)) for other in others]
    return [*edits, Edit(f"without '{cue}'", _replaced(text, turn.cue, ""))]


# Negations

def negation_edits(text: str, negation: Negation) -> list[Edit]:
    """Left out, spelled out, and 'not' moved to another verb."""
    cue = _cut(text, negation.cue)
    without = _replaced(text, negation.cue, "")
    edits = [Edit(f"without '{cue}'", without)]
    if negation.spelled:
        edits.append(Edit(f"'{negation.spelled}' for '{cue}'", _replaced(text, negation.cue, negation.spelled)))
    if NOT.search(cue):
        moves = (Edit(f"'{cue}' moved: {moved.what}", moved.text) for moved in inserted_negations(without))
        edits += [edit for edit in islice(moves, 1) if edit.text != text]
    return edits


def opposite_edits(text: str, negation: Negation) -> list[Edit]:
    """The negation left out, and a word that it negates replaced by its opposite: what 'not good' is to mean."""
    cue = _cut(text, negation.cue)
    edits = []
    for match in WORD.finditer(text, *negation.scope):
        if opposite := OPPOSITES.get(match.group().lower()):
            changed = _replaced(text, match.span(), opposite)
            edits.append(Edit(f"'{opposite}' for '{cue} ... {match.group()}'", _replaced(changed, negation.cue, "")))
    return edits


def inserted_negations(text: str) -> Iterator[Edit]:
    """'not' after each auxiliary verb that has none."""
    for match in AUXILIARY.finditer(text):
        yield Edit(f"'not' after '{match.group()}'", f"{text[:match.end()]} not{text[match.end():]}")


# Words

def deletions(text: str) -> Iterator[Edit]:
    """Each word left out."""
    for match in WORD.finditer(text):
        yield Edit(f"without '{match.group()}'", _replaced(text, match.span(), ""))


def substitutions(text: str) -> Iterator[Edit]:
    """Each word that has an opposite replaced by it."""
    for match in WORD.finditer(text):
        if opposite := OPPOSITES.get(match.group().lower()):
            yield Edit(f"'{opposite}' for '{match.group()}'", _replaced(text, match.span(), opposite))


def spelled_right(text: str) -> str:
    """With the misspellings that the lexicon knows put right; not the U of U.S., nor BT, which is a company."""
    def corrected(match: re.Match[str]) -> str:
        word = match.group()
        return word if word.isupper() and not text.isupper() else SPELLINGS.get(word.lower(), word)

    return SPELLED_WORD.sub(corrected, text)


def smallest_flips(sentence: Sentence) -> list[Trial]:
    """Up to three edits that flip the prediction: those of the fewest words, a word replaced before a word left out.

    One change is tried on every word. Where none is enough, the sentences that come closest are changed further, up
    to MAX_CHANGES: a beam search, so that a flip of few changes may be missed.
    """
    if len(WORD.findall(sentence.text)) > MAX_WORDS:
        return []
    beam = [Edit("", sentence.text, 0)]
    for _ in range(MAX_CHANGES):
        trials = sentence.ask(_changed_once_more(beam, sentence.substitutes))
        if flips := [trial for trial in trials if sentence.flips(trial)]:
            return sorted(flips, key=lambda trial: (" for " not in trial.what, -trial.probability))[:MAX_FLIPS]
        nearest = sorted(trials, key=lambda trial: trial.shift)[:BEAM]
        beam = [Edit(trial.what, trial.text, trial.num_changes) for trial in nearest]
    return []


def _changed_once_more(beam: list[Edit], others: Callable[[str], Iterator[Edit]] | None) -> list[Edit]:
    found: dict[str, Edit] = {}
    for before in beam:
        changes: list[Callable[[str], Iterator[Edit]]] = [substitutions, deletions]
        if others and not before.num_changes:       # a pass of a second model for each word: once is enough
            changes.insert(1, others)
        for edit in (edit for change in changes for edit in change(before.text)):
            what = f"{before.what}, {edit.what}" if before.what else edit.what
            found.setdefault(edit.text, Edit(what, edit.text, before.num_changes + 1))
    return list(found.values())


def _cut(text: str, span: tuple[int, int]) -> str:
    return text[span[0] : span[1]].strip()


def _replaced(text: str, span: tuple[int, int], by: str) -> str:
    """With one space fewer where nothing comes in the place."""
    start, end = span
    if not by and start and text[start - 1].isspace():
        start -= 1
    return (text[:start] + by + text[end:]).strip()
