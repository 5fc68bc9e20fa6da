"""Who may do what? On one's own machine everything; on a Hugging Face Space only its owner changes anything."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import gradio as gr

from pipeline.exceptions import WorkbenchError
from reports.words import say
from tabs.shared import Handler, telling


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


def owner_only(*answer: Any) -> Callable[[Handler], Handler]:
    """`telling`, of a handler whose first input is the visitor's profile: it is asked who that is."""
    return telling(*answer, check=lambda profile, *inputs: check_may_change(profile))


def sign_in_button() -> None:
    """On a Space with `hf_oauth: true`, where its owner signs in; elsewhere nothing."""
    if is_on_space() and os.environ.get("OAUTH_CLIENT_ID"):
        gr.LoginButton(say("access.sign_in"), say("access.sign_out", name="{}"), size="sm", elem_id="sign-in")
