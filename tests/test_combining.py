"""Several runs become one: an ensemble (ensembles.py) or averaged weights, a record like any other, or nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from analysis.attribution import METHODS, attribute
from analysis.embeddings import load_encoder, sentence_embeddings
from analysis.training_index import build_index
from pipeline.archive import delete_run, pack_run, unpack_run
from pipeline.catalog import create_run, load_run, run_names
from pipeline.combining import average_weights, make_ensemble, mean_model
from pipeline.config import make_config
from pipeline.evaluation import evaluate_run
from pipeline.exceptions import ModelError, RunError, WorkbenchError
from pipeline.jobs import carry_out
from pipeline.models import CALIBRATION_FILE, load_base_model, load_classifier, load_tokenizer, save_model
from pipeline.predictor import Predictor
from pipeline.runs import Run
from tabs import runs_view
from tabs.run_panel import run_blocks
from tabs.runs_view import detail_blocks, first_and_best, run_list
from tests.command import volta
from tests.tiny_encoders import build, equal, weights_of

CPU = torch.device("cpu")
TEXTS = ["good great film", "the bad actor", "it was not good but i love this", ""]
MakeRun = Callable[..., Run]


@pytest.fixture
def make_run(run_root: Path, tiny_values: dict, sharp_model: Path) -> MakeRun:
    """A run record whose best model is a classifier of wide probabilities, with the head of a seed."""

    def make(name: str, seed: int = 0, labels: list[str] | None = None, **data: object) -> Run:
        run = create_run(make_config({**tiny_values, "name": name, "data": {**tiny_values["data"], **data}}))
        model = build(sharp_model, labels or ["no", "yes"], seed)
        with torch.no_grad():
            model.classifier.weight.mul_(15)
        model.config.id2label = dict(enumerate(labels or ["negative", "positive"]))
        save_model(model, load_tokenizer(str(sharp_model)), run.best_folder)
        return run

    return make


def set_temperature(run: Run, temperature: float) -> None:
    (run.best_folder / CALIBRATION_FILE).write_text(f'{{"temperature": {temperature}}}')


def probs_of(name: str) -> np.ndarray:
    """(N, C)"""
    return np.array([list(each.probabilities.values()) for each in Predictor.load(name).predict(TEXTS)])


# Ensembles


def test_an_ensemble_of_a_run_with_itself_is_the_run(make_run: MakeRun) -> None:
    make_run("one")
    make_ensemble("both", ["one", "one"])
    assert probs_of("both") == pytest.approx(probs_of("one"), abs=1e-6)


def test_an_ensemble_has_the_mean_of_its_members_probabilities(make_run: MakeRun) -> None:
    make_run("one", 1)
    set_temperature(make_run("two", 2), 3.0)
    expected = (probs_of("one") + probs_of("two")) / 2
    make_ensemble("both", ["one", "two"])
    assert np.abs(probs_of("one") - probs_of("two")).max() > 0.1
    assert probs_of("both") == pytest.approx(expected, abs=1e-6)


def test_an_ensemble_has_a_temperature_of_its_own(make_run: MakeRun) -> None:
    make_run("one", 1)
    make_run("two", 2)
    make_ensemble("both", ["one", "two"])
    before = probs_of("both")
    set_temperature(load_run("both"), 2.0)
    found = attribute(Predictor.load("both"), TEXTS[0], "positive")
    for probs, temperature in ((before, 2), (probs_of("both"), 1)):
        assert found.log_odds == pytest.approx(np.log(probs[0, 1] / probs[0, 0]) / temperature, abs=1e-4)


def test_what_becomes_of_its_members_changes_nothing(make_run: MakeRun, tmp_path: Path) -> None:
    one, two = make_run("one", 1), make_run("two", 2)
    make_ensemble("both", ["one", "two"])
    before = probs_of("both")
    zipped = pack_run(load_run("both"), tmp_path)
    for run in (one, two, load_run("both")):
        delete_run(run)
    unpack_run(zipped)
    Predictor._loaded.clear()
    assert np.array_equal(probs_of("both"), before)


@pytest.mark.parametrize("method", METHODS)
def test_the_words_of_an_ensemble_are_explained_by_its_own_log_odds(make_run: MakeRun, method: str) -> None:
    make_run("one", 1)
    make_run("two", 2)
    make_ensemble("both", ["one", "two"])
    found = attribute(Predictor.load("both"), TEXTS[2], "positive", method=method)
    probs = probs_of("both")[2]
    assert found.log_odds == pytest.approx(np.log(probs[1] / probs[0]), abs=1e-4)
    if found.delta is not None:
        assert found.delta < 0.02


def test_members_that_cut_words_otherwise_predict_together_and_cannot_be_explained(make_run: MakeRun) -> None:
    make_run("one", 1)
    other = make_run("other", 2)
    tokenizer = load_tokenizer(str(other.best_folder))
    tokenizer.add_tokens(["lovely film"])
    tokenizer.save_pretrained(other.best_folder)
    make_ensemble("both", ["one", "other"])
    assert probs_of("both") == pytest.approx((probs_of("one") + probs_of("other")) / 2, abs=1e-6)
    for method in METHODS:
        with pytest.raises(ModelError) as caught:
            attribute(Predictor.load("both"), TEXTS[0], method=method)
        assert str(caught.value) == (
            "The models of this ensemble cut a text into pieces in different ways, so its words cannot be weighed for "
            "all of them together. Look at one of its members instead."
        )


def test_an_ensemble_stands_among_the_runs_with_its_figures(make_run: MakeRun) -> None:
    make_run("one", 1)
    make_run("two", 2)
    metrics = make_ensemble("both", ["one", "two"])
    run = load_run("both")
    assert run.status().state == "finished"
    assert run.status().best == {"metric": "macro_f1", "value": metrics["macro_f1"], "step": 0}
    assert run.config.note == "Ensemble of one, two."
    assert "Per label, validation" in str(detail_blocks(run))
    [line, _, note, _] = run_blocks(run, run.status())
    assert line["facts"] == [f"macro F1 {metrics['macro_f1']:.3f} on validation"]      # and of no step: it took none
    assert note["text"] == run.config.note
    assert first_and_best(run)[1] is not None
    assert runs_view.test_value(run) is None
    tested = evaluate_run(run, split="test", save=True)
    assert runs_view.test_value(run) == tested["macro_f1"]
    assert "both" in [row["name"] for row in run_list([run])["rows"]]
    assert sentence_embeddings(load_encoder("both"), TEXTS).shape == (4, 32)


def test_an_ensemble_is_no_base_and_no_pupil(make_run: MakeRun, tiny_values: dict) -> None:
    make_run("one")
    make_ensemble("both", ["one", "one"])
    config = make_config({**tiny_values, "model": {"base": "both"}})
    with pytest.raises(ModelError) as caught:
        load_base_model(config.model, ["negative", "positive"], CPU)
    assert str(caught.value) == (
        "'both' is several models that answer together, and has no weights to train further. "
        "Choose one of its members, or average their weights into one model."
    )
    with pytest.raises(ModelError) as caught:
        list(build_index(load_run("both")))
    assert str(caught.value) == "'both' is an ensemble, whose members learnt apart. Ask one of them what taught it."


# Averaged weights


def test_a_model_averaged_with_itself_is_itself(make_run: MakeRun) -> None:
    one = make_run("one")
    average_weights("three", ["one", "one", "one"])
    models = [load_classifier(str(run.best_folder), CPU)[0] for run in (one, load_run("three"))]
    assert equal(*map(weights_of, models))


def test_every_weight_is_the_mean_of_the_members(make_run: MakeRun) -> None:
    names = ["a", "b", "c"]
    for seed, name in enumerate(names):
        make_run(name, seed)
    metrics = average_weights("soup", names)
    heads = [load_classifier(name, CPU)[0].classifier.weight for name in (*names, "soup")]
    assert torch.allclose(heads[3], torch.stack(heads[:3]).mean(0), atol=1e-6)
    assert load_run("soup").config.note == "Average of the weights of a, b, c."
    assert metrics == evaluate_run(load_run("soup"))


def test_the_statistics_of_a_batch_norm_are_averaged_too(tiny_model: Path) -> None:
    models = [build(tiny_model, head="mlp-batchnorm") for _ in range(2)]
    for value, model in enumerate(models):
        for name, buffer in model.named_buffers():
            if "running" in name:
                buffer.fill_(float(value))
    mean = mean_model(models)
    assert {float(b.mean()) for name, b in mean.named_buffers() if "running" in name} == {0.5}


@pytest.mark.parametrize("ema_decay", [0, 0.9])
def test_of_one_run_its_kept_states_are_averaged(
    run_root: Path, tiny_values: dict, monkeypatch: pytest.MonkeyPatch, ema_decay: float
) -> None:
    monkeypatch.setenv("VOLTA_STATE_SECONDS", "0")
    run = create_run(make_config({**tiny_values, "optim": {**tiny_values["optim"], "ema_decay": ema_decay}}))
    assert carry_out(run) == 0
    states = [torch.load(path / "state.pt", weights_only=True) for path in run.states()]
    weights = [state["average"] if ema_decay else state["model"] for state in states]
    name = ("module." if ema_decay else "") + "classifier.weight"
    average_weights("mean", ["tiny"])
    assert torch.allclose(
        load_classifier("mean", CPU)[0].classifier.weight, torch.stack([each[name] for each in weights]).mean(0)
    )
    make_ensemble("both", ["tiny"])
    assert (load_run("both").best_folder / "config.json").read_text().count("tiny at step") == 2


# What is refused


def test_models_of_another_build_are_not_averaged(tiny_model: Path) -> None:
    with pytest.raises(ModelError) as caught:
        mean_model([build(tiny_model), build(tiny_model, head="mlp")])
    assert str(caught.value) == (
        "Weights are averaged only of models of the same build; these differ in their encoder, its size or their head. "
        "Make an ensemble of them instead."
    )


@pytest.mark.parametrize("combine", [make_ensemble, average_weights])
@pytest.mark.parametrize("names, message", [
    (["one", "zzz"], "There is no run 'zzz'. See 'runs' for those there are."),
    (["one"], "'one' keeps fewer than two states to put together. Name several runs, or train with states saved more "
              "often (VOLTA_STATE_SECONDS)."),
    (["one", "untrained"], "'untrained' has no model yet. Let it train on, or leave it out."),
    (["one", "both"], "'both' is an ensemble itself. Name its members instead."),
    (["one", "clean"], "'clean' cleans its texts otherwise than 'one'. Leave one of them out."),
    (["one", "turned"], "Models are put together only where they know the same labels in the same order; found: "
                        "negative, positive beside positive, negative. Leave one of them out."),
])
def test_what_cannot_be_put_together_is_told_and_leaves_nothing(
    make_run: MakeRun, combine: Callable[..., object], names: list[str], message: str
) -> None:
    make_run("one")
    make_ensemble("both", ["one", "one"])
    make_run("clean", clean={"lowercase": True})
    make_run("turned", labels=["positive", "negative"])
    shutil.rmtree(make_run("untrained").best_folder)
    before = run_names()
    with pytest.raises(WorkbenchError) as caught:
        combine("new", names)
    assert str(caught.value) == message
    assert run_names() == before


def test_a_name_that_is_taken_is_refused(make_run: MakeRun) -> None:
    make_run("one")
    with pytest.raises(RunError, match="There is already a run 'one'"):
        average_weights("one", ["one", "one"])
    assert load_run("one").best_folder.is_dir()


def test_members_validated_on_other_examples_are_pointed_out(make_run: MakeRun) -> None:
    for name in ("one", "two"):
        make_run(name)
        (load_run(name).folder / "environment.json").write_text(f'{{"data": {{"validation": {{"sha256": "{name}"}}}}}}')
    make_ensemble("both", ["one", "two"])
    assert load_run("both").config.note == (
        "Ensemble of one, two. They were validated on different examples: some may have been trained on those that "
        "this one is judged by."
    )


def test_the_commands_answer_with_the_figures(make_run: MakeRun) -> None:
    make_run("one", 1)
    make_run("two", 2)
    for command in ("ensemble", "average"):
        [line] = volta(command, f"by-{command}", "one", "two").lines
        assert {key: line[key] for key in ("run", "split", "n")} == {
            "run": f"by-{command}", "split": "validation", "n": 24,
        }
        assert "accuracy" in line
