"""Masked-language modelling: what is hidden, that only this is learnt, and that the result is a base for later runs."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from pipeline.config import make_config
from pipeline.config_parts import ModelConfig
from pipeline.exceptions import ConfigError, DataError, ModelError
from pipeline.hardware import seed_everything
from pipeline.models import load_language_model, load_tokenizer
from pipeline.pretraining import NO_GUESS, PLACES_MULTIPLE, Masked, MaskedTexts, encode_whole, masked_examples
from pipeline.training import EvaluationResult, StepResult, Training
from tests.conftest import BAD, FILLERS, GOOD
from tests.tiny_encoders import FAMILIES, equal, weights_of

CPU = torch.device("cpu")
MASK, SPECIAL = 4, range(5)         # of the tiny vocabulary
WORDS = [*GOOD, *BAD, *FILLERS]


def some_texts(num: int = 60, words: int = 12) -> pa.ChunkedArray:
    random = np.random.default_rng(0)
    return pa.chunked_array([[" ".join(random.choice(WORDS, random.integers(3, words))) for _ in range(num)]])


def config_of(base: Path, **changes: Any) -> Any:
    hardware = {"precision": "fp32", "device": "cpu"}
    optim = {"learning_rate": 1e-3, "batch_size": 16, "epochs": 2}
    values: dict[str, Any] = {"name": "reader", "task": "mlm", "model": {"base": str(base)}, "hardware": hardware}
    values["optim"] = optim
    for group, fields in changes.items():
        values[group] = {**values.get(group, {}), **fields}
    return make_config(values)


def texts_of(base: Path, texts: pa.ChunkedArray, **changes: Any) -> MaskedTexts:
    config = config_of(base, **changes)
    return MaskedTexts.of(texts, load_tokenizer(str(base)), 32, config, config.seed)


def make_reading(base: Path, **changes: Any) -> Training:
    """A training of the tiny model on texts of 3 to 11 words."""
    config = config_of(base, **changes)
    seed_everything(config.seed, deterministic=True)
    model, tokenizer = load_language_model(config.model, CPU)
    return Training(model, *masked_examples(some_texts(), some_texts(20), tokenizer, 32, config), [], config)


def whole(texts: MaskedTexts, step: int = 0) -> Masked:
    return texts.of_step(np.arange(len(texts.encoded)), step)


# What is hidden


def test_15_in_100_pieces_are_to_be_guessed_80_10_10_and_never_a_special_one(tiny_model: Path) -> None:
    texts = texts_of(tiny_model, some_texts(4_000))
    masked = whole(texts)
    true, seen, gold = texts.encoded.input_ids, masked.encoded.input_ids, masked.gold.input_ids
    chosen = gold != NO_GUESS
    assert chosen[~np.isin(true, SPECIAL)].mean() == pytest.approx(0.15, abs=0.01)
    assert not chosen[np.isin(true, SPECIAL)].any()
    assert (gold[chosen] == true[chosen]).all() and (seen[~chosen] == true[~chosen]).all()
    hidden, kept = (seen[chosen] == MASK).mean(), (seen[chosen] == true[chosen]).mean()
    assert hidden == pytest.approx(0.8 + 0.1 / 48, abs=0.02) and kept == pytest.approx(0.1 + 0.1 / 48, abs=0.02)


def test_the_share_is_a_choice(tiny_model: Path) -> None:
    gold = whole(texts_of(tiny_model, some_texts(2_000), mask={"ratio": 0.4})).gold.input_ids
    true = texts_of(tiny_model, some_texts(2_000)).encoded.input_ids
    assert (gold[~np.isin(true, SPECIAL)] != NO_GUESS).mean() == pytest.approx(0.4, abs=0.02)


def test_other_pieces_are_hidden_at_each_step_and_the_same_with_the_same_seed(tiny_model: Path) -> None:
    one, same = (whole(texts_of(tiny_model, some_texts())) for _ in range(2))
    later = whole(texts_of(tiny_model, some_texts()), step=1)
    other = MaskedTexts.of(some_texts(), load_tokenizer(str(tiny_model)), 32, config_of(tiny_model), 7)
    assert (one.encoded.input_ids == same.encoded.input_ids).all() and (one.gold.input_ids == same.gold.input_ids).all()
    assert (one.gold.input_ids != later.gold.input_ids).any()
    assert (one.gold.input_ids != whole(other).gold.input_ids).any()


def test_of_a_whole_word_all_pieces_are_to_be_guessed_or_none(tiny_model: Path) -> None:
    texts = pa.chunked_array([["goods badly film greatly warms"] * 400])         # good ##s bad ##ly film great ##ly ...
    for whole_words, split in ((True, 0), (False, 400)):
        gold = whole(texts_of(tiny_model, texts, mask={"whole_words": whole_words})).gold
        rows = np.stack([gold.input_ids[start : start + 11] for start in gold.starts[:-1]]) != NO_GUESS
        assert rows.shape == (400, 11)
        halves = sum(int((rows[:, first] != rows[:, first + 1]).sum()) for first in (1, 3, 6, 8))
        assert halves == pytest.approx(split, abs=0.2 * split)       # of 1,600 words a quarter: 2 * 0.15 * 0.85
        assert rows.mean() == pytest.approx(0.15 * 9 / 11, abs=0.03)


def test_a_long_text_becomes_several_inputs_and_nothing_of_it_is_lost(tiny_model: Path) -> None:
    tokenizer = load_tokenizer(str(tiny_model))
    words = (WORDS * 2)[:70]
    encoded, begins = encode_whole(pa.chunked_array([["good film", " ".join(words)]]), tokenizer, 32)
    assert encoded.lengths.tolist() == [4, 32, 32, 12]      # two special pieces each, 30 + 30 + 10 words
    assert begins.all() and not encoded.truncated.any()
    ids = [piece for piece in encoded.input_ids[4:] if piece not in SPECIAL]
    assert tokenizer.convert_ids_to_tokens(ids) == words


# What is learnt


class Copier(torch.nn.Module):
    """Says of every place, as sure as can be, that there is what it sees."""

    device = CPU

    def get_output_embeddings(self) -> None:
        return None

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> SimpleNamespace:
        return SimpleNamespace(logits=30 * torch.nn.functional.one_hot(input_ids, 60).float())


def test_a_model_that_copies_its_input_is_wrong_nearly_everywhere(tiny_model: Path) -> None:
    """Were all places counted, its loss would be next to 0, and nothing be learnt."""
    metrics, _ = whole(texts_of(tiny_model, some_texts(2_000))).evaluate(Copier())      # type: ignore[arg-type]
    assert metrics["masked_accuracy"] == pytest.approx(0.1, abs=0.02)
    assert metrics["loss"] == pytest.approx(0.9 * 30, abs=1)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_loss_is_that_of_transformers_on_labels_of_minus_100_elsewhere(
    tiny_bases: dict[str, Path], family: str
) -> None:
    model, _ = load_language_model(ModelConfig(base=str(tiny_bases[family])), CPU)
    masked = whole(texts_of(tiny_bases[family], some_texts(20)))
    inputs, labels = (each.batch(np.arange(20)) for each in (masked.encoded, masked.gold))
    with torch.no_grad():
        theirs = model.eval()(**inputs, labels=labels["input_ids"]).loss.item()
    metrics, logits = masked.evaluate(model)
    assert metrics["loss"] == pytest.approx(theirs, abs=1e-5) and logits is None
    assert metrics["perplexity"] == pytest.approx(math.exp(theirs), rel=1e-4)
    assert metrics["masked"] == (labels["input_ids"] != NO_GUESS).sum()


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_are_made_of_the_hidden_places_alone_whose_number_is_filled_up_to_one_of_few(
    tiny_bases: dict[str, Path], family: str
) -> None:
    model, _ = load_language_model(ModelConfig(base=str(tiny_bases[family])), CPU)
    inputs, gold = whole(texts_of(tiny_bases[family], some_texts(20))).batch(np.arange(20), CPU)
    shapes = []
    model.get_output_embeddings().register_forward_hook(lambda module, given, made: shapes.append(made.shape))
    logits = whole(texts_of(tiny_bases[family], some_texts(20))).logits(model.eval(), inputs)
    assert logits.shape == (len(gold), model.config.vocab_size)
    assert len(gold) < PLACES_MULTIPLE
    assert shapes in ([(PLACES_MULTIPLE, model.config.vocab_size)], [])


def losses(training: Training) -> list[float]:
    return [result.loss for result in training.results() if isinstance(result, StepResult)]


@pytest.mark.parametrize("changes", [{}, {"loss": {"r_drop": 1, "label_smoothing": 0.1}}], ids=str)
def test_a_step_cut_into_single_inputs_gives_the_same_curve(tiny_model: Path, changes: dict[str, Any]) -> None:
    changes = {"model": {"dropout": 0}, **changes}
    uncut = losses(make_reading(tiny_model, **changes))
    cut = losses(make_reading(tiny_model, **changes, hardware={"micro_batch_tokens": 8}))
    assert uncut == pytest.approx(cut, abs=1e-5)


def test_a_step_of_which_nothing_is_hidden_moves_nothing_and_is_no_failure(tiny_model: Path) -> None:
    training = make_reading(tiny_model, optim={"weight_decay": 0})
    training.train = texts_of(tiny_model, some_texts(), mask={"ratio": 1e-9})
    before = weights_of(training.model)
    assert training.take_step().loss == 0
    assert equal(before, weights_of(training.model))


def test_it_learns_what_words_stand_together(tiny_model: Path) -> None:
    texts = pa.chunked_array([["good good good good good good"] * 64])
    config = config_of(tiny_model, optim={"learning_rate": 5e-3, "epochs": 8})
    model, tokenizer = load_language_model(config.model, CPU)
    training = Training(model, *masked_examples(texts, texts.slice(0, 20), tokenizer, 32, config), [], config)
    evaluations = [result for result in training.results() if isinstance(result, EvaluationResult)]
    assert evaluations[0].metrics["perplexity"] > 20 and evaluations[-1].metrics["perplexity"] < 5
    assert training.best is not None and training.best["metric"] == "loss"
    assert training.best["value"] == min(each.metrics["loss"] for each in evaluations)


def test_validation_is_guessed_at_the_same_places_whatever_the_seed(tiny_model: Path) -> None:
    tokenizer = load_tokenizer(str(tiny_model))
    configs = [config_of(tiny_model).model_copy(update={"seed": seed}) for seed in (1, 2)]
    one, other = (masked_examples(some_texts(), some_texts(), tokenizer, 32, config) for config in configs)
    assert (one[1].gold.input_ids == other[1].gold.input_ids).all()
    assert (whole(one[0]).gold.input_ids != whole(other[0]).gold.input_ids).any()


def test_validation_without_a_guess_is_refused(tiny_model: Path) -> None:
    with pytest.raises(DataError) as caught:
        masked_examples(some_texts(), pa.chunked_array([["good"]]), load_tokenizer(str(tiny_model)), 32,
                        config_of(tiny_model, mask={"ratio": 0.001}))
    assert str(caught.value) == (
        "Validation is too short: not one of its pieces is to be guessed. Give more or longer texts."
    )


OTHERS: dict[str, Any] = {
    "optim": {"ema_decay": 0.9, "layer_decay": 0.8, "max_grad_norm": 0.5}, "loss": {"r_drop": 1},
    "adversarial": {"name": "fgm"}, "model": {"freeze": "0"}, "mask": {"whole_words": True},
}


@pytest.mark.parametrize("changes", [{}, {"hardware": {"precision": "bf16"}}, OTHERS], ids=["fp32", "bf16", "others"])
@pytest.mark.parametrize("leave_after", [1, 3, 6])
def test_a_training_left_at_any_result_goes_on_bit_for_bit(
    tiny_model: Path, tmp_path: Path, leave_after: int, changes: dict[str, Any]
) -> None:
    undisturbed = make_reading(tiny_model, **changes)
    expected = [told(result) for result in undisturbed.results()]
    left = make_reading(tiny_model, **changes)
    results = left.results()
    got = [told(next(results)) for _ in range(leave_after)]
    torch.save(left.state(), tmp_path / "state.pt")
    taken_up = make_reading(tiny_model, **changes)
    torch.rand(3)
    taken_up.load_state(torch.load(tmp_path / "state.pt", weights_only=True))
    got += [told(result) for result in taken_up.results()]
    assert got == expected
    assert equal(weights_of(undisturbed.model), weights_of(taken_up.model))


def told(result: StepResult | EvaluationResult) -> Any:
    return (result.step, result.loss, result.grad_norm) if isinstance(result, StepResult) else result.metrics


# From which base, and as which base


@pytest.mark.parametrize("family", FAMILIES)
def test_a_new_head_is_on_the_weights_of_the_encoder_and_tied_to_its_embeddings(
    tiny_bases: dict[str, Path], family: str
) -> None:
    from transformers import AutoModel

    encoder = AutoModel.from_pretrained(tiny_bases[family])
    model, _ = load_language_model(ModelConfig(base=str(tiny_bases[family])), CPU)
    own: dict[str, torch.Tensor] = model.base_model.state_dict()     # type: ignore[operator]
    assert equal(weights_of(encoder), {name: weight for name, weight in own.items() if name in encoder.state_dict()})
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight      # type: ignore[union-attr]


def test_a_head_that_is_there_is_kept_and_any_head_of_a_classifier_left(tiny_model: Path, tmp_path: Path) -> None:
    from tests.tiny_encoders import build, saved

    training = make_reading(tiny_model)
    training.model.save_pretrained(tmp_path / "reader")
    load_tokenizer(str(tiny_model)).save_pretrained(tmp_path / "reader")
    model, _ = load_language_model(ModelConfig(base=str(tmp_path / "reader")), CPU)
    assert equal(weights_of(training.model), weights_of(model))
    classifier = saved(tiny_model, tmp_path / "classifier", head="mean")
    model, _ = load_language_model(ModelConfig(base=str(classifier), dropout=0.3), CPU)
    encoder = build(classifier, head="mean").encoder.state_dict()
    assert all(torch.equal(weight, model.base_model.state_dict()[name]) for name, weight in encoder.items())
    assert model.config.hidden_dropout_prob == 0.3


@pytest.mark.parametrize("change, lack", [
    ({"config.json": ('"model_type": "bert"', '"model_type": "llama"')}, "its family has no head for it"),
    ({"tokenizer_config.json": ('"mask_token": "[MASK]"', '"mask_token": null')}, "its tokenizer has no mask"),
])
def test_a_base_that_cannot_fill_masks_is_refused(
    tiny_model: Path, tmp_path: Path, change: dict[str, tuple[str, str]], lack: str
) -> None:
    import shutil

    shutil.copytree(tiny_model, tmp_path / "base")
    for name, (old, new) in change.items():
        path = tmp_path / "base" / name
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ModelError) as caught:
        load_language_model(ModelConfig(base=str(tmp_path / "base")), CPU)
    assert str(caught.value) == (
        f"'{tmp_path / 'base'}' cannot learn by masked-language modelling: {lack}. Choose another, such as "
        "bert-base-uncased."
    )


@pytest.mark.parametrize("task, field, value", [
    ("mlm", "data.extra", "starter"), ("mlm", "augment.steps", "swap"), ("mlm", "model.head", "mlp"),
    ("mlm", "loss.name", "focal"), ("classify", "data.avoid", "sst2"),
])
def test_a_choice_that_means_nothing_for_the_task_is_refused(task: str, field: str, value: str) -> None:
    group, leaf = field.split(".")
    with pytest.raises(ConfigError) as caught:
        make_config({"name": "a", "task": task, group: {leaf: value}})
    expected = f"{field} is '{value}', which means nothing for the task {task}; take it out."
    assert str(caught.value).casefold() == expected


def test_the_best_weights_are_those_of_the_lowest_loss_whatever_a_classifier_would_be_chosen_by() -> None:
    assert make_config({"name": "a", "task": "mlm", "stop": {"metric": "accuracy"}}).metric == "loss"
    assert make_config({"name": "a", "stop": {"metric": "accuracy"}}).metric == "accuracy"
