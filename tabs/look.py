"""How does the page look? Theme, style sheet, script and plotly's script: all served by us, no other host asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import gradio as gr

from reports.charts import plotly_script
from reports.words import language, words_of

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.routing import Route

HERE = Path(__file__).parent
CSS_PATH = HERE / "page.css"
SYSTEM_FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "sans-serif")
SYSTEM_MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")


def make_theme() -> gr.themes.Base:
    """Greys and one teal, on system fonts, where gradio's base theme is not like it; a dark half where it differs."""
    theme = gr.themes.Base(
        primary_hue="teal",
        secondary_hue="teal",
        neutral_hue="zinc",
        radius_size="sm",
        font=[gr.themes.Font(name) for name in SYSTEM_FONTS],
        font_mono=[gr.themes.Font(name) for name in SYSTEM_MONO],
    )
    return theme.set(
        body_background_fill="white",
        body_background_fill_dark="*neutral_950",
        body_text_color_dark="*neutral_200",
        body_text_color_subdued="*neutral_500",
        color_accent="*primary_700",
        border_color_primary="*neutral_300",
        block_background_fill="transparent",
        block_background_fill_dark="transparent",
        block_border_width="0px",
        block_padding="0px",
        block_info_text_color="*neutral_500",
        block_info_text_color_dark="*neutral_400",
        block_label_background_fill="transparent",
        block_label_background_fill_dark="transparent",
        block_label_border_width="0px",
        block_title_text_color="*neutral_700",
        block_title_text_color_dark="*neutral_300",
        block_title_text_weight="500",
        panel_border_width="0px",
        layout_gap="16px",
        input_background_fill="white",
        input_background_fill_dark="*neutral_900",
        input_border_color="#8b8b93",  # 3.4:1 on white, as an outline needs at least 3:1
        input_border_color_dark="*neutral_500",
        checkbox_border_color="#8b8b93",
        checkbox_border_color_dark="*neutral_500",
        input_border_color_focus="*primary_700",
        input_border_color_focus_dark="*primary_400",
        input_border_width="1px",
        input_placeholder_color="*neutral_500",
        input_placeholder_color_dark="*neutral_400",
        button_large_text_weight="500",
        button_large_text_size="*text_md",
        button_primary_background_fill="*primary_700",  # white on it is 5.5:1
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_hover_dark="*primary_600",
        button_primary_border_color="*primary_700",
        button_primary_border_color_dark="*primary_700",
        button_primary_text_color="white",
        button_secondary_background_fill="*neutral_100",
        button_secondary_background_fill_dark="*neutral_800",
        button_secondary_background_fill_hover="*neutral_200",
        button_secondary_text_color="*neutral_800",
        button_secondary_text_color_dark="*neutral_200",
        button_secondary_shadow="none",
        checkbox_background_color_selected="*primary_700",
        checkbox_background_color_selected_dark="*primary_600",
        link_text_color="*primary_700",
        link_text_color_dark="*primary_400",
        loader_color="*primary_600",
    )


def page_head() -> str:
    """The page's own script and its words, inline: it must be there before any component runs its js_on_load."""
    words = {key: words for key, words in words_of(language()).items() if key.startswith("script.")}
    told = json.dumps(words, ensure_ascii=False).replace("<", "\\u003c")
    return f"<script>window.voltaWords = {told};\n{(HERE / 'page.js').read_text(encoding='utf-8')}</script>"


def plotly_route() -> Route:
    """`/volta/plotly.min.js`: fetched by the browser when the first chart is drawn, then kept."""
    from starlette.middleware import Middleware
    from starlette.middleware.gzip import GZipMiddleware
    from starlette.responses import FileResponse
    from starlette.routing import Route

    def send(request: Request) -> FileResponse:
        return FileResponse(plotly_script(), headers={"Cache-Control": "public, max-age=86400"})

    zipped = Middleware(GZipMiddleware, compresslevel=6)    # 4.8 MB to 1.5 MB: a Space is not on this machine
    return Route("/volta/plotly.min.js", send, middleware=[zipped])
