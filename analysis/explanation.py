"""What is there to say of one sentence, all in one? Words, faithfulness, findings, flips, and who taught it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from analysis.attribution import DEFAULT_METHOD, attribute
from analysis.context import what_others_say
from analysis.edits import examine, smallest_flips
from analysis.faithfulness import faithfulness
from analysis.findings import cause_of, findings
from analysis.masked_words import masked_words
from analysis.neighbors import influences, nearest
from analysis.training_index import TrainingIndex, open_index
from pipeline.predictor import Predictor
from pipeline.runs import Run


def explained(
    run: Run,
    text: str,
    gold: str | None = None,
    label: str | None = None,
    against: str | None = None,
    method: str = DEFAULT_METHOD,
    predicted: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The object of `python -m analysis explain`, in numbers and texts that JSON can hold.

    Args: predicted: what other runs say of the same example, by their names.

    Raises: ModelError for a label or method that is not known, or a run without a model.
    """
    predictor = Predictor.load(run.name)
    [prediction] = predictor.predict([text])
    found = attribute(predictor, text, label, against, method)
    measured = faithfulness(predictor, found)
    sentence = examine(predictor, text, gold, masked_words(run))
    training = open_index(run)
    told = [*findings(sentence), *what_others_say(sentence, found, training, predicted or {})]
    return {
        "text": text,
        "gold": gold,
        "prediction": {key: getattr(prediction, key) for key in ("label", "label_id", "probabilities", "truncated")},
        "method": found.method,
        "label": found.label,
        "against": found.against,
        "words": [{"word": word, "score": float(score)} for word, score in zip(found.words, found.scores, strict=True)],
        "log_odds": found.log_odds,
        "baseline_log_odds": found.baseline_log_odds,
        "delta": found.delta,
        "pieces": predictor.tokenizer.convert_ids_to_tokens(found.pieces.input_ids),
        "faithfulness": measured and {**asdict(measured), "beats_chance": measured.beats_chance},
        "findings": [asdict(finding) for finding in told],
        "cause": cause_of(told) if sentence.is_error else None,
        "flips": [asdict(flip) for flip in smallest_flips(sentence)],
        "taught_by": training and _taught_by(training, predictor, text, gold or prediction.label),
    }


def _taught_by(index: TrainingIndex, predictor: Predictor, text: str, gold: str) -> dict[str, Any]:
    gold_id = predictor.label_names.index(gold)
    proponents, opponents = influences(index, predictor, text, gold_id)
    found = {"nearest": nearest(index, predictor, text, gold_id), "proponents": proponents, "opponents": opponents}
    return {kind: [asdict(each) for each in taught] for kind, taught in found.items()}
