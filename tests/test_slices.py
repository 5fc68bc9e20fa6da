"""Where it fails: counts and tests as scipy has them, planted faults that are found, and chance that is not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import fisher_exact

from analysis.compare import accuracy_estimate
from analysis.errors import Filter, rows_of
from analysis.examples import Examples, examples_of, texts_of
from analysis.rules import mask
from analysis.slices import Slice, changes_by_slice, error_clusters, found_slices, known_slices
from pipeline.predictions import Predictions

WORDS = [f"word{number}" for number in range(40)]


def examples_with(texts: list[str], wrong: np.ndarray, gold_ids: np.ndarray | None = None) -> Examples:
    gold_ids = np.arange(len(texts)) % 2 if gold_ids is None else gold_ids
    logits = 4 * np.eye(2, dtype=np.float32)[np.where(wrong, 1 - gold_ids, gold_ids)]
    ids = [f"test:{row}" for row in range(len(texts))]
    return examples_of(Predictions(ids, texts, ["negative", "positive"], gold_ids, logits))


def random_texts(n: int, seed: int) -> list[str]:
    """Of 4 to 15 of the 40 words."""
    random = np.random.default_rng(seed)
    return [" ".join(random.choice(WORDS, random.integers(4, 16))) for _ in range(n)]


def by_rule(slices: list[Slice]) -> dict[str, Slice]:
    return {found.rule: found for found in slices}


# Forty examples: the first 16 have a contrast, and 12 of them are wrong; of the other 24 the last four are, long ones.
ROW = np.arange(40)
SHORT = examples_with(["a b c"] * 36 + ["a " * 30] * 4, (ROW < 12) | (ROW >= 36))
CONTRAST = {"contrast": ROW < 16, "question": ROW < 0, "easy": (ROW >= 16) & (ROW < 36)}


def test_a_slice_has_its_counts_its_interval_and_its_difference_to_the_rest() -> None:
    found = by_rule(known_slices(SHORT, CONTRAST))["contrast"]
    assert (found.n, found.num_errors, found.error_rate) == (16, 12, 0.75)
    assert found.difference == pytest.approx(3 / 4 - 1 / 6)
    wilson = accuracy_estimate(12, 16)
    assert (found.low, found.high) == (wilson.low, wilson.high)
    assert found.train_share is None


def test_known_are_phenomena_lengths_confidences_labels_and_own_rules_and_the_worst_come_first() -> None:
    slices = known_slices(SHORT, CONTRAST, own_rules=["word:b & words<4", "word:never"])
    assert set(by_rule(slices)) == {
        "contrast", "easy", "words<=5", "words>20 & words<=40", "confidence>0.9 & confidence<=0.99",
        "gold:negative", "gold:positive", "predicted:negative", "predicted:positive",
        "word:b & words<4", "word:never",       # an own rule is answered though it means no text
    }  # fmt: skip
    assert slices[0].rule == "contrast"
    worse = [found.difference > 0 for found in slices]
    assert worse == sorted(worse, reverse=True)     # though nothing is surer than that there are no errors in "easy"
    nothing = by_rule(slices)["word:never"]
    assert (nothing.n, nothing.error_rate, nothing.low, nothing.high, nothing.p_value) == (0, 0, 0, 1, 1)
    everything = by_rule(slices)["confidence>0.9 & confidence<=0.99"]
    assert (everything.n, everything.difference, everything.p_value) == (40, 0, 1)


def test_changes_are_counted_slice_by_slice_and_the_least_likely_by_chance_comes_first() -> None:
    became = {"fixed": ROW < 10, "broken": ROW == 20, "still_wrong": ROW >= 36}
    slices = changes_by_slice(became, SHORT, CONTRAST)
    assert slices[0].rule in ("contrast", "words<=5") and slices[0].p_value < 0.05
    changed = {each.rule: (each.n, each.fixed, each.broken, each.still_wrong) for each in slices}
    assert changed["contrast"] == (16, 10, 0, 0) and changed["easy"] == (20, 0, 1, 0)
    assert changed["words>20 & words<=40"] == (4, 0, 0, 4) and "question" not in changed
    contrast = next(each for each in slices if each.rule == "contrast")
    assert 2 / 2**10 < contrast.p_value <= len(slices) * 2 / 2**10     # McNemar: ten of ten, corrected


def test_the_p_values_are_fishers_corrected_by_holm() -> None:
    wrong = np.arange(400) < 40
    slices = known_slices(examples_with(["a b"] * 400, wrong), {"contrast": np.arange(400) < 60})
    smallest = min(slices, key=lambda found: found.p_value)
    assert smallest.rule == "contrast"
    assert smallest.p_value == pytest.approx(fisher_exact([[40, 20], [0, 340]]).pvalue * len(slices))


def test_a_slice_tells_how_often_its_pattern_stood_in_training() -> None:
    train = texts_of(["a b", "b", "c ?", "d"]), {name: np.arange(4) < 3 for name in CONTRAST}
    slices = known_slices(SHORT, CONTRAST, ["word:b"], train)
    shares = {found.rule: found.train_share for found in slices}
    assert (shares["contrast"], shares["word:b"], shares["words<=5"]) == (0.75, 0.5, 1.0)
    assert shares["gold:negative"] is shares["confidence>0.9 & confidence<=0.99"] is None


@pytest.mark.parametrize("seed", range(5))
def test_a_rare_word_that_always_comes_with_errors_is_the_first_slice_found(seed: int) -> None:
    random = np.random.default_rng(seed)
    planted = random.random(800) < 0.02
    texts = [f"{text} zyx" if there else text for text, there in zip(random_texts(800, seed), planted, strict=True)]
    first = found_slices(examples_with(texts, planted | (random.random(800) < 0.08)), {})[0]
    assert first.rule == "word:zyx"
    assert first.n == first.num_errors == planted.sum()
    assert first.p_value < 0.001


def test_words_that_fail_only_together_are_found_as_a_pair() -> None:
    texts = random_texts(3000, 1)
    both = np.array([{"word1", "word2"} <= set(text.split()) for text in texts])
    wrong = both | (np.random.default_rng(0).random(3000) < 0.3)
    found = found_slices(examples_with(texts, wrong), {})
    assert (found[0].rule, found[0].n, found[0].error_rate) == ("word:word1 & word:word2", both.sum(), 1)
    assert not [other for other in found[1:] if "word1 & word:word2" in other.rule]
    assert min(other.error_rate for other in found) >= 1.5 * wrong.mean()     # word1 alone is surely worse, but little


def test_the_p_value_of_a_slice_found_is_fishers_for_each_rule_that_could_have_been_made() -> None:
    texts = random_texts(1000, 1)
    both = np.array([{"word1", "word2"} <= set(text.split()) for text in texts])
    wrong = both & (np.arange(1000) % 4 == 0) | (np.arange(1000) % 25 == 0)
    first = found_slices(examples_with(texts, wrong), {})[0]
    num_conditions = len(WORDS) + len(["words<=5", "words>5", "words<=10", "words>10"]) + len(["negative", "positive"])
    others = wrong.sum() - first.num_errors
    table = [[first.num_errors, first.n - first.num_errors], [others, 1000 - first.n - others]]
    one_test = fisher_exact(table, alternative="greater").pvalue
    assert first.rule == "word:word1 & word:word2"
    assert first.p_value == pytest.approx(one_test * 3 * num_conditions * (num_conditions - 1) / 2)


def test_a_rule_of_three_conditions_over_all_features_is_found_and_means_what_it_says() -> None:
    texts = random_texts(4000, 2)
    contrast = np.random.default_rng(3).random(4000) < 0.3
    gold_ids = np.random.default_rng(4).integers(0, 2, 4000)
    long_with_word7 = np.array([len(text.split()) > 10 and "word7" in text.split() for text in texts])
    planted = contrast & long_with_word7 & (gold_ids == 0)
    examples = examples_with(texts, planted | (np.random.default_rng(5).random(4000) < 0.05), gold_ids)
    first = found_slices(examples, {"contrast": contrast})[0]
    assert set(first.rule.split(" & ")) < {"contrast", "words>10", "predicted:positive", "word:word7"}
    assert first.rule.count("&") == 2
    inside = mask(first.rule, examples, {"contrast": contrast})
    assert (first.n, first.num_errors) == (inside.sum(), (inside & examples.wrong).sum())
    assert first.num_errors > 0.9 * planted.sum()


def test_labels_that_nobody_can_see_in_a_text_and_confidence_are_no_conditions() -> None:
    texts = random_texts(600, 6)
    gold_ids = (np.arange(600) < 60).astype(int)
    found = found_slices(examples_with(texts, np.arange(600) >= 540, gold_ids), {})
    assert (found[0].rule, found[0].n, found[0].num_errors) == ("predicted:positive", 120, 60)
    assert not [other.rule for other in found if "gold" in other.rule or "confidence" in other.rule]


def test_errors_by_chance_make_no_slice_significant() -> None:
    alarms = 0
    for seed in range(10):
        wrong = np.random.default_rng(seed).random(500) < 0.15
        found = found_slices(examples_with(random_texts(500, seed), wrong), {"contrast": np.arange(500) % 3 == 0})
        alarms += any(other.p_value < 0.05 for other in found)
    assert alarms <= 1      # of ten; one in twenty at most in the long run


def test_two_words_that_stand_in_the_same_texts_make_one_slice() -> None:
    wrong = np.arange(400) < 30
    texts = [f"{text} hong kong" if row < 30 else text for row, text in enumerate(random_texts(400, 8))]
    rules = [found.rule for found in found_slices(examples_with(texts, wrong), {})]
    assert rules[0] in ("word:hong", "word:kong")
    assert not [rule for rule in rules[1:] if "ong" in rule]


@pytest.mark.parametrize("wrong", [np.zeros(60, bool), np.ones(60, bool)])
def test_without_errors_or_with_nothing_else_there_is_nothing_to_find(wrong: np.ndarray) -> None:
    assert found_slices(examples_with(random_texts(60, 9), wrong), {}) == []


def test_a_run_without_examples_has_no_slices() -> None:
    empty = examples_with([], np.zeros(0, bool))
    assert known_slices(empty, {}) == found_slices(empty, {}) == []
    assert error_clusters(empty, np.zeros((0, 3)), np.zeros(0, int)) == []


def test_clusters_of_errors_are_named_by_their_typical_words() -> None:
    texts = ["the cat and the dog"] * 6 + ["the soup was cold"] * 4 + ["the film was fine"] * 20
    examples = examples_with(texts, np.arange(30) < 10)
    rows = rows_of(examples, Filter(sort="row"))
    directions = np.where(rows[:, None] < 6, [1.0, 0.1], [0.1, 1.0])
    embeddings = directions * 10.0 ** (rows[:, None] % 2)       # their lengths tell nothing
    pets, food = error_clusters(examples, embeddings, rows, k=2)
    assert (pets.rows.tolist(), pets.share) == ([0, 1, 2, 3, 4, 5], 0.6)
    assert (food.rows.tolist(), food.share) == ([6, 7, 8, 9], 0.4)
    assert set(pets.words) == {"cat", "dog"}        # "the" stands everywhere, and "and" tells nothing
    assert (pets.central, food.central) == (0, 6)
    assert set(food.words) >= {"soup", "cold"}


def test_a_cluster_has_no_name_that_only_one_of_its_texts_knows() -> None:
    examples = examples_with(["a b", "c d", "e f", "g h"], np.arange(4) < 3)
    (cluster,) = error_clusters(examples, np.eye(3), np.arange(3), k=1)
    assert cluster.words == []
