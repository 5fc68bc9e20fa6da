"""Where does it fail more than elsewhere? In slices known beforehand, in slices found, in clusters of its errors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import comb
from typing import TYPE_CHECKING

import numpy as np

from analysis.compare import Estimate, accuracy_estimate, holm, mcnemar
from analysis.examples import Examples, Texts
from analysis.rules import Phenomena, is_about_text, label_condition, mask, word_table

if TYPE_CHECKING:
    from scipy.sparse import csc_array

WORD_BOUNDS = [5, 10, 20, 40, 80, 160, 320]
CONFIDENCE_BOUNDS = [0.6, 0.7, 0.8, 0.9, 0.99]
MAX_CONDITIONS = 3
BEAM = 100                  # rules of a length that are made longer; all single conditions are
CANDIDATES = 300            # best of a length that are looked at closely
MIN_LIFT = 1.5              # error rate of a slice found, over that of all: "most texts" is no slice
SIGNIFICANT = 0.05
MAX_OVERLAP = 0.5           # Jaccard, of the examples of two rules that are both shown
MAX_FOUND = 10

Training = tuple[Texts, Phenomena]


@dataclass(frozen=True)
class Slice:
    """The examples that a rule means, beside the rest."""

    rule: str
    n: int
    num_errors: int
    error_rate: float
    low: float                  # 95% interval of the error rate, Wilson's
    high: float
    difference: float           # error rate minus that of the rest
    p_value: float              # of so large a difference by chance, corrected for all that was tried
    train_share: float | None   # of training texts; None without these, and where the rule asks for predictions


@dataclass(frozen=True)
class SliceChange:
    """What became of a run's errors in another run, among the n examples that a rule means."""

    rule: str
    n: int
    fixed: int
    broken: int
    still_wrong: int
    p_value: float              # of as uneven a split of fixed and broken, corrected for all slices


@dataclass(frozen=True)
class Cluster:
    """Errors with similar embeddings."""

    words: list[str]        # typical of it, most typical first
    rows: np.ndarray        # (n,) of the examples
    central: int            # the row whose embedding is nearest to their mean
    share: float            # of all errors


def known_slices(
    examples: Examples, phenomena: Phenomena, own_rules: Iterable[str] = (), train: Training | None = None
) -> list[Slice]:
    """Every phenomenon, band of length and confidence and label, and own rules; what fails more comes first.

    The p-value is that of Fisher's exact test, two-sided, corrected over all of them by Holm 1979
    (https://www.jstor.org/stable/4615733). A slice without examples is left out unless it is an own rule.
    Raises: RuleError when an own rule is not understood.
    """
    from scipy.stats import fisher_exact

    own_rules = list(own_rules)
    rules = [*known_rules(examples.predictions.label_names, phenomena), *own_rules]
    masks = {rule: mask(rule, examples, phenomena) for rule in rules}
    masks = {rule: inside for rule, inside in masks.items() if inside.any() or rule in own_rules}
    p_values = holm(np.array([fisher_exact(_counts(inside, examples.wrong)).pvalue for inside in masks.values()]))
    slices = [_slice(rule, masks[rule], examples.wrong, p, train) for rule, p in zip(masks, p_values, strict=True)]
    return sorted(slices, key=lambda found: (found.difference <= 0, found.p_value, -found.difference))


def known_rules(label_names: Sequence[str], phenomena: Iterable[str]) -> list[str]:
    labels = [label_condition(kind, name) for kind in ("gold", "predicted") for name in label_names]
    return [*phenomena, *_bands("words", WORD_BOUNDS), *_bands("confidence", CONFIDENCE_BOUNDS), *labels]


def changes_by_slice(became: dict[str, np.ndarray], examples: Examples, phenomena: Phenomena) -> list[SliceChange]:
    """All examples, and every known slice, where another run's errors changed or stayed; the surest comes first.

    Args: became: of `analysis.compare.changes`, (N,) bool each. The p-values are McNemar's, corrected by Holm.
    """
    rules = ["", *known_rules(examples.predictions.label_names, phenomena)]
    masks = {rule: mask(rule, examples, phenomena) for rule in rules}
    counts = {}
    for rule, inside in masks.items():
        of_it = {what: int((inside & each).sum()) for what, each in became.items()}
        if any(of_it.values()):
            counts[rule] = of_it
    p_values = holm(np.array([mcnemar(of_it["fixed"], of_it["broken"]) for of_it in counts.values()]))
    slices = [
        SliceChange(rule, int(masks[rule].sum()), **of_it, p_value=p)
        for (rule, of_it), p in zip(counts.items(), p_values.tolist(), strict=True)
    ]
    return sorted(slices, key=lambda each: (each.p_value, -abs(each.fixed - each.broken)))


def found_slices(examples: Examples, phenomena: Phenomena, train: Training | None = None) -> list[Slice]:
    """Rules of up to three conditions (on words, phenomena, length, predicted label) in which errors concentrate.

    Slices as in Chung et al. 2019, https://arxiv.org/abs/1807.06068, by a beam search, the largest likelihood ratio G
    first. All pairs of conditions are tried; the best of them are made longer. A rule is left out where it is not
    clearly better than with one condition less, or means much the same examples as a better one. The p-value, of
    Fisher's exact test, one-sided, is corrected for all rules of that length that could have been made, times the
    number of lengths (Webb 2008, https://doi.org/10.1007/s10994-008-5046-x). Of few errors even the best rule may be
    chance, and then its p-value is near 1: it is listed all the same, as a guess to be tested. A slice has five errors
    or 0.5% of all, whichever is more.
    """
    wrong = examples.wrong
    min_errors = max(5, int(wrong.sum()) // 200)
    table, conditions = _condition_table(examples, phenomena, min_errors)
    slices: list[Slice] = []
    kept: list[np.ndarray] = []
    for _, p_value, columns in _candidates(table, wrong, min_errors):
        if len(slices) == MAX_FOUND:
            break
        inside = table[:, columns].toarray().all(axis=1)
        is_new = all(_jaccard(inside, other) < MAX_OVERLAP for other in kept)
        if is_new and _is_better_than_its_parts(table, columns, wrong):
            rule = " & ".join(conditions[column] for column in columns)
            slices.append(_slice(rule, inside, wrong, p_value, train))
            kept.append(inside)
    return slices


def error_clusters(examples: Examples, embeddings: np.ndarray, rows: np.ndarray, k: int | None = None) -> list[Cluster]:
    """k-means over the embeddings (N_err, H) of the errors at `rows` (N_err,); largest cluster first.

    k is the square root of N_err / 2 if None (Mardia et al. 1979), 12 at most. Typical words stand in more of a
    cluster's texts, two at least, than of all texts: by what they add to the Kullback-Leibler divergence. English
    function words are none.
    """
    from scipy.special import rel_entr
    from sklearn.cluster import KMeans
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS
    from sklearn.preprocessing import normalize

    if not len(rows):
        return []
    k = min(k or int(np.clip(np.sqrt(len(rows) / 2), 1, 12)), len(rows))
    kmeans = KMeans(k, n_init=4, random_state=0)
    distances = kmeans.fit_transform(normalize(embeddings))     # (N_err, k)
    cluster_ids = kmeans.labels_
    table, words = word_table(examples.texts)
    tells = np.array([len(word) > 1 and "'" not in word and word not in ENGLISH_STOP_WORDS for word in words])
    overall = table.mean(axis=0)
    clusters = []
    for cluster_id in range(k):
        inside = rows[cluster_ids == cluster_id]
        central = rows[distances[:, cluster_id].argmin()]
        share = table[inside].mean(axis=0)
        typical = np.where(tells & (share * len(inside) > 1.5), rel_entr(share, overall), 0)
        best = [column for column in np.argsort(-typical, kind="stable")[:5] if typical[column] > 0]
        clusters.append(Cluster([words[column] for column in best], inside, int(central), len(inside) / len(rows)))
    return sorted(clusters, key=lambda cluster: -len(cluster.rows))


def _bands(kind: str, bounds: Sequence[float]) -> Iterator[str]:
    yield f"{kind}<={bounds[0]}"
    for low, high in pairwise(bounds):
        yield f"{kind}>{low} & {kind}<={high}"
    yield f"{kind}>{bounds[-1]}"


def _counts(inside: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    """[[errors, right] of the slice, [errors, right] of the rest]"""
    return np.array([[(side & wrong).sum(), (side & ~wrong).sum()] for side in (inside, ~inside)])


def _slice(rule: str, inside: np.ndarray, wrong: np.ndarray, p_value: float, train: Training | None) -> Slice:
    (errors, right), (other_errors, other_right) = _counts(inside, wrong).tolist()
    n, others = errors + right, other_errors + other_right
    rate = accuracy_estimate(errors, n) if n else Estimate(0.0, 0.0, 1.0)
    return Slice(
        rule=rule,
        n=n,
        num_errors=errors,
        error_rate=rate.value,
        low=rate.low,
        high=rate.high,
        difference=rate.value - other_errors / others if others else 0.0,
        p_value=float(p_value),
        train_share=float(mask(rule, *train).mean()) if train and is_about_text(rule) else None,
    )


def _condition_table(examples: Examples, phenomena: Phenomena, min_n: int) -> tuple[csc_array, list[str]]:
    """(N, F) of 0 and 1, and the F conditions: of those that mean min_n examples or more, and not all."""
    from scipy.sparse import csc_array, hstack

    predicted = [label_condition("predicted", name) for name in examples.predictions.label_names]
    lengths = [f"words{sign}{bound}" for bound in WORD_BOUNDS for sign in ("<=", ">")]
    conditions = [*(f"{no}{name}" for name in phenomena for no in ("", "no ")), *lengths, *predicted]
    masks = np.stack([mask(condition, examples, phenomena) for condition in conditions], axis=1)
    words, names = word_table(examples.texts)
    table = csc_array(hstack([csc_array(masks, dtype=np.float32), words]))
    n = table.sum(axis=0)
    often = np.flatnonzero((n >= min_n) & (n < table.shape[0]))
    conditions += [f"word:{name}" for name in names]
    return table[:, often], [conditions[column] for column in often]


def _candidates(table: csc_array, wrong: np.ndarray, min_errors: int) -> list[tuple[float, float, tuple[int, ...]]]:
    """The CANDIDATES best rules of each length: G, corrected p-value, columns of the table; the largest G first."""
    from scipy.stats import hypergeom

    columns = np.flatnonzero(table[wrong].sum(axis=0) >= min_errors)    # no other can be in a rule with min_errors
    found: list[tuple[float, float, tuple[int, ...]]] = []
    beam = np.zeros((1, 0), int)            # (B, L): to begin with, the one rule without conditions
    for length in range(1, MAX_CONDITIONS + 1):
        tries = MAX_CONDITIONS * comb(table.shape[1], length)
        rules, n, k, gains = _made_longer(table[:, columns], beam, wrong, min_errors)
        p_values = np.minimum(hypergeom.sf(k - 1, len(wrong), wrong.sum(), n) * tries, 1)
        found += zip(gains.tolist(), p_values.tolist(), map(tuple, columns[rules].tolist()), strict=True)
        beam = rules[:BEAM] if length > 1 else np.arange(len(columns))[:, None]
    return sorted(found, key=lambda rule: -rule[0])


def _made_longer(table: csc_array, beam: np.ndarray, wrong: np.ndarray, min_errors: int) -> tuple[np.ndarray, ...]:
    """The best rules (R, L + 1) with one condition more than those of the beam (B, L); their n, errors and G, (R,)."""
    masks = _masks(table, beam)
    n = (masks.T @ table).toarray()                         # (B, F)
    k = (masks[wrong].T @ table[wrong]).toarray()
    known, added = np.nonzero((k >= min_errors) & (k * len(wrong) >= MIN_LIFT * n * wrong.sum()))
    n, k = n[known, added], k[known, added]
    longer = np.sort(np.column_stack([beam[known], added]), axis=1)
    gains = _likelihood_ratio(k, n, wrong.sum(), len(wrong))
    gains[(np.diff(longer, axis=1) == 0).any(axis=1)] = 0   # the condition was there already
    best = np.argsort(-gains, kind="stable")[: CANDIDATES * longer.shape[1]]    # each may come from all its parts
    _, first = np.unique(longer[best], axis=0, return_index=True)
    best = best[np.sort(first)][:CANDIDATES]
    best = best[gains[best] > 0]
    return longer[best], n[best], k[best], gains[best]


def _masks(table: csc_array, rules: np.ndarray) -> csc_array:
    """(N, B) of 0 and 1: which examples each of B rules of L columns means."""
    from scipy.sparse import csc_array

    masks = csc_array(np.ones((table.shape[0], 1), np.float32))
    for columns in rules.T:
        masks = csc_array(masks.multiply(table[:, columns]))
    return masks


def _likelihood_ratio(k: np.ndarray, n: np.ndarray, num_errors: int, num_examples: int) -> np.ndarray:
    """G = 2 sum O ln(O / E) over errors and right ones, inside and outside; twice the log of how much likelier."""
    from scipy.special import rel_entr

    inside, share = np.stack([k, n - k]), np.array([[num_errors], [num_examples - num_errors]])
    expected = n * share / num_examples
    return 2 * (rel_entr(inside, expected) + rel_entr(share - inside, share - expected)).sum(axis=0)


def _is_better_than_its_parts(table: csc_array, columns: tuple[int, ...], wrong: np.ndarray) -> bool:
    """Than the rule without one of its conditions, whichever ("productive", Webb 2007, with Fisher's test), at 5%
    corrected for all conditions that could have been added."""
    from scipy.stats import hypergeom

    holds = table[:, columns].toarray().astype(bool)        # (N, L)
    inside = holds.all(axis=1)
    for dropped in range(len(columns) if len(columns) > 1 else 0):
        part = np.delete(holds, dropped, axis=1).all(axis=1)
        numbers = part.sum(), (part & wrong).sum(), inside.sum()
        if hypergeom.sf((inside & wrong).sum() - 1, *numbers) * table.shape[1] > SIGNIFICANT:
            return False
    return True


def _jaccard(first: np.ndarray, other: np.ndarray) -> float:
    return (first & other).sum() / (first | other).sum()
