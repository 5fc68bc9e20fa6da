"""Volta: fine-tune and understand text classifiers in the browser. One line per tab, then launch."""

from __future__ import annotations

import os

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import sys
import threading
from html import escape

import gradio as gr
from starlette.middleware import Middleware

from pipeline.catalog import run_names
from pipeline.serving import query_route
from pipeline.sources import PROJECT_ROOT, run_root
from reports.words import say
from tabs.access import sign_in_button
from tabs.analysis_endpoints import build_analysis_endpoints
from tabs.diagnose_tab import build_diagnose_tab
from tabs.errors_tab import build_errors_tab
from tabs.language import KnowsLanguage, Page, in_all_languages, language_picker
from tabs.look import CSS_PATH, make_theme, page_head, plotly_route
from tabs.predict_tab import build_predict_tab, warm_up
from tabs.runs_tab import build_runs_tab
from tabs.shared import QUIET
from tabs.train_tab import build_train_tab

TABS = ("predict", "train", "runs", "errors", "diagnose")


def build_page() -> Page:
    return in_all_languages(build_in_one_language, page_head)


def build_in_one_language() -> Page:
    # Files that went through the page are removed after a day.
    with Page(title="Volta", analytics_enabled=False, delete_cache=(3600, 86400)) as demo:
        with gr.Row(elem_classes="volta-top"):
            gr.Markdown("# Volta", elem_id="title")
            language_picker()
        sign_in_button()
        with gr.Tabs(elem_id="tabs") as tabs:
            with gr.Tab(say("tabs.predict"), id="predict", elem_id="predict-tab") as predict:
                build_predict_tab(demo, predict)
            with gr.Tab(say("tabs.train"), id="train", elem_id="train-tab") as train:
                train_timer = build_train_tab(demo, train)
            with gr.Tab(say("tabs.runs"), id="runs", elem_id="runs-tab") as runs:
                runs_timer = build_runs_tab(demo, runs)
            with gr.Tab(say("tabs.errors"), id="errors", elem_id="errors-tab") as errors:
                build_errors_tab(errors)
            with gr.Tab(say("tabs.diagnose"), id="diagnose", elem_id="diagnose-tab") as diagnose:
                build_diagnose_tab(diagnose)
        build_analysis_endpoints()
        opened = demo.load(asked_tab, None, tabs, **QUIET)
        opened.then(None, None, None, js="volta.open")
        # Only what is in sight is looked at anew: ten pages that are open cost the machine no more than they show.
        selected = [tab.select for tab in (predict, train, runs, errors, diagnose)]
        gr.on(selected, None, None, [train_timer, runs_timer], js="volta.ticking")
    return demo


def asked_tab(request: gr.Request) -> gr.Tabs:
    """The tab that the page's address names. An address may be older than the run that it names: that is said."""
    asked = request.query_params.get("tab")
    known = run_names()
    if gone := [name for name in request.query_params.get("run", "").split(",") if name and name not in known]:
        gr.Info(escape(say("page.no_run", run=gone[0][:80])), title="Volta")
    return gr.Tabs(selected=asked if asked in TABS else "predict")


def main() -> None:
    host, port = os.environ.get("HOST", "127.0.0.1"), os.environ.get("PORT", "7860")
    try:
        launch(build_page(), host, int(port))
    except (OSError, ValueError) as exception:
        reason = str(exception).partition(". You can")[0]       # gradio goes on about its own variables
        sys.exit(f"The page cannot be served on {host}, port {port} ({reason}). Set HOST and PORT to others.")


def launch(demo: gr.Blocks, host: str, port: int) -> None:
    """Serve the page until the process is ended."""
    demo.queue(max_size=200).launch(
        server_name=host,
        server_port=port,
        theme=make_theme(),
        css_paths=CSS_PATH,
        footer_links=["api"],     # no settings: the language is chosen above
        run_history=False,
        strict_cors=True,
        enable_monitoring=False,
        ssr_mode=False,
        max_file_size="500mb",
        blocked_paths=[str(run_root()), str(PROJECT_ROOT)],
        app_kwargs={"routes": [query_route(), plotly_route()], "middleware": [Middleware(KnowsLanguage)]},
        prevent_thread_lock=True,
        quiet=True,
    )
    print(f"Volta answers on {demo.local_url}", flush=True)
    # Behind the page, which answers by now: torch and the model that it shows first.
    threading.Thread(target=warm_up, daemon=True).start()
    demo.block_thread()


if __name__ == "__main__":
    main()
