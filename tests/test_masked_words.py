"""Masked words: substitutes come from the base model's own head, and only where it has one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from analysis.edits import Edit, examine, smallest_flips
from analysis.masked_words import masked_words
from pipeline.catalog import create_run
from pipeline.config import make_config
from pipeline.sources import find_model
from tests.rule_model import RuleModel


@pytest.fixture
def base_with_head(tiny_model: Path, tmp_path: Path) -> Path:
    """A BERT that expects "dull" behind every mask, then "bright", then "##ly"."""
    from transformers import AutoTokenizer, BertForMaskedLM

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    model = BertForMaskedLM.from_pretrained(tiny_model)
    with torch.no_grad():
        for boost, piece in ((90.0, "##ly"), (80.0, "dull"), (70.0, "bright")):
            model.cls.predictions.bias[tokenizer.convert_tokens_to_ids(piece)] += boost
    model.save_pretrained(tmp_path / "mlm")
    tokenizer.save_pretrained(tmp_path / "mlm")
    return tmp_path / "mlm"


def test_each_word_is_replaced_by_the_likeliest_other_words(run_root: Path, base_with_head: Path) -> None:
    substitutes = masked_words(create_run(make_config({"name": "a", "model": {"base": str(base_with_head)}})))
    assert substitutes is not None
    edits = list(substitutes("a dull film"))
    assert Edit("'dull' for 'film'", "a dull dull") in edits
    assert Edit("'bright' for 'dull'", "a bright film") in edits
    assert not any("##" in edit.text or edit.text == "a dull film" for edit in edits)
    assert list(substitutes(" ... ")) == []


def test_a_base_without_such_a_head_has_none(run_root: Path, tiny_model: Path) -> None:
    assert masked_words(create_run(make_config({"name": "a", "model": {"base": str(tiny_model)}}))) is None
    assert masked_words(create_run(make_config({"name": "b", "model": {"base": "no-such-model"}}))) is None


def test_nothing_is_fetched_to_look_at_a_sentence(run_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr("analysis.masked_words.load_masked_lm", lambda *arguments: pytest.fail("it was loaded"))
    run = create_run(make_config({"name": "a", "model": {"base": "some-one/not-in-any-cache"}}))
    assert find_model(run.config.model.base).kind == "hub" and masked_words(run) is None


def test_a_substitute_may_be_the_smallest_flip() -> None:
    model = RuleModel(lambda text: 0.9 if "lively" in text else 0.1)
    assert smallest_flips(examine(model, "a slow-paced film", "positive")) == []
    lively = Edit("'lively' for 'slow'", "a lively film")
    sentence = examine(model, "a slow-paced film", "positive", lambda text: iter([lively]))
    [flip] = smallest_flips(sentence)
    assert (flip.what, flip.num_changes, flip.label) == ("'lively' for 'slow'", 1, "positive")
