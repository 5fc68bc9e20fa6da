"""Findings: a cause is named only where its experiment changes the prediction to the gold label."""

from __future__ import annotations

from collections.abc import Callable

from analysis.edits import examine
from analysis.findings import Finding, cause_of, findings
from tests.rule_model import RuleModel


def found(text: str, gold: str | None, positive: Callable[[str], float]) -> dict[str, Finding]:
    return {finding.kind: finding for finding in findings(examine(RuleModel(positive), text, gold))}


TURN = "it is lovely to look at but nothing happens"


def test_a_model_that_follows_the_first_half_is_caught() -> None:
    by_kind = found(TURN, "negative", lambda text: 0.9 if "lovely" in text else 0.2)
    turn = by_kind["turn"]
    assert turn.is_cause and turn.held
    assert turn.claim == "It follows the first half and not 'nothing happens', which carries a sentence with 'but'."
    assert "the second half alone: negative 0.80; the first half alone: positive 0.90." in turn.evidence
    assert cause_of(list(by_kind.values())) == turn.claim


def test_a_model_that_is_wrong_about_both_halves_does_not_miss_the_turn() -> None:
    by_kind = found(TURN, "negative", lambda text: 0.9)
    assert not by_kind["turn"].is_cause
    assert by_kind["turn"].claim == "Both halves alone are positive: the turn is not what decides."
    assert cause_of(list(by_kind.values())) == "No cause confirmed."


def test_a_model_that_follows_the_half_that_counts_is_told_without_an_error() -> None:
    by_kind = found(TURN, "negative", lambda text: 0.1 if "nothing" in text else 0.9)
    assert by_kind["turn"].claim.startswith("It follows 'nothing happens', the half that carries")
    assert not any(finding.is_cause for finding in by_kind.values())


def test_a_turn_that_is_misspelt_is_a_cause_where_but_in_its_place_mends_it() -> None:
    by_kind = found("i love you bt you hurt me", "negative", lambda text: 0.2 if "but" in text else 0.9)
    assert by_kind["turn word"].is_cause
    assert "'but' for 'bt': negative 0.80" in by_kind["turn word"].evidence


def test_a_negation_without_its_apostrophe_is_a_cause_where_spelling_it_out_mends_it() -> None:
    by_kind = found("you dnt love me", "negative", lambda text: 0.1 if "don't" in text else 0.9)
    assert by_kind["negation unread"].is_cause
    assert by_kind["negation unread"].claim == "'dnt' is not read as a negation."
    assert not by_kind["negation"].is_cause


def test_a_negation_is_unread_where_the_opposite_of_what_it_negates_mends_it() -> None:
    by_kind = found("it is not good", "negative", lambda text: 0.9 if "good" in text else 0.2)
    assert by_kind["negation unread"].is_cause
    assert "'bad' for 'not ... good': negative 0.80" in by_kind["negation unread"].evidence


def test_a_negation_that_is_read_where_it_should_not_be_is_a_cause() -> None:
    by_kind = found("it is not dull", "positive", lambda text: 0.1 if "not" in text else 0.9)
    assert by_kind["negation"].is_cause


def test_one_word_is_a_cause_where_the_sentence_without_it_is_right() -> None:
    by_kind = found("a film of atmosphere and little else", "positive", lambda text: 0.1 if "little" in text else 0.9)
    assert by_kind["word"].is_cause
    assert by_kind["word"].claim == "It turns on the single word 'little'."


def test_a_misspelling_is_a_cause_where_the_corrected_sentence_is_right() -> None:
    by_kind = found("definately a film", "positive", lambda text: 0.9 if "definitely" in text else 0.1)
    assert by_kind["spelling"].is_cause


def test_without_a_gold_label_nothing_is_a_cause_but_all_is_told() -> None:
    by_kind = found(TURN, None, lambda text: 0.9 if "lovely" in text else 0.2)
    assert by_kind["turn"].held and not any(finding.is_cause for finding in by_kind.values())


def test_every_finding_says_what_would_have_refuted_it() -> None:
    by_kind = found("you dnt love me but it is definately good", "positive", lambda text: 0.2)
    assert set(by_kind) == {"turn", "turn word", "negation", "negation unread", "spelling", "word"}
    assert all(finding.test and finding.evidence for finding in by_kind.values())
