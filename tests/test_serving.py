"""POST /query: what is answered to good queries, and in one sentence to every bad one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from pipeline import Predictor, serving
from pipeline.serving import answer, query_route

SENTENCES = ["good film", "", "very bad bad bad story", "i love you but it was awful", "good film"]
NOT_A_LIST = '"sentences" must be a list of texts. Send {"sentences": ["...", ...]}.'


@pytest.fixture(autouse=True)
def served_model(sharp_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOLTA_MODEL", str(sharp_model))


@pytest.fixture
def client() -> Iterator[TestClient]:
    with TestClient(Starlette(routes=[query_route()])) as client:
        yield client


def test_each_sentence_gets_its_label_and_probabilities_in_the_order_given(sharp_model: Path) -> None:
    status, values = answer(json.dumps({"sentences": SENTENCES}).encode())
    expected = Predictor.load(str(sharp_model)).predict(SENTENCES)
    assert status == 200
    assert values["results"] == [prediction.label_id for prediction in expected]
    assert values["labels"] == [prediction.label for prediction in expected]
    assert values["probabilities"] == [list(prediction.probabilities.values()) for prediction in expected]
    assert set(values["labels"]) == {"negative", "positive"}       # or else the order would not show


@pytest.mark.parametrize("body, status, error", [
    (b"", 400, 'The body is not JSON. Send {"sentences": ["...", ...]}.'),
    (b"good film", 400, 'The body is not JSON. Send {"sentences": ["...", ...]}.'),
    (b'{"sentences": ["good', 400, 'The body is not JSON. Send {"sentences": ["...", ...]}.'),
    (b"\xff\xfe\xff", 400, 'The body is not JSON. Send {"sentences": ["...", ...]}.'),
    (b"[" * 200_000, 400, 'The body is not JSON. Send {"sentences": ["...", ...]}.'),     # nested too deep to read
    (b"{}", 400, "No sentences provided"),
    (b"null", 400, "No sentences provided"),
    (b'["good film"]', 400, "No sentences provided"),
    (b'{"sentences": []}', 400, "No sentences provided"),
    (b'{"sentences": null}', 400, "No sentences provided"),
    (b'{"sentences": ""}', 400, "No sentences provided"),
    (b'{"sentence": ["good film"]}', 400, "No sentences provided"),
    (b'{"sentences": "good film"}', 400, NOT_A_LIST),
    (b'{"sentences": 3}', 400, NOT_A_LIST),
    (b'{"sentences": {"a": "good film"}}', 400, NOT_A_LIST),
    (b'{"sentences": ["good film", 3]}', 400, NOT_A_LIST),
    (b'{"sentences": [["good film"]]}', 400, NOT_A_LIST),
    (b'{"sentences": [null]}', 400, NOT_A_LIST),
])
def test_a_bad_query_is_answered_in_one_sentence(body: bytes, status: int, error: str) -> None:
    assert answer(body) == (status, {"error": error})


@pytest.mark.parametrize("sentence", ["\\ud800", "\\u0000", "\\ud83d\\ude00", "x" * 5])
def test_odd_characters_are_answered_like_any_other(sentence: str) -> None:
    assert answer(b'{"sentences": ["%s"]}' % sentence.encode())[0] == 200


def test_too_many_sentences_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "MAX_SENTENCES", 3)
    assert answer(b'{"sentences": ["a", "b", "c"]}')[0] == 200
    assert answer(b'{"sentences": ["a", "b", "c", "d"]}') == (
        413, {"error": "4 sentences are too many. Send at most 3 at a time."}
    )


def test_an_unknown_model_is_told_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOLTA_MODEL", "no-such-run")
    status, values = answer(b'{"sentences": ["good film"]}')
    assert status == 404
    assert list(values) == ["error"]
    assert values["error"].startswith("No model 'no-such-run' was found")


@pytest.mark.parametrize("value", [None, ""])
def test_without_volta_model_the_bundled_run_answers(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def load(name: str) -> Any:
        asked.append(name)
        return type("Nothing", (), {"predict": staticmethod(lambda texts: [])})

    monkeypatch.setattr(Predictor, "load", load)
    monkeypatch.delenv("VOLTA_MODEL") if value is None else monkeypatch.setenv("VOLTA_MODEL", value)
    assert answer(b'{"sentences": ["good film"]}')[0] == 200
    assert asked == ["sst2-minilm"]


# As a route


def test_the_route_answers_a_post_with_json(client: TestClient) -> None:
    response = client.post("/query", json={"sentences": SENTENCES})
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.json() == answer(json.dumps({"sentences": SENTENCES}).encode())[1]


def test_the_route_answers_a_bad_query_with_its_status_and_sentence(client: TestClient) -> None:
    response = client.post("/query", content=b"{}")
    assert (response.status_code, response.json()) == (400, {"error": "No sentences provided"})


@pytest.mark.parametrize("in_parts", [False, True])
def test_a_body_that_is_too_large_is_refused(
    client: TestClient, in_parts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "MAX_BODY_BYTES", 2**20)
    body = b'{"sentences": ["' + b"x" * 2**20 + b'"]}'
    parts = (body[first : first + 2**16] for first in range(0, len(body), 2**16))     # of a length not told before
    response = client.post("/query", content=parts if in_parts else body)
    assert (response.status_code, response.json()) == (
        413, {"error": "The query is larger than 1 MB. Send fewer sentences at a time."}
    )


def test_the_largest_body_that_is_taken_is_answered(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    body = b'{"sentences": ["good film"]}'
    monkeypatch.setattr(serving, "MAX_BODY_BYTES", len(body))
    assert client.post("/query", content=body).status_code == 200


def test_other_methods_are_refused(client: TestClient) -> None:
    for method in ("GET", "PUT", "DELETE"):
        response = client.request(method, "/query")
        assert (response.status_code, response.headers["allow"]) == (405, "POST")
        assert response.json() == {"error": f'{method} is not answered here. POST {{"sentences": ["...", ...]}}.'}
