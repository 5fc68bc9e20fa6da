"""Models and data fetched ahead, from a small Hub on this machine that speaks the real one's protocol."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
from datasets import Dataset

from pipeline import fetching, sources
from pipeline.exceptions import ModelError
from pipeline.fetching import find_wanted
from pipeline.sources import PROJECT_ROOT, SHORT_NAMES, Place, converted_folder, find_model
from tests.command import Answer, volta

SHA = "a" * 40


class Hub:
    """Repositories by kind and id, each {file: bytes}; `break_off` names a file that comes by half."""

    def __init__(self) -> None:
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.break_off = ""
        self.sent: list[tuple[str, int]] = []       # file, bytes


class Handler(BaseHTTPRequestHandler):
    hub: Hub

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if found := re.fullmatch(r"/api/((?:models|datasets)/\w+/[\w-]+)(/revision/main|/tree/.*)?", path):
            self._tell(self.hub.repositories.get(found[1]), found[1].partition("/")[2], found[2] or "")
        elif found := re.fullmatch(r"/(\w+/[\w-]+)/resolve/\w+/(.+)", path):
            self._send(found[2], self.hub.repositories[f"models/{found[1]}"][found[2]])
        else:
            self.send_error(404)

    def _tell(self, files: dict[str, bytes] | None, name: str, what: str) -> None:
        if files is None:
            self.send_response(401)                 # as the Hub answers for what is not there, or not yours
            self.send_header("X-Error-Code", "RepoNotFound")
            self.end_headers()
            return
        listed = [{"type": "file", "oid": "0", "size": len(content), "path": path} for path, content in files.items()]
        self._answer(json.dumps(listed if "tree" in what else {"id": name, "sha": SHA}).encode())

    def _send(self, file: str, content: bytes) -> None:
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").partition("-")[0])
        breaks = self.command == "GET" and file == self.hub.break_off
        if breaks and start:
            self.send_error(403)
            return
        self._answer(content, start, len(content) // 2 if breaks else len(content), file)

    def _answer(self, content: bytes, start: int = 0, stop: int | None = None, file: str = "") -> None:
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("ETag", f'"{hash(content) & 2**40 - 1:x}"')
        self.send_header("X-Repo-Commit", SHA)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content[start:stop])
            self.hub.sent.append((file, len(content[start:stop])))


@pytest.fixture
def hub(tmp_path: Path, run_root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The Hub of commands in processes of their own, with an empty cache."""
    Handler.hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for name, value in {
        "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}", "HF_HOME": str(tmp_path / "hub"),
        "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1", "NO_PROXY": "*",
    }.items():
        monkeypatch.setenv(name, value)
    yield Handler.hub
    server.shutdown()
    server.server_close()


def command(*arguments: str) -> Answer:
    program = [sys.executable, "-m", "pipeline", *arguments]
    ended = subprocess.run(program, cwd=PROJECT_ROOT, capture_output=True, text=True, timeout=60)
    return Answer(ended.returncode, ended.stdout, ended.stderr)


def test_a_model_is_fetched_goes_on_after_a_break_and_loads_without_the_hub(
    hub: Hub, tiny_model: Path, tmp_path: Path
) -> None:
    files = {path.name: path.read_bytes() for path in tiny_model.iterdir()}
    other = {"tf_model.h5": b"0", "onnx/config.json": b"0", "pytorch_model.bin": b"0", "README.md": b"0"}
    hub.repositories["models/owner/tiny"] = files | other
    size = len(files["model.safetensors"])
    hub.break_off = "model.safetensors"
    broken = command("fetch", "owner/tiny")
    assert (broken.status, broken.stdout) == (1, "")
    assert "'owner/tiny' could not be fetched from the Hugging Face Hub (" in broken.stderr
    assert broken.stderr.endswith("Files that have come whole are kept: fetch it again to go on.\n")
    hub.break_off = ""
    hub.sent.clear()
    whole = command("fetch", "owner/tiny")
    assert whole.status == 0, whole.stderr
    assert [sent for sent in hub.sent if sent[0]] == [("model.safetensors", size)]      # nothing that had come whole
    [line], told = whole.lines, sum(map(len, files.values()))
    assert line == {"name": "owner/tiny", "kind": "model", "location": line["location"], "bytes": told}
    assert {path.name for path in Path(line["location"]).iterdir()} == set(files)
    here = f"of which {(told - size) / 1e6:.1f} MB are here."
    assert f"owner/tiny: {told / 1e6:.1f} MB in {len(files)} files, {here}" in whole.stderr


def test_what_the_hub_does_not_have_ends_with_2_and_what_volta_has_needs_no_hub(hub: Hub) -> None:
    answer = command("fetch", "starter", "owner/nothing")
    assert (answer.status, answer.stdout) == (2, "")
    assert answer.stderr == (
        "The Hugging Face Hub has no model and no data set 'owner/nothing'. Check its name, and your access.\n"
    )
    assert hub.sent == []


def test_a_data_set_is_known_from_a_model_by_asking_the_hub(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "is_offline", lambda: False)
    asked = {"model": [], "dataset": ["owner/rows"]}
    exists = lambda hub_id, repo_type: hub_id in asked[repo_type]       # noqa: E731
    monkeypatch.setattr("huggingface_hub.repo_exists", exists)
    assert find_wanted("owner/rows") == ("dataset", Place("owner/rows", "hub", "owner/rows"))
    assert find_wanted("imdb")[0] == "dataset" and find_wanted("roberta-base")[0] == "model"    # without a question


def test_a_fetched_data_set_is_read_as_a_training_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = [SimpleNamespace(filename="train.parquet", file_size=3_000_000, is_cached=False)]
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: listed)
    rows = Dataset.from_dict({"text": ["a b", "c"]}).train_test_split(0.5)
    monkeypatch.setattr("datasets.load_dataset", lambda hub_id: rows)
    monkeypatch.setattr(fetching, "is_offline", lambda: False)
    fetched = fetching.fetch("owner/rows", "dataset", Place("owner/rows", "hub", "owner/rows"))
    assert fetched.location == "owner/rows" and fetched.bytes > 0


def test_offline_nothing_is_asked_for(run_root: Path) -> None:
    answer = volta("fetch", "starter", "roberta-base")
    assert (answer.status, answer.stdout) == (2, "")
    assert "No model 'roberta-base' was found, and the Hub is switched off (HF_HUB_OFFLINE)." in answer.stderr
    answer = volta("fetch", "starter")
    assert answer.status == 0 and answer.lines[0]["bytes"] is None
    assert "'starter' comes with Volta. Nothing is to be fetched." in answer.stderr


def test_a_model_of_pickles_alone_is_converted_once_and_found_by_its_name(
    run_root: Path, tiny_model: Path, tmp_path: Path
) -> None:
    import torch
    from safetensors.torch import load_file
    from transformers import AutoModel

    snapshot = Path(shutil.copytree(tiny_model, tmp_path / "snapshot"))
    weights = load_file(snapshot / "model.safetensors")
    (snapshot / "model.safetensors").unlink()
    old = {re.sub("LayerNorm.weight$", "LayerNorm.gamma", name): weight for name, weight in weights.items()}
    old["tied"] = old["embeddings.word_embeddings.weight"]          # as the head of a masked language model is
    torch.save(old, snapshot / "pytorch_model.bin")
    folder = fetching._converted(snapshot, SHORT_NAMES["scibert"])
    assert folder == converted_folder(SHORT_NAMES["scibert"]) == Path(find_model("scibert").location)
    assert sorted(path.name for path in folder.iterdir()) == sorted(path.name for path in tiny_model.iterdir())
    loaded = AutoModel.from_pretrained(folder, use_safetensors=True).state_dict()
    assert all(torch.equal(loaded[name], weight) for name, weight in weights.items())
    written = folder.stat().st_mtime_ns
    assert fetching._converted(snapshot, SHORT_NAMES["scibert"]).stat().st_mtime_ns == written


def test_a_pickle_with_more_than_numbers_is_refused_and_not_run(run_root: Path, tmp_path: Path) -> None:
    import torch

    class Harmful:
        def __reduce__(self) -> tuple:
            return os.mkdir, (str(tmp_path / "harm"),)

    (tmp_path / "snapshot").mkdir()
    torch.save(Harmful(), tmp_path / "snapshot" / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"pytorch_model.bin of 'owner/bad' is refused \(.*\). Choose another model."):
        fetching._converted(tmp_path / "snapshot", "owner/bad")
    assert not (tmp_path / "harm").exists() and not converted_folder("owner/bad").exists()
