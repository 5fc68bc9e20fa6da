"""A run on texts without labels: what its record tells, and that it is a base for later runs, and no classifier."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from analysis.masked_words import masked_words
from pipeline.catalog import create_run, load_run
from pipeline.config import make_config
from pipeline.config_parts import ModelConfig
from pipeline.exceptions import ModelError
from pipeline.jobs import carry_out
from pipeline.models import load_base_model, load_classifier, load_language_model
from pipeline.plan import make_plan
from pipeline.runs import Run
from tabs.plan_view import plan_blocks
from tabs.run_panel import run_blocks
from tabs.runs_view import compared_blocks, detail_blocks, run_list
from tabs.shared import runs_to_predict_with
from tests.command import volta
from tests.conftest import values_of_a_tiny_run
from tests.tiny_encoders import equal

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, tiny_data: Path) -> Iterator[Path]:
    """A run root with "reader", trained by the command on texts alone."""
    folder = tmp_path_factory.mktemp("readers")
    texts = [json.loads(line)["text"] for line in tiny_data.read_text().splitlines()]
    (folder / "texts.csv").write_text("text\n" + "\n".join(texts) + "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VOLTA_HOME", str(folder))
        patch.setattr("tempfile.tempdir", str(tmp_path_factory.mktemp("locks")))
        sets = {
            "task": "mlm", "data.source": folder / "texts.csv", "model.base": tiny_model, "optim.learning_rate": 5e-3,
            "optim.epochs": 3, "hardware.precision": "fp32", "hardware.device": "cpu",
        }
        assigned = [part for name, value in sets.items() for part in ("--set", f"{name}={value}")]
        answer = volta("train", "--name", "reader", *assigned)
        assert answer.status == 0, answer.stderr
        yield folder


@pytest.fixture
def reader(root: Path) -> Run:
    return load_run("reader")


def test_its_record_has_a_loss_per_step_and_perplexity_per_evaluation_and_no_predictions(reader: Run) -> None:
    steps = [line for line in reader.metrics() if "split" not in line]
    evaluations = reader.evaluations()
    assert [line["step"] for line in steps] == list(range(1, len(steps) + 1)) and all(line["loss"] for line in steps)
    assert len(evaluations) == 4 and evaluations[-1]["perplexity"] < evaluations[0]["perplexity"]
    assert all(line["perplexity"] == pytest.approx(math.exp(line["loss"])) for line in evaluations)
    best = reader.status().best
    assert best == {"metric": "loss", "value": min(line["loss"] for line in evaluations), "step": best["step"]}     # type: ignore[index]
    assert not (reader.folder / "predictions").exists()


def test_the_record_says_that_a_head_was_made(reader: Run) -> None:
    about = reader.environment()["about"]
    assert about.startswith(f"'{reader.config.model.base}' has no head for masked-language modelling: one was made of")
    assert about in reader.log_tail() and "perplexity" in reader.log_tail()


def test_a_classifier_takes_the_encoders_weights_and_a_new_head(reader: Run, tiny_data: Path) -> None:
    model, _ = load_base_model(ModelConfig(base="reader"), ["negative", "positive"], CPU)
    masked, _ = load_language_model(ModelConfig(base="reader"), CPU)
    assert equal(model.base_model.state_dict(), masked.base_model.state_dict())     # type: ignore[operator, arg-type]
    run = create_run(make_config({**values_of_a_tiny_run(Path("reader"), tiny_data), "name": "after-reader"}))
    assert carry_out(run) == 0
    assert "about" not in run.environment()


def test_its_head_tells_what_else_could_stand_there(reader: Run) -> None:
    run = create_run(make_config({"name": "looks", "model": {"base": "reader"}}))
    substitutes = masked_words(run)
    assert substitutes is not None and list(substitutes("a good film"))


def test_it_is_no_model_to_predict_with_and_says_so(reader: Run) -> None:
    assert "reader" not in runs_to_predict_with()
    with pytest.raises(ModelError, match="is a base model without a trained classifier"):
        load_classifier("reader", CPU)
    answer = volta("evaluate", "reader")
    assert answer.status == 2
    assert answer.stderr.strip().endswith("Train on it first, or choose a run.")


def test_the_page_shows_it_beside_others(reader: Run) -> None:
    [row] = [row for row in run_list([reader])["rows"] if row["name"] == "reader"]
    assert row["cells"][4].startswith("loss ")
    table, about, as_base = detail_blocks(reader)
    assert [cells[0] for cells in table["rows"]] == ["perplexity", "right guesses"]
    assert "one was made of its embeddings" in about["text"] and as_base["text"].startswith("It tells no labels.")
    before_and_best = compared_blocks([reader])[0]
    assert before_and_best["rows"][0][4:8] == [""] * 4      # accuracy and macro F1
    assert not any(block["kind"] == "link" for block in run_blocks(reader, reader.status()))


def test_a_plan_counts_the_inputs_that_texts_are_cut_into(reader: Run) -> None:
    config = reader.config.model_copy(update={"data": reader.config.data.model_copy(update={"max_length": 8})})
    plan = make_plan(config)
    assert plan.steps > make_plan(reader.config).steps == reader.status().total_steps
    told = dict(plan_blocks(vars(plan))[0]["rows"])
    assert "Labels" not in told and "train" in told["Examples"]
