"""`python -m analysis ...` on the run that comes with Volta: errors, slices, explain, compare, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.command import analysis

SENTENCE = "I LOVE YOU but you dnt love me"


def test_errors_come_with_the_highest_loss_first(run_root: Path) -> None:
    answer = analysis("errors", "sst2-minilm")
    losses = [line["loss"] for line in answer.lines]
    assert answer.status == 0 and losses == sorted(losses, reverse=True)
    assert all(line["gold"] != line["predicted"] for line in answer.lines)
    assert set(answer.lines[0]) == {"example_id", "text", "gold", "predicted", "probability", "loss"}


def test_errors_are_filtered_by_rule_and_search(run_root: Path) -> None:
    every = analysis("errors", "sst2-minilm", "--show", "all").lines
    turning = analysis("errors", "sst2-minilm", "--show", "all", "--rule", "contrast & predicted:negative").lines
    assert 0 < len(turning) < len(every)
    assert all(line["predicted"] == "negative" for line in turning)
    found = analysis("errors", "sst2-minilm", "--show", "all", "--search", "fil[ms]", "--regex", "--limit", "3").lines
    assert len(found) == 3 and all("film" in line["text"].lower() for line in found)


def test_slices_are_known_and_found(run_root: Path) -> None:
    lines = analysis("slices", "sst2-minilm", "--rule", "word:film").lines
    known = [line["rule"] for line in lines if line["kind"] == "known"]
    assert {"contrast", "negation", "word:film"} <= set(known)
    assert all(0 <= line["low"] <= line["error_rate"] <= line["high"] <= 1 for line in lines)


def test_a_sentence_is_explained_in_one_object(run_root: Path) -> None:
    [told] = analysis("explain", "sst2-minilm", "--text", SENTENCE).lines
    assert [each["word"] for each in told["words"]] == SENTENCE.split()
    whole = told["log_odds"] - told["baseline_log_odds"]
    assert sum(each["score"] for each in told["words"]) == pytest.approx(whole, abs=0.011 * abs(whole))
    assert told["prediction"]["label"] == told["label"]
    kinds = [finding["kind"] for finding in told["findings"]]
    assert kinds[:3] == ["turn", "turn word", "negation"]
    assert told["gold"] is None and told["cause"] is None
    assert told["pieces"][0] == "[CLS]" and told["faithfulness"]["words"]
    assert all(flip["label"] != told["prediction"]["label"] for flip in told["flips"])


def test_an_example_is_explained_with_its_gold_label(run_root: Path) -> None:
    first = analysis("errors", "sst2-minilm", "--limit", "1").lines[0]
    options = ["--example", first["example_id"], "--label", first["gold"], "--method", "occlusion"]
    [told] = analysis("explain", "sst2-minilm", *options).lines
    assert (told["text"], told["gold"], told["label"]) == (first["text"], first["gold"], first["gold"])
    assert told["method"] == "occlusion" and told["delta"] is None
    assert told["cause"]


def test_a_run_beside_itself_has_neither_mended_nor_broken_anything(run_root: Path) -> None:
    [told] = analysis("compare", "sst2-minilm", "sst2-minilm").lines
    assert (told["fixed"], told["broken"], told["p_value"]) == (0, 0, 1.0)
    wrong = [line["example_id"] for line in analysis("errors", "sst2-minilm", "--sort", "row").lines]
    assert told["examples"] == {"fixed": [], "broken": [], "still_wrong": wrong}
    assert {"contrast", "gold:negative"} <= {each["rule"] for each in told["slices"]}
    assert all(each["fixed"] == each["broken"] == 0 < each["still_wrong"] for each in told["slices"])


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["explain", "sst2-minilm"], "Give either --text SENTENCE or --example ID."),
    (["explain", "sst2-minilm", "--example", "test:x"], "There is no example 'test:x' in these predictions. Ids look"),
    (["explain", "sst2-minlm", "--text", "x"], "There is no run 'sst2-minlm'. Did you mean sst2-minilm?"),
    (["errors", "sst2-minilm", "--show", "wrong"], "--show is one of errors, correct, all; found 'wrong'."),
    (["errors", "sst2-minilm", "--sort", "size"], "--sort is one of loss, probability, words, row; found 'size'."),
    (["errors", "sst2-minilm", "--rule", "contrst"], "'contrst' is no condition of a rule"),
    (["errors", "sst2-minilm", "--split", "train"], "keeps no such predictions"),
    (["diagnose"], "Give either a run, --config FILE or --preset NAME."),
    (["diagnose", "sst2-minilm", "--preset", "quick"], "Give either a run, --config FILE or --preset NAME."),
])
def test_what_cannot_be_understood_is_one_sentence_and_status_2(
    run_root: Path, arguments: list[str], sentence: str
) -> None:
    answer = analysis(*arguments)
    assert answer.status == 2 and answer.stdout == ""
    assert sentence in answer.stderr and answer.stderr.count("\n") == 1


def test_a_config_is_examined_before_it_is_trained_and_a_remedy_is_tried(
    run_root: Path, tiny_values: dict, tmp_path: Path
) -> None:
    sick = {**tiny_values, "optim": {"learning_rate": 1.0, "batch_size": 16}}
    path = tmp_path / "run_config.json"
    path.write_text(json.dumps(sick))
    [told] = analysis("diagnose", "--config", str(path), "--try").lines
    assert (told["symptom"], told["healthy"], told["run"]) == ("rate_large", False, None)
    assert told["remedies"][0]["changes"]["optim.learning_rate"] == 5e-5
    assert {check["name"] for check in told["checks"]} >= {"tokenizer", "gradients", "learning rates"}
    assert told["tried"][0]["remedy"]["title"] == "rate 1e-4" and "loss" in told["tried"][0]
    assert list(run_root.glob("*")) == []


def test_a_run_is_examined_with_its_record(trained: Path) -> None:
    answer = analysis("diagnose", "tiny")
    [told] = answer.lines
    assert told["symptom"] == "not_learning"            # two epochs are too few for it
    assert "of what knowing nothing costs (ln C = 0.693)." in told["evidence"]
    assert [check["name"] for check in told["checks"] if check["symptom"]] == ["course of the loss"]
    assert "fine: Labels are encoded 0 to 1" in answer.stderr
