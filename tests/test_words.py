"""The page's own words: whole in each language, in one place, all used, and borrowed from English where missing."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import pytest

from pipeline.config import FIELDS, all_presets
from reports import words
from reports.words import ENGLISH, languages, meaning, say, translate, words_of

ROOT = Path(__file__).parents[1]
SPEAKING = [path for folder in ("reports", "tabs") for path in sorted((ROOT / folder).glob("*.py"))] + [ROOT / "app.py"]
SCRIPT = (ROOT / "tabs" / "page.js").read_text(encoding="utf-8")
OTHERS = languages()[1:]
ELSEWHERE = ("fields.", "presets.")      # their English stands in pipeline/config.py and pipeline/presets/
# Not words of the page: sentences to predict, names of fonts, code.
NO_WORDS = (
    "I LOVE YOU ", "It is lovely ", "A warm, ", "A first sentence.", "Segoe UI", "Helvetica Neue", "\nfrom ", "<span ",
    "</small>",
)


def placeholders(template: str) -> set[tuple[str, str | None]]:
    """Names of the values, and in which format."""
    return {(name, spec) for _, name, spec, _ in Formatter().parse(template) if name}


@pytest.mark.parametrize("code", OTHERS)
def test_every_language_has_all_words_with_the_same_values(code: str) -> None:
    own = {key: text for key, text in words.own_words(code).items() if not key.startswith(ELSEWHERE)}
    english = words_of(ENGLISH)
    assert own.keys() == english.keys()
    assert {key: placeholders(text) for key, text in own.items()} == {
        key: placeholders(text) for key, text in english.items()
    }


@pytest.mark.parametrize("code", OTHERS)
def test_every_language_explains_all_fields_and_presets(code: str) -> None:
    in_form = [name for name in FIELDS if name not in ("schema_version", "name", "data.source", "model.base")]
    expected = [f"fields.{name}.{part}" for name in in_form for part in ("label", "help")]
    expected += [f"presets.{name}" for name in all_presets()]
    assert sorted(key for key in words.own_words(code) if key.startswith(ELSEWHERE)) == sorted(expected)


def constants(path: Path) -> Iterator[tuple[str, int]]:
    """Texts of a program and their lines, docstrings left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    said = [node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in said:
            yield node.value, node.lineno


def asked_keys(path: Path) -> Iterator[str]:
    """Patterns of the keys that a program asks for; what it puts into a key is any name."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args):
            continue
        name, first = node.func.id, node.args[0]
        if name in ("say", "translate"):
            for part in [first.body, first.orelse] if isinstance(first, ast.IfExp) else [first]:
                if isinstance(part, ast.Constant):
                    yield re.escape(part.value)
                elif isinstance(part, ast.JoinedStr):
                    yield "".join(
                        re.escape(value.value) if isinstance(value, ast.Constant) else r"(\w[\w.-]*)"
                        for value in part.values
                    )


def test_every_key_that_is_asked_for_exists() -> None:
    known = [*words_of(ENGLISH), *(key for code in OTHERS for key in words.own_words(code))]
    asked = [pattern for path in SPEAKING for pattern in asked_keys(path)]
    asked += [rf"script\.{key}" for key in re.findall(r"\bsay\(\"(\w+)\"", SCRIPT)]
    assert len(asked) > 100
    assert [pattern for pattern in asked if not any(re.fullmatch(pattern, key) for key in known)] == []


def test_every_word_is_used() -> None:
    others = [path for layer in ("pipeline", "analysis") for path in (ROOT / layer).glob("*.py")]
    texts = {text for path in [*SPEAKING, *others] for text, _ in constants(path)}
    patterns = [pattern for path in SPEAKING for pattern in asked_keys(path)]
    in_script = set(re.findall(r"\bsay\(\"(\w+)\"", SCRIPT))

    def is_used(key: str) -> bool:
        put_in = (found.groups() for pattern in patterns if (found := re.fullmatch(pattern, key)))
        return key in texts or any(set(names) <= texts for names in put_in) or key.removeprefix("script.") in in_script

    terms = [key for key in words_of(ENGLISH) if key.startswith("terms.")]
    columns = [key.removeprefix("columns.") for key in words_of(ENGLISH) if key.startswith("columns.")]
    assert {meaning(column) for column in columns} >= {say(term) for term in terms}
    assert [key for key in words_of(ENGLISH) if not is_used(key) and key not in terms] == []


def test_no_words_stand_in_the_program() -> None:
    found = [
        f"{path.name}:{line}: {text}"
        for path in SPEAKING if path.name not in ("app.py", "__main__.py")      # a terminal's words are English
        for text, line in constants(path)
        if re.search(r"[A-Za-z]{2,} [a-z]{2,}|^[A-Z]\w* \S", text) and not text.startswith(NO_WORDS)
    ]
    assert found == []


def test_the_script_has_no_words_of_its_own_either() -> None:
    code = re.sub(r"//.*", "", SCRIPT)
    assert re.findall(r"\"[A-Z][a-z]+(?: [^\"]*)?\"|`[A-Z][a-z]+ [^`]*`", code) == []


@pytest.mark.parametrize("term, begins", [
    ("macro_f1", "Mean of the labels' F1"), ("macro_f1_interval", "Mean of the labels' F1"), ("f1", "Harmonic mean"),
    ("loss_before", "Cross-entropy"), ("pieces_median", "What the tokenizer"), ("predicted", ""), ("pi", ""),
])
def test_a_columns_term_is_explained(term: str, begins: str) -> None:
    found = meaning(term)
    assert found.startswith(begins) and bool(found) == bool(begins)


def test_a_language_borrows_what_it_lacks_from_english(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "en.json").write_text(json.dumps({"a": {"b": "{n} rows"}, "c": "see"}))
    (tmp_path / "xx.json").write_text(json.dumps({"a": {"b": "rows: {n}"}, "d": "own"}))
    monkeypatch.setattr(words, "FOLDER", tmp_path)
    monkeypatch.setattr(words, "_reader", lambda: "xx")
    caches = (languages, words.own_words)
    [cache.cache_clear() for cache in caches]
    try:
        assert languages() == ["en", "xx"]
        assert (say("a.b", n=3), say("c")) == ("rows: 3", "see")
        assert (translate("d", "English"), translate("e", "English")) == ("own", "English")
        with pytest.raises(KeyError):
            say("no.such.key")
    finally:
        [cache.cache_clear() for cache in caches]
