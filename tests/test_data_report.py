"""Does the data report count what its names say, find the leaks, and tell them?"""

from __future__ import annotations

import json
from dataclasses import asdict

import pyarrow as pa
import pytest

from pipeline import data_report as report_module
from pipeline.config_parts import CleanConfig, DataConfig
from pipeline.data import SourceCounts, Splits, load_splits
from pipeline.data_report import Lengths, SharedTexts, data_report
from pipeline.models import load_tokenizer
from pipeline.sources import Place
from tests.test_data import ALL_STEPS, real


def table(texts: list[str], labels: list[int]) -> pa.Table:
    ids = [f"train:{row}" for row in range(len(texts))]
    return pa.table({"example_id": ids, "text": pa.array(texts, pa.large_string()), "label_id": labels})


def splits_of(train: list[str], validation: list[str], test: list[str], **fields: object) -> Splits:
    tables = {name: table(texts, [row % 2 for row in range(len(texts))])
              for name, texts in (("train", train), ("validation", validation), ("test", test))}
    place = Place("mine", "local", "/data/mine")
    return Splits(**tables, label_names=["bad", "good"], place=place, fingerprints={}, **({"dropped": {}} | fields))


@pytest.fixture(scope="module")
def tokenizer(tiny_model):
    return load_tokenizer(str(tiny_model))


TRAIN = ["a plain and simple story", "great", "great", "Well made.", "it is what it is", "one two"]


def test_lengths_labels_and_repeats_are_counted_per_split(tokenizer):
    report = data_report(splits_of(TRAIN, ["x"], ["y"]), tokenizer).splits["train"]
    assert (report.rows, report.labels) == (6, {"bad": 3, "good": 3})
    assert report.words == Lengths(median=2.0, p95=5.0, max=5)
    assert (report.repeated, report.contradictory, report.empty) == (1, 1, 0)       # "great", once bad and once good


def test_pieces_are_those_of_the_tokenizer_special_ones_counted(tokenizer):
    report = data_report(splits_of(["good", "good film", "not a good film"], ["x"], ["y"]), tokenizer, max_length=4)
    train = report.splits["train"]
    assert train.pieces == Lengths(4.0, pytest.approx(5.8), 6)
    assert train.truncated_share == pytest.approx(1 / 3)        # six pieces; four of them are not too many


@pytest.mark.parametrize("text, exactly, normalised, contained", [
    ("great", 1, 1, 1),                             # letter for letter
    ("GREAT!", 0, 1, 1),                            # but for case and punctuation
    ("simple story", 0, 0, 1),                      # inside a training text
    ("say what you will, it is what it is.", 0, 0, 1),      # contains a training text of five words
    ("not great", 0, 0, 0),                         # contains one of one word only
    ("one two three", 0, 0, 0),                     # ... of two words
    ("lain and simple", 0, 0, 0),                   # letters, but not words
])
def test_shared_texts_are_exact_normalised_or_contained(text, exactly, normalised, contained, tokenizer):
    shared = data_report(splits_of(TRAIN, ["x"], [text]), tokenizer).shared
    pairs = [(pair.first, pair.second) for pair in shared]
    assert pairs == [("train", "validation"), ("train", "test"), ("validation", "test")]
    assert shared[1] == SharedTexts("train", "test", 1, exactly, normalised, contained, contained_rows=1)


def test_many_rows_are_compared_on_a_fixed_sample_and_that_is_told(monkeypatch, tokenizer):
    monkeypatch.setattr(report_module, "MANY_ROWS", 50)
    monkeypatch.setattr(report_module, "SAMPLE", 10)
    texts = [f"w{row} v{row} u{row}" for row in range(100)]
    splits = splits_of(texts, texts[:20], ["x"])
    report = data_report(splits, tokenizer)
    assert report == data_report(splits, tokenizer)
    shared = report.shared[0]
    assert (shared.rows, shared.exactly, shared.contained, shared.contained_rows) == (20, 20, 10, 10)
    assert report.sentences()[0].startswith("Caution: 10 of 10 validation texts of a fixed sample (100%) overlap with")


def test_pieces_of_many_rows_are_counted_on_a_fixed_sample(monkeypatch, tokenizer):
    monkeypatch.setattr(report_module, "PIECES_SAMPLE", 1)
    train = data_report(splits_of(TRAIN, ["x"], ["y"]), tokenizer).splits["train"]
    assert train.pieces.median == train.pieces.max and train.words.median < train.words.max


def test_the_report_is_plain_json(tokenizer):
    report = data_report(splits_of(TRAIN, ["x"], ["y"], dropped={"empty": 2}), tokenizer)
    assert json.loads(json.dumps(asdict(report)))["splits"]["train"]["words"]["max"] == 5


def test_sentences_tell_what_may_spoil_a_result(tokenizer):
    texts = [f"w{row} v{row} u{row}" for row in range(20)]
    source = {"train": SourceCounts(1000, 200, 1, 3, 2), "test": SourceCounts(2, 0, 0, 0, 0)}
    dropped = {"unlabelled": 200, "empty": 1}
    splits = splits_of(texts, ["nothing shared here"], ["W0 v0, u0", ""], dropped=dropped, source=source)
    assert data_report(splits, tokenizer).sentences() == [
        "Caution: 2 of 2 test texts (100%) overlap with train: they lie inside one of its texts, or contain one of "
        "three or more words. Of 2, 0 stand in train letter for letter, and 1 but for case, punctuation and spaces.",
        "Caution: 1 of 2 test texts (50%) overlap with validation: they lie inside one of its texts, or contain one of "
        "three or more words. Of 2, 0 stand in validation letter for letter, and 0 but for case, punctuation and "
        "spaces.",
        "Caution: cleaning left nothing of 1 text of test.",
        "Caution: 201 of 1,000 rows of the source's train split have no label or no text.",
    ]


def test_rare_labels_truncation_and_contradictions_are_cautions(tokenizer):
    splits = splits_of([f"good film w{row}" for row in range(100)], ["good film in this"], ["x"],
                       source={"train": SourceCounts(100, 0, 0, 0, 2)})
    train = splits.train.set_column(2, "label_id", pa.array([1] * 5 + [0] * 95))
    splits = Splits(train, splits.validation, splits.test, ["bad", "good"], splits.place, {}, {}, splits.source)
    sentences = data_report(splits, tokenizer, max_length=5).sentences()
    assert sentences == [
        "Caution: few of the 100 training texts have the label 'good' (5). Accuracy hides it; macro F1 does not.",
        "Caution: texts longer than 5 pieces are cut off there: 0% of train, 100% of validation, 0% of test. Raise "
        "data.max_length where the end of a text matters.",
        "Caution: 2 texts of the source's train split have more than one label.",
    ]


@real("sst2")
def test_the_classic_split_of_sst2_leaks_as_much_as_is_known_of_it(tokenizer):
    report = data_report(load_splits(DataConfig(source="sst2", split="merge", clean=ALL_STEPS)), tokenizer)
    test = report.shared[1]
    assert (test.rows, test.exactly, test.contained) == (6_823, 1_367, 6_673)
    assert report.sentences()[1].startswith("Caution: 6,673 of 6,823 test texts (98%) overlap with train")


@real("sst2")
def test_the_disjoint_split_of_sst2_does_not_leak_into_validation(tokenizer):
    report = data_report(load_splits(DataConfig(source="sst2", clean=CleanConfig())), tokenizer)
    validation = report.shared[0]
    assert (validation.rows, validation.exactly, validation.normalised, validation.contained) == (1_000, 0, 0, 0)
