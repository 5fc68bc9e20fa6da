"""The named starting points: each makes a config, and says what to expect of it."""

from __future__ import annotations

import pytest

from pipeline.config import make_config, preset_names, read_config, read_preset
from pipeline.exceptions import ConfigError
from pipeline.sources import PROJECT_ROOT


@pytest.mark.parametrize("preset", preset_names())
def test_every_preset_makes_a_config_once_it_is_named(preset: str) -> None:
    assert make_config({**read_preset(preset), "name": preset}).name == preset


@pytest.mark.parametrize("preset", preset_names())
def test_every_preset_says_what_to_expect_and_leaves_the_name_to_the_user(preset: str) -> None:
    values = read_preset(preset)
    assert len(values["note"]) > 40
    assert "name" not in values


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
