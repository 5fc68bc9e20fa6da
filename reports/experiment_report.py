"""How does an experiment leave the page? As Markdown that a terminal shows well, as one HTML file, as CSV."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from analysis.compare import Estimate
from analysis.experiment import Result, Spread, Variant
from reports.charts import TEAL
from reports.errors_report import csv_of
from reports.words import language, say, translate

PAGE = Path(__file__).with_suffix(".html")
WIDTH, LEFT, MARGIN, ROW = 720, 240, 16, 28     # of the plot, in pixels: all, the names, beside them, a row
GREY = "#8b8b93"


@dataclass(frozen=True)
class Table:
    """Words and numbers as they are shown."""

    title: str
    heads: list[str]
    rows: list[list[str]]


def markdown_of(result: Result) -> str:
    parts = [f"# {say('experiment.title', name=result.name)}", *cautions(result), *sentences(result)]
    for table in tables(result):
        parts += [f"## {table.title}", _markdown_table(table)]
    return "\n\n".join(parts) + "\n"


def html_of(result: Result) -> str:
    """One file that needs no other."""
    page = Template(PAGE.read_text(encoding="utf-8"))
    return page.substitute(
        language=language(),
        title=escape(say("experiment.title", name=result.name)),
        told="\n".join(f"<p>{escape(sentence)}</p>" for sentence in [*cautions(result), *sentences(result)]),
        plot=_plot(result),
        tables="\n".join(map(_html_table, tables(result))),
    )


def csv_of_result(result: Result) -> str:
    """A row per change, with unrounded numbers."""
    metrics = _metric_names(result)
    return csv_of([_line(variant, metrics) for variant in result.variants])


KINDS = {"html": html_of, "md": markdown_of, "csv": csv_of_result}


def _line(variant: Variant, metrics: Sequence[str]) -> dict[str, Any]:
    gain, cost = variant.gain, variant.cost
    figures: dict[str, Any] = {}
    for name in metrics:
        spread = variant.metrics.get(name)
        figures |= {name: spread.mean if spread else None, f"{name}_std": spread.std if spread else None}
    return {
        "variant": variant.name,
        "finished": len(variant.runs),
        "unfinished": len(variant.unfinished),
        **variant.fields,
        **figures,
        "seconds": cost.seconds if cost else None,
        "memory_bytes": cost.memory_bytes if cost else None,
        "examples_per_second": cost.examples_per_second if cost else None,
        "gain": gain.mean.value if gain else None,
        "gain_low": gain.mean.low if gain else None,
        "gain_high": gain.mean.high if gain else None,
        "p_value": gain.p_value if gain else None,
        "p_corrected": gain.corrected if gain else None,
        "verdict": variant.verdict,
    }


# What is said, for files and for the page


def cautions(result: Result) -> list[str]:
    """Where its figures say less than they seem to."""
    guessing = [
        say("experiment.guesses", name=each.name, share=each.guessing)
        for each in result.variants if each.guessing is not None
    ]
    return [say("experiment.guessing", names=say("page.comma").join(guessing))] if guessing else []


def sentences(result: Result) -> list[str]:
    first, *others = result.variants
    fields = say("page.comma").join(f"{name} {value}" for name, value in result.shared.items())
    seeds = say("page.comma").join(map(str, result.seeds))
    told = [result.note] if result.note else []
    told.append(say("experiment.shared", fields=fields, seeds=seeds))
    if sizes := [variant.gain.n for variant in others if variant.gain]:     # all of the same examples
        told.append(say("experiment.measured", split=result.split, n=f"{sizes[0]:,}", first=first.name))
        told += [say("experiment.how")]
        told.append(say("experiment.covers" if len(result.seeds) > 1 else "experiment.covers_one_seed"))
        told += [say("experiment.on_test")] if result.split == "test" else []
    for variant in result.variants:
        if variant.reason and variant.verdict == "not_compared":
            told.append(say("experiment.not_compared", name=variant.name, reason=variant.reason))
    return told + _missing(result)


def _missing(result: Result) -> list[str]:
    missing = {run: state for variant in result.variants for run, state in variant.unfinished.items()}
    total = len(missing) + sum(len(variant.runs) for variant in result.variants)
    runs = say("page.comma").join(
        say("experiment.run_in_state", run=run, state=say(f"states.{state}")) for run, state in missing.items()
    )
    return [say("experiment.unfinished", n=len(missing), total=total, runs=runs)] if missing else []


def tables(result: Result) -> list[Table]:
    """Is it worth it, metrics, what training took, what differs."""
    metrics, fields = _metric_names(result), list(result.variants[0].fields)
    heads = {
        "worth_it": [_head(name) for name in ("worth_it", "gain", "p", "time", "memory")],
        "metrics": [_head("seeds"), *(_metric_head(name, metrics) for name in metrics)],
        "cost": [_head(name) for name in ("seconds", "megabytes", "speed")],
        "fields": fields,
    }
    cells = {
        "worth_it": _worth_it,
        "metrics": lambda each: [str(len(each.runs)), *(_shown(each.metrics.get(name)) for name in metrics)],
        "cost": _cost,
        "fields": lambda each: [str(each.fields[name]) for name in fields],
    }
    return [
        Table(say(f"experiment.{key}"), [_head("change"), *heads[key]],
              [[each.name, *cells[key](each)] for each in result.variants])
        for key in heads if heads[key]
    ]


def _head(name: str) -> str:
    return say(f"experiment.heads.{name}")


def _metric_head(name: str, metrics: Sequence[str]) -> str:
    """With the labels whose it is, as `compute_metrics` has it: of two labels the second, of more the mean."""
    words = translate(f"metrics.{name}", name)
    if name not in ("precision", "recall", "f1"):
        return words
    return say("experiment.of_second" if "f1" in metrics else "experiment.of_all", metric=words)


def _worth_it(variant: Variant) -> list[str]:
    gain, ratios = variant.gain, variant.cost_ratios
    corrected = gain.corrected if gain else None
    p = "" if corrected is None else "< 0.001" if corrected < 0.001 else f"{corrected:.3f}"
    names = ("seconds", "memory_bytes")
    costs = [f"\N{MULTIPLICATION SIGN}{ratios[name]:.2f}" if name in ratios else "" for name in names]
    return [say(f"experiment.verdicts.{variant.verdict}"), _points(gain.mean) if gain else "", p, *costs]


def _points(gain: Estimate) -> str:
    return say("experiment.interval", value=100 * gain.value, low=100 * gain.low, high=100 * gain.high)


def _shown(spread: Spread | None) -> str:
    if spread is None:
        return ""
    return f"{spread.mean:.3f}" + ("" if spread.std is None else f" \N{PLUS-MINUS SIGN} {spread.std:.3f}")


def _cost(variant: Variant) -> list[str]:
    if (cost := variant.cost) is None:
        return ["", "", ""]
    return [f"{value:,.0f}" for value in (cost.seconds, cost.memory_bytes / 1e6, cost.examples_per_second)]


def _metric_names(result: Result) -> list[str]:
    return list(dict.fromkeys(name for variant in result.variants for name in variant.metrics))


# As Markdown and as HTML


def _markdown_table(table: Table) -> str:
    rows = [[_one_line(cell) for cell in row] for row in [table.heads, *table.rows]]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rows.insert(1, ["-" * width for width in widths])
    return "\n".join(f"| {' | '.join(map(str.ljust, row, widths))} |" for row in rows)


def _one_line(cell: str) -> str:
    return " ".join(cell.split()).replace("|", "\\|")


def _html_table(table: Table) -> str:
    def row(cells: list[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    body = "".join(row(cells, "td") for cells in table.rows)
    return f"<h2>{escape(table.title)}</h2><div><table>{row(table.heads, 'th')}{body}</table></div>"


# The plot, small enough to stand in the file as it is


def _plot(result: Result) -> str:
    """What each change gains in accuracy, in points: a dot for each seed, and the mean with its 95% interval."""
    gains = {variant.name: variant.gain for variant in result.variants if variant.gain}
    ends = [end for gain in gains.values() for end in (0, gain.mean.low, gain.mean.high, *gain.by_seed.values())]
    if not any(ends):
        return ""
    low, high = min(ends), max(ends)

    def x(gain: float) -> str:
        return f"{LEFT + (gain - low) / (high - low) * (WIDTH - LEFT - MARGIN):.1f}"

    height = ROW * (len(gains) + 1)
    svg = ET.Element("svg", viewBox=f"0 0 {WIDTH} {height}", role="img")
    ET.SubElement(svg, "title").text = title = say("experiment.plot", first=result.variants[0].name)
    _line_of(svg, x(0), x(0), 0, height - ROW, GREY)
    for row, (name, gain) in enumerate(gains.items()):
        y = ROW * (row + 0.5)
        _text_of(svg, str(LEFT - MARGIN), y, name, "end")
        _line_of(svg, x(gain.mean.low), x(gain.mean.high), y, y, TEAL)
        for each in gain.by_seed.values():
            ET.SubElement(svg, "circle", cx=x(each), cy=str(y), r="3", fill="white", stroke=TEAL)
        ET.SubElement(svg, "circle", cx=x(gain.mean.value), cy=str(y), r="5", fill=TEAL)
    for end in sorted({low, 0.0, high}):
        _text_of(svg, x(end), height - ROW / 2, f"{100 * end:+.1f}" if end else "0", "middle")
    return f"<figure>{ET.tostring(svg, encoding='unicode')}<figcaption>{escape(title)}</figcaption></figure>"


def _line_of(svg: ET.Element, x1: str, x2: str, y1: float, y2: float, color: str) -> None:
    ET.SubElement(svg, "line", {"x1": x1, "x2": x2, "y1": str(y1), "y2": str(y2), "stroke": color, "stroke-width": "2"})


def _text_of(svg: ET.Element, x: str, y: float, words: str, anchor: str) -> None:
    ET.SubElement(svg, "text", {"x": x, "y": str(y + 4), "text-anchor": anchor}).text = words
