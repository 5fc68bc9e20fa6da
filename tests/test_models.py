"""Where weights come from: a new head or the old one, dropout, families of encoders, devices, what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.config_parts import ModelConfig
from pipeline.exceptions import ModelError
from pipeline.models import (
    choose_device,
    label_names_of,
    load_base_model,
    load_classifier,
    max_positions,
)
from tests.tiny_encoders import (
    FAMILIES,
    LABELS,
    base_folder,
    build,
    equal,
    logits_of,
    saved,
    tiny_config,
    weights_of,
)

CPU = torch.device("cpu")


def refusal(load: Callable[[], Any]) -> str:
    with pytest.raises(ModelError) as caught:
        load()
    return str(caught.value)


# A base model and its new head


@pytest.mark.parametrize("family", FAMILIES)
def test_a_base_of_each_family_becomes_a_classifier_of_these_labels(family: str, tiny_bases: dict[str, Path]) -> None:
    model, tokenizer = load_base_model(ModelConfig(base=str(tiny_bases[family])), ["a", "b", "c"], CPU)
    assert label_names_of(model.config) == ["a", "b", "c"]
    assert model.config.label2id == {"a": 0, "b": 1, "c": 2}
    logits = logits_of(model, tokenizer)
    assert logits.shape == (3, 3)
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_every_weight_but_the_head_is_that_of_the_base(family: str, tiny_bases: dict[str, Path]) -> None:
    from transformers import AutoModel

    base = AutoModel.from_pretrained(tiny_bases[family]).state_dict()
    encoder = build(tiny_bases[family], seed=7).base_model.state_dict()     # another seed than that of the base
    assert encoder and all(torch.equal(weight, base[name]) for name, weight in encoder.items())
    surplus = set(base) - set(encoder)
    assert surplus <= {"pooler.dense.weight", "pooler.dense.bias"}      # which some heads do without


@pytest.mark.parametrize("family, attention", [
    ("bert", "sdpa"), ("roberta", "sdpa"), ("deberta-v2", "eager"), ("modernbert", "sdpa"), ("distilbert", "sdpa"),
])
@pytest.mark.parametrize("head", ["own", "mean"])
def test_attention_is_plain_on_a_cpu_and_the_fastest_that_a_family_has_elsewhere(
    family: str, attention: str, head: Any, tiny_bases: dict[str, Path]
) -> None:
    config = ModelConfig(base=str(tiny_bases[family]), head=head)
    elsewhere = torch.device("meta")                # stands for a GPU: nothing is computed
    encoders: list[Any] = [load_base_model(config, LABELS, device)[0].base_model for device in (CPU, elsewhere)]
    assert [encoder.config._attn_implementation for encoder in encoders] == ["eager", attention]


def test_the_encoder_of_a_masked_language_model_is_found_under_its_prefix(tiny_model: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForMaskedLM

    base = AutoModelForMaskedLM.from_config(tiny_config("bert"))
    base.save_pretrained(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tiny_model / name, tmp_path)
    encoder = build(tmp_path, seed=7).base_model.state_dict()
    assert all(torch.equal(encoder[name], weight) for name, weight in base.base_model.state_dict().items())


def test_a_new_head_is_drawn_from_the_seed(tiny_model: Path) -> None:
    assert equal(weights_of(build(tiny_model, seed=1)), weights_of(build(tiny_model, seed=1)))
    assert not torch.equal(build(tiny_model, seed=1).classifier.weight, build(tiny_model, seed=2).classifier.weight)


def test_a_classifier_with_the_same_labels_keeps_its_head(tiny_classifier: Path) -> None:
    assert equal(weights_of(build(tiny_classifier, seed=5)), weights_of(build(tiny_classifier, seed=6)))


@pytest.mark.parametrize("labels", [["bad", "good"], ["positive", "negative"], ["negative", "neutral", "positive"]])
def test_a_classifier_with_other_labels_or_another_order_gets_a_new_head(
    tiny_classifier: Path, labels: list[str]
) -> None:
    old, new = load_classifier(str(tiny_classifier), CPU)[0], build(tiny_classifier, labels, seed=5)
    assert not torch.equal(new.classifier.weight[:2], old.classifier.weight)
    assert label_names_of(new.config) == labels
    encoder = old.bert.encoder.state_dict()
    assert equal(weights_of(new.bert.encoder), encoder)


def test_a_dozen_labels_keep_their_order_and_their_head(tiny_model: Path, tmp_path: Path) -> None:
    labels = [f"topic {number}" for number in range(12)]         # as text, 10 comes before 2
    folder = saved(tiny_model, tmp_path / "best", labels)
    model, _ = load_classifier(str(folder), CPU)
    assert label_names_of(model.config) == labels
    assert equal(weights_of(build(folder, labels, seed=9)), weights_of(model))


@pytest.mark.parametrize("family", FAMILIES)
def test_dropout_is_set_everywhere_in_the_model(family: str, tiny_bases: dict[str, Path]) -> None:
    model = build(tiny_bases[family], dropout=0.37)
    rates = [module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)]
    rates += [  # attention keeps its rate as a plain number
        value for module in model.modules() for name, value in vars(module).items()
        if "dropout" in name and isinstance(value, float)
    ]
    assert len(rates) >= 5
    assert set(rates) == {0.37}


def test_without_a_dropout_given_the_model_keeps_its_own(tiny_model: Path) -> None:
    rates = {module.p for module in build(tiny_model).modules() if isinstance(module, torch.nn.Dropout)}
    assert rates == {0.1}


def test_a_dropout_of_0_is_given_and_not_left_out(tiny_model: Path) -> None:
    model = build(tiny_model, dropout=0).train()
    assert {module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)} == {0}


@pytest.mark.parametrize("family, longest", [
    ("bert", 64), ("roberta", 63), ("deberta-v2", 64), ("modernbert", 64), ("distilbert", 64),
])
def test_a_text_as_long_as_the_models_positions_goes_through(
    family: str, longest: int, tiny_bases: dict[str, Path]
) -> None:
    model, tokenizer = load_base_model(ModelConfig(base=str(tiny_bases[family])), LABELS, CPU)
    assert max_positions(model, tokenizer) == longest
    encoded = tokenizer("good " * 100, truncation=True, max_length=longest, return_tensors="pt")
    with torch.inference_mode():
        logits = model.eval()(input_ids=encoded["input_ids"]).logits
    assert encoded["input_ids"].shape == (1, longest)
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize("tokenizer_length, expected", [(32, 32), (10**30, 64)])
def test_the_longest_input_is_the_shorter_of_what_model_and_tokenizer_take(
    tiny_model: Path, tokenizer_length: int, expected: int
) -> None:
    model, tokenizer = load_base_model(ModelConfig(base=str(tiny_model)), LABELS, CPU)
    tokenizer.model_max_length = tokenizer_length
    assert max_positions(model, tokenizer) == expected


# What is refused


@pytest.mark.parametrize("what", ["decoder", "encoder-decoder", "BERT set up to write", "image model"])
def test_a_model_that_is_no_text_encoder_is_refused(what: str, tiny_model: Path, tmp_path: Path) -> None:
    from transformers import BartConfig, BertConfig, GPT2Config, ViTConfig

    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = {
        "decoder": GPT2Config(vocab_size=50, n_embd=16, n_layer=1, n_head=2, pad_token_id=0),
        "encoder-decoder": BartConfig(
            vocab_size=50, d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
            decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16,
        ),
        "BERT set up to write": BertConfig(vocab_size=50, is_decoder=True, **size),
        "image model": ViTConfig(**size),
    }[what]
    base = base_folder(tmp_path, config, tiny_model)
    assert refusal(lambda: build(base)) == (
        f"'{base}' is not an encoder. Choose a BERT-like model such as bert-base-uncased."
    )


def test_a_base_model_is_no_classifier(tiny_model: Path) -> None:
    assert refusal(lambda: load_classifier(str(tiny_model), CPU)) == (
        f"'{tiny_model}' is a base model without a trained classifier. Train on it first, or choose a run."
    )


def change_json(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **values}), encoding="utf-8")


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("damage, reason", [
    (lambda folder: halve(folder / "model.safetensors"), "deserializing header"),
    (lambda folder: (folder / "model.safetensors").write_bytes(b""), "deserializing header"),
    (lambda folder: (folder / "model.safetensors").unlink(), "no file named model.safetensors"),
    (lambda folder: (folder / "config.json").write_text("{"), "not a valid JSON file"),
    (lambda folder: (folder / "config.json").write_text("[]"), "must be a mapping, not list"),
    (lambda folder: change_json(folder / "config.json", hidden_size="x"), "expected int, got str"),
    (lambda folder: change_json(folder / "config.json", hidden_size=48), "mismatched_sizes"),
    (lambda folder: change_json(folder / "config.json", model_type="zzz"), "model type `zzz`"),
    (lambda folder: (folder / "tokenizer.json").write_text("{"), "Expecting property name"),
    (lambda folder: (folder / "tokenizer_config.json").write_text("[]"), "'list' object"),
])
def test_a_damaged_file_is_told_in_a_sentence(
    damage: Callable[[Path], Any], reason: str, tiny_model: Path, tmp_path: Path
) -> None:
    base = tmp_path / "damaged"
    shutil.copytree(tiny_model, base)
    damage(base)
    message = refusal(lambda: build(base))
    assert message.startswith(f"'{base}' was found on this machine ({base}). It cannot be loaded: ")
    assert reason in message
    assert message.endswith(". Choose another model, or mend it.")
    assert "\n" not in message and len(message) < 700


def test_pickled_weights_are_never_read(tiny_model: Path, tmp_path: Path) -> None:
    base = tmp_path / "pickled"
    shutil.copytree(tiny_model, base)
    torch.save(build(tiny_model).bert.state_dict(), base / "pytorch_model.bin")
    (base / "model.safetensors").unlink()
    assert "no file named model.safetensors" in refusal(lambda: build(base))


def test_a_folder_without_a_tokenizer_is_refused_rather_than_read_with_an_empty_one(
    tiny_model: Path, tmp_path: Path
) -> None:
    base = tmp_path / "weights-only"
    base.mkdir()
    for name in ("config.json", "model.safetensors"):
        shutil.copy(tiny_model / name, base)
    assert refusal(lambda: build(base)) == (
        f"'{base}' has no tokenizer. Put the files of its tokenizer beside its weights."
    )


def test_a_tokenizer_without_padding_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    base = tmp_path / "no-padding"
    shutil.copytree(tiny_model, base)
    change_json(base / "tokenizer_config.json", pad_token=None)
    assert refusal(lambda: build(base)) == (
        f"'{base}' has no padding token, so it is no BERT-like encoder. Choose one such as bert-base-uncased."
    )


# Devices


def pretend_devices(monkeypatch: pytest.MonkeyPatch, kind: str | None, count: int) -> None:
    device = torch.device(kind) if kind else None
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: device)
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: count)


@pytest.mark.parametrize("kind, count, name, expected", [
    (None, 0, "auto", "cpu"),
    (None, 0, "cpu", "cpu"),
    ("cuda", 2, "auto", "cuda:0"),
    ("cuda", 2, "cuda", "cuda:0"),
    ("cuda", 2, "cuda:1", "cuda:1"),
    ("cuda", 2, "cpu", "cpu"),
    ("mps", 1, "auto", "mps"),
    ("xpu", 1, "auto", "cpu"),          # not one that this project knows
])
def test_the_accelerator_is_taken_unless_a_device_is_named(
    kind: str | None, count: int, name: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_devices(monkeypatch, kind, count)
    assert choose_device(name) == torch.device(expected)


@pytest.mark.parametrize("kind, count, name", [
    (None, 0, "cuda"), (None, 0, "mps"), ("cuda", 2, "cuda:2"), ("cuda", 1, "mps"), ("mps", 1, "cuda"),
])
def test_a_device_that_is_not_on_this_machine_is_refused(
    kind: str | None, count: int, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_devices(monkeypatch, kind, count)
    assert refusal(lambda: choose_device(name)) == (
        f"hardware.device is '{name}', but this machine has no such device. Set it to 'auto' or 'cpu'."
    )
