"""How do errors leave the page? A list of them as CSV, as JSON lines, and as one HTML file with coloured sentences."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from analysis.attribution import Attribution
from reports.words import language, say

FORMULAS = ("=", "+", "-", "@", "\t", "\r")     # a spreadsheet would compute a cell that begins so
PAGE = Path(__file__).with_suffix(".html")


def csv_of(lines: Sequence[dict[str, Any]]) -> str:
    """A row per line, in the columns of the first. What a spreadsheet would take for a formula gets a ' before it.

    Source: OWASP, https://owasp.org/www-community/attacks/CSV_Injection.
    """
    written = io.StringIO()
    writer = csv.writer(written)
    if lines:
        writer.writerow(lines[0])
    writer.writerows([_defused(value) for value in line.values()] for line in lines)
    return written.getvalue()


def _defused(value: Any) -> Any:
    text = ", ".join(value) if isinstance(value, list | tuple) else value
    return f"'{text}" if isinstance(text, str) and text.startswith(FORMULAS) else text


def json_lines_of(lines: Iterable[dict[str, Any]]) -> str:
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


def html_of(title: str, told: Iterable[str], lines: Iterable[dict[str, Any]], found: Iterable[Attribution]) -> str:
    """One file that needs no other: sentences in the colours of their words, and what is known of each.

    told: sentences at the top.
    """
    articles = [_article(line, attribution) for line, attribution in zip(lines, found, strict=True)]
    page = Template(PAGE.read_text(encoding="utf-8"))
    return page.substitute(
        language=language(),
        title=escape(title),
        told="".join(f"<p>{escape(sentence)}</p>" for sentence in told),
        articles="\n".join(articles),
    )


def _article(line: dict[str, Any], found: Attribution) -> str:
    values = {key: line[key] for key in ("example_id", "gold", "predicted")}
    facts = [say("report.facts", **values, p=line["probability"])]
    facts += [str(line[key]) for key in ("mark", "label", "note") if line.get(key)]
    cause = f"<p>{escape(line['cause'])}</p>" if line.get("cause") else ""
    read = escape(say("why.evidence", label=found.label))
    heading = escape(" · ".join(facts))
    return f'<article><small>{heading}</small><div title="{read}">{_words(found)}</div>{cause}</article>'


def _words(found: Attribution) -> str:
    """Blue for the label, orange against it, as dark as they count; a sign beside the colour."""
    largest = float(np.abs(found.scores).max(initial=0.0)) or 1.0
    words, rest = found.pieces.split()
    parts = []
    for (before, word), score in zip(words, found.scores.tolist(), strict=True):
        share = score / largest
        side = "for" if share >= 0 else "against"
        sign = "" if abs(share) < 0.1 else "<sup>+</sup>" if share > 0 else "<sup>\N{MINUS SIGN}</sup>"
        style = f'class="{side}" style="--share:{0.6 * abs(share):.2f}" title="{score:+.2f}"'
        parts.append(f"{escape(before)}<span {style}>{escape(word)}{sign}</span>")
    return "".join(parts) + escape(rest)
