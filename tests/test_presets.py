"""The named starting points: each makes a config, and says what to expect of it."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.config import all_presets, field_value, make_config, preset_names, read_config, read_preset
from pipeline.exceptions import ConfigError
from pipeline.experiments import experiment_presets, members_of, read_experiment_preset
from pipeline.sources import PROJECT_ROOT

# What the reports say of their recipes: rate, batch, epochs, and what else makes them.
RECIPES: dict[str, tuple[str, float, int, int, dict[str, Any]]] = {
    "end-to-end": ("bert-base-uncased", 5e-5, 128, 20, {
        "data.max_length": 128, "data.split": "merge", "stop.patience": 3}),
    "original": ("bert-base-uncased", 2e-5, 16, 3, {"optim.warmup_ratio": 0, "optim.max_grad_norm": 1e9}),
    "v2": ("bert-base-uncased", 2e-5, 16, 3, {"optim.warmup_ratio": 0.1, "optim.max_grad_norm": 1.0}),
    "optimised": ("bert-base-uncased", 2e-5, 16, 10, {
        "adversarial.name": "fgm", "adversarial.epsilon": 1.0, "optim.ema_decay": 0.999, "optim.head_multiplier": 10,
        "optim.schedule": "cosine", "optim.warmup_ratio": 0.1, "optim.max_grad_norm": 1.0,
        "augment.steps": "synonym, swap, delete", "stop.metric": "macro_f1", "stop.patience": 3,
        "data.split": "random", "data.validation_ratio": 0.2}),
    "scibert-focal": ("scibert", 2e-5, 32, 5, {
        "loss.name": "focal", "loss.focal_alpha": "0.25", "loss.focal_gamma": 2.0, "data.max_length": 96,
        "adversarial.name": "fgm", "adversarial.epsilon": 1.0, "optim.warmup_steps": 500, "stop.patience": 3,
        "optim.groups": "embeddings=2e-5, lower=2e-5, upper=3e-5, head=5e-5"}),
    "bert-ce": ("bert-base-uncased", 2e-5, 32, 5, {"loss.name": "cross_entropy", "adversarial.name": "none"}),
    "roberta-weighted": ("roberta-base", 2e-5, 32, 5, {"loss.name": "weighted", "loss.class_weights": ""}),
    "deberta-ce": ("deberta-v3-base", 2e-5, 32, 5, {"loss.name": "cross_entropy"}),
    "scibert-ce": ("scibert", 2e-5, 32, 5, {"loss.name": "cross_entropy", "data.max_length": 128}),
    "frozen": ("bert-base-uncased", 2e-5, 128, 3, {"model.freeze": "top-3", "model.head": "linear"}),
    "unfreeze": ("bert-base-uncased", 5e-5, 32, 3, {
        "model.freeze": "none", "model.head": "mlp-batchnorm", "data.source": "ag_news"}),
    "imdb-baseline": ("bert-base-uncased", 2e-5, 8, 3, {"optim.weight_decay": 0.01, "data.source": "imdb"}),
    "imdb-bs32": ("bert-base-uncased", 2e-5, 32, 3, {"optim.weight_decay": 0.01, "data.source": "imdb"}),
    "imdb-bs32-lr5e-5": ("bert-base-uncased", 5e-5, 32, 3, {"optim.weight_decay": 0.01, "data.source": "imdb"}),
}


@pytest.mark.parametrize("preset", RECIPES)
def test_a_recipe_has_the_numbers_of_its_report(preset: str) -> None:
    config = make_config({**read_preset(preset), "name": "a"})
    base, rate, batch, epochs, others = RECIPES[preset]
    assert (config.model.base, config.optim.learning_rate) == (base, rate)
    assert (config.optim.batch_size, config.optim.epochs) == (batch, epochs)
    assert {name: field_value(config, name) for name in others} == others


@pytest.mark.parametrize("preset", preset_names())
def test_every_preset_makes_a_config_once_it_is_named(preset: str) -> None:
    assert make_config({**read_preset(preset), "name": preset}).name == preset


@pytest.mark.parametrize("preset", preset_names())
def test_every_preset_says_what_to_expect_and_leaves_the_name_to_the_user(preset: str) -> None:
    values = read_preset(preset)
    assert len(values["note"]) > 40
    assert not {"name", "local"} & set(values)      # `local` is not of a run: it says what stands in for the model


@pytest.mark.parametrize("preset, runs", [
    ("scibert-and-companions", ["scibert-focal", "bert-ce", "roberta-weighted", "deberta-ce", "scibert-ce"]),
])
def test_a_preset_of_several_runs_is_an_experiment_and_train_says_how_it_is_carried_out(
    preset: str, runs: list[str]
) -> None:
    members = members_of(read_experiment_preset(preset))
    assert [member.run for member in members] == [f"{preset}-{run}" for run in runs]
    assert len(read_experiment_preset(preset).note) > 40
    with pytest.raises(ConfigError) as caught:
        read_preset(preset)
    assert str(caught.value) == (
        f"The preset '{preset}' is several runs. Carry them out with: python -m pipeline sweep {preset}."
    )


def test_a_preset_is_one_run_or_several() -> None:
    assert sorted(preset_names() + experiment_presets()) == sorted(all_presets())


def test_a_preset_that_was_read_can_be_changed_without_changing_it() -> None:
    read_preset("quick")["optim"]["epochs"] = 99
    assert read_preset("quick")["optim"]["epochs"] == 2


def test_the_preset_of_the_classic_report_cleans_and_splits_as_it_does() -> None:
    config = make_config({**read_preset("end-to-end"), "name": "a"})
    assert config.data.split == "merge"
    assert all(config.data.clean.model_dump().values())


def test_the_run_that_comes_with_volta_is_that_of_its_preset() -> None:
    bundled = read_config(PROJECT_ROOT / "checkpoints" / "sst2-minilm" / "run_config.json")
    made = make_config({**read_preset("sst2-after-imdb"), "name": bundled.name, "note": bundled.note})
    assert made == bundled


@pytest.mark.parametrize("name", ["quik", "", "../presets/quick"])
def test_an_unknown_preset_is_refused_with_those_there_are(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_preset(name)
    assert str(caught.value) == f"There is no preset '{name}'. Choose one of: {', '.join(preset_names())}."
    assert "quick" in preset_names()
