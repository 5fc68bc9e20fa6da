"""Findings: a cause is named only where its experiment changes the prediction to the gold label."""

from __future__ import annotations

from collections.abc import Callable

from analysis.edits import examine
from analysis.findings import Finding, cause_of, findings, mending
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
    assert by_kind["turn"].held is None and not by_kind["turn"].test
    assert not any(finding.is_cause for finding in by_kind.values())


def test_a_turn_that_is_misspelt_is_a_cause_where_but_in_its_place_mends_it() -> None:
    by_kind = found("i love you bt you hurt me", "negative", lambda text: 0.2 if "but" in text else 0.9)
    assert by_kind["turn unread"].is_cause and by_kind["turn unread"].claim == "'bt' is not read as a turn."
    assert by_kind["turn unread"].evidence == "'but' for 'bt': negative 0.80."


def test_a_turn_word_decides_only_where_most_words_in_its_place_change_the_prediction() -> None:
    by_kind = found(TURN, "negative", lambda text: 0.2 if "however" in text else 0.9)
    assert not by_kind["turn word"].held and by_kind["turn word"].claim == "Not the word 'but' itself."
    assert by_kind["turn word"].evidence.startswith("1 of 3 change it: 'however' for 'but': negative 0.80; ")
    by_kind = found(TURN, "negative", lambda text: 0.9 if "but" in text else 0.2)
    assert by_kind["turn word"].is_cause and by_kind["turn word"].evidence.startswith("3 of 3 change it: ")


def test_the_wrong_half_is_named_before_all_else_and_then_the_strongest_edit() -> None:
    turn = Finding("turn", "a", "", True, is_cause=True, strength=0.6)
    weak, strong = (Finding("word", name, "", True, is_cause=True, strength=x) for name, x in (("b", 0.7), ("c", 0.9)))
    told = Finding("word", "d", "", True, strength=0.99)
    assert cause_of([weak, turn, strong, told]) == "a"
    assert cause_of([weak, strong, told]) == "c"


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
    by_kind = found("you dnt love me bt it is definately good", "positive", lambda text: 0.2)
    assert set(by_kind) == {"turn", "turn word", "turn unread", "negation", "negation unread", "spelling", "word"}
    assert all(finding.evidence and (finding.test or finding.held is None) for finding in by_kind.values())


def test_what_has_a_finding_of_its_own_is_no_single_word() -> None:
    by_kind = found("it is not dull", "positive", lambda text: 0.1 if "not" in text else 0.9)
    assert by_kind["negation"].is_cause and not by_kind["word"].held
    assert by_kind["word"].claim == "Not one word alone: none moves the prediction."
    assert "3 words were left out" in by_kind["word"].evidence


def test_what_mends_an_error_is_told_by_each_trial() -> None:
    by_kind = found(TURN, "negative", lambda text: 0.2 if "however" in text else 0.9)
    assert mending(by_kind.values()) == ["'however' for 'but'"]
    right = found(TURN, "positive", lambda text: 0.2 if "however" in text else 0.9)
    assert mending(right.values()) == []


def test_where_nothing_is_negated_a_negation_is_put_in() -> None:
    by_kind = found("it is good", "positive", lambda text: 0.1 if "not" in text else 0.9)
    assert by_kind["negation inserted"].held
    assert by_kind["negation inserted"].claim == "It would read a negation: 'not' after 'is' makes it negative."
    deaf = found("a good film", "positive", lambda text: 0.9)["negation inserted"]
    assert deaf.claim == "A negation put in changes nothing." and deaf.held is None
    assert deaf.evidence == "'not' before it: positive 0.90."


def test_a_negation_put_in_is_no_cause_of_an_error_since_it_changes_the_meaning() -> None:
    by_kind = found("it is good", "negative", lambda text: 0.1 if "not" in text else 0.9)
    assert by_kind["negation inserted"].held and not by_kind["negation inserted"].is_cause
    assert "negation inserted" not in found("it is not good", "negative", lambda text: 0.1)
