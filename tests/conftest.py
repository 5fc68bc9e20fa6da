"""What the tests share: a two-layer BERT with random weights, a small data set, and a run root of their own."""

from __future__ import annotations

import json
import os
import random
import sys
import tempfile
from pathlib import Path

import pytest

# Before torch is loaded anywhere: two test processes on two cores must not spin against each other.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

GOOD = "good great lovely bright warm funny clever fine sweet strong".split()
BAD = "bad dull awful grey cold boring stupid poor sour weak".split()
FILLERS = "the a film story actor scene it was and very quite rather in this that of with".split()
VOCABULARY = [
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *GOOD, *BAD, *FILLERS,
    "but", "not", "##s", "##ly", "i", "you", "love",
]  # fmt: skip


def write_tiny_model(folder: Path) -> Path:
    """A folder with a BERT of two layers, random weights, dropout 0.1, and its tokenizer."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizer

    folder.mkdir(exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY), encoding="utf-8")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(folder)
    BertTokenizer(str(folder / "vocab.txt"), model_max_length=64).save_pretrained(folder)
    return folder


def write_tiny_data(path: Path) -> Path:
    """A JSONL file of 240 short texts that a tiny model can learn: the label is that of most of its words."""
    randomness = random.Random(0)
    rows = []
    for number in range(240):
        label = number % 2
        words = randomness.choices(GOOD if label else BAD, k=3) + randomness.choices(
            FILLERS, k=randomness.randint(1, 14)
        )
        randomness.shuffle(words)
        rows.append({"text": " ".join(words), "label": ["negative", "positive"][label]})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("tiny-bert"))


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_data(tmp_path_factory.mktemp("tiny-data") / "tiny.jsonl")


@pytest.fixture(scope="session")
def tiny_bases(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder with a base model of each family of encoders, all with the tokenizer of the tiny BERT."""
    import torch

    from tests.tiny_encoders import FAMILIES, base_folder, tiny_config

    folders = {}
    for family in FAMILIES:
        torch.manual_seed(0)
        folders[family] = base_folder(tmp_path_factory.mktemp(family), tiny_config(family), tiny_model)
    return folders


@pytest.fixture(scope="session")
def tiny_classifier(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a classifier of "negative" and "positive" on the tiny BERT, with a head of random weights."""
    from tests.tiny_encoders import saved

    return saved(tiny_model, tmp_path_factory.mktemp("classifier") / "best")


@pytest.fixture(scope="session")
def sharp_model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a classifier whose probabilities differ widely from text to text, as a trained one's do."""
    import torch

    from pipeline.models import load_tokenizer, save_model
    from tests.tiny_encoders import build

    model = build(tiny_model)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.mul_(15)
    folder = tmp_path_factory.mktemp("sharp") / "best"
    save_model(model, load_tokenizer(str(tiny_model)), folder)
    return folder


@pytest.fixture(autouse=True)
def fresh_accelerate() -> None:
    forget_precision()


def forget_precision() -> None:
    """accelerate keeps one precision per process; a run has a process of its own, a test has not."""
    if "accelerate" in sys.modules:
        from accelerate.state import AcceleratorState

        AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture
def run_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty run root; device locks apart from those of the machine's real runs, for child processes, too."""
    root = tmp_path / "runs"
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("VOLTA_HOME", str(root))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return root


def values_of_a_tiny_run(model: Path, data: Path) -> dict:
    """The values of a RunConfig that trains in a second or two: 192 examples, 12 steps an epoch."""
    return {
        "name": "tiny",
        "data": {"source": str(data), "split": "random"},
        "model": {"base": str(model)},
        "optim": {"learning_rate": 1e-3, "batch_size": 16, "epochs": 2},
        "hardware": {"precision": "fp32", "device": "cpu"},
    }


@pytest.fixture
def tiny_values(tiny_model: Path, tiny_data: Path) -> dict:
    return values_of_a_tiny_run(tiny_model, tiny_data)


@pytest.fixture
def commands_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands of the tabs are carried out in this process. The browser's tests see them have one of their own."""
    from tests.command import CarriedOut

    for module in ("tabs.shared", "tabs.diagnose_tab"):
        monkeypatch.setattr(f"{module}.start_command", CarriedOut)


@pytest.fixture(scope="session")
def trained_root(tiny_model: Path, tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run root with `tiny`, trained by the command; what it said is in answer.json and stderr.txt."""
    from tests.command import training_arguments, volta

    forget_precision()
    root = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VOLTA_HOME", str(root))
        patch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("locks")))
        answer = volta(*training_arguments(values_of_a_tiny_run(tiny_model, tiny_data)))
    assert answer.status == 0, answer.stderr
    (root / "answer.json").write_text(answer.stdout, encoding="utf-8")
    (root / "stderr.txt").write_text(answer.stderr, encoding="utf-8")
    return root


@pytest.fixture
def trained(trained_root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VOLTA_HOME", str(trained_root))
    return trained_root
