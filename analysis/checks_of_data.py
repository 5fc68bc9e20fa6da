"""Can anything be learnt from this data? Labels, texts and their pieces as the model is given them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from analysis.check import Check
from analysis.embeddings import Encoder, sentence_embeddings
from analysis.patient import Patient

if TYPE_CHECKING:
    from scipy.sparse import csr_array

MAX_LARGEST_SHARE = 0.9         # of one label: its majority alone is then a good score
MIN_OF_A_LABEL = 25             # training examples, on average: fewer are learnt by heart
MAX_EMPTY, MAX_UNKNOWN = 0.5, 0.1       # share of texts without pieces, of unknown pieces
MAX_PIECES_PER_WORD = 4.0
NUM_ROUND_TRIPS = 10
MIN_TO_PROBE, MAX_EMBEDDED = 200, 600   # texts
CHANCE = 0.01                   # p above which a probe is no better than the majority


def checks_of_data(patient: Patient) -> Iterator[Check]:
    for check in (about_label_ids, about_label_shares, about_size, about_texts, about_tokenizer, about_signal):
        yield check(patient)


def about_label_ids(patient: Patient) -> Check:
    c, found = len(patient.label_names), np.unique(patient.gold_ids)
    if found.min() >= 0 and found.max() < c:
        return Check("label ids", f"Labels are encoded 0 to {c - 1}, as the model counts them.")
    told = f"Labels are encoded {found.min()} to {found.max()}, but the model has {c}, counted 0 to {c - 1}."
    return Check("label ids", told, "label_ids")


def about_label_shares(patient: Patient) -> Check:
    counts = np.bincount(patient.gold_ids[patient.gold_ids >= 0], minlength=len(patient.label_names))
    shares = dict(zip(patient.label_names, (counts / counts.sum()).tolist(), strict=False))
    largest = max(shares, key=lambda name: shares[name])
    told = f"The largest label, {largest}, has {shares[largest]:.1%} of the training examples."
    return Check("label shares", told, "imbalance" if shares[largest] >= MAX_LARGEST_SHARE else "", {"shares": shares})


def about_size(patient: Patient) -> Check:
    n, wanted = patient.num_train, MIN_OF_A_LABEL * len(patient.label_names)
    told = f"{n:,} training examples, {patient.config.optim.epochs} times over."
    return Check("size", told, "few_examples" if n < wanted else "", {"examples": n})


def about_texts(patient: Patient) -> Check:
    encoded = patient.training.train.encoded
    special = len(patient.tokenizer("")["input_ids"])
    empty, truncated = float((encoded.lengths <= special).mean()), float(encoded.truncated.mean())
    told = f"{empty:.1%} of the texts leave nothing to read; {truncated:.1%} are truncated."
    return Check("texts", told, "empty_texts" if empty > MAX_EMPTY else "", {"empty": empty, "truncated": truncated})


def about_tokenizer(patient: Patient) -> Check:
    """Ten texts to pieces and back, unknown pieces, ids that the model has no embedding for, words cut to bits."""
    tokenizer, ids = patient.tokenizer, patient.training.train.encoded.input_ids
    some = patient.texts[:NUM_ROUND_TRIPS]
    back = [tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True) for text in some]
    same = sum(_letters(a) == _letters(b) for a, b in zip(some, back, strict=True))
    unknown = float((ids == tokenizer.unk_token_id).mean()) if tokenizer.unk_token_id is not None else 0.0
    num_embeddings = patient.model.get_input_embeddings().weight.shape[0]
    words = sum(len(text.split()) for text in patient.texts)
    per_word = len(ids) / max(words, 1)
    told = (
        f"{same} of {len(some)} texts come back from their pieces; {unknown:.1%} of the pieces are unknown; "
        f"{per_word:.1f} pieces a word."
    )
    foreign = int(ids.max(initial=0)) >= num_embeddings
    if foreign:
        told += f" It gives ids up to {ids.max()}, but the model has {num_embeddings:,} embeddings."
    spaced = words > 3 * len(patient.texts)         # elsewhere, as in Chinese, words are not told apart
    is_wrong = foreign or unknown > MAX_UNKNOWN or (spaced and per_word > MAX_PIECES_PER_WORD)
    values = {"unknown": unknown, "pieces_per_word": per_word, "round_trips": list(zip(some, back, strict=True))}
    return Check("tokenizer", told, "tokenizer" if is_wrong else "", values)


def about_signal(patient: Patient) -> Check:
    """Do the labels go with the texts at all? Simple models must beat the majority on examples they have not seen."""
    n, counts = len(patient.texts), np.bincount(patient.gold_ids[patient.gold_ids >= 0])
    if n < MIN_TO_PROBE or counts.max() >= MAX_LARGEST_SHARE * n or counts[counts > 0].min() < 5:
        return Check("signal", "Too few examples of a label to say whether the labels go with the texts.")
    from sklearn.feature_extraction.text import TfidfVectorizer

    letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), max_features=50_000, sublinear_tf=True)
    right, p = _probe(letters.fit_transform(patient.texts), patient.gold_ids)
    by = "letters alone"
    if p > CHANCE:
        rows = np.arange(n)[:MAX_EMBEDDED]
        right, p = _probe(_embeddings(patient, rows), patient.gold_ids[rows])
        by = "the base model's embeddings"
    largest = counts.max() / n
    told = f"A simple model of {by} gets {right:.1%} of unseen examples right; the largest label has {largest:.1%}."
    return Check("signal", told, "unrelated_labels" if p > CHANCE else "", {"accuracy": right, "p": p})


def _probe(features: csr_array | np.ndarray, gold_ids: np.ndarray) -> tuple[float, float]:
    """Accuracy of a logistic regression over five folds, and how often the majority alone would be as good."""
    from scipy.stats import binomtest
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    predicted = cross_val_predict(LogisticRegression(max_iter=1000), features, gold_ids, cv=folds)
    right, n = int((predicted == gold_ids).sum()), len(gold_ids)
    majority = np.bincount(gold_ids).max() / n
    return right / n, float(binomtest(right, n, majority, alternative="greater").pvalue)


def _embeddings(patient: Patient, rows: np.ndarray) -> np.ndarray:
    model = patient.model.eval()
    encoder = Encoder("", model.base_model, patient.tokenizer, patient.tokenizer.model_max_length, seen_labels=False)
    return sentence_embeddings(encoder, [patient.texts[row] for row in rows])


def _letters(text: str) -> str:
    """What must survive the way to pieces and back: letters and digits, whatever their case and accents."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in plain if letter.isalnum())
