"""The Errors tab: what it lists, filters and opens, from the address and by clicks, on the run that comes along."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pyarrow as pa
import pytest

from analysis.attribution import DEFAULT_METHOD
from analysis.edits import Trial
from analysis.faithfulness import Faithfulness
from analysis.findings import Finding
from pipeline.catalog import create_run, load_run
from pipeline.config import make_config
from pipeline.judgements import Fix, fix_list
from pipeline.predictions import save_predictions
from pipeline.runs import Run
from pipeline.sources import bundled_run
from tabs import errors_data
from tabs.errors_export import export
from tabs.errors_tab import choose_run, enter, look, look_around
from tabs.errors_view import cause_told, faithfulness_block
from tabs.judge_form import Drafts, fill_form, remove_fix, save_fix, save_judgement
from tabs.sentence_view import open_example, sentence_to_edit, try_edit
from tabs.suite_view import ask_suite
from tabs.taught_view import doubt_labels, group_errors, who_taught

RUN, FILE = "sst2-minilm", "starter/test"
SHOWN = {
    "run": RUN, "file": FILE, "beside": "", "show": "errors", "search": "", "regex": False, "rule": "", "sort": "loss",
}
NOWHERE = {"page": 1, "example": None}


@pytest.fixture
def run(run_root: Path) -> Run:
    """A copy of the run that comes along, to be written to."""
    shutil.copytree(bundled_run(), run_root / "copy", ignore=shutil.ignore_patterns("sst2", "training_index"))
    config = json.loads((run_root / "copy" / "run_config.json").read_text())
    (run_root / "copy" / "run_config.json").write_text(json.dumps({**config, "name": "copy"}))
    return load_run("copy")


def looked(place: dict[str, Any] = NOWHERE, **changed: Any) -> tuple[str, list[dict[str, Any]], dict[str, Any]]:
    summary, listed, place = look(place, *{**SHOWN, **changed}.values())
    return json.dumps(summary, ensure_ascii=False), listed, place


def rows(listed: list[dict[str, Any]]) -> list[list[str]]:
    return listed[0]["rows"]


def entered(address: str) -> dict[str, Any]:
    names = [*SHOWN, "label", "against", "place"]
    values = enter(address, None, None, None, "errors", "", False, "", "loss")
    return {name: getattr(value, "value", value) if isinstance(value, gr.Dropdown) else value
            for name, value in zip(names, values, strict=True)}


def test_the_errors_come_with_the_highest_loss_first_and_the_first_one_is_opened(run_root: Path) -> None:
    summary, listed, place = looked()
    losses = [float(row[0]) for row in rows(listed)]
    assert losses == sorted(losses, reverse=True)
    assert all(row[1] != row[2].split()[0] for row in rows(listed))
    assert place["example"] == listed[0]["picks"][0][3]["example"] and listed[0]["current"] == 0
    assert "wrong: accuracy 0." in summary


def test_a_rule_tells_how_often_it_is_wrong_there(run_root: Path) -> None:
    summary, listed, _ = looked(rule="contrast & predicted:positive", show="all")
    assert "Of examples with contrast and predicted positive, " in summary
    assert all(row[2].startswith("positive") for row in rows(listed))


def test_a_search_that_finds_nothing_says_what_to_do(run_root: Path) -> None:
    _, listed, place = looked(search="zzzz")
    assert listed[0]["text"].startswith("No example is like that.")
    assert place["example"] is None


@pytest.mark.parametrize(("changed", "sentence"), [
    ({"rule": "contrst"}, "'contrst' is no condition of a rule"),
    ({"search": "(", "regex": True}, "'(' cannot be searched for: "),
    ({"file": "starter/train"}, "'sst2-minilm' keeps no predictions of starter/train."),
])
def test_what_cannot_be_looked_for_is_one_sentence_and_the_list_stays(
    run_root: Path, changed: dict[str, Any], sentence: str
) -> None:
    summary, listed, place = look(NOWHERE, *{**SHOWN, **changed}.values())
    assert sentence in summary[0]["text"] and summary[0]["tone"] == "problem"
    assert listed == place == gr.skip()


def test_pages_are_turned_on_the_server(run_root: Path) -> None:
    _, first, _ = looked(show="all")
    _, second, _ = looked({"page": 2, "example": None}, show="all")
    assert len(rows(first)) == 20 and first[1]["before"] is None and first[1]["after"] == {"page": 2}
    assert second[1]["words"].startswith("21 to 40 of ")
    assert not set(map(tuple, rows(first))) & set(map(tuple, rows(second)))
    _, last, place = looked({"page": 999, "example": None}, show="all")
    assert place["page"] == -(-258 // 20) and last[1]["after"] is None


def test_the_address_reopens_what_it_says(run_root: Path) -> None:
    asked = entered("?tab=errors&run=sst2-minilm&data=starter&split=test&show=all&search=film&regex=true&rule=contrast"
                    "&sort=words&at=2&example=test%3A5")
    assert {name: asked[name] for name in SHOWN} == {
        **SHOWN, "show": "all", "search": "film", "regex": True, "rule": "contrast", "sort": "words",
    }
    assert asked["place"] == {"page": 2, "example": "test:5"}


def test_an_address_of_what_is_not_there_opens_what_is(run_root: Path) -> None:
    asked = entered("?tab=errors&run=gone&data=x&split=y&show=x&sort=x&at=x")
    assert asked["file"] in errors_data.file_choices(load_run(RUN))
    assert {name: asked[name] for name in SHOWN} == {**SHOWN, "file": asked["file"]}
    assert asked["place"] == NOWHERE
    assert entered("?tab=runs&run=a,b")["run"] == RUN


def test_without_predictions_it_says_how_to_get_some(run_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tabs.errors_tab.runs_with_predictions", lambda: [])
    assert entered("")["run"] is None
    assert "No run keeps predictions yet." in looked(run=None, file=None)[0]


def test_a_cell_and_a_slice_carry_the_rule_that_a_click_sets(run_root: Path) -> None:
    *_, (matrix, slices, quality, chart) = look_around(RUN, FILE, "")
    assert chart["figure"]["data"][1]["x"]
    assert matrix[0]["picks"][0][2] == {"rule": "gold:negative & predicted:positive"}
    assert sum(int(cell.replace(",", "")) for row in matrix[0]["rows"] for cell in row[1:]) == 258
    picks = [pick[0] for block in slices if "picks" in block for pick in block["picks"]]
    assert all(pick["rule"] for pick in picks) and any(pick.get("help", "").startswith("Has ") for pick in picks)
    assert "false positives" in json.dumps(quality)


def test_a_sentence_is_coloured_first_then_examined(run_root: Path) -> None:
    _, _, place = looked()
    steps = list(open_example(place, RUN, FILE, "", "", "", DEFAULT_METHOD, ""))
    kinds = [[block["kind"] for block in blocks] for blocks in steps]
    assert "words" in kinds[0] and "finding" not in kinds[0]
    assert "finding" in kinds[-1]
    told = json.dumps(steps[-1], ensure_ascii=False)
    assert "These words matter" in told or "do not trust these colours" in told
    assert "How the tokenizer sees it" in told
    assert "Cause: " in told or "No cause confirmed" in told


def test_what_is_typed_as_an_edit_stays_until_another_sentence_is_opened(run_root: Path) -> None:
    _, listed, place = looked()
    words, shown = sentence_to_edit(place, RUN, FILE, [])
    assert words == rows(listed)[0][3]
    assert sentence_to_edit(place, RUN, FILE, shown) == (gr.skip(), shown)
    other = listed[0]["picks"][1][3]
    assert sentence_to_edit(other, RUN, FILE, shown)[0] == rows(listed)[1][3]


def test_a_run_beside_it_shows_its_words_for_the_same_label(run_root: Path) -> None:
    _, _, place = looked()
    *_, blocks = open_example(place, RUN, FILE, RUN, "negative", "positive", "occlusion", "gradient_x_input")
    words = [block for block in blocks if block["kind"] == "words"]
    first, second, beside = words
    assert first == beside != second
    assert "By gradient × input; rank agreement " in json.dumps(blocks, ensure_ascii=False)
    assert words[0]["label"] == "Evidence for and against negative"


def test_an_example_that_is_not_there_is_one_sentence(run_root: Path) -> None:
    [blocks] = open_example({"page": 1, "example": "test:x"}, RUN, FILE, "", "", "", DEFAULT_METHOD, "")
    assert blocks[0]["text"] == "There is no example test:x in these predictions. Choose one from the list."
    [blocks] = open_example(NOWHERE, RUN, FILE, "", "", "", DEFAULT_METHOD, "")
    assert blocks[0]["tone"] == "hint"


def test_an_edit_is_predicted_at_once_and_then_coloured(run_root: Path) -> None:
    _, listed, place = looked()
    first, second = try_edit(" good  film ", place, RUN, FILE, "", DEFAULT_METHOD)
    assert [block["kind"] for block in first] == ["bars", "text"]
    assert [item["text"] for item in second[-1]["items"]] == ["good", "film"]
    assert list(try_edit("  ", place, RUN, FILE, "", DEFAULT_METHOD)) == [[]]
    assert list(try_edit(rows(listed)[0][3], place, RUN, FILE, "", DEFAULT_METHOD)) == [[]]


def test_the_pickers_offer_what_there_is_of_a_run(run_root: Path) -> None:
    file, beside, label, _against = choose_run(RUN, "starter/test", RUN, "positive")
    assert (file.value, beside.value, label.value) == ("starter/test", "", "positive")
    assert [name for _, name in label.choices] == ["", "negative", "positive"]


def test_a_judgement_is_kept_comes_back_and_is_a_rule(run: Run) -> None:
    _, _, place = looked(run="copy", show="all")
    judgement = ("wrong_label", "negative", "irony, late turn,", " Read it aloud. ")
    [said], right = save_judgement(None, place, "copy", FILE, *judgement)
    assert right == "negative"
    assert said["text"].startswith(f"Kept in the run's notes for {place['example']}.")
    mark, label, tags, note, right, *_ = fill_form(place, "copy", FILE, Drafts())
    assert (mark, label.value, tags, note, right.value) == (
        "wrong_label", "negative", "irony, late turn", "Read it aloud.", "negative",
    )
    summary, listed, _ = looked(run="copy", show="all", rule="wrong_label")
    assert len(rows(listed)) == 1 and "Of examples with wrong label, " in summary
    assert "of 257 are wrong" in looked(run="copy", show="all", rule="no wrong_label")[0]


@pytest.mark.parametrize(("cost", "chance", "said"), [
    (0.62, 0.08, "These words matter. Without “but” the probability of positive changes by -0.62; "),
    (0.02, 0.01, "These words matter hardly more than others. Without “but” "),
    (0.08, 0.09, "do not trust these colours."),
])
def test_colours_are_told_beside_what_leaving_their_words_out_costs(cost: float, chance: float, said: str) -> None:
    [told] = faithfulness_block(Faithfulness(("but",), cost, 0.0, chance, 0.0), "positive")
    assert said in told["text"] and (told["tone"] == "problem") == (cost < chance)


def test_an_edited_sentence_goes_on_the_fix_list(run: Run) -> None:
    listed, how = save_fix(None, "copy", "NOT a good film", "negative")
    assert listed["rows"] == [["negative", "NOT a good film", "take back"]]
    assert "--set data.extra=copy" in how["text"]
    assert fix_list(run) == [Fix("NOT a good film", "negative")]
    assert fill_form({"example": "test:1"}, "copy", FILE, Drafts())[-2] == [listed, how]
    assert remove_fix(None, listed["picks"][0][2], "copy") == [] == fix_list(run)
    assert remove_fix(None, None, "copy") == []
    assert save_fix(None, "copy", " ", "negative")[0]["tone"] == "problem"


def test_a_run_beside_it_gives_rules_for_what_became_of_its_errors(run: Run) -> None:
    assert "There are no examples with fixed." in looked(run="copy", beside=RUN, show="all", rule="fixed")[0]
    wrong = looked(run="copy", beside=RUN, show="all", rule="still_wrong")[1][-1]["words"]
    assert wrong == looked(run="copy")[1][-1]["words"]
    *_, (_, [became, *_], _, _) = look_around("copy", FILE, RUN)
    assert became["rows"][0] == ["all examples", "258", "0", "0", wrong.split()[-1], "1.000"]
    assert became["picks"][0][2] == {"rule": "fixed", "show": "all"}
    names = ("fixed", "broken", "still_wrong")
    for (_, n, _, _, still_wrong, p), pick in zip(became["rows"][1:], became["picks"][1:], strict=True):
        assert 0 < int(still_wrong) <= int(n) and p == "1.000"
        assert [each["rule"] for each in pick[2:5]] == [f"{pick[0]['rule']} & {name}" for name in names]


def test_what_is_typed_of_a_sentence_and_not_kept_comes_back_with_it(run: Run) -> None:
    _, listed, place = looked(run="copy")
    other = listed[0]["picks"][1][3]
    *_, drafts = fill_form(place, "copy", FILE, Drafts())
    typed = ("ambiguous", "", "", "half a thought")
    mark, _, _, note, _, said, _, drafts = fill_form(other, "copy", FILE, drafts, *typed)
    assert (mark, note, said) == ("", "", [])
    mark, _, _, note, _, [said], _, _ = fill_form(place, "copy", FILE, drafts, "", "", "", "")
    assert (mark, note, said["text"]) == ("ambiguous", "half a thought", "Typed before, and not kept yet.")


def test_without_a_cause_it_is_told_what_mends_the_error_all_the_same(run_root: Path) -> None:
    mended = Trial("the halves swapped", "x", "negative", 0.9, -0.9, mends=True)
    told = Finding("turn", "a", "", None, trials=(mended, mended))
    assert cause_told([told]).endswith("but none of them proves why it errs: the halves swapped.")
    assert cause_told([replace(told, trials=())]).startswith("No cause confirmed: no experiment changes")
    assert cause_told([told, Finding("word", "It is b.", "", True, is_cause=True)]) == "Cause: It is b."


def test_a_summary_tells_of_rule_and_search_together(run_root: Path) -> None:
    summary, listed, _ = looked(rule="contrast", search="it", show="all")
    assert "Of examples with contrast and “it” in the text, " in summary
    assert f" of {listed[-1]['words'].split()[-1]} are wrong" in summary


def test_a_mark_stands_beside_the_gold_label_in_the_list(run: Run) -> None:
    first = looked(run="copy")[2]["example"]
    save_judgement(None, {"page": 1, "example": first}, "copy", FILE, "ambiguous", "", "", "")
    [row, other, *_] = rows(looked(run="copy")[1])
    assert row[1].endswith(" (ambiguous)") and "(" not in other[1]


def test_the_contrast_suite_is_told_by_phenomenon_with_its_worst_pairs(run_root: Path) -> None:
    *_, [scores, _, worst] = ask_suite(RUN)
    assert scores["rows"][0][:2] == ["all examples", "336"]
    shares = [float(row[2].split()[0]) for row in scores["rows"][1:]]
    assert shares == sorted(shares) and len(shares) == 14
    assert len(worst["rows"]) == 20 and {worst["rows"][0][0], worst["rows"][1][0]} == {"negative", "positive"}
    assert any(row[0] != row[1].split()[0] for row in worst["rows"][:2])


def test_errors_are_grouped_by_meaning_and_each_group_is_a_rule(run: Run) -> None:
    assert "is no condition of a rule" in looked(run="copy", rule="cluster_0")[0]
    *_, [groups] = group_errors("copy", FILE)
    total = int(looked(run="copy")[1][-1]["words"].split()[-1])
    assert sum(int(row[1]) for row in groups["rows"]) == total
    first = looked(run="copy", rule=groups["picks"][0][0]["rule"])[1]
    assert first[-1]["words"].split()[-1] == groups["rows"][0][1]


def test_doubtful_labels_are_ranked_and_are_a_rule(run: Run) -> None:
    *_, [ranked, told, *_] = doubt_labels("copy", FILE)
    belief = [float(row[0]) for row in ranked["rows"]]
    assert belief == sorted(belief) and "all-MiniLM-L6-v2" in told["text"]
    doubted = int(told["text"].split()[0])
    assert looked(run="copy", show="all", rule="doubtful_label")[1][-1]["words"].endswith(f"of {doubted}")


def test_without_an_index_it_is_said_how_to_learn_who_taught_it(run: Run) -> None:
    _, _, place = looked(run="copy")
    [hint] = who_taught(place, "copy", FILE)
    assert "have not been read yet" in hint["text"] and hint["tone"] == "hint"


def test_words_that_the_tokenizer_does_not_know_are_a_rule_too(run_root: Path) -> None:
    assert 0 < len(rows(looked(show="all", rule="rare_words")[1])) <= 20


@pytest.mark.parametrize("kind", ["csv", "jsonl", "html"])
def test_the_list_is_taken_along_as_it_is_filtered(run: Run, kind: str) -> None:
    _, listed, place = looked(run="copy", rule="contrast")
    save_judgement(None, place, "copy", FILE, "ambiguous", "", "", "Hm.")
    *_, (message, button) = export(kind, *{**SHOWN, "run": "copy", "rule": "contrast"}.values())
    written = Path(button.value["path"] if isinstance(button.value, dict) else button.value).read_text(encoding="utf-8")
    n = listed[-1]["words"].split()[-1]
    assert message[0]["text"] == f"{n} examples in copy-starter-test.{kind}."
    assert "Hm." in written and "ambiguous" in written
    if kind == "html":
        assert written.count("<article>") == int(n) and "<span class=" in written
    else:
        assert written.count("\n") == int(n) + (kind == "csv")


def test_only_runs_that_have_predicted_the_same_can_stand_beside(run: Run) -> None:
    assert [name for _, name in choose_run(RUN, FILE, "", "")[1].choices] == ["", "copy"]
    kept = run.folder / "predictions" / "starter" / "test.parquet"
    kept.rename(kept.with_name("train.parquet"))
    assert [name for _, name in choose_run(RUN, FILE, "", "")[1].choices] == [""]


def test_a_coloured_file_of_some_of_the_errors_says_of_how_many(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tabs.errors_export.MAX_COLOURED", 1)
    *_, (message, _) = export("html", *{**SHOWN, "run": "copy"}.values())
    n = looked(run="copy")[1][-1]["words"].split()[-1]
    assert message[0]["text"] == f"1 examples in copy-starter-test.html. (The first ones of {n}: more would take long.)"


def test_a_hundred_thousand_predictions_open_in_about_a_second(run_root: Path) -> None:
    run = create_run(make_config({"name": "large"}))
    random = np.random.default_rng(0)
    words = np.array("the a film but not good dull story and little".split())
    texts = [" ".join(words[row]) for row in random.integers(0, len(words), (100_000, 12))]
    examples = pa.table({
        "example_id": [f"test:{row}" for row in range(len(texts))], "text": texts,
        "label_id": random.integers(0, 2, len(texts)),
    })
    path = run.folder / "predictions" / "made-up" / "test.parquet"
    save_predictions(path, examples, random.normal(size=(len(texts), 2)).astype(np.float32), ["negative", "positive"])
    seconds = []
    for changed in ({}, {"search": "but not"}):
        began = time.perf_counter()
        summary, listed, _ = looked(run="large", file="made-up/test", **changed)
        seconds.append(time.perf_counter() - began)
        assert "of 100,000 are wrong" in summary and len(rows(listed)) == 20
    errors_data._opened.cache_clear()
    assert seconds[0] < 5 and seconds[1] < 2        # a tenth of that on a quiet machine
