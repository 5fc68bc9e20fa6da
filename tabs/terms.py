"""What do the page's terms mean? One sentence each, shown when the reader points at an underlined one."""

from __future__ import annotations

TERMS = {
    "accuracy": "Share of the examples whose predicted label is the gold one.",
    "precision": "Of the examples predicted to have this label, the share that do have it.",
    "recall": "Of the examples that have this label, the share that were predicted to.",
    "F1": "Harmonic mean of precision and recall: high only where both are.",
    "macro F1": "Mean of the labels' F1, each label counting the same however rare it is.",
    "loss": "Cross-entropy in nats: how surprised the model is by the gold label, on average. Lower is better.",
    "fixed": "Examples that the first run has wrong and this one right.",
    "broken": "Examples that the first run has right and this one wrong.",
    "p": "How often two equally good models would differ as unevenly by chance (McNemar's test).",
    "pieces": "What the tokenizer cuts a text into: whole words, and parts of rarer ones.",
    "truncated": "Longer than the model reads: the rest was cut off.",
    "took": "Time in training, breaks left out.",
    "best": "The best evaluation on validation so far, by the metric that the run selects on.",
    "gold \\ predicted": "A row per gold label, a column per predicted one: the errors stand off the diagonal.",
}


def meaning(name: str) -> str:
    """Of a column's name, or of the term it begins with; empty where there is none."""
    known = [term for term in TERMS if name == term or name.startswith((f"{term} ", f"{term}:"))]
    return TERMS[max(known, key=len)] if known else ""
