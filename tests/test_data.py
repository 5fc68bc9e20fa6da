"""Does a source become the splits that the design promises, with every row accounted for?"""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import sources
from pipeline.config_parts import CleanConfig, DataConfig
from pipeline.data import SourceCounts, Splits, load_splits, preview, slug
from pipeline.exceptions import DataError
from pipeline.overlap import is_in
from pipeline.reading import read_source
from pipeline.sources import PROJECT_ROOT, SPLIT_NAMES, find_data, has_split_files

ALL_STEPS = CleanConfig(html=True, punctuation=True, lowercase=True, spaces=True)


def real(name: str) -> pytest.MarkDecorator:
    """Skips where a real data set is not at hand."""
    missing = not has_split_files(sources.data_root() / name)
    return pytest.mark.skipif(missing, reason=f"the data set {name} is not on this machine")


def examples(number: int, first: int = 0) -> list[dict]:
    """Texts that share no word, in turn negative and positive, with a column of their own."""
    return [
        {"text": f"word{n} other{n} third{n}", "label": ["bad", "good"][n % 2], "topic": f"topic {n}"}
        for n in range(first, first + number)
    ]


def write_jsonl(path: Path, rows: list[dict]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def load(path: Path, **fields: object) -> Splits:
    return load_splits(DataConfig(source=str(path), **fields))


def sizes(splits: Splits) -> tuple[int, int, int]:
    return splits.train.num_rows, splits.validation.num_rows, splits.test.num_rows


def ids(splits: Splits) -> list[str]:
    return [name for split in SPLIT_NAMES for name in splits[split]["example_id"].to_pylist()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A source with all three splits: 60, 20 and 20 rows."""
    for split, number, first in (("train", 60, 0), ("validation", 20, 100), ("test", 20, 200)):
        write_jsonl(tmp_path / "mine" / f"{split}.jsonl", examples(number, first))
    return tmp_path / "mine"


# Which rows go where

def test_splits_that_the_source_has_are_taken_as_they_are(folder):
    splits = load(folder)
    assert sizes(splits) == (60, 20, 20)
    assert splits.label_names == ["bad", "good"]
    assert splits.dropped == {}
    assert splits.train.column_names == ["example_id", "text", "label_id", "topic"]
    assert splits.test.slice(1, 1).to_pylist() == [
        {"example_id": "test:1", "text": "word201 other201 third201", "label_id": 1, "topic": "topic 201"}
    ]
    assert splits["test"] is splits.test
    with pytest.raises(DataError, match="There is no split 'dev'. Choose one of: train, validation, test"):
        splits["dev"]


@pytest.mark.parametrize("split", ["disjoint", "random"])
@pytest.mark.parametrize("test_labels", ["missing", "-1", "no column", "no file"])
def test_without_a_labelled_test_split_validation_is_the_test_split(folder, split, test_labels):
    if test_labels == "no file":
        (folder / "test.jsonl").unlink()
    else:
        label = {"missing": {"label": None}, "-1": {"label": -1}, "no column": {}}[test_labels]
        write_jsonl(folder / "test.jsonl", [{"text": "unlabelled", **label}] * 3)
    splits = load(folder, split=split)
    assert sizes(splits) == (54, 6, 20)
    assert splits.test["example_id"][0].as_py() == "validation:0"
    assert splits.dropped == ({} if test_labels == "no file" else {"in the test split, which has no labels": 3})
    assert set(splits.source) == {"train", "validation"}


@pytest.mark.parametrize("split", ["disjoint", "random"])
def test_a_single_file_gives_all_three_by_the_ratios(tmp_path, split):
    path = write_jsonl(tmp_path / "mine.jsonl", examples(200))
    splits = load(path, split=split, test_ratio=0.2, validation_ratio=0.1)
    assert sizes(splits) == (140, 20, 40)
    assert sorted(ids(splits)) == sorted(f"train:{row}" for row in range(200))
    for table in (splits.validation, splits.test):
        assert sum(table["label_id"].to_pylist()) == table.num_rows / 2


def test_a_labelled_test_split_stays_whole_and_only_validation_is_drawn(folder):
    (folder / "validation.jsonl").unlink()
    splits = load(folder)
    assert sizes(splits) == (54, 6, 20)
    assert splits.validation["example_id"][0].as_py().startswith("train:")


def test_disjoint_leaves_out_what_lies_inside_validation_and_counts_it(tmp_path):
    rows = examples(40)
    rows += [{"text": row["text"] + " and a good deal more of it", "label": row["label"]} for row in rows]
    splits = load(write_jsonl(tmp_path / "mine.jsonl", rows), test_ratio=0.05)
    assert splits.dropped == {"inside a test text": 4, "inside a validation text": 8}
    assert sizes(splits) == (80 - 4 - 4 - 8 - 8, 8, 4)


def test_merge_puts_train_and_validation_together_and_splits_anew(folder):
    splits = load(folder, split="merge")
    assert sizes(splits) == (64, 8, 8)
    assert {name.partition(":")[0] for name in ids(splits)} == {"train", "validation"}


def test_merge_bears_columns_of_other_types(folder):
    write_jsonl(folder / "validation.jsonl", [row | {"topic": 7, "extra": 1} for row in examples(20, 100)])
    splits = load(folder, split="merge")
    assert sizes(splits) == (64, 8, 8)
    assert splits.train.column_names == ["example_id", "text", "label_id"]


@pytest.mark.parametrize("split, expected", [("disjoint", (26, 4, 20)), ("random", (26, 4, 20)), ("merge", (24, 3, 3))])
def test_the_limit_is_of_what_is_split_and_leaves_a_test_split_whole(folder, split, expected):
    (folder / "validation.jsonl").unlink()
    splits = load(folder, split=split, limit=30, validation_ratio=0.12 if split != "merge" else 0.1)
    assert sizes(splits) == expected
    rows = [int(example_id.partition(":")[2]) for example_id in splits.train["example_id"].to_pylist()]
    assert max(rows) < 30


def test_the_limit_of_merge_counts_into_validation(folder):
    splits = load(folder, split="merge", limit=70)
    assert sizes(splits) == (56, 7, 7)
    assert {"validation:0", "validation:9"} <= set(ids(splits)) and "validation:10" not in ids(splits)


def test_the_same_rows_are_held_out_whatever_is_cleaned(tmp_path):
    rows = [{"text": f"{'So! ' * (n % 9)}N{n}.", "label": n % 2} for n in range(200)]
    path = write_jsonl(tmp_path / "mine.jsonl", rows)
    for split in ("random", "merge"):
        plain, cleaned = load(path, split=split), load(path, split=split, clean=ALL_STEPS)
        assert plain.validation["example_id"] == cleaned.validation["example_id"]


# What is dropped

def test_empty_and_unlabelled_rows_are_dropped_and_counted_and_the_others_keep_their_numbers(tmp_path):
    rows = examples(40)
    rows[0]["text"], rows[1]["text"], rows[2]["text"] = None, "", " \t\u00a0"
    rows[3]["label"], rows[4]["label"] = None, ""
    del rows[5]["label"], rows[6]["text"]
    splits = load(write_jsonl(tmp_path / "mine.jsonl", rows), split="random")
    assert splits.dropped == {"unlabelled": 3, "empty": 4}
    assert sorted(ids(splits)) == sorted(f"train:{row}" for row in range(7, 40))
    assert splits.source["train"] == SourceCounts(40, 3, 4, repeated=0, contradictory=0)


def test_nan_in_a_csv_or_parquet_file_is_empty(tmp_path):
    rows = examples(20)
    lines = ["text,label", "NaN,good", ",bad", *(f"{row['text']},{row['label']}" for row in rows)]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    assert load(tmp_path / "a.csv").dropped == {"empty": 2}
    table = pa.table({"text": [None, *(row["text"] for row in rows)], "label": [1.0, *([0.0, 1.0] * 10)]})
    pq.write_table(table, tmp_path / "a.parquet")
    splits = load(tmp_path / "a.parquet")
    assert splits.dropped == {"empty": 1} and splits.label_names == ["0", "1"]


def test_what_cleaning_leaves_empty_is_dropped_except_in_merge(tmp_path):
    emptied = [{"text": "!!!", "label": "good"}, {"text": "...", "label": "bad"}]
    path = write_jsonl(tmp_path / "mine.jsonl", [*examples(38), *emptied])
    splits = load(path, clean=ALL_STEPS, split="random")
    assert splits.dropped == {"empty after cleaning": 2} and sum(sizes(splits)) == 38
    assert load(path, split="random").dropped == {}
    assert sum(sizes(load(path, clean=ALL_STEPS, split="merge"))) == 40


def test_columns_of_the_source_that_have_our_names_get_another(tmp_path):
    others = {"text": "not this", "label_id": 7, "example_id": "x"}
    path = write_jsonl(tmp_path / "mine.jsonl", [row | {"sentence": row["text"]} | others for row in examples(40)])
    splits = load(path, text_column="sentence", split="random")
    assert splits.train.column_names == [
        "example_id", "text", "label_id", "source_text", "topic", "source_label_id", "source_example_id"
    ]
    assert splits.train["text"][0].as_py().startswith("word")


# Labels

@pytest.mark.parametrize("labels, names", [
    ([0, 1], ["0", "1"]), ([5, 1], ["1", "5"]), ([False, True], ["false", "true"]), (["spam", "ham"], ["ham", "spam"]),
    ([1.0, 2.0], ["1", "2"]), (["10", "9"], ["9", "10"]),
])
def test_labels_may_be_ints_strings_or_booleans(tmp_path, labels, names):
    rows = [{"text": row["text"], "label": labels[n % 2]} for n, row in enumerate(examples(40))]
    splits = load(write_jsonl(tmp_path / "mine.jsonl", rows), split="random")
    assert splits.label_names == names
    row = next(row for row in splits.train.to_pylist() if row["example_id"].endswith("2"))      # an even one
    assert splits.label_names[row["label_id"]] == str(labels[0]).lower().removesuffix(".0")


def test_a_source_of_one_known_name_has_its_label_names(tmp_path, monkeypatch):
    monkeypatch.setenv("VOLTA_DATA", str(tmp_path))
    rows = [row | {"label": n % 4} for n, row in enumerate(examples(80))]
    write_jsonl(tmp_path / "ag_news" / "train.jsonl", rows)
    splits = load_splits(DataConfig(source="ag_news"))
    assert splits.label_names == ["World", "Sports", "Business", "Sci/Tech"]
    assert splits.place.kind == "local"


def test_a_data_set_of_the_hub_has_the_names_of_its_classes(tmp_path, monkeypatch):
    import datasets
    from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    features = Features({"text": Value("string"), "label": ClassLabel(names=["calm", "angry"])})
    rows = {"text": [row["text"] for row in examples(40)], "label": [0, 1] * 20}
    monkeypatch.setattr(datasets, "load_dataset", lambda name: DatasetDict(train=Dataset.from_dict(rows, features)))
    splits = load_splits(DataConfig(source="owner/moods"))
    assert splits.label_names == ["calm", "angry"]
    assert sum(sizes(splits)) == 40


# What is refused

@pytest.mark.parametrize("rows, fields, sentence", [
    ([{"text": f"t{n}", "label": 1} for n in range(20)], {},
     "mine.jsonl has only the label '1' (label column 'label'; missing labels and -1 are none); 2 to 100 labels are"),
    ([{"text": f"t{n}", "label": -1} for n in range(20)], {}, "mine.jsonl has no row with both a text and a label"),
    ([{"text": "", "label": n % 2} for n in range(20)], {}, "mine.jsonl has no row with both a text and a label"),
    ([*examples(20), {"text": "alone", "label": "odd"}], {}, "mine.jsonl: the label 'odd' has a single example (tr"),
    ([{"text": f"t{n}", "label": f"l{n}"} for n in range(202)], {}, "mine.jsonl has 202 different labels in its"),
    ([{"text": f"t{n}", "label": n // 20} for n in range(40)], {"limit": 20},
     "mine.jsonl has only the label '0' in its first 20 rows (data.limit)"),
    ([{"text": n, "label": n % 2} for n in range(20)], {}, "mine.jsonl: the text column 'text' holds values of type i"),
    ([{"text": f"t{n}"} for n in range(20)], {}, "mine.jsonl has only one column (text)"),
    ([{"text": "the same text", "label": n % 2} for n in range(20)], {},
     "'{path}' has no training example of the label '0' left after cleaning and splitting. Add examples,"),
    ([*examples(16), *({"text": f"t{n}", "label": "odd"} for n in range(2))], {"split": "random"},
     "'{path}' cannot be split with the same share of each label: 'odd' has 2 of 18 examples. Add examples of it,"),
])
def test_data_that_cannot_be_trained_on_are_refused(tmp_path, rows, fields, sentence):
    path = write_jsonl(tmp_path / "mine.jsonl", rows)
    with pytest.raises(DataError) as error:
        load(path, **fields)
    assert str(error.value).startswith(sentence.format(path=path))


def test_a_label_that_only_test_has_is_refused(folder):
    write_jsonl(folder / "test.jsonl", [*examples(4), {"text": "t", "label": "ugly"}])
    with pytest.raises(DataError, match="test.jsonl has the label 'ugly', which train does not have; train has: bad, "):
        load(folder)


# Fingerprints, preview, slug

def test_a_fingerprint_tells_texts_labels_and_order_apart(folder):
    first = load(folder).fingerprints
    assert first["train"]["rows"] == 60 and first["train"]["labels"] == {"bad": 30, "good": 30}
    assert first == load(folder).fingerprints
    rows = examples(60)
    hashes = {first["train"]["sha256"]}
    for last in (rows[0], rows[0] | {"text": "changed"}, rows[0] | {"label": "good"}):
        write_jsonl(folder / "train.jsonl", [*rows[1:], last])
        hashes.add(load(folder).fingerprints["train"]["sha256"])
    assert len(hashes) == 4


def test_the_preview_follows_a_text_into_the_model(tiny_model, tmp_path):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    texts = ["", "GOOD, not <b>bad</b>!", "a film " * 20, "dull"]
    path = write_jsonl(tmp_path / "mine.jsonl", [{"text": text, "label": n % 2} for n, text in enumerate(texts)])
    shown = preview(DataConfig(source=str(path), clean=CleanConfig(html=True), max_length=8), tokenizer, n=2)
    assert shown[0]["raw"] == "GOOD, not <b>bad</b>!"
    assert shown[0]["cleaned"] == "GOOD, not  bad !"
    assert shown[0]["pieces"] == ["[CLS]", "good", "[UNK]", "not", "bad", "[UNK]", "[SEP]"]
    assert shown[0]["ids"] == tokenizer.convert_tokens_to_ids(shown[0]["pieces"])
    assert len(shown) == 2 and len(shown[1]["ids"]) == 8       # truncated


@pytest.mark.parametrize("source, expected", [
    ("sst2", "sst2"), ("stanfordnlp/sst2", "stanfordnlp__sst2"), ("my file.csv", "my_file"),
    ("/home/me/Réviews.PARQUET", "R_views"),
    ("C:\\data\\a.tsv", "a"), ("/data/mine/", "data__mine"), ("...", "data"), ("_x", "x"), ("a" * 100, "a" * 64),
])
def test_a_slug_is_a_safe_folder_name(source, expected):
    assert slug(source) == expected


# The real data sets

@pytest.mark.skipif(not has_split_files(PROJECT_ROOT / "examples" / "starter"), reason="the starter data are not there")
def test_the_starter_data_come_with_the_project_and_load():
    assert find_data("starter").sentence == "'starter' comes with Volta."
    splits = load_splits(DataConfig())
    assert splits.label_names == ["negative", "positive"] and "phenomenon" in splits.train.column_names


@real("sst2")
@pytest.mark.parametrize("fields, expected", [
    ({"split": "merge"}, (54_576, 6_822, 6_823)),
    ({"split": "merge", "clean": ALL_STEPS}, (54_576, 6_822, 6_823)),
    ({"split": "merge", "limit": 10_000}, (8_000, 1_000, 1_000)),
    ({"split": "random"}, (60_614, 6_735, 872)),
])
def test_sst2_splits_as_the_classic_report_does(fields, expected):
    assert sizes(load_splits(DataConfig(source="sst2", **fields))) == expected


@real("sst2")
def test_sst2_is_tested_on_its_official_validation_split_and_validated_on_what_training_never_saw():
    splits = load_splits(DataConfig(source="sst2"))
    assert splits.label_names == ["negative", "positive"]
    assert sizes(splits) == (67_349 - 1_000 - splits.dropped["inside a validation text"], 1_000, 872)
    assert splits.test["example_id"][871].as_py() == "validation:871"
    assert splits.fingerprints["test"]["labels"] == {"negative": 428, "positive": 444}
    assert load_splits(DataConfig(source="sst2", limit=2_000)).test.num_rows == 872


@real("sst2")
def test_sst2_repeats_371_texts_five_of_them_with_both_labels():
    counts = load_splits(DataConfig(source="sst2", split="random")).source["train"]
    assert (counts.rows, counts.repeated, counts.contradictory) == (67_349, 371, 5)


@real("imdb")
def test_imdb_has_123_test_rows_that_are_also_in_train():
    splits = load_splits(DataConfig(source="imdb", split="random"))
    assert sizes(splits) == (22_500, 2_500, 25_000)
    source = read_source(splits.place).tables
    assert is_in(source["test"]["text"], source["train"]["text"]).sum() == 123
    assert (splits.source["train"].repeated, splits.source["test"].repeated) == (96, 199)


@real("ag_news")
def test_ag_news_has_four_labels_and_no_validation_split():
    splits = load_splits(DataConfig(source="ag_news"))
    assert splits.label_names == ["World", "Sports", "Business", "Sci/Tech"]
    assert sizes(splits)[1:] == (1_000, 7_600)
