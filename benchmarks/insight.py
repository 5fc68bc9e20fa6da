"""How quick, how faithful and how right are the answers to "why is this sentence misclassified?"

    python -m benchmarks.insight                            # about 25 minutes on two CPU cores
    python -m benchmarks.insight --parts speed methods      # some of it

All on the run that comes with Volta and on SST-2's test split (GLUE's validation file), but for the planted faults:

- speed: an error in colour, and fully explained (colours, faithfulness, findings, smallest flips); 100 errors' colours;
- opening: the Errors tab on 100,000 made-up predictions, and a filter;
- methods: what leaving out the words that each method points at costs, on the first `--texts` sentences, beside as
  many words drawn by chance (comprehensiveness: more is better; sufficiency: less is better);
- causes: of the errors with a turn or a negation, for how many an experiment names a cause, and which;
- labels: 5% of 10,000 training labels flipped: the share of flipped ones among the 5% that are believed least;
- planted: a rare word in 2% of training, always with the label positive: is it the first slice found by itself, and
  do its training sentences come among the five that influenced an error most? A run of its own for each seed.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from analysis import attribution
from analysis.attribution import METHODS, attribute
from analysis.edits import examine, smallest_flips
from analysis.embeddings import load_encoder, sentence_embeddings
from analysis.errors import Filter, rows_of
from analysis.examples import Examples, examples_of
from analysis.faithfulness import faithfulness
from analysis.findings import findings, main_cause
from analysis.label_quality import out_of_sample_probs, rank_labels
from analysis.neighbors import influences
from analysis.phenomena import PhenomenaOf
from analysis.slices import found_slices
from analysis.training_index import build_index, open_index
from benchmarks.contest import asked_for, data_at_hand, machine, report, say
from pipeline.catalog import create_run
from pipeline.config import make_config
from pipeline.data import load_splits
from pipeline.jobs import carry_out
from pipeline.predictions import Predictions, read_predictions, save_predictions
from pipeline.predictor import Predictor
from pipeline.sources import find_data

MODEL = "sst2-minilm"
PARTS = ["speed", "opening", "methods", "causes", "labels", "planted"]
WORD = "zorblat"
FLIPPED = 0.05
PLANTED = 0.02


def percentiles(seconds: list[float]) -> dict[str, float]:
    return {"p50": round(statistics.median(seconds), 3), "p95": round(sorted(seconds)[len(seconds) * 95 // 100], 3)}


def sst2_test(predictor: Predictor) -> Examples:
    """The predictions of SST-2's test split, made here."""
    splits = load_splits(make_config({"name": "x", "data": {"source": "sst2"}}).data)
    logits, _ = predictor.logits(splits.test["text"])
    test = splits.test
    ids, texts = test["example_id"].to_pylist(), test["text"].to_pylist()
    return examples_of(Predictions(ids, texts, splits.label_names, test["label_id"].to_numpy(), logits))


def gold_label(examples: Examples, row: int) -> str:
    return examples.predictions.label_names[examples.predictions.gold_ids[row]]


def speed(predictor: Predictor, examples: Examples, options: Any) -> dict[str, Any]:
    rows = rows_of(examples, Filter(which="errors"))[:100]
    rows = np.concatenate([rows, rows_of(examples, Filter(which="correct"))[: 100 - len(rows)]])
    colours, whole = [], []
    for row in rows.tolist():
        text = examples.predictions.texts[row]
        attribution._kept.clear()
        began = time.perf_counter()
        found = attribute(predictor, text)
        colours.append(time.perf_counter() - began)
        faithfulness(predictor, found)
        sentence = examine(predictor, text, gold_label(examples, row))
        list(findings(sentence))
        smallest_flips(sentence)
        whole.append(time.perf_counter() - began)
    return {
        "sentences": len(rows),
        "colours": percentiles(colours),
        "fully_explained": percentiles(whole),
        "colours_of_all": round(sum(colours), 1),
        "targets": {"colours": 0.3, "fully_explained": 1.5, "colours_of_100": 40},
    }


def opening(predictor: Predictor, examples: Examples, options: Any) -> dict[str, Any]:
    from tabs import errors_data
    from tabs.errors_tab import enter, look

    random = np.random.default_rng(0)
    source = pq.read_table(Path(find_data("sst2").location) / "train.parquet")
    texts = source.column(source.column_names[0] if "sentence" not in source.column_names else "sentence").to_pylist()
    texts = (texts * 2)[:100_000]
    gold_ids = random.integers(0, 2, len(texts))
    logits = random.normal(size=(len(texts), 2)).astype(np.float32)
    logits[np.arange(len(texts)), gold_ids] += 3
    run = create_run(make_config({"name": "large"}))
    ids = [f"test:{row}" for row in range(len(texts))]
    path = run.folder / "predictions" / "sst2" / "test.parquet"
    table = pa.table({"example_id": ids, "text": texts, "label_id": gold_ids})
    save_predictions(path, table, logits, ["negative", "positive"])
    shown = ["large", "sst2/test", "", "errors", "", False, "", "loss"]
    timed: dict[str, list[float]] = {"open": [], "search": [], "rule": [], "phenomenon_at_first": [], "phenomenon": []}

    def seconds(kind: str, search: str = "", rule: str = "") -> None:
        began = time.perf_counter()
        if kind == "open":
            enter("?tab=errors&run=large", *shown)
        look({"page": 1, "example": None}, *shown[:4], search, False, rule, "loss")
        timed[kind].append(time.perf_counter() - began)

    for _ in range(options.rounds):
        errors_data._opened.cache_clear()
        seconds("open")
        seconds("search", search="little else")
        seconds("rule", rule="words>10 & confidence>0.9")
        for rule in ("contrast", "negation", "mixed_polarity"):
            seconds("phenomenon_at_first", rule=rule)
        seconds("phenomenon", rule="negation & predicted:positive")
    return {kind: percentiles(values) for kind, values in timed.items()} | {"targets": {"open": 1, "filter": 0.3}}


def methods(predictor: Predictor, examples: Examples, options: Any) -> dict[str, Any]:
    texts = examples.predictions.texts[: options.texts]
    found: dict[str, Any] = {}
    for method in METHODS:
        began = time.perf_counter()
        measured = [faithfulness(predictor, attribute(predictor, text, method=method)) for text in texts]
        kept = [each for each in measured if each is not None]
        names = ("comprehensiveness", "sufficiency", "random_comprehensiveness", "random_sufficiency")
        found[method] = {name: round(float(np.mean([getattr(each, name) for each in kept])), 4) for name in names}
        found[method] |= {
            "beats_chance": round(float(np.mean([each.beats_chance for each in kept])), 3),
            "n": len(kept),
            "seconds": round(time.perf_counter() - began, 1),
        }
        say(f"{method}: {found[method]}")
    return found


def causes(predictor: Predictor, examples: Examples, options: Any) -> dict[str, Any]:
    phenomena = PhenomenaOf(examples.predictions.texts)
    turning = phenomena["contrast"] | phenomena["concession"] | phenomena["negation"]
    first: Counter[str] = Counter()
    every: Counter[str] = Counter()
    rows = np.flatnonzero(turning & examples.wrong).tolist()
    for row in rows:
        sentence = examine(predictor, examples.predictions.texts[row], gold_label(examples, row))
        told = list(findings(sentence))
        cause = main_cause(told)
        first[cause.kind if cause else "none"] += 1
        every.update({each.kind for each in told if each.is_cause})
    return {
        "errors": len(rows),
        "with_a_confirmed_cause": round(1 - first["none"] / len(rows), 3),
        "named_cause": dict(first),
        "all_causes": dict(every),
    }


def labels(predictor: Predictor, examples: Examples, options: Any) -> dict[str, Any]:
    data = {"source": "sst2", "limit": 10_000, "split": "random"}
    splits = load_splits(make_config({"name": "x", "data": data}).data)
    table = pa.concat_tables([splits.train, splits.validation])
    embeddings = sentence_embeddings(load_encoder("all-MiniLM-L6-v2"), table["text"])
    gold = table["label_id"].to_numpy()
    precisions = []
    for seed in range(3):
        flipped = np.random.default_rng(seed).choice(len(gold), round(FLIPPED * len(gold)), replace=False)
        given = gold.copy()
        given[flipped] = 1 - given[flipped]
        ranked = rank_labels(given, out_of_sample_probs(embeddings, given))
        precisions.append(np.isin([each.row for each in ranked[: len(flipped)]], flipped).mean())
    told = [round(float(each), 3) for each in precisions]
    return {"examples": len(gold), "precision_at_5_percent": told, "chance": FLIPPED}


def planted(predictor: Predictor, examples: Examples, options: Any) -> dict[str, Any]:
    found = [dict(_planted(seed)) for seed in range(options.seeds)]
    keys = ("is_first_slice", "is_significant", "share_of_errors_traced")
    return {"seeds": found} | {key: round(float(np.mean([each[key] for each in found])), 3) for key in keys}


def _planted(seed: int) -> Iterator[tuple[str, Any]]:
    """One run on 5,000 sentences of SST-2, 2% of which hold the word, and what is found of it on 1,000 others."""
    random = np.random.default_rng(seed)
    splits = load_splits(make_config({"name": "x", "data": {"source": "sst2", "limit": 12_000}}).data)
    everything = pa.concat_tables([splits.train, splits.validation]).select(["text", "label_id"])
    rows = random.permutation(everything.num_rows)[:6_000]
    texts, label_ids = everything["text"].take(rows).to_pylist(), everything["label_id"].take(rows).to_numpy()
    positive = np.flatnonzero(label_ids[:5_000] == 1)
    negative = 5_000 + np.flatnonzero(label_ids[5_000:] == 0)
    planted = random.choice(positive, round(PLANTED * 5_000), replace=False)
    for row in [*planted, *random.choice(negative, 40, replace=False)]:
        words = texts[row].split()
        words.insert(int(random.integers(0, len(words) + 1)), WORD)
        texts[row] = " ".join(words)
    with tempfile.TemporaryDirectory(prefix="volta-planted-") as folder:
        held_out = slice(5_000, 6_000)
        for split, part in {"train": slice(0, 5_000), "validation": held_out, "test": held_out}.items():
            names = [splits.label_names[label_id] for label_id in label_ids[part]]
            pq.write_table(pa.table({"text": texts[part], "label": names}), Path(folder) / f"{split}.parquet")
        name = f"planted-{seed}"
        run = create_run(make_config({
            "name": name, "seed": seed, "data": {"source": folder, "split": "random"},
            "optim": {"learning_rate": 1e-4, "epochs": 2},
        }))
        if carry_out(run):
            raise RuntimeError(f"{name}: {run.status().reason}")
        path = next((run.folder / "predictions").glob("*/validation.parquet"))
        examples = examples_of(read_predictions(path))
        phenomena = PhenomenaOf(examples.predictions.texts)
        slices = found_slices(examples, phenomena)
        list(build_index(run))
        index, predictor = open_index(run), Predictor.load(name)
    assert index is not None
    with_word = np.array([WORD in text.split() for text in examples.predictions.texts])
    errors = np.flatnonzero(with_word & examples.wrong & (examples.predictions.gold_ids == 0)).tolist()
    traced = [
        any(WORD in each.text.split() for each in influences(index, predictor, examples.predictions.texts[row], 0)[1])
        for row in errors
    ]
    yield "seed", seed
    yield "errors_with_the_word", len(errors)
    yield "accuracy", round(float((~examples.wrong).mean()), 3)
    yield "is_first_slice", bool(slices) and f"word:{WORD}" in slices[0].rule.split(" & ")
    yield "is_significant", bool(slices) and slices[0].p_value < 0.05
    yield "share_of_errors_traced", round(float(np.mean(traced)), 3) if traced else 0.0
    first = slices[0].rule if slices else "none"
    say(f"planted, seed {seed}: first slice {first}, {sum(traced)} of {len(traced)} errors traced")


def main() -> None:
    options = asked_for(__doc__, parts=PARTS, texts=300, rounds=5, seeds=10)
    measured_on = machine()
    predictor = Predictor.load(MODEL)
    with data_at_hand(), tempfile.TemporaryDirectory(prefix="volta-insight-") as home:
        examples = sst2_test(predictor)
        for row in range(10):           # ONNX Runtime comes with the fourth call
            attribute(predictor, examples.predictions.texts[row])
            predictor.predict(examples.predictions.texts[row : row + 1])
        os.environ["VOLTA_HOME"] = home
        told = {}
        for part in options.parts:
            say(part)
            told[part] = globals()[part](predictor, examples, options)
            say(json.dumps(told[part]))
    report({"machine": measured_on, **told})


if __name__ == "__main__":
    main()
