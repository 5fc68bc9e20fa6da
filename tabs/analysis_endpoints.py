"""What can a program ask about errors? `/errors` and `/explain`, beside `/predict`, for gradio_client and curl."""

from __future__ import annotations

from typing import Any

import gradio as gr

from analysis.attribution import DEFAULT_METHOD
from analysis.errors import lines
from analysis.examples import newest_predictions
from analysis.explanation import explained
from pipeline.catalog import load_run
from pipeline.exceptions import ModelError, WorkbenchError
from pipeline.serving import DEFAULT_MODEL
from reports.words import say
from tabs.errors_data import asked_rows
from tabs.shared import runs_to_predict_with

MAX_LINES = 1000


def errors_endpoint(run: str = DEFAULT_MODEL, rule: str = "", limit: int = 100) -> list[dict]:
    """The errors of a run's newest predictions that a rule means, highest loss first: a dict per error."""
    try:
        file = newest_predictions(load_run(run))
        found = asked_rows(run, f"{file.data}/{file.split}", "", "errors", "", False, rule, "loss")
        if found is None:       # deleted a moment ago
            return []
        opened, rows, _ = found
        return list(lines(opened.examples, rows[: max(0, min(limit, MAX_LINES))].tolist()))
    except WorkbenchError as exception:
        raise gr.Error(str(exception), print_exception=False) from None


def explain_endpoint(
    sentence: str, run: str = DEFAULT_MODEL, label: str = "", against: str = "", method: str = DEFAULT_METHOD
) -> dict:
    """Why a run's best model predicts a sentence as it does: what `python -m analysis explain` prints."""
    try:
        if run not in runs_to_predict_with():       # a visitor names runs, never folders of this machine
            raise ModelError(say("predict.unknown_run", run=run[:80]))
        told: dict[str, Any] = explained(load_run(run), sentence, None, label or None, against or None, method)
        return told
    except WorkbenchError as exception:
        raise gr.Error(str(exception), print_exception=False) from None


def build_analysis_endpoints() -> None:
    gr.api(errors_endpoint, api_name="errors", concurrency_limit=None)
    gr.api(explain_endpoint, api_name="explain", concurrency_limit=None)
