"""In which language does the visitor read? The page is built once in each, and sent in that of whoever asks for it."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.context import LocalContext

from reports.words import ENGLISH, language, languages, say, speak_for, words_of
from tabs.shared import blocks_view

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

COOKIE = "volta-language"   # tabs/page.js writes it

_asked: ContextVar[str] = ContextVar("_asked", default=ENGLISH)     # of the page that is being built or sent


def asked_language() -> str:
    request = LocalContext.request.get(None)    # of the event that is being answered
    return preferred(request) if request else _asked.get()


speak_for(asked_language)


def preferred(request: Any) -> str:
    """As the address says, else as was picked, else as the browser likes best; English where none of it is known."""
    accepted = [part.strip()[:2].lower() for part in request.headers.get("accept-language", "").split(",")]
    # The picker writes both: in a frame, as on the Hub, a browser may refuse the cookie.
    wanted = [request.query_params.get("lang"), dict(request.cookies).get(COOKIE), *accepted]
    return next((code for code in wanted if code in languages()), ENGLISH)


class KnowsLanguage:
    """Middleware: whatever is said while a request is answered is said in the visitor's language."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            from starlette.requests import Request

            _asked.set(preferred(Request(scope)))
        await self.app(scope, receive, send)


class Page(gr.Blocks):
    """A page that is sent in the visitor's language.

    gr.I18n translates single texts, in the browser and as the browser prefers; here all that a build holds is in one
    language, choices and first values too. Builds differ in their words alone, so the first answers the events of all.
    """

    in_language: dict[str, dict[str, Any]] | None = None    # what differs of its config

    @property   # type: ignore[override]
    def config(self) -> dict[str, Any]:
        return {**self._config, **(self.in_language or {}).get(language(), {})}

    @config.setter
    def config(self, config: dict[str, Any]) -> None:
        self._config = config


def in_all_languages(build: Callable[[], Page], head: Callable[[], str]) -> Page:
    """The page in English, with what it is in every language."""
    page, told = build(), {}
    for code in languages():
        before = _asked.set(code)
        built = page if code == ENGLISH else build()
        pairs = zip(page.config["components"], built.config["components"], strict=True)     # their ids differ, too
        told[code] = {
            "components": [{**ours, "props": theirs["props"]} for ours, theirs in pairs],
            "head": head(),
            # The one word of gradio's own that is always in sight; gradio asks the browser for the language.
            "i18n_translations": {
                words_of(other)["script.locale"]: {"errors.use_via_api": say("page.api")} for other in languages()
            },
        }
        _asked.reset(before)
    page.in_language = told
    return page


def language_picker() -> gr.HTML:
    items = [{"code": code, "name": words_of(code)["page.language"]} for code in languages()]
    return blocks_view("languages", [{"kind": "languages", "items": items}])
