"""Is the README true? What it names exists, every source file stands in its tree, and its examples run as printed."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import typer

from pipeline.__main__ import app
from pipeline.config import FIELDS, preset_names

ROOT = Path(__file__).parent.parent
_, FRONT_MATTER, BODY = (ROOT / "README.md").read_text(encoding="utf-8").split("---\n", 2)
# Each source file of these stands in the tree.
IN_TREE = ["app.py", "pipeline", "analysis", "reports", "tabs", "benchmarks", "examples"]


def code_blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands(text: str, program: str) -> list[list[str]]:
    """What follows a program's name, in code blocks and between backticks, word by word and without comments."""
    code = code_blocks(text, "bash") + re.findall(r"`([^`\n]+)`", text)
    found = re.findall(rf"{re.escape(program)} +(\S.*)", "\n".join(code))
    return [shlex.split(words, comments=True) for words in found]


def paths_in_tree(tree: str) -> Iterator[tuple[str, str]]:
    """Path and comment of each line of a tree that is indented by two spaces a level."""
    folders: list[str] = []
    for line in tree.splitlines():
        indent, name, comment = re.fullmatch(r"( *)(\S+) *(.*)", line).groups()
        folders[len(indent) // 2:] = [name]
        yield "".join(folders), comment


def missing_in_tree(root: Path, tree: str) -> list[str]:
    """Source files that have no line: a folder's line stands for its files too, except for Python files."""
    listed = {path for path, _ in paths_in_tree(tree)}
    files = [path for name in IN_TREE for path in sorted([root / name, *(root / name).rglob("*")]) if path.is_file()]
    relative = [path.relative_to(root) for path in files if path.name != "__init__.py" and path.suffix != ".pyc"]
    return [
        str(path) for path in relative
        if str(path) not in listed and (path.suffix == ".py" or f"{path.parent}/" not in listed)
    ]


TREE = code_blocks(BODY, "text")[0]
TOLD = ["results", "labels", "probabilities"]       # the answer to POST /query


def test_the_first_command_comes_before_line_20():
    assert "make app" in BODY.splitlines()[:19]


def test_the_front_matter_fits_the_project():
    values = dict(line.split(": ", 1) for line in FRONT_MATTER.splitlines())
    assert values["sdk"] == "gradio"
    assert f"gradio=={values['sdk_version']}\n" in (ROOT / "constraints.txt").read_text()
    assert f"python_version = {values['python_version']}\n" in (ROOT / "pyproject.toml").read_text()
    assert (ROOT / values["app_file"]).is_file()
    assert len(values["short_description"]) <= 60       # what the Hub shows


@pytest.mark.parametrize("path, comment", paths_in_tree(TREE))
def test_a_path_in_the_tree_exists_and_is_explained(path, comment):
    assert (ROOT / path).is_dir() if path.endswith("/") else (ROOT / path).is_file()
    assert comment or path.endswith("/")


def test_every_source_file_stands_in_the_tree():
    assert missing_in_tree(ROOT, TREE) == []


@pytest.mark.parametrize("target", sorted({words[0] for words in commands(BODY, "make")}))
def test_a_make_target_exists(target):
    assert re.search(rf"^{re.escape(target)}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("words", commands(BODY, "python -m pipeline"), ids=" ".join)
def test_a_pipeline_command_exists_with_its_options_fields_and_presets(words):
    command = typer.main.get_command(app).commands[words[0]]
    options = {option for param in command.params for option in param.opts}
    assert {word for word in words if word.startswith("--")} <= options
    assert {value for word, value in pairwise(words) if word == "--preset"} <= set(preset_names())
    assert {value.split("=")[0] for word, value in pairwise(words) if word == "--set"} <= set(FIELDS)


@pytest.mark.parametrize("path", re.findall(r"\]\((?!https?:)([^)]+)\)", BODY))
def test_a_linked_file_exists(path):
    assert (ROOT / path).is_file()


def test_the_python_example_runs_as_printed():
    (example,) = code_blocks(BODY, "python")
    result = subprocess.run([sys.executable, "-c", example], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert result.stdout.startswith(("negative {", "positive {")), result.stderr


def test_the_http_example_is_answered_as_told():
    from pipeline.serving import answer

    ((_, _, body),) = commands(BODY, "curl")
    status, answered = answer(body.encode())
    assert status == 200, answered
    num_sentences = len(json.loads(body)["sentences"])
    assert {key: len(values) for key, values in answered.items()} == dict.fromkeys(TOLD, num_sentences)


# And the checks see what is wrong

def test_a_tree_is_read_level_by_level():
    tree = "app.py   the page\npipeline/   learn\n  presets/   named\n    a.json   fast\n  runs.py\n.ci/run   checks"
    assert list(paths_in_tree(tree)) == [
        ("app.py", "the page"), ("pipeline/", "learn"), ("pipeline/presets/", "named"),
        ("pipeline/presets/a.json", "fast"), ("pipeline/runs.py", ""), (".ci/run", "checks"),
    ]


def test_a_source_file_without_a_line_is_missed(tmp_path):
    for name in ["app.py", "pipeline/__init__.py", "pipeline/runs.py", "pipeline/presets/a.json", "examples/b/c.jsonl"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert missing_in_tree(tmp_path, "pipeline/  learn\n  presets/  named") == [
        "app.py", "pipeline/runs.py", "examples/b/c.jsonl",
    ]


def test_commands_are_found_in_blocks_and_between_backticks_alone():
    text = "make sure\n```bash\nPORT=1 make app   # now\n```\n`make test`, `python -m pipeline predict --text 'a b'`"
    assert commands(text, "make") == [["app"], ["test"]]
    assert commands(text, "python -m pipeline") == [["predict", "--text", "a b"]]
