"""Who may do what? On one's own machine everything; on a Space only its owner. What cannot be done is told."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import wraps
from inspect import isgeneratorfunction
from typing import Any, TypeVar

import gradio as gr

from pipeline.exceptions import WorkbenchError
from reports.words import say
from tabs.shared import problem

Handler = TypeVar("Handler", bound=Callable[..., Any])


class AccessError(WorkbenchError):
    """The visitor of a Space asked for what only its owner may do."""


def is_on_space() -> bool:
    return bool(os.environ.get("SPACE_ID"))


def check_may_change(profile: gr.OAuthProfile | None) -> None:
    """To be asked first in every handler that starts, stops or resumes a run, keeps an upload, or reads a data source.

    Raises: AccessError on a Space, unless its owner is signed in.
    """
    if not is_on_space():
        return
    owner = os.environ.get("SPACE_AUTHOR_NAME")
    if profile is None or not owner or profile.username != owner:
        raise AccessError(say("access.owner_only"))


def telling(*answer: Any, check: Callable[..., None] | None = None) -> Callable[[Handler], Handler]:
    """Of a handler: tells a WorkbenchError, its own or that of a check of its inputs.

    `answer` is what the outputs get then, with `...` where the message stands.
    """

    def guard(handler: Handler) -> Any:
        @wraps(handler)     # through it, gradio reads the handler's own signature
        def steps(*inputs: Any) -> Iterator[Any]:
            try:
                if check:
                    check(*inputs)
                result = handler(*inputs)
                yield from result if isgeneratorfunction(handler) else [result]
            except WorkbenchError as exception:
                values = [[problem(exception)] if value is ... else value for value in answer]
                yield values if len(values) > 1 else values[0]

        @wraps(handler)
        def once(*inputs: Any) -> Any:
            return next(steps(*inputs))

        return steps if isgeneratorfunction(handler) else once

    return guard


def owner_only(*answer: Any) -> Callable[[Handler], Handler]:
    """`telling`, of a handler whose first input is the visitor's profile: it is asked who that is."""
    return telling(*answer, check=lambda profile, *inputs: check_may_change(profile))


def sign_in_button() -> None:
    """On a Space with `hf_oauth: true`, where its owner signs in; elsewhere nothing."""
    if is_on_space() and os.environ.get("OAUTH_CLIENT_ID"):
        gr.LoginButton(say("access.sign_in"), say("access.sign_out", name="{}"), size="sm", elem_id="sign-in")
