"""An experiment's report: readable as plain text, whole in one file, and nothing in it becomes markup or a formula."""

from __future__ import annotations

import csv
import io
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

from analysis.experiment import Result, measure
from pipeline.catalog import create_run
from pipeline.experiments import Experiment, members_of
from pipeline.predictions import predictions_path
from pipeline.runs import Status
from reports.__main__ import app as reports_app
from reports.experiment_report import cautions, csv_of_result, html_of, markdown_of, sentences, tables
from tests.command import volta
from tests.measured_runs import ablation, write_run

HOSTILE = "<b>|bold|</b>"


@pytest.fixture
def result(run_root: Path) -> Result:
    """A gain of 7 points at half as much again of the time, a change that does nothing, one that failed."""
    long, late = {"optim.epochs": 9}, {"optim.epochs": 5}
    experiment = ablation(seeds=2, **{"long": long, HOSTILE: {"stop.patience": 2}, "late": late})
    for member in members_of(experiment):
        if member.variant == "late":
            create_run(member.config).write_status(Status(state="failed"))
        else:
            write_run(member, 20 if member.variant == "long" else 50, 90.0 if member.variant == "long" else 60.0)
    return measure(experiment)


def test_markdown_is_aligned_and_says_what_is_worth_it(result: Result) -> None:
    lines = markdown_of(result).splitlines()
    assert lines[0] == "# Experiment ablation" and lines[2] == "What helps?"
    assert lines[4] == "All runs: data.source starter, model.base all-MiniLM-L6-v2; seeds 1, 2."
    assert lines[6].startswith("Measured on validation, n = 400: each change beside baseline")
    start = lines.index("## Worth it?") + 2
    table = lines[start : start + 6]
    assert len({len(line) for line in table}) == 1
    assert [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table if "---" not in line] == [
        ["change", "worth it?", "gain", "p", "time", "memory"],
        ["baseline", "what the others are compared with", "", "", "×1.00", "×1.00"],
        ["long", "better, and costs more", "+7.5 (+5.0 to +10.1)", "< 0.001", "×1.50", "×1.00"],
        [r"<b>\|bold\|</b>", "not distinguishable from noise", "+0.0 (+0.0 to +0.0)", "1.000", "×1.00", "×1.00"],
        ["late", "not compared", "", "", "", ""],
    ]
    assert "late is not compared: No seed has predictions of both." in lines
    assert "2 of 8 runs are missing: ablation-late-s1 (failed), ablation-late-s2 (failed)." in lines


def test_that_nobody_beats_guessing_is_told(run_root: Path) -> None:
    experiment = ablation(long={"optim.epochs": 9}, late={"optim.epochs": 5})
    for member in members_of(experiment):
        write_run(member, 20 if member.variant == "long" else 190)
    [told] = cautions(result := measure(experiment))
    assert told.startswith(
        "Hardly better than always the most frequent label, whose share is in brackets: baseline (50.0%), late (50.0%)."
    )
    assert markdown_of(result).splitlines()[2] == told and html_of(result).count(told) == 1


def test_while_runs_are_missing_there_is_no_verdict_and_no_p(run_root: Path) -> None:
    experiment = ablation(seeds=2, long={"optim.epochs": 9}, late={"optim.epochs": 5})
    for member in members_of(experiment)[:2]:
        write_run(member, 20 if member.variant == "long" else 50)
    [worth_it, *_] = tables(result := measure(experiment))
    said = "not all runs have finished"
    assert [(row[1], row[3]) for row in worth_it.rows[1:]] == [(said, ""), (said, "")]
    assert worth_it.rows[1][2].startswith("+7.5") and not any("not compared" in each for each in sentences(result))


def test_how_far_it_can_be_trusted_is_told_and_on_test_what_that_is_for(run_root: Path) -> None:
    experiment = ablation(seeds=2, long={"optim.epochs": 9})
    runs = [write_run(member, 50, splits=("validation", "test")) for member in members_of(experiment)]
    told = " ".join(sentences(measure(experiment)))
    assert "The interval and p are over the examples." in told and "with two or three seeds is not much" in told
    assert "other work on the machine counts" in told
    warning = "Use it to report what was chosen, not to choose: choose by validation."
    assert warning in told
    predictions_path(runs[0], "test").unlink()
    assert warning not in " ".join(sentences(measure(experiment)))


def test_all_tables_have_a_row_per_change_and_a_cell_per_head(result: Result) -> None:
    found = {table.title: table for table in tables(result)}
    assert list(found) == [
        "Worth it?", "Metrics: mean ± standard deviation over seeds", "What training took: mean over seeds",
        "What differs",
    ]
    assert all(len(row) == len(table.heads) for table in found.values() for row in table.rows)
    assert all([row[0] for row in table.rows] == ["baseline", "long", HOSTILE, "late"] for table in found.values())
    assert found["What training took: mean over seeds"].rows[1] == ["long", "90", "300", "200"]
    metrics = found["Metrics: mean ± standard deviation over seeds"].rows[1]
    assert metrics[:4] == ["long", "2", "0.199 ± 0.000", "0.950 ± 0.000"]
    heads = found["Metrics: mean ± standard deviation over seeds"].heads
    assert {"F1 of the 2nd label", "precision of the 2nd label", "recall of the 2nd label"} < set(heads)
    assert "calibration error (ECE)" in heads
    assert found["What differs"].heads == ["change", "optim.epochs", "stop.patience"]


def test_of_more_than_two_labels_precision_and_recall_are_means(result: Result) -> None:
    first = result.variants[0]
    three = replace(first, metrics={name: spread for name, spread in first.metrics.items() if name != "f1"})
    [heads] = [table.heads for table in tables(replace(result, variants=[three])) if table.title.startswith("Metrics")]
    assert {"macro precision", "macro recall"} < set(heads)


def test_html_needs_no_other_file_and_takes_no_name_for_markup(result: Result) -> None:
    written = html_of(result)
    assert not re.search(r"https?:|<script|<link|<b>|src=", written)
    assert written.count("<div><table>") == 4 and "div { overflow-x: auto;" in written     # the wide ones scroll
    assert len(written) < 20_000
    svg = ET.fromstring("<svg" + written.partition("<svg")[2].partition("</svg>")[0] + "</svg>")
    assert [text.text for text in svg.iter("text")][:2] == ["long", HOSTILE]
    seeds, means = ([dot for dot in svg.iter("circle") if dot.get("r") == size] for size in ("3", "5"))
    assert (len(seeds), len(means)) == (4, 2)
    zero, long, _ = ({name: float(line.get(name, "")) for name in ("x1", "x2")} for line in svg.iter("line"))
    assert zero["x1"] < long["x1"] < float(means[0].get("cx", "")) < long["x2"]


def test_without_a_gain_there_is_no_plot(run_root: Path) -> None:
    experiment = ablation(long={"optim.epochs": 9})
    write_run(members_of(experiment)[0], 50)
    assert "<svg" not in html_of(measure(experiment))


def test_csv_has_whole_numbers_and_no_formulas(run_root: Path) -> None:
    experiment = Experiment(name="x", changes={"=1+1": {"optim.epochs": 9}})
    for member in members_of(experiment):
        write_run(member, 50)
    first, other = csv.DictReader(io.StringIO(csv_of_result(measure(experiment))))
    assert (first["variant"], other["variant"]) == ("baseline", "'=1+1")
    assert (first["gain"], other["gain"], other["verdict"], other["optim.epochs"]) == ("", "0.0", "noise", "9")
    assert float(other["accuracy"]) == pytest.approx(350 / 400) and other["accuracy_std"] == ""


def test_the_command_writes_the_form_that_the_file_ends_with(result: Result, tmp_path: Path) -> None:
    for kind, form in (("md", markdown_of), ("html", html_of), ("csv", csv_of_result)):
        path = tmp_path / f"of.{kind}"
        answer = volta("experiment", "ablation", "--out", str(path), app=reports_app)
        assert (answer.status, answer.lines) == (0, [{"experiment": "ablation", "file": str(path)}])
        assert path.read_bytes().decode() == form(result)


@pytest.mark.parametrize(("name", "sentence"), [
    ("of.pdf", "A report ends with .html, .md, .csv; found 'of.pdf'. Choose one of these."),
    ("gone/of.md", "There is no folder '{folder}/gone' for of.md. Make it, or name another place."),
])
def test_a_file_that_cannot_be_meant_is_refused(result: Result, tmp_path: Path, name: str, sentence: str) -> None:
    answer = volta("experiment", "ablation", "--out", str(tmp_path / name), app=reports_app)
    assert (answer.status, answer.stderr.strip()) == (2, sentence.format(folder=tmp_path))
