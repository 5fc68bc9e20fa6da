"""Why is this sentence predicted so? Claims, each with its evidence and the experiment that would refute it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from analysis.clauses import Negation, Turn, negations_of, turn_of
from analysis.edits import (
    MAX_WORDS,
    WORD,
    Edit,
    Sentence,
    Trial,
    clause_edits,
    cue_edits,
    deletions,
    inserted_negations,
    negation_edits,
    opposite_edits,
    spelled_right,
)
from pipeline.lexicon import SPELLINGS

MAX_NEGATIONS = 3
MOVES = 0.01                # of probability


@dataclass(frozen=True)
class Finding:
    """One answer to "why?"."""

    kind: str
    claim: str                      # a sentence
    test: str                       # what would refute it
    held: bool | None               # None: nothing was tested, it is only told
    evidence: str = ""
    trials: tuple[Trial, ...] = ()  # what was tried
    is_cause: bool = False          # of an error: its edit changed the prediction to the gold label
    strength: float = 0.0           # of a cause: the probability of the gold label after its best edit


def findings(sentence: Sentence) -> Iterator[Finding]:
    """What experiments on the sentence itself have to say, one question after the other."""
    for question in (about_turn, about_negations, about_spelling, about_words):
        yield from question(sentence)


def main_cause(found: Iterable[Finding]) -> Finding | None:
    """The confirmed cause that is named first: the wrong half of a turn, else the one with the strongest edit."""
    causes = [finding for finding in found if finding.is_cause]
    return max(causes, key=lambda finding: (finding.kind == "turn", finding.strength), default=None)


def cause_of(found: Sequence[Finding]) -> str:
    cause = main_cause(found)
    return cause.claim if cause else "No cause confirmed."


def mending(found: Iterable[Finding]) -> list[str]:
    """What changes an error to the gold label without being the proof of a cause, such as another word for 'but'."""
    kept = [finding for finding in found if finding.kind != "negation inserted"]      # that turns the meaning around
    return list(dict.fromkeys(trial.what for finding in kept for trial in finding.trials if trial.mends))


def about_turn(sentence: Sentence) -> Iterator[Finding]:
    """Which half of a sentence that turns does the model follow, and does the turn itself count?"""
    turn = turn_of(sentence.text)
    if turn is None:
        return
    trials = sentence.ask(clause_edits(sentence.text, turn))
    halves = dict(zip((turn.first, turn.second), trials, strict=False))
    carrier, other = halves[turn.carrier], halves[turn.second if turn.carrier == turn.first else turn.first]
    yield _followed_half(sentence, turn, carrier, other, trials)
    cue = sentence.text[slice(*turn.cue)]
    trials = sentence.ask(cue_edits(sentence.text, turn))
    flips = [trial for trial in trials if sentence.flips(trial)]
    most = 2 * len(flips) > len(trials)
    yield _judged(
        sentence, "turn word", most,
        claim=f"It is the word '{cue}' itself." if most else f"Not the word '{cue}' itself.",
        test="Most other words in its place, or none there, would leave the prediction as it is.",
        evidence=f"{len(flips)} of {len(trials)} change it: {_told(trials)}",
        trials=trials,
    )
    if cue.lower() in SPELLINGS:
        [plain, *_] = trials        # 'but' for 'bt' comes first
        unread = sentence.flips(plain)
        yield _judged(
            sentence, "turn unread", unread,
            claim=f"'{cue}' is not read as a turn." if unread else f"Not the spelling of '{cue}'.",
            test=f"{plain.what} would leave the prediction as it is.",
            evidence=_told([plain]),
            trials=[plain],
        )


def _followed_half(sentence: Sentence, turn: Turn, carrier: Trial, other: Trial, trials: list[Trial]) -> Finding:
    cue = sentence.text[slice(*turn.cue)]
    where = "first" if turn.carrier == turn.second else "second"
    follows_other = other.label == sentence.label != carrier.label
    wrongly = follows_other and (sentence.flips(carrier) or not sentence.is_error)
    if follows_other:
        claim = f"It follows the {where} half and not '{carrier.text}', which carries a sentence with '{cue}'."
    elif carrier.label == sentence.label != other.label:
        claim = f"It follows '{carrier.text}', the half that carries a sentence with '{cue}'."
    elif carrier.label == other.label == sentence.label:
        claim = f"Both halves alone are {sentence.label}: the turn is not what decides."
    else:
        claim = f"Neither half alone is {sentence.label}: it is their being together."
    return Finding(
        kind="turn",
        claim=claim,
        test="The half that it follows would be predicted otherwise alone, or the other half alike." if follows_other
        else "",
        held=True if follows_other else None,       # else there is nothing to rule out: it is what was seen
        evidence=_told([carrier, other]),
        trials=tuple(trials),
        is_cause=sentence.is_error and wrongly,
        strength=carrier.probability,
    )


def about_negations(sentence: Sentence) -> Iterator[Finding]:
    negations = negations_of(sentence.text)[:MAX_NEGATIONS]
    for negation in negations:
        yield from _about_negation(sentence, negation)
    if not negations and len(sentence.predictor.label_names) == 2:      # a topic is what it is, negated or not
        yield from _about_inserted_negation(sentence)


def _about_inserted_negation(sentence: Sentence) -> Iterator[Finding]:
    """Where nothing is negated: would it be read? It is told of an error, too, but no cause: it changes the meaning."""
    inserted = [*islice(inserted_negations(sentence.text), MAX_NEGATIONS)]
    trials = sentence.ask(inserted or [Edit("'not' before it", f"not {sentence.text}")])
    read = [trial for trial in trials if trial.label != sentence.label]
    yield Finding(
        kind="negation inserted",
        claim=f"It would read a negation: {read[0].what} makes it {read[0].label}." if read
        else "A negation put in changes nothing.",
        test="With 'not' put in the prediction would stay as it is." if read else "",
        held=True if read else None,
        evidence=_told(trials),
        trials=tuple(trials),
    )


def _about_negation(sentence: Sentence, negation: Negation) -> Iterator[Finding]:
    cue = sentence.text[slice(*negation.cue)]
    without, *others = sentence.ask(negation_edits(sentence.text, negation))
    turns_on_it = sentence.flips(without)
    yield _judged(
        sentence, "negation", turns_on_it,
        claim=f"It turns on the negation '{cue}'." if turns_on_it else f"Not the negation '{cue}'.",
        test=f"Without '{cue}' the prediction would stay as it is.",
        evidence=_told([without, *others]),
        trials=[without, *others],
    )
    if negation.spelled:
        [spelled] = [trial for trial in others if trial.what.startswith(f"'{negation.spelled}'")]
        yield _unread(sentence, cue, f"spelled '{negation.spelled}'", [spelled])
    elif opposites := sentence.ask(opposite_edits(sentence.text, negation)):
        yield _unread(sentence, cue, "with the opposite of what it negates in its place", opposites)


def _unread(sentence: Sentence, cue: str, instead: str, trials: list[Trial]) -> Finding:
    flips = [trial for trial in trials if sentence.flips(trial)]
    return _judged(
        sentence, "negation unread", bool(flips),
        claim=f"'{cue}' is not read as a negation." if flips else f"Not how '{cue}' is read.",
        test=f"The sentence {instead} would be predicted as it is now.",
        evidence=_told(flips or trials),
        trials=trials,
    )


def about_spelling(sentence: Sentence) -> Iterator[Finding]:
    corrected = spelled_right(sentence.text)
    if corrected == sentence.text:
        return
    [trial] = sentence.ask([Edit("the spelling corrected", corrected)])
    flips = sentence.flips(trial)
    yield _judged(
        sentence, "spelling", flips,
        claim="It is the spelling." if flips else "Not the spelling.",
        test="With the spelling corrected the prediction would stay as it is.",
        evidence=f"'{trial.text}': {_verdict(trial)}.",
        trials=[trial],
    )


def about_words(sentence: Sentence) -> Iterator[Finding]:
    """Is there a single word without which it would be predicted otherwise?"""
    if not 1 < len(WORD.findall(sentence.text)) <= MAX_WORDS:
        return
    turn = turn_of(sentence.text)
    cues = [negation.cue for negation in negations_of(sentence.text)] + ([turn.cue] if turn else [])
    asked = {sentence.text[slice(*cue)] for cue in cues}        # have findings of their own
    edits = [edit for edit in deletions(sentence.text) if edit.what.removeprefix("without ").strip("'") not in asked]
    trials = sorted(sentence.ask(edits), key=lambda trial: trial.shift)
    if not trials:
        return
    flips = [trial for trial in trials if sentence.flips(trial)]
    nearest, *_ = flips or trials
    word = nearest.what.removeprefix("without ")
    yield _judged(
        sentence, "word", bool(flips),
        claim=f"It turns on the single word {word}." if flips
        else f"Not one word alone; {word} comes nearest." if nearest.shift < -MOVES
        else "Not one word alone: none moves the prediction.",
        test=f"Without {word if flips else 'any one word'} the prediction would stay as it is.",
        evidence=f"{len(trials)} words were left out, each by itself; {_told((flips or trials)[:3])}",
        trials=trials[:5],
    )


def _judged(
    sentence: Sentence, kind: str, held: bool, *, claim: str, test: str, evidence: str, trials: list[Trial]
) -> Finding:
    """A finding whose experiment has been made; it is a cause where that mends an error."""
    right = [trial.probability for trial in trials if sentence.flips(trial)]
    return Finding(
        kind, claim, test, held, evidence, tuple(trials),
        is_cause=held and sentence.is_error,
        strength=max(right, default=0.0),
    )


def _told(trials: list[Trial]) -> str:
    return "; ".join(f"{trial.what}: {_verdict(trial)}" for trial in trials) + "." if trials else ""


def _verdict(trial: Trial) -> str:
    return f"{trial.label} {trial.probability:.2f}"
