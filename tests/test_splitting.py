"""Are the held-out examples apart from training, shared out fairly, and the same every time?"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline import splitting
from pipeline.overlap import lies_inside, normalise_all
from pipeline.splitting import Drawn, draw_disjoint, draw_random, split_merged


def column(texts: list[str]) -> pa.ChunkedArray:
    return pa.chunked_array([texts], pa.large_string())


def sentences(number: int) -> list[str]:
    """Texts of 1 to 20 words that share no word."""
    return [" ".join(f"w{row}x{word}" for word in range(1 + row % 20)) for row in range(number)]


def assert_apart(drawn: Drawn, num_rows: int) -> None:
    rows = np.concatenate(list(drawn.rows.values()))
    assert len(set(rows.tolist())) == len(rows) == num_rows - sum(drawn.left_out.values())
    assert all((np.diff(of_split) > 0).all() for of_split in drawn.rows.values())


# disjoint

def test_longer_texts_are_drawn_the_same_share_of_each_label():
    label_ids = np.array([0, 0, 0, 1] * 100)
    drawn = draw_disjoint(column(sentences(400)), label_ids, {"validation": 40})
    assert_apart(drawn, 400)
    assert np.bincount(label_ids[drawn.rows["validation"]]).tolist() == [30, 10]
    assert min(row % 20 for row in drawn.rows["validation"]) >= 14         # the longest quarter of each label
    assert drawn.left_out == {"validation": 0}


def test_training_texts_that_repeat_or_lie_inside_a_drawn_text_are_left_out():
    whole = ["the plot is thin but the cast is a joy to watch", "nothing in this long dull film made any sense at all"]
    texts = [*whole, "The cast is a joy!", "the plot", "a joy to hear", *whole, "made any sense", "sense made any"]
    drawn = draw_disjoint(column(texts), np.array([1, 0, 1, 1, 1, 1, 0, 0, 0]), {"validation": 2})
    assert sorted(row % 5 for row in drawn.rows["validation"]) == [0, 1]    # each whole text once: row 0 or 5, 1 or 6
    assert drawn.rows["train"].tolist() == [3, 4, 8]                        # too short to tell; not inside; other order
    assert drawn.left_out == {"validation": 4}                              # the two repeats, rows 2 and 7


def test_a_text_with_two_labels_is_drawn_once_at_most():
    texts = ["a long text that stands here twice", "a long text that stands here twice", "one", "two"]
    drawn = draw_disjoint(column(texts), np.array([0, 1, 0, 1]), {"validation": 2})
    assert len(set(drawn.rows["validation"].tolist()) & {0, 1}) == 1
    assert drawn.rows["train"].tolist() == [2, 3] and drawn.left_out == {"validation": 1}


def test_a_text_that_lies_inside_another_is_drawn_only_when_no_other_is_left():
    texts = [f"{text} and more" for text in sentences(40)] + sentences(40)
    label_ids = np.array([0, 1] * 40)
    drawn = draw_disjoint(column(texts), label_ids, {"validation": 8})
    normalised = normalise_all(column(texts))
    held_out = normalised.take(pa.array(drawn.rows["validation"]))
    assert not lies_inside(held_out, normalised.take(pa.array(drawn.rows["train"]))).any()
    parts = column(["a b c d", "b c d", "e f g h", "f g h"])        # of label 1 there are only parts
    assert len(draw_disjoint(parts, np.array([0, 1, 0, 1]), {"validation": 2}).rows["validation"]) == 2


def test_at_most_a_thousand_are_drawn_and_more_than_a_quarter_where_that_is_wanted(monkeypatch):
    label_ids = np.array([0, 1] * 100)
    assert len(draw_disjoint(column(sentences(200)), label_ids, {"validation": 80}).rows["validation"]) == 80
    monkeypatch.setattr(splitting, "MAX_DRAWN", 10)
    assert len(draw_disjoint(column(sentences(200)), label_ids, {"validation": 80}).rows["validation"]) == 10


def test_every_label_is_drawn_and_none_is_drawn_out():
    label_ids = np.array([0] * 96 + [1, 1, 2, 2])
    drawn = draw_disjoint(column(sentences(100)), label_ids, {"test": 10, "validation": 10})
    assert_apart(drawn, 100)
    assert set(label_ids[drawn.rows["test"]]) == set(label_ids[drawn.rows["train"]]) == {0, 1, 2}


def test_validation_lies_outside_the_texts_of_test():
    texts = sentences(300)
    texts += [" ".join(text.split()[:6]) for text in texts if len(text.split()) > 18]       # parts of the longest
    drawn = draw_disjoint(column(texts), np.arange(len(texts)) % 2, {"test": 20, "validation": 20})
    assert_apart(drawn, len(texts))
    assert drawn.left_out["test"] > 0
    of = {split: column([texts[row] for row in rows]) for split, rows in drawn.rows.items()}
    assert not lies_inside(of["train"], of["test"]).any()
    assert not lies_inside(of["validation"], of["test"]).any()


def test_texts_of_one_length_are_drawn_from_the_whole_file():
    texts = [f"a{row} b{row} c{row}" for row in range(400)]
    drawn = draw_disjoint(column(texts), np.arange(400) // 200, {"validation": 40}).rows["validation"]
    assert drawn[:20].max() > 150 and drawn[20:].max() > 350        # not the first fifty of each label


def test_a_draw_is_the_same_in_every_process():
    code = ("import numpy, pyarrow, pipeline.splitting as s; texts = [f'{n % 7} {n % 5} {n} x y z'[: 6 + n % 9] for "
            "n in range(300)]; print(s.draw_disjoint(pyarrow.chunked_array([texts]), numpy.arange(300) % 2, "
            "{'validation': 30}).rows['train'].tolist())")
    runs = [
        subprocess.run([sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, cwd=Path(__file__).parent.parent,
                       capture_output=True, text=True, check=True).stdout
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1] != ""


# random and merge

def test_random_draws_the_same_share_of_each_label():
    label_ids = np.array([0, 0, 0, 1] * 100)
    drawn = draw_random(label_ids, {"test": 40, "validation": 40})
    assert_apart(drawn, 400)
    for split in ("test", "validation"):
        assert np.bincount(label_ids[drawn.rows[split]]).tolist() == [30, 10]
    assert drawn.left_out == {}


def test_merge_is_the_two_steps_of_the_classic_report():
    from sklearn.model_selection import train_test_split

    label_ids = np.arange(1000) % 3
    _, others = train_test_split(np.arange(1000), test_size=0.2, stratify=label_ids, random_state=42)
    validation, test = train_test_split(others, test_size=0.5, stratify=label_ids[others], random_state=42)
    drawn = split_merged(label_ids, 0.1, 0.1)
    assert_apart(drawn, 1000)
    assert set(drawn.rows["test"]) == set(test) and set(drawn.rows["validation"]) == set(validation)


def test_merge_follows_other_ratios():
    drawn = split_merged(np.arange(1000) % 2, 0.1, 0.3)
    assert {split: len(rows) for split, rows in drawn.rows.items()} == {"train": 600, "validation": 100, "test": 300}


@pytest.mark.parametrize("draw", [
    lambda label_ids: draw_random(label_ids, {"validation": 1}), lambda label_ids: split_merged(label_ids, 0.1, 0.1),
])
def test_labels_too_rare_for_equal_shares_are_a_value_error(draw):
    with pytest.raises(ValueError):
        draw(np.array([0] * 16 + [1] * 4))
