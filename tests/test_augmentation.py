"""Augmentation: copies of training examples, the same from the same seed, behind those of train and nowhere else."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipeline.augmentation import COPIES_FILE, as_if_translated, augmented, check_augmentation, make_copies, preview
from pipeline.catalog import create_run
from pipeline.config import RunConfig, make_config
from pipeline.config_parts import AUGMENT_STEPS, AugmentConfig
from pipeline.data import Splits, load_splits
from pipeline.exceptions import ConfigError, ModelError
from pipeline.jobs import carry_out, check_startable
from pipeline.plan import make_plan
from tests.command import volta

OFFLINE = ",".join(step for step in AUGMENT_STEPS if step != "back_translation")
LABELS = ["negative", "positive"]


def config_of(data: Path, steps: str, **augment: Any) -> RunConfig:
    values = {"source": str(data), "split": "random"}
    return make_config({"name": "x", "data": values, "augment": {"steps": steps, **augment}})


def splits_of(config: RunConfig) -> Splits:
    return augmented(load_splits(config.data), config, translate=as_if_translated)


@pytest.fixture
def judgements(tmp_path: Path) -> Path:
    """Sixty examples that can be joined, thirty of each label."""
    words = {"negative": "dull bad boring silly weak", "positive": "good lovely funny smart warm"}
    rows = [
        {"text": f"the {noun} was {word}", "label": label}
        for label in words for word in words[label].split() for noun in "story actor scene film song band".split()
    ]
    path = tmp_path / "judgements.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_without_steps_nothing_is_added(tiny_data: Path) -> None:
    config = config_of(tiny_data, " ")
    splits = load_splits(config.data)
    assert augmented(splits, config) is splits


def test_copies_stand_behind_the_originals_and_what_is_held_out_stays_as_it_was(tiny_data: Path) -> None:
    config = config_of(tiny_data, OFFLINE, share=1.0)
    before, after = load_splits(config.data), splits_of(config)
    assert after.validation.equals(before.validation) and after.test.equals(before.test)
    assert after.train.slice(0, before.train.num_rows).select(before.train.column_names).equals(before.train)
    copies = after.train.slice(before.train.num_rows).to_pylist()
    assert len(copies) > 150 and sum(after.added.values()) == len(copies)
    assert Counter(copy["example_id"].partition(":")[0] for copy in copies) == after.added
    originals = {row["example_id"]: row for row in before.train.to_pylist()}
    for copy in copies:
        original = originals[copy["copy_of"]]
        assert copy["text"].strip() and copy["text"] != original["text"]
        if not copy["example_id"].startswith(("antonym", "contrast")):
            assert copy["label_id"] == original["label_id"]
    texts = before.train["text"].to_pylist() + [copy["text"] for copy in copies]
    assert len(set(texts)) == len(texts)
    assert after.fingerprints["train"]["rows"] == after.train.num_rows
    assert after.fingerprints["validation"] == before.fingerprints["validation"]


def test_an_antonym_flips_the_label(judgements: Path) -> None:
    train = splits_of(config_of(judgements, "antonym", share=1.0)).train.to_pylist()
    labels = {row["text"]: LABELS[row["label_id"]] for row in train if row["example_id"].startswith("antonym")}
    flipped = {"negative": ("unfunny", "dumb", "ugly", "cold"), "positive": ("fascinating", "fun", "strong")}
    for label, words in flipped.items():
        assert {labels[text] for text in labels if text.endswith(words)} == {label}


def test_contrast_makes_both_labels_of_any_example(judgements: Path) -> None:
    splits = splits_of(config_of(judgements, "contrast", share=1.0))
    copies = [row for row in splits.train.to_pylist() if row["example_id"].startswith("contrast")]
    assert len(copies) == splits.added["contrast"] > 40
    assert 0.3 < sum(row["label_id"] for row in copies) / len(copies) < 0.7
    labels = {LABELS[row["label_id"]] for row in copies if re.search("(?:but|yet|however).*(?:dull|bad)", row["text"])}
    assert labels == {"negative"}


def test_no_copy_repeats_a_text(tmp_path: Path) -> None:
    rows = [{"text": "some film", "label": LABELS[number % 2]} for number in range(60)]
    (tmp_path / "same.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert splits_of(config_of(tmp_path / "same.jsonl", "delete", share=1.0)).added == {"delete": 2}   # "some", "film"


def test_the_share_is_that_of_examples_with_a_copy(tiny_data: Path) -> None:
    quarter, whole = (splits_of(config_of(tiny_data, "delete", share=share)).added["delete"] for share in (0.25, 1))
    assert quarter == pytest.approx(48, abs=15) and whole > 180


def test_the_same_seed_makes_the_same_copies_and_another_others(tiny_data: Path) -> None:
    def texts(**augment: Any) -> list[str]:
        return splits_of(config_of(tiny_data, OFFLINE, **augment)).train["text"].to_pylist()

    assert texts() == texts() == texts(seed=42)         # 42 is the run's own
    assert texts() != texts(seed=1)


def test_what_becomes_of_an_example_does_not_hang_on_the_others(tiny_data: Path) -> None:
    config = config_of(tiny_data, "delete,characters", share=1.0)
    train = load_splits(config.data).train

    def by_id(table: Any) -> dict[str, str]:
        ids = table["example_id"].to_pylist()
        return {ids[copy.row]: copy.text for copy in make_copies(table, LABELS, config)}

    whole, part = by_id(train), by_id(train.take(list(range(90, 40, -1))))
    assert {key: whole[key] for key in part} == part and len(part) > 40


def test_a_copy_that_stands_in_what_is_held_out_is_left_out_and_counted(tiny_data: Path) -> None:
    config = config_of(tiny_data, "back_translation", share=1.0)
    splits = load_splits(config.data)
    whole = splits.validation["text"][0].as_py()
    part = " ".join(splits.test["text"][0].as_py().split()[:3])
    made = iter([f"{whole.upper()}!", part, *(f"new {number}" for number in range(200))])
    after = augmented(splits, config, translate=lambda texts: [next(made) for _ in texts])
    assert after.added == {"back_translation": splits.train.num_rows - 2}
    assert after.dropped["of the augmented copies, since they stand in validation"] == 1
    assert after.dropped["of the augmented copies, since they stand in test"] == 1


@pytest.mark.parametrize("step", ["antonym", "contrast"])
def test_steps_that_make_labels_need_the_two_sentiments(step: str) -> None:
    check_augmentation(AugmentConfig(steps=f"typos, {step}"), ["Positive", "Negative"])
    check_augmentation(AugmentConfig(steps="typos"), ["World", "Sports"])
    with pytest.raises(ConfigError) as caught:
        check_augmentation(AugmentConfig(steps=f"typos, {step}"), ["World", "Sports"])
    assert caught.value.field == "augment.steps" and str(caught.value) == (
        f"augment.steps has {step}, which needs the labels negative and positive; the data have World, Sports. "
        "Take it out."
    )


def test_labels_in_the_other_order_keep_their_meaning(judgements: Path) -> None:
    config = config_of(judgements, "antonym", share=1.0)
    train = load_splits(config.data).train
    turned = train.set_column(2, "label_id", [[1 - label for label in train["label_id"].to_pylist()]])
    one = {copy.text: LABELS[copy.label_id] for copy in make_copies(train, LABELS, config)}
    other = {copy.text: LABELS[::-1][copy.label_id] for copy in make_copies(turned, LABELS[::-1], config)}
    assert one == other and set(one.values()) == set(LABELS)


def test_a_start_is_refused_before_anything_is_written(
    run_root: Path, tiny_values: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelError, match="back_translation translates with it"):
        check_startable(make_config({**tiny_values, "augment": {"steps": "back_translation"}}))
    with pytest.raises(ConfigError, match="There is no augmentation step 'typo'; choose from: delete, swap, insert"):
        make_config({**tiny_values, "augment": {"steps": "delete, typo"}})


def test_a_run_trains_on_the_copies_keeps_them_and_says_how_many(
    run_root: Path, tiny_values: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config({**tiny_values, "augment": {"steps": "delete,swap", "share": 1.0}})
    plan = make_plan(config)
    run = create_run(config)
    assert carry_out(run) == 0
    environment = run.environment()
    copies = pq.read_table(run.folder / COPIES_FILE)
    assert environment["data"]["train"]["rows"] == 192 + copies.num_rows == plan.rows["train"]
    assert sum(environment["added"].values()) == copies.num_rows > 150
    # From then on the file tells, not the program: a translation may come out differently on another day.
    monkeypatch.setattr("pipeline.augmentation.make_copies", None)
    again = augmented(load_splits(config.data), config, run.folder / COPIES_FILE)
    assert again.fingerprints == environment["data"] and again.added == environment["added"]


def test_the_training_examples_of_an_augmented_run_can_still_be_looked_up(
    run_root: Path, tiny_values: dict[str, Any]
) -> None:
    from analysis.training_index import _training_examples

    run = create_run(make_config({**tiny_values, "augment": {"steps": "delete"}}))
    assert carry_out(run) == 0
    assert any(found.startswith("delete:") for found in _training_examples(run)["example_id"].to_pylist())


def test_the_preview_shows_ten_pairs_with_their_labels_as_many_of_each_step(judgements: Path) -> None:
    config = config_of(judgements, "typos, antonym,contrast", share=1.0)
    pairs = preview(config)
    steps = [pair.what for pair in pairs]
    assert steps == sorted(steps, key=["typos", "antonym", "contrast"].index)
    assert sorted(Counter(steps).values()) == [3, 3, 4]
    flipped = [pair for pair in pairs if pair.what == "antonym"]
    assert all({pair.label_before, pair.label_after} == set(LABELS) for pair in flipped)
    assert all(pair.before != pair.after for pair in pairs)


def test_a_preview_of_nothing_says_what_to_choose(judgements: Path) -> None:
    with pytest.raises(ConfigError, match="^augment.steps is empty, so that no copies are made. Name one or more of "):
        preview(config_of(judgements, ""))


def test_the_command_prints_a_pair_a_line(judgements: Path) -> None:
    answer = volta("augment", "--set", f"data.source={judgements}", "--set", "augment.steps=contrast")
    assert answer.status == 0, answer.stderr
    lines = [json.loads(line) for line in answer.stdout.splitlines()]
    assert len(lines) == 10
    assert all(list(line) == ["what", "before", "after", "label_before", "label_after"] for line in lines)


def test_every_step_does_something(judgements: Path) -> None:
    rows = judgements.read_text().replace('"the ', '"It was so. The ').replace('", "label', '." , "label')
    judgements.write_text(rows)
    for step in AUGMENT_STEPS:
        if step not in ("antonym", "contrast"):
            assert splits_of(config_of(judgements, step, share=1.0)).added.get(step, 0) > 10, step
