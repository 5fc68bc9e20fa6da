"""The file of an experiment: the runs that it means, their names, and a sentence for what is wrong in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import read_preset
from pipeline.exceptions import ConfigError
from pipeline.experiments import (
    Experiment,
    experiment_names,
    experiments_root,
    load_experiment,
    members_of,
    read_experiment,
    requested_experiment,
    save_experiment,
)

FASTER = {"optim.learning_rate": 5e-5}


def experiment(**values: Any) -> Experiment:
    return Experiment.model_validate({"name": "x", **values})


def runs(**values: Any) -> list[str]:
    return [member.run for member in members_of(experiment(**values))]


def test_the_base_is_a_variant_and_each_seed_comes_with_all_variants_in_turn() -> None:
    members = members_of(experiment(changes={"fast": FASTER, "long": {"optim.epochs": 9}}, seeds=[1, 2]))
    assert [(each.run, each.variant, each.seed) for each in members] == [
        ("x-baseline-s1", "baseline", 1), ("x-fast-s1", "fast", 1), ("x-long-s1", "long", 1),
        ("x-baseline-s2", "baseline", 2), ("x-fast-s2", "fast", 2), ("x-long-s2", "long", 2),
    ]
    assert [each.config.optim.epochs for each in members[:3]] == [3, 3, 9]
    assert [each.config.seed for each in members] == [1, 1, 1, 2, 2, 2]


def test_a_run_has_the_base_then_what_all_share_then_its_own_change() -> None:
    own = experiment(base="quick", set={"optim.epochs": 4, "data.limit": 50}, changes={"a": {"optim.epochs": 5}})
    base, changed = (each.config for each in members_of(own))
    assert base.optim.learning_rate == read_preset("quick")["optim"]["learning_rate"]
    assert (base.optim.epochs, base.data.limit) == (4, 50)
    assert (changed.optim.epochs, changed.data.limit) == (5, 50)
    assert base.seed == 42 and base.note == ""


def test_the_base_may_be_the_values_of_a_run_config() -> None:
    [member] = members_of(experiment(base={"name": "old", "optim": {"epochs": 7}, "seed": 5}))
    assert (member.run, member.seed, member.config.optim.epochs) == ("x-baseline", 5, 7)


@pytest.mark.parametrize(("change", "variant", "run"), [
    ({"optim.batch_size": 32}, "baseline+bs32", "x-bs32"),
    ({"optim.batch_size": 32, "optim.learning_rate": 5e-5}, "baseline+bs32_lr5e-5", "x-bs32_lr5e-5"),
    ({"optim.epochs": 9}, "baseline+epochs9", "x-epochs9"),
    ({"optim.schedule": "cosine"}, "baseline+cosine", "x-cosine"),
    ({"data.clean.html": True}, "baseline+html", "x-html"),
    ({"hardware.deterministic": False}, "baseline+no-deterministic", "x-no-deterministic"),
    ({"model.dropout": None}, "baseline+dropout-None", "x-dropout-None"),
    ({"model.base": "/models/tiny bert/"}, "baseline+tiny bert", "x-tiny-bert"),
    ({"data.limit": 1_000_000}, "baseline+limit1000000", "x-limit1000000"),
    ({}, "baseline", "x-baseline"),
])
def test_a_change_without_a_name_is_named_by_what_differs(change: dict, variant: str, run: str) -> None:
    member = members_of(experiment(changes=[change]))[-1]
    assert (member.variant, member.run) == (variant, run)


def test_a_list_of_presets_is_an_experiment_without_another_baseline() -> None:
    members = members_of(experiment(changes=[{"base": "quick"}, {"base": "sst2", "optim.epochs": 1}], seeds=[3]))
    assert [(each.variant, each.run) for each in members] == [("quick", "x-quick"), ("sst2+epochs1", "x-sst2-epochs1")]
    assert [each.config.data.source for each in members] == ["starter", "sst2"]


def test_a_change_may_go_on_from_an_earlier_ones_run_of_the_same_seed() -> None:
    members = members_of(experiment(changes=[{"base": "imdb-first"}, {"base": "sst2-after-imdb"}], seeds=[1, 2]))
    assert [(each.run, each.base_run, each.config.model.base) for each in members] == [
        ("x-imdb-first-s1", None, "all-MiniLM-L6-v2"),
        ("x-sst2-after-imdb-s1", "x-imdb-first-s1", "x-imdb-first-s1"),
        ("x-imdb-first-s2", None, "all-MiniLM-L6-v2"),
        ("x-sst2-after-imdb-s2", "x-imdb-first-s2", "x-imdb-first-s2"),
    ]


def test_a_change_named_as_a_model_is_not_taken_for_the_model() -> None:
    scibert = {"model.base": "scibert"}
    members = members_of(experiment(changes={"scibert": scibert, "long": {**scibert, "optim.epochs": 9}}))
    assert [each.base_run for each in members] == [None, None, None]


@pytest.mark.parametrize(("values", "sentence"), [
    ({"seed": 1}, "An experiment has no field 'seed'. Did you mean 'seeds'?"),
    ({"colour": 1}, "An experiment has no field 'colour'. It has: name, note, base, set, changes, seeds, test, runs."),
    ({"name": "a b"}, "'name' of an experiment should match pattern"),
    ({"name": None}, "'name' of an experiment should be a valid string; found None. 1 to 64 letters"),
    ({"seeds": ["many"]}, "'seeds' of an experiment should be a valid integer"),
    ({"changes": 3}, "'changes' of an experiment should be a valid dictionary; found 3. Fields that differ"),
])
def test_a_bad_field_is_told_in_one_sentence(tmp_path: Path, values: dict, sentence: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps({"name": "x", **values}), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_experiment(path)
    assert str(caught.value).startswith(sentence) and "\n" not in str(caught.value)


@pytest.mark.parametrize(("content", "sentence"), [
    ("{", "is not JSON"), ('{"changes": {"a": {}, "a": {}}}', "'a' stands twice in one object"),
    ("[]", "'experiment' of an experiment should be"), ("{}", "'name' of an experiment"),
])
def test_a_file_without_an_experiment_is_told(tmp_path: Path, content: str, sentence: str) -> None:
    (tmp_path / "x.json").write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=sentence):
        read_experiment(tmp_path / "x.json")
    with pytest.raises(ConfigError, match="none.json cannot be read"):
        read_experiment(tmp_path / "none.json")


@pytest.mark.parametrize(("values", "sentence"), [
    ({"base": "quik"}, "There is no preset 'quik'."),
    ({"changes": {"a": {"base": "quik"}}}, "There is no preset 'quik'."),
    ({"set": {"optim.epoch": 1}}, "There is no field 'optim.epoch'. Did you mean 'optim.epochs'?"),
    ({"changes": {"a": {"optim.epochs": 0}}}, "optim.epochs should be greater than or equal to 1; found 0."),
    ({"base": {"optim": 3}}, "optim"),
    ({"seeds": [1], "changes": {"a": {"seed": 2}}}, "An experiment with 'seeds' sets 'seed' for each run itself."),
    ({"changes": [FASTER, FASTER]}, "Two changes would be called 'baseline+lr5e-5'. Give them names of their own."),
    ({"changes": {"a b": {}, "a-b": {}}}, "Two runs of the experiment would be called 'x-a-b'."),
    ({"changes": {"a" * 63: {}}}, f"A run of the experiment needs a name of up to 64 letters, digits, '.', '_' or '-'; "
                                  f"'x-{'a' * 63}' has 65 characters. Give the experiment or the change a shorter"),
    ({"changes": {"慢": FASTER}}, "A run of the experiment needs a name of up to 64 letters, digits, '.', '_' or '-'; "
                                  "'慢' has none of these."),
])
def test_runs_that_cannot_be_meant_are_told(values: dict, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        members_of(experiment(**values))
    assert str(caught.value).startswith(sentence)


def test_an_experiment_is_kept_in_the_run_root_with_its_runs_and_read_back(run_root: Path) -> None:
    own = experiment(changes={"fast": FASTER}, seeds=[1], test=True)
    path = save_experiment(own)
    assert path == run_root / "_experiments" / "x.json"
    assert json.loads(path.read_text(encoding="utf-8")) == {
        "name": "x", "changes": {"fast": FASTER}, "seeds": [1], "test": True,
        "runs": [
            {"run": "x-baseline", "variant": "baseline", "seed": 1}, {"run": "x-fast", "variant": "fast", "seed": 1},
        ],
    }
    assert experiment_names() == ["x"]
    assert members_of(load_experiment("x")) == members_of(own)


def test_an_unknown_experiment_is_told_with_the_nearest(run_root: Path) -> None:
    with pytest.raises(ConfigError, match=r"There is no experiment 'x'\. Give the file of one\."):
        load_experiment("x")
    save_experiment(experiment(name="ablation"))
    with pytest.raises(ConfigError, match=r"There is no experiment 'ablatoin'\. Did you mean ablation\?"):
        load_experiment("ablatoin")
    assert experiments_root().parent == run_root


def test_what_is_asked_for_holds_for_all_runs_and_a_budget_for_each_where_nothing_is_asked(
    run_root: Path, tmp_path: Path
) -> None:
    path = tmp_path / "x.json"
    changes = {"long": {"optim.epochs": 9}, "a": {"seed": 7}}
    path.write_text(json.dumps({"name": "x", "base": "quick", "changes": changes}))
    own = requested_experiment(str(path), "y", "quick", {"data.max_length": "100", "loss.name": "focal"})
    members = {member.run: member.config for member in members_of(own)}
    assert list(members) == ["y-baseline", "y-long", "y-a"]
    assert [config.optim.epochs for config in members.values()] == [2, 2, 2]
    assert [config.data.limit for config in members.values()] == [2_000] * 3
    assert [config.data.max_length for config in members.values()] == [100] * 3
    assert [config.loss.name for config in members.values()] == ["focal"] * 3
    assert requested_experiment(str(path)) == read_experiment(path)


def test_a_preset_that_was_begun_goes_on_as_it_was_begun(run_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.experiments.refuse_what_is_lacking", lambda *_, **__: None)
    save_experiment(requested_experiment("scibert-and-companions", budget="quick"))
    begun = requested_experiment("scibert-and-companions")
    assert {member.config.optim.epochs for member in members_of(begun)} == {2}
    assert len(begun.runs) == 5
    anew = requested_experiment("scibert-and-companions", budget="medium")
    assert {member.config.optim.epochs for member in members_of(anew)} == {3}
