"""In which language the visitor reads, and a page that is the same in each but for its words."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import gradio as gr
import pytest
from gradio.context import LocalContext
from starlette.requests import Request

from reports.words import languages, say
from tabs.language import COOKIE, KnowsLanguage, preferred

TEXTS = ("label", "info", "placeholder")
UNSEEN = ("api", "downloadbutton")          # an endpoint; buttons that get their words when they are shown
AS_THEY_ARE = {"Python", "Dropout", ""}      # the same in Chinese


def request(query: str = "", cookie: str = "", accepted: str = "") -> Request:
    headers = {"cookie": cookie, "accept-language": accepted}
    raw = [(name.encode(), value.encode()) for name, value in headers.items() if value]
    return Request({"type": "http", "query_string": query.encode(), "headers": raw})


@pytest.mark.parametrize("query, cookie, accepted, expected", [
    ("", "", "", "en"),
    ("", "", "de-AT,de;q=0.9", "en"),
    ("", "", "zh-TW,zh;q=0.9,en;q=0.8", "zh"),
    ("", "", "fr, ZH;q=0.8, en;q=0.7", "zh"),
    ("", f"{COOKIE}=en", "zh-CN", "en"),
    ("tab=runs&lang=zh", f"{COOKIE}=en", "en-US", "zh"),
    ("lang=../etc", f"{COOKIE}=no", "", "en"),
])
def test_the_address_wins_over_what_was_picked_and_that_over_the_browser(
    query: str, cookie: str, accepted: str, expected: str
) -> None:
    assert preferred(request(query, cookie, accepted)) == expected
    assert preferred(gr.Request(request(query, cookie, accepted))) == expected      # what an event gets


@pytest.fixture
def chinese() -> Iterator[None]:
    LocalContext.request.set(gr.Request(request("lang=zh")))
    yield
    LocalContext.request.set(None)


def test_what_an_event_says_is_said_in_the_language_of_its_request(chinese: None) -> None:
    from tabs.run_panel import no_run

    assert no_run()[0]["text"].startswith("未选择运行。")


@pytest.fixture(scope="module")
def configs() -> dict[str, dict[str, Any]]:
    import app

    page = app.build_page()
    found = {}
    for code in languages():
        LocalContext.request.set(gr.Request(request(f"lang={code}")))
        found[code] = page.config
    LocalContext.request.set(None)
    return found


def test_the_page_is_the_same_in_every_language_but_for_its_words(configs: dict[str, dict[str, Any]]) -> None:
    def shape(config: dict[str, Any]) -> list[Any]:
        return [(part["id"], part["type"], part["props"].get("elem_id")) for part in config["components"]]

    assert shape(configs["zh"]) == shape(configs["en"])
    assert configs["zh"]["dependencies"] == configs["en"]["dependencies"]


def test_every_label_of_the_chinese_page_is_chinese(configs: dict[str, dict[str, Any]]) -> None:
    texts = {
        part["props"][name]
        for part in configs["zh"]["components"] if part["type"] not in UNSEEN
        for name in TEXTS if isinstance(part["props"].get(name), str)
    }
    assert len(texts) > 50
    assert {text for text in texts if not any("\u4e00" <= sign <= "\u9fff" for sign in text)} <= AS_THEY_ARE
    assert '"script.numbers": "查看数值"' in configs["zh"]["head"]
    assert '"script.numbers": "The numbers"' in configs["en"]["head"]


def test_the_page_is_sent_in_the_language_of_whoever_asks() -> None:
    said = []

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        said.append(say("tabs.predict"))

    for query in (b"lang=zh", b""):
        scope = {"type": "http", "query_string": query, "headers": []}
        # In a thread: a browser that earlier tests have open keeps a loop running in this one.
        with ThreadPoolExecutor(1) as threads:
            threads.submit(asyncio.run, KnowsLanguage(answer)(scope, None, None)).result()     # type: ignore[arg-type]
    assert said == ["预测", "Predict"]
