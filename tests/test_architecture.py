"""Does the house keep its rules? Imports go one way, heavy libraries come late, and each file says what it answers.

Every rule is a function of a folder that returns what is wrong there, one sentence each. It is run on the project,
where it must find nothing, and on tiny made-up trees, where it must find what was put there and nothing else.
"""

from __future__ import annotations

import ast
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS = ["pipeline", "analysis", "reports", "tabs", "app"]         # each may import itself and what stands before it
BESIDE = ["benchmarks", "tests"]                                    # may import everything; no layer may import them
HEAVY = {"torch", "transformers", "captum", "sklearn", "datasets", "accelerate", "cleanlab"}   # a second or more each
HOMES = {"gradio": {"tabs", "app"}, "plotly": {"reports"}}          # the only layers that may import these
MAX_LINES = 350


# The rules

def arrows_go_one_way(root: Path) -> list[str]:
    return [
        f"{path} imports {layer}, which stands above or beside it"
        for path in modules(root, LAYERS)
        for layer in imported_roots(root, path)
        if layer in LAYERS + BESIDE and layer not in LAYERS[: LAYERS.index(layer_of(path)) + 1]
    ]


def gradio_and_plotly_stay_at_home(root: Path) -> list[str]:
    return [
        f"{path} imports {library}, which belongs to {' and '.join(sorted(HOMES[library]))} alone"
        for path in modules(root, LAYERS)
        for library in imported_roots(root, path)
        if library in HOMES and layer_of(path) not in HOMES[library]
    ]


def heavy_libraries_come_late(root: Path) -> list[str]:
    return [
        f"{path} imports {library} at its top; import it in the function that first needs it"
        for path in modules(root, LAYERS)
        for library in imported_roots(root, path, at_import_only=True)
        if library in HEAVY
    ]


def libraries_are_required(root: Path) -> list[str]:
    required = {canonical(line) for name in ("requirements.txt", "requirements-dev.txt") for line in lines(root / name)}
    ours = {*LAYERS, *BESIDE, *sys.stdlib_module_names, *(path.stem for path in modules(root, BESIDE))}
    distributions = packages_distributions()
    return [
        f"{path} imports {library}, which requirements.txt does not name"
        for path in modules(root, LAYERS + BESIDE)
        for library in imported_roots(root, path)
        if library not in ours and not required & {canonical(name) for name in distributions.get(library, [library])}
    ]


def file_names_are_unique(root: Path) -> list[str]:
    folders: dict[str, list[str]] = {}
    for path in modules(root, [*LAYERS, "benchmarks"]):
        if path.stem not in ("__init__", "__main__"):
            folders.setdefault(path.name, []).append(str(path))
    return [f"{name} names several files: {', '.join(paths)}" for name, paths in folders.items() if len(paths) > 1]


def modules_open_with_a_docstring(root: Path) -> list[str]:
    trees = ((path, parsed(root, path)) for path in modules(root, LAYERS + BESIDE))
    return [
        f"{path} does not open with a docstring that says which question it answers"
        for path, tree in trees
        if tree.body and not ast.get_docstring(tree)
    ]


def files_are_short(root: Path) -> list[str]:
    counts = ((path, len(lines(root / path))) for path in modules(root, LAYERS + BESIDE))
    return [f"{path} has {count} lines, more than {MAX_LINES}" for path, count in counts if count > MAX_LINES]


# What they are made of

def modules(root: Path, names: list[str]) -> Iterator[Path]:
    """The Python files of these layers, relative to the root: a folder each, or a file (app.py)."""
    for name in names:
        found = [root / f"{name}.py"] if (root / f"{name}.py").is_file() else (root / name).rglob("*.py")
        yield from sorted(path.relative_to(root) for path in found)


def layer_of(path: Path) -> str:
    return path.parts[0].removesuffix(".py")


def imported_roots(root: Path, path: Path, at_import_only: bool = False) -> list[str]:
    """First names of what a file imports ("torch" of torch.nn); at_import_only leaves out what runs later or never."""
    found: set[str] = set()
    for node in nodes_run_at_import(parsed(root, path)) if at_import_only else ast.walk(parsed(root, path)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(str(node.module).split(".")[0])
        elif isinstance(node, ast.ImportFrom):              # from .x, from ..x: within its own folder, or out of it
            package = path.parts[: -node.level]
            names = [node.module] if node.module else [alias.name for alias in node.names]
            found |= {(*package, *name.split("."))[0] for name in names}
    return sorted(found)


def nodes_run_at_import(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        return
    if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
        for child in node.orelse:
            yield from nodes_run_at_import(child)
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from nodes_run_at_import(child)


def parsed(root: Path, path: Path) -> ast.Module:
    return ast.parse((root / path).read_text(encoding="utf-8"), filename=str(path))


def lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []


def canonical(requirement: str) -> str:
    """Name of a distribution from a line such as "scikit-learn>=1.9,<2    # metrics"."""
    name = requirement.split("#")[0].strip()
    for mark in "[<>=!~; ":
        name = name.split(mark)[0]
    return name.lower().replace("_", "-").replace(".", "-")


# The project keeps them

RULES: list[Callable[[Path], list[str]]] = [
    arrows_go_one_way, gradio_and_plotly_stay_at_home, heavy_libraries_come_late, libraries_are_required,
    file_names_are_unique, modules_open_with_a_docstring,
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_project_keeps_the_rule_that(rule):
    assert rule(ROOT) == []


def test_long_files_are_pointed_out():
    for sentence in files_are_short(ROOT):
        warnings.warn(sentence, stacklevel=1)


IMPORT_EACH = """
import importlib, sys
for name in sys.argv[2:]:
    importlib.import_module(name)
    loaded = set(sys.argv[1].split(",")) & set(sys.modules)
    if loaded:
        sys.exit(f"import {name} also loads {', '.join(sorted(loaded))}")
"""


@pytest.mark.parametrize("layers, absent", [
    (["pipeline"], HEAVY | set(HOMES)),
    (LAYERS, HEAVY),
])
def test_importing_every_module_leaves_the_heavy_libraries_out(layers, absent):
    names = [".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in modules(ROOT, layers)]
    command = [sys.executable, "-c", IMPORT_EACH, ",".join(absent), *names]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr


# And each rule sees when it is broken

@pytest.mark.parametrize("rule, files, sentence", [
    (arrows_go_one_way, {"pipeline/a.py": "from reports import charts"}, "pipeline/a.py imports reports,"),
    (arrows_go_one_way, {"reports/a.py": "def draw():\n    import tabs.shared"}, "reports/a.py imports tabs,"),
    (arrows_go_one_way, {"tabs/a.py": "if True:\n    import benchmarks"}, "tabs/a.py imports benchmarks,"),
    (arrows_go_one_way, {"tabs/deep/a.py": "from ... import app"}, "tabs/deep/a.py imports app,"),
    (gradio_and_plotly_stay_at_home, {"pipeline/a.py": "import gradio as gr"}, "pipeline/a.py imports gradio,"),
    (gradio_and_plotly_stay_at_home, {"tabs/a.py": "from plotly.io import to_json"}, "tabs/a.py imports plotly,"),
    (heavy_libraries_come_late, {"pipeline/a.py": "from torch import nn"}, "pipeline/a.py imports torch at"),
    (heavy_libraries_come_late, {"app.py": "with A():\n    import sklearn.metrics"}, "app.py imports sklearn at"),
    (heavy_libraries_come_late, {"tabs/a.py": "class A:\n    import captum"}, "tabs/a.py imports captum at"),
    (libraries_are_required, {"tabs/a.py": "import yaml", "requirements.txt": "gradio>=6"}, "tabs/a.py imports yaml,"),
    (file_names_are_unique, {"pipeline/a.py": "", "tabs/a.py": ""}, "a.py names several files: pipeline/a.py, tabs"),
    (modules_open_with_a_docstring, {"tests/a.py": "import os"}, "tests/a.py does not open with"),
    (files_are_short, {"app.py": "\n" * 351}, "app.py has 351 lines"),
])
def test_a_rule_finds_what_breaks_it(tmp_path, rule, files, sentence):
    write_tree(tmp_path, files)
    (found,) = rule(tmp_path)
    assert found.startswith(sentence)


@pytest.mark.parametrize("rule, files", [
    (arrows_go_one_way, {"app.py": "import tabs.a", "tabs/a.py": "from . import b\nimport reports, pipeline.runs"}),
    (arrows_go_one_way, {"benchmarks/a.py": "import app, tests.a"}),
    (gradio_and_plotly_stay_at_home, {"app.py": "import gradio", "reports/a.py": "import plotly"}),
    (gradio_and_plotly_stay_at_home, {"tests/a.py": "import gradio"}),
    (heavy_libraries_come_late, {"pipeline/a.py": "if TYPE_CHECKING:\n    import torch\ndef f():\n    import torch"}),
    (libraries_are_required, {"tabs/a.py": "import json, sklearn", "requirements.txt": "scikit_learn>=1.9,<2  # F1"}),
    (file_names_are_unique, {"pipeline/__init__.py": "", "tabs/__init__.py": "", "tests/test_a.py": ""}),
    (modules_open_with_a_docstring, {"tabs/__init__.py": "", "app.py": '"""Which page?"""\nimport os'}),
    (files_are_short, {"app.py": "\n" * 350}),
])
def test_a_rule_lets_the_rest_pass(tmp_path, rule, files):
    write_tree(tmp_path, files)
    assert rule(tmp_path) == []


def write_tree(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
