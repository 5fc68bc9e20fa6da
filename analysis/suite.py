"""Does it read turns and negations? The contrast suite: pairs of sentences that differ in little but their label."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from analysis.compare import Estimate, accuracy_estimate
from pipeline.exceptions import ConfigError, ModelError
from pipeline.predictor import Predictor

FOLDER = Path(__file__).parent.parent / "examples" / "contrast"
HALVES = ("develop", "verify")      # what is mended on the one is judged on the other
LABELS = {"negative", "positive"}
NUM_WORST = 10


@dataclass(frozen=True)
class SuiteSentence:
    """One sentence of a pair."""

    pair_id: str
    phenomenon: str
    text: str
    label: str


@dataclass(frozen=True)
class Answer:
    """What the model says of a sentence, and the probability it gives to the right label."""

    text: str
    label: str
    predicted: str
    probability: float          # of the right label

    @property
    def confidence(self) -> float:
        """In what it says."""
        return self.probability if self.predicted == self.label else 1 - self.probability


@dataclass(frozen=True)
class PhenomenonScore:
    """Of a phenomenon's pairs."""

    pairs: int
    accuracy: Estimate          # of their sentences, with Wilson's interval
    pair_consistency: Estimate  # of pairs with both sentences right


@dataclass(frozen=True)
class SuiteScore:
    """Of a half of the suite."""

    half: str
    overall: PhenomenonScore
    phenomena: dict[str, PhenomenonScore]
    worst: list[tuple[str, list[Answer]]]       # phenomenon and both answers; the least probability comes first

    def as_dict(self, run: str) -> dict[str, Any]:
        """The line of `python -m analysis suite`."""
        return {
            "run": run,
            "half": self.half,
            "n": 2 * self.overall.pairs,
            **asdict(self.overall),
            "phenomena": {name: asdict(score) for name, score in self.phenomena.items()},
            "worst": [
                {"phenomenon": name, "sentences": [asdict(answer) for answer in both]} for name, both in self.worst
            ],
        }


def load_suite(half: str) -> list[SuiteSentence]:
    """In the order of the file: two sentences make a pair. Raises: ConfigError for another half."""
    if half not in HALVES:
        raise ConfigError(f"The contrast suite has the halves {' and '.join(HALVES)}; found '{half[:80]}'.")
    lines = (FOLDER / f"{half}.jsonl").read_text(encoding="utf-8").splitlines()
    return [SuiteSentence(**json.loads(line)) for line in lines]


def score_suite(predictor: Predictor, half: str = "develop") -> SuiteScore:
    """Raises: ModelError for a model with other labels than negative and positive."""
    if set(predictor.label_names) != LABELS:
        raise ModelError(
            "The contrast suite asks for the labels negative and positive; this model has: "
            f"{', '.join(predictor.label_names)}. Choose a model of sentiment."
        )
    sentences = load_suite(half)
    pairs: dict[tuple[str, str], list[Answer]] = defaultdict(list)      # by phenomenon and pair_id
    for sentence, prediction in zip(sentences, predictor.predict([each.text for each in sentences]), strict=True):
        right = prediction.probabilities[sentence.label]
        pairs[sentence.phenomenon, sentence.pair_id].append(
            Answer(sentence.text, sentence.label, prediction.label, right)
        )
    by_phenomenon: dict[str, list[list[Answer]]] = defaultdict(list)
    for (phenomenon, _), answers in pairs.items():
        by_phenomenon[phenomenon].append(answers)
    worst = sorted(pairs.items(), key=lambda pair: min(answer.probability for answer in pair[1]))[:NUM_WORST]
    return SuiteScore(
        half=half,
        overall=_score(list(pairs.values())),
        phenomena={name: _score(of_it) for name, of_it in by_phenomenon.items()},
        worst=[(phenomenon, answers) for (phenomenon, _), answers in worst],
    )


def _score(pairs: list[list[Answer]]) -> PhenomenonScore:
    right = [[answer.predicted == answer.label for answer in answers] for answers in pairs]
    return PhenomenonScore(
        pairs=len(pairs),
        accuracy=accuracy_estimate(sum(map(sum, right)), sum(map(len, right))),
        pair_consistency=accuracy_estimate(sum(map(all, right)), len(pairs)),
    )
