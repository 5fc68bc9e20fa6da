"""The one object that decides a run: its defaults, its bounds, its names, and what it says of a wrong value."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import (
    FIELDS,
    SCHEMA_VERSION,
    RunConfig,
    differing_fields,
    field_value,
    make_config,
    read_config,
    set_field,
)
from pipeline.exceptions import ConfigError

RECORDS = Path(__file__).parent / "records"
NAME_RULE = "A run name has 1 to 64 letters, digits, '.', '_' or '-', and does not start with '.' or '_'"


def with_field(dotted_name: str, value: Any) -> dict[str, Any]:
    """The values of a config named "a" with one field given."""
    values: dict[str, Any] = {"name": "a"}
    set_field(values, dotted_name, value)
    return values


def refusal(values: Any) -> str:
    """The message with which values are refused."""
    with pytest.raises(ConfigError) as caught:
        make_config(values)
    return str(caught.value)


# Defaults


@pytest.mark.parametrize("name, default", [
    ("schema_version", 1),
    ("note", ""),
    ("seed", 42),
    ("data.source", "starter"),
    ("data.text_column", None),
    ("data.encoding", "utf-8"),
    ("data.split", "disjoint"),
    ("data.limit", None),
    ("data.max_length", 128),
    ("data.clean.html", False),
    ("data.clean.punctuation", False),      # on, it would turn "don't" to "dont"
    ("data.clean.lowercase", False),
    ("data.clean.spaces", False),
    ("model.base", "all-MiniLM-L6-v2"),
    ("model.dropout", None),
    ("model.head", "own"),
    ("model.freeze", "none"),
    ("optim.batch_size", 32),
    ("optim.schedule", "linear"),
    ("optim.groups", ""),
    ("stop.metric", "macro_f1"),
    ("stop.patience", 0),
    ("hardware.device", "auto"),
    ("hardware.precision", "auto"),
    ("hardware.deterministic", True),
])
def test_a_name_alone_makes_a_config_of_defaults(name: str, default: Any) -> None:
    assert field_value(make_config({"name": "a"}), name) == default


def test_a_config_cannot_be_changed_once_made() -> None:
    with pytest.raises(ValueError, match="frozen"):
        make_config({"name": "a"}).seed = 1


# Names


@pytest.mark.parametrize("name", ["a", "7", "-a", "Quick-2", "a.b_c-d", "a.", "x" * 64])
def test_a_run_name_of_letters_digits_dots_dashes_and_underscores_is_taken_as_it_is(name: str) -> None:
    assert make_config({"name": name}).name == name


@pytest.mark.parametrize("name", [
    "", ".", "..", ".x", "_x", "a/b", "../a", "a\\b", "a b", " a", "x" * 65, "a\n", "ü", "٣", "a\0", "a:b", None, 3,
])
def test_any_other_run_name_is_refused_in_the_sentence_of_the_rule(name: Any) -> None:
    found = "nothing" if name is None else repr(name)       # None is what an empty box of the page gives
    assert refusal({"name": name}) == f"{NAME_RULE}; found {found}. Choose another name."


def test_a_missing_run_name_is_refused_and_never_made_up() -> None:
    assert refusal({}) == f"{NAME_RULE}; none was given. Choose another name."


# Bounds and kinds


@pytest.mark.parametrize("name, value, expected", [
    ("seed", -1, "seed should be greater than or equal to 0; found -1."),
    ("seed", 2**31, "seed should be less than 2147483648; found 2147483648."),
    ("data.validation_ratio", 0, "data.validation_ratio should be greater than 0; found 0."),
    ("data.validation_ratio", 0.5, "data.validation_ratio should be less than 0.5; found 0.5."),
    ("data.test_ratio", 0, "data.test_ratio should be greater than 0; found 0."),
    ("data.limit", 9, "data.limit should be greater than or equal to 10; found 9."),
    ("data.max_length", 7, "data.max_length should be greater than or equal to 8; found 7."),
    ("data.max_length", 8193, "data.max_length should be less than or equal to 8192; found 8193."),
    ("data.split", "half", "data.split should be 'disjoint', 'random' or 'merge'; found 'half'."),
    ("model.dropout", 1, "model.dropout should be less than 1; found 1."),
    ("model.dropout", -0.1, "model.dropout should be greater than or equal to 0; found -0.1."),
    ("optim.learning_rate", 0, "optim.learning_rate should be greater than 0; found 0."),
    ("optim.learning_rate", 1.5, "optim.learning_rate should be less than or equal to 1; found 1.5."),
    ("optim.learning_rate", "fast", "optim.learning_rate should be a valid number, unable to parse string as a number"),
    ("optim.batch_size", 0, "optim.batch_size should be greater than or equal to 1; found 0."),
    ("optim.batch_size", 4097, "optim.batch_size should be less than or equal to 4096; found 4097."),
    ("optim.epochs", 0, "optim.epochs should be greater than or equal to 1; found 0."),
    ("optim.epochs", 2.5, "optim.epochs should be a valid integer, got a number with a fractional part; found 2.5."),
    ("optim.weight_decay", -1, "optim.weight_decay should be greater than or equal to 0; found -1."),
    ("optim.schedule", "cosin", "optim.schedule should be 'linear', 'cosine', 'constant' or 'polynomial'; found"),
    ("optim.warmup_ratio", 1, "optim.warmup_ratio should be less than 1; found 1."),
    ("optim.warmup_steps", -1, "optim.warmup_steps should be greater than or equal to 0; found -1."),
    ("optim.head_multiplier", 0, "optim.head_multiplier should be greater than 0; found 0."),
    ("optim.layer_decay", 1.1, "optim.layer_decay should be less than or equal to 1; found 1.1."),
    ("optim.groups", "head=5", "optim.groups cannot be 'head=5'. Learning rates of their own, such as embeddings=2e-5"),
    ("optim.groups", "head=0.0", "optim.groups cannot be 'head=0.0'."),
    ("optim.groups", "neck=2e-5", "optim.groups cannot be 'neck=2e-5'."),
    ("model.freeze", "top3", "model.freeze cannot be 'top3'. What never trains: none, embeddings, half"),
    ("model.freeze", "0,,1", "model.freeze cannot be '0,,1'."),
    ("model.unfreeze_each_epoch", -1, "model.unfreeze_each_epoch should be greater than or equal to 0; found -1."),
    ("optim.max_grad_norm", 0, "optim.max_grad_norm should be greater than 0; found 0."),
    ("stop.patience", -1, "stop.patience should be greater than or equal to 0; found -1."),
    ("hardware.device", "tpu", "hardware.device cannot be 'tpu'. auto, cpu, cuda"),
    ("hardware.micro_batch_tokens", 7, "hardware.micro_batch_tokens should be greater than or equal to 8; found 7."),
    ("data.clean.html", "maybe", "data.clean.html should be a valid boolean, unable to interpret input; found 'maybe'"),
])
def test_a_value_out_of_bounds_is_refused_with_what_was_expected_and_found(
    name: str, value: Any, expected: str
) -> None:
    message = refusal(with_field(name, value))
    assert message.startswith(expected)
    assert message.endswith(FIELDS[name].description)       # what the field means: what to do


@pytest.mark.parametrize("value", [float("inf"), float("nan"), "inf", "nan"])
def test_infinity_and_nan_are_refused_because_a_record_could_not_hold_them(value: Any) -> None:
    message = refusal(with_field("optim.max_grad_norm", value))
    assert message.startswith(f"optim.max_grad_norm should be a finite number; found {value!r}.")


@pytest.mark.parametrize("name", ["data.source", "model.base"])
def test_an_empty_source_or_base_is_refused(name: str) -> None:
    assert refusal(with_field(name, "")).startswith(f"{name} should have at least 1 character; found ''.")


@pytest.mark.parametrize("name", ["data.source", "model.base"])
def test_a_nul_character_in_a_path_is_refused(name: str) -> None:
    message = "A source or base contains a NUL character; take it out."
    assert refusal(with_field(name, "a\0b")) == message


@pytest.mark.parametrize("values, message", [
    ([], "run config should be a valid dictionary or instance of RunConfig; found []."),
    ({"name": "a", "optim": 3}, "optim should be a valid dictionary or instance of OptimConfig; found 3."),
])
def test_a_group_that_is_no_group_is_refused(values: Any, message: str) -> None:
    assert refusal(values) == message


def test_a_long_wrong_value_is_shown_in_part() -> None:
    message = refusal(with_field("data.split", "x" * 1000))
    assert "'" + "x" * 76 + "..." in message and "x" * 77 not in message


# Unknown fields


@pytest.mark.parametrize("values, message", [
    ({"optim": {"learning_rat": 1e-5}}, "There is no field 'optim.learning_rat'. Did you mean 'optim.learning_rate'?"),
    ({"data": {"clean": {"htm": True}}}, "There is no field 'data.clean.htm'. Did you mean 'data.clean.html'?"),
    ({"sede": 1}, "There is no field 'sede'. Did you mean 'seed'?"),
    ({"zzz": 1}, "There is no field 'zzz'. Take it out."),
])
def test_an_unknown_field_in_a_file_is_refused_with_the_nearest_one(values: dict, message: str) -> None:
    assert refusal({"name": "a", **values}) == message


@pytest.mark.parametrize("name, hint", [
    ("optim.learning_rat", "Did you mean 'optim.learning_rate'?"),
    ("epochs", "Did you mean 'optim.epochs'?"),
    ("optim.", "Did you mean 'optim.groups'?"),
    ("data.clean", "Did you mean 'data.clean.html'?"),         # a group is no field
])
def test_setting_an_unknown_field_is_refused_with_the_nearest_one(name: str, hint: str) -> None:
    values: dict[str, Any] = {}
    with pytest.raises(ConfigError) as caught:
        set_field(values, name, "1")
    assert str(caught.value) == f"There is no field '{name}'. {hint}"
    assert values == {}


def test_setting_a_field_that_is_like_none_lists_them_all() -> None:
    with pytest.raises(ConfigError) as caught:
        set_field({}, "zzzzzz", "1")
    assert str(caught.value) == f"There is no field 'zzzzzz'. Fields are: {', '.join(FIELDS)}."


# Setting fields by their dotted names, as `--set` does


@pytest.mark.parametrize("name, text, expected", [
    ("optim.epochs", "5", 5),
    ("optim.learning_rate", "2e-5", 2e-5),
    ("data.clean.html", "true", True),
    ("data.clean.html", "no", False),
    ("data.limit", "2000", 2000),
    ("data.limit", "", None),
    ("model.dropout", "", None),
    ("optim.warmup_steps", "0", 0),
    ("note", "", ""),
    ("note", "a=b", "a=b"),
    ("data.source", "007", "007"),
    ("data.text_column", "text", "text"),
])
def test_a_field_is_set_from_text(name: str, text: str, expected: Any) -> None:
    value = field_value(make_config(with_field(name, text)), name)
    assert value == expected
    assert type(value) is type(expected)


def test_setting_a_field_leaves_its_neighbours() -> None:
    values = {"name": "a", "optim": {"epochs": 9}}
    set_field(values, "optim.batch_size", "8")
    assert values == {"name": "a", "optim": {"epochs": 9, "batch_size": "8"}}


def test_differing_fields_are_told_by_their_dotted_names() -> None:
    one = make_config({"name": "a"})
    other = make_config({"name": "b", "optim": {"epochs": 4}, "data": {"clean": {"html": True}}})
    assert differing_fields(one, other) == ["name", "data.clean.html", "optim.epochs"]
    assert differing_fields(one, one) == []


# What a form and a command line are told of the fields


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_has_a_description_that_is_a_sentence(name: str) -> None:
    assert FIELDS[name].description.endswith(".")
    assert len(FIELDS[name].description) > 20


@pytest.mark.parametrize("name, kind, minimum, maximum, optional", [
    ("note", "text", None, None, False),
    ("optim.epochs", "integer", 1, 1000, False),
    ("optim.learning_rate", "number", 0, 1, False),
    ("data.limit", "integer", 10, None, True),
    ("model.dropout", "number", 0, 1, True),
    ("data.text_column", "text", None, None, True),
    ("data.clean.html", "switch", None, None, False),
    ("stop.metric", "choice", None, None, False),
])
def test_fields_tell_their_kind_and_bounds(
    name: str, kind: str, minimum: float | None, maximum: float | None, optional: bool
) -> None:
    field = FIELDS[name]
    assert (field.kind, field.minimum, field.maximum, field.optional) == (kind, minimum, maximum, optional)


def test_a_choice_tells_its_choices_and_its_default_is_one_of_them() -> None:
    assert FIELDS["optim.schedule"].choices == ("linear", "cosine", "constant", "polynomial")
    assert all(str(field.default) in field.choices for field in FIELDS.values() if field.choices)


def test_the_defaults_told_are_those_a_config_has() -> None:
    config = make_config({"name": "a"})
    assert {name: field.default for name, field in FIELDS.items() if name != "name"} == {
        name: field_value(config, name) for name in FIELDS if name != "name"
    }


# On disk


def test_what_is_read_back_is_what_was_written(tmp_path: Path) -> None:
    config = make_config(with_field("optim.learning_rate", 0.1 + 0.2))     # a float that needs all its digits
    path = tmp_path / "run_config.json"
    path.write_text(json.dumps(config.model_dump()), encoding="utf-8")
    assert read_config(path) == config
    assert make_config(config.model_dump()) == config


def test_the_kept_record_of_schema_version_1_still_says_what_it_said() -> None:
    written = json.loads((RECORDS / "run_config_v1.json").read_text(encoding="utf-8"))
    config = read_config(RECORDS / "run_config_v1.json")

    def said(values: dict, read: Any) -> bool:
        return all(
            said(value, getattr(read, name)) if isinstance(value, dict) else getattr(read, name) == value
            for name, value in values.items()
        )

    assert said(written, config)


def test_there_is_a_kept_record_of_every_schema_version() -> None:
    kept = {path.name for path in RECORDS.glob("run_config_v*.json")}
    assert kept == {f"run_config_v{version}.json" for version in range(1, SCHEMA_VERSION + 1)}


def test_a_record_of_a_newer_schema_is_refused() -> None:
    assert refusal({"name": "a", "schema_version": 2}) == (
        "schema_version is 2; this Volta reads 1. Update Volta, or write the config anew."
    )


def test_a_config_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_config(tmp_path / "none.json")
    assert str(caught.value) == (
        f"{tmp_path / 'none.json'} cannot be read (No such file or directory). Give the path of a run_config.json."
    )


@pytest.mark.parametrize("content, problem", [
    (b"{", "is not JSON (Expecting property name"),
    (b"\xff\xfe", "is not JSON ('utf-8' codec can't decode"),
    (b"[1]", "holds a list; a run config is a JSON object of named fields."),
])
def test_a_config_file_that_is_no_json_object_is_refused(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "run_config.json"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_config(path)
    assert str(caught.value).startswith(f"{path} {problem}")


def test_a_config_is_checked_again_when_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "run_config.json"
    path.write_text('{"name": "a", "optim": {"epochs": 0}}', encoding="utf-8")
    with pytest.raises(ConfigError, match=r"^optim\.epochs should be greater than or equal to 1; found 0\."):
        read_config(path)


def test_the_schema_of_a_config_is_its_version() -> None:
    assert RunConfig(name="a").schema_version == SCHEMA_VERSION
