"""Judgements and fixes: what people say of sentences is kept line by line, and the newest word counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.catalog import create_run
from pipeline.config import make_config
from pipeline.exceptions import RunError
from pipeline.judgements import Fix, Judgement, add_fix, fix_list, judge, judgements, take_back_fix
from pipeline.runs import Run


@pytest.fixture
def run(run_root: Path) -> Run:
    return create_run(make_config({"name": "a-run"}))


def test_the_newest_judgement_of_an_example_counts_and_may_take_it_back(run: Run) -> None:
    wrong = Judgement("wrong_label", label="negative", tags=("irony", "late"), note="Read it <b>aloud</b>.")
    judge(run, "sst2", "test", "test:1", Judgement("fine"))
    judge(run, "sst2", "test", "test:1", wrong)
    judge(run, "sst2", "test", "test:2", Judgement("ambiguous"))
    judge(run, "sst2", "test", "test:2", Judgement())
    judge(run, "imdb", "test", "test:1", Judgement("fine"))
    assert judgements(run, "sst2", "test") == {"test:1": wrong}


def test_a_note_on_the_run_is_no_judgement_nor_the_other_way_round(run: Run) -> None:
    run.append_note("note", {"text": 'a "judgement" and a "fix"'})
    judge(run, "sst2", "test", "test:1", Judgement(note='a "note"'))
    assert [note["text"] for note in run.notes()] == ['a "judgement" and a "fix"']
    assert list(judgements(run, "sst2", "test")) == ["test:1"] and fix_list(run) == []


def test_a_fix_list_has_each_text_once_with_its_newest_label(run: Run) -> None:
    for text, label in [("a", "x"), ("b", "x"), (" a ", "y")]:
        add_fix(run, Fix(text, label))
    assert fix_list(run) == [Fix("a", "y"), Fix("b", "x")]


def test_a_fix_can_be_taken_back_and_put_on_again(run: Run) -> None:
    add_fix(run, Fix("a", "x"))
    take_back_fix(run, "a")
    take_back_fix(run, "never on it")
    assert fix_list(run) == []
    add_fix(run, Fix("a", "y"))
    assert fix_list(run) == [Fix("a", "y")]


@pytest.mark.parametrize(("act", "sentence"), [
    (lambda run: judge(run, "a", "b", "c", Judgement("odd")), "one of wrong_label, ambiguous, fine; found 'odd'."),
    (lambda run: judge(run, "a", "b", "c", Judgement(note="x" * 10_001)), "At most 10,000 characters .* found 10,001"),
    (lambda run: add_fix(run, Fix(" ", "x")), "one of them is empty. Fill in both."),
    (lambda run: add_fix(run, Fix("x" * 10_001, "x")), "At most 10,000 characters fit here"),
])  # fmt: skip
def test_what_cannot_be_kept_is_one_sentence_and_changes_nothing(run: Run, act, sentence: str) -> None:
    with pytest.raises(RunError, match=sentence):
        act(run)
    assert not (run.folder / "notes.jsonl").exists()


def test_damaged_lines_are_passed_over(run: Run) -> None:
    damaged = '{"kind": "judgement", "data": "a", "split": "b", "example_id": 3, "tags": "x"}'
    (run.folder / "notes.jsonl").write_text(f'{{"kind": "judgement"\n{damaged}\n{{}}\n')
    assert judgements(run, "a", "b") == {}
