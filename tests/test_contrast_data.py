"""The contrast suite as data: balanced, minimal, disjoint in its halves, and not to be read from single words."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from itertools import combinations

import pytest

from analysis.suite import HALVES, SuiteSentence, load_suite

STOPWORDS = set(
    "a an the and or of to in on at for with from by as is are was were be been it its i we you he she they my our "
    "your this that these those there but not no so too very than then when while after before all every one had has "
    "have do did does would could will can me us them him her his their what who which if only just up out".split()
)
SUITE = {half: load_suite(half) for half in HALVES}


def words(text: str) -> list[str]:
    return re.findall(r"[a-z]+(?:'[a-z]+)?", text.lower())


def content(text: str) -> set[str]:
    return set(words(text)) - STOPWORDS


def pairs(half: str) -> dict[str, list[SuiteSentence]]:
    found = defaultdict(list)
    for sentence in SUITE[half]:
        found[sentence.pair_id].append(sentence)
    return found


def test_there_are_over_six_hundred_pairs() -> None:
    assert sum(len(pairs(half)) for half in HALVES) >= 600


@pytest.mark.parametrize("half", HALVES)
def test_each_half_has_at_least_twelve_phenomena_of_twenty_pairs(half: str) -> None:
    counts = Counter(sentences[0].phenomenon for sentences in pairs(half).values())
    assert len(counts) >= 12 and min(counts.values()) >= 20
    assert all(pair_id.startswith(f"{half}-") for pair_id in pairs(half))


@pytest.mark.parametrize("half", HALVES)
def test_a_pair_is_two_sentences_of_one_phenomenon_with_both_labels(half: str) -> None:
    for sentences in pairs(half).values():
        assert sorted(sentence.label for sentence in sentences) == ["negative", "positive"]
        assert len({sentence.phenomenon for sentence in sentences}) == 1


@pytest.mark.parametrize("half", HALVES)
def test_the_sentences_of_a_pair_share_most_of_their_words(half: str) -> None:
    for pair_id, (one, other) in pairs(half).items():
        first, second = Counter(words(one.text)), Counter(words(other.text))
        shared, longer = (first & second).total(), max(first.total(), second.total())
        assert shared / longer >= 0.55, (pair_id, one.text, other.text)


def test_no_sentence_comes_twice() -> None:
    texts = [" ".join(words(sentence.text)) for half in HALVES for sentence in SUITE[half]]
    assert [text for text, n in Counter(texts).items() if n > 1] == []


def test_no_sentence_of_one_half_resembles_one_of_the_other() -> None:
    develop, verify = ([(s.text, content(s.text)) for s in SUITE[half]] for half in HALVES)
    alike = [
        (one, other) for one, here in develop for other, there in verify
        if here and there and len(here & there) / len(here | there) >= 0.6
    ]
    assert alike == []


@pytest.mark.parametrize("half", HALVES)
def test_no_frequent_word_tells_the_label(half: str) -> None:
    labels = defaultdict(list)
    for sentence in SUITE[half]:
        for word in set(words(sentence.text)):
            labels[word].append(sentence.label == "positive")
    shares = {word: sum(found) / len(found) for word, found in labels.items() if len(found) >= 10}
    assert {word: share for word, share in shares.items() if not 0.35 <= share <= 0.65} == {}


def test_a_bag_of_words_learnt_on_one_half_fails_on_the_other() -> None:
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    for learnt, asked in (HALVES, HALVES[::-1]):
        texts, labels = ([getattr(s, name) for s in SUITE[learnt]] for name in ("text", "label"))
        model = make_pipeline(CountVectorizer(token_pattern=r"\S+"), LogisticRegression(max_iter=1000))
        model.fit(texts, labels)
        assert model.score([s.text for s in SUITE[asked]], [s.label for s in SUITE[asked]]) < 0.6


@pytest.mark.parametrize("half", HALVES)
def test_within_a_half_a_bag_of_words_fails_too(half: str) -> None:
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold, cross_val_score
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(CountVectorizer(token_pattern=r"\S+"), LogisticRegression(max_iter=1000))
    texts, labels, groups = ([getattr(s, name) for s in SUITE[half]] for name in ("text", "label", "pair_id"))
    assert cross_val_score(model, texts, labels, groups=groups, cv=GroupKFold(10)).mean() < 0.6


@pytest.mark.parametrize("half", HALVES)
def test_no_two_pairs_of_a_half_say_the_same(half: str) -> None:
    kept = {pair_id: content(one.text) | content(other.text) for pair_id, (one, other) in pairs(half).items()}
    alike = [
        (one, other) for one, other in combinations(kept, 2)
        if len(kept[one] & kept[other]) / len(kept[one] | kept[other]) >= 0.75
    ]
    assert alike == []
