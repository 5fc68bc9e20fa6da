"""Why is this sentence predicted so? Claims, each with its evidence and the experiment that would refute it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

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
    negation_edits,
    opposite_edits,
    spelled_right,
)

MAX_NEGATIONS = 3


@dataclass(frozen=True)
class Finding:
    """One answer to "why?"."""

    kind: str
    claim: str                      # a sentence
    test: str                       # what would refute it
    held: bool | None               # None: nothing was tested, it is only told
    evidence: str = ""
    trials: tuple[Trial, ...] = ()  # what was tried
    is_cause: bool = False          # of an error: its edit changed the prediction as it predicts


def findings(sentence: Sentence) -> Iterator[Finding]:
    """What experiments on the sentence itself have to say, one question after the other."""
    for question in (about_turn, about_negations, about_spelling, about_words):
        yield from question(sentence)


def cause_of(found: list[Finding]) -> str:
    """The first confirmed cause in a sentence, or that there is none."""
    return next((finding.claim for finding in found if finding.is_cause), "No cause confirmed.")


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
    yield Finding(
        kind="turn word",
        claim=f"The word '{cue}' itself decides." if flips else f"The word '{cue}' itself does not decide.",
        test="Another word in its place, or none, would leave the prediction as it is.",
        held=bool(flips),
        evidence=_told(flips or trials),
        trials=tuple(trials),
        is_cause=sentence.is_error and bool(flips),
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
        test="The half that it follows would be predicted otherwise alone, or the other half alike.",
        held=follows_other,
        evidence=_told([carrier, other]),
        trials=tuple(trials),
        is_cause=sentence.is_error and wrongly,
    )


def about_negations(sentence: Sentence) -> Iterator[Finding]:
    for negation in negations_of(sentence.text)[:MAX_NEGATIONS]:
        yield from _about_negation(sentence, negation)


def _about_negation(sentence: Sentence, negation: Negation) -> Iterator[Finding]:
    cue = sentence.text[slice(*negation.cue)]
    without, *others = sentence.ask(negation_edits(sentence.text, negation))
    turns_on_it = sentence.flips(without)
    yield Finding(
        kind="negation",
        claim=f"It turns on the negation '{cue}'." if turns_on_it else f"The negation '{cue}' does not decide.",
        test=f"Without '{cue}' the prediction would stay as it is.",
        held=turns_on_it,
        evidence=_told([without, *others]),
        trials=(without, *others),
        is_cause=sentence.is_error and turns_on_it,
    )
    if negation.spelled:
        [spelled] = [trial for trial in others if trial.what.startswith(f"'{negation.spelled}'")]
        yield _unread(sentence, cue, f"spelled '{negation.spelled}'", [spelled])
    elif opposites := sentence.ask(opposite_edits(sentence.text, negation)):
        yield _unread(sentence, cue, "with the opposite of what it negates in its place", opposites)


def _unread(sentence: Sentence, cue: str, instead: str, trials: list[Trial]) -> Finding:
    flips = [trial for trial in trials if sentence.flips(trial)]
    return Finding(
        kind="negation unread",
        claim=f"'{cue}' is not read as a negation." if flips else f"'{cue}' is read as well as its plain form.",
        test=f"The sentence {instead} would be predicted as it is now.",
        held=bool(flips),
        evidence=_told(flips or trials),
        trials=tuple(trials),
        is_cause=sentence.is_error and bool(flips),
    )


def about_spelling(sentence: Sentence) -> Iterator[Finding]:
    corrected = spelled_right(sentence.text)
    if corrected == sentence.text:
        return
    [trial] = sentence.ask([Edit("the spelling corrected", corrected)])
    flips = sentence.flips(trial)
    yield Finding(
        kind="spelling",
        claim="The spelling decides." if flips else "The spelling does not decide.",
        test="With the spelling corrected the prediction would stay as it is.",
        held=flips,
        evidence=f"'{trial.text}': {_verdict(trial)}.",
        trials=(trial,),
        is_cause=sentence.is_error and flips,
    )


def about_words(sentence: Sentence) -> Iterator[Finding]:
    """Is there a single word without which it would be predicted otherwise?"""
    if not 1 < len(WORD.findall(sentence.text)) <= MAX_WORDS:
        return
    trials = sorted(sentence.ask(deletions(sentence.text)), key=lambda trial: trial.shift)
    if not trials:
        return
    flips = [trial for trial in trials if sentence.flips(trial)]
    word = trials[0].what.removeprefix("without ")
    yield Finding(
        kind="word",
        claim=f"It turns on the single word {word}." if flips else "No single word decides.",
        test=f"Without {word if flips else 'any one word'} the prediction would stay as it is.",
        held=bool(flips),
        evidence=_told((flips or trials)[:3]),
        trials=tuple(trials[:5]),
        is_cause=sentence.is_error and bool(flips),
    )


def _told(trials: list[Trial]) -> str:
    return "; ".join(f"{trial.what}: {_verdict(trial)}" for trial in trials) + "." if trials else ""


def _verdict(trial: Trial) -> str:
    return f"{trial.label} {trial.probability:.2f}"
