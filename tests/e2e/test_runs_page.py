"""The Runs tab in a real browser: tick, compare, zoom, reopen by address, note, zip out, delete, zip in."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.e2e.conftest import Home


def twin_of_tiny(home: Home, name: str) -> Path:
    """A finished run like "tiny", with another learning rate in its config."""
    folder = home.runs / name
    shutil.copytree(home.runs / "tiny", folder, ignore=shutil.ignore_patterns("state", ".lock"))
    path = folder / "run_config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "name": name, "optim": {**config["optim"], "learning_rate": 2e-3}}))
    return folder


@pytest.fixture
def twin(home: Home) -> str:
    name = "twin"
    if not (home.runs / name).exists():
        twin_of_tiny(home, name)
    return name


def open_runs(page: Page, address: str, *names: str) -> None:
    page.goto(f"{address}/?tab=runs" + (f"&run={','.join(names)}" if names else ""))
    expect(box(page, "tiny")).to_be_visible()


def box(page: Page, name: str) -> Locator:
    return page.get_by_role("checkbox", name=f"Show {name}", exact=True)


def heading(page: Page, words: str) -> Locator:
    return page.get_by_role("heading", name=words)


def drawn(page: Page) -> str:
    return "document.querySelector('#runs-chart-0 .volta-plot')"


def test_ticked_runs_are_drawn_over_each_other_and_stand_in_the_address(page: Page, address: str, twin: str) -> None:
    open_runs(page, address, "tiny")
    expect(box(page, "tiny")).to_be_checked()
    expect(box(page, twin)).not_to_be_checked()
    box(page, twin).check()
    page.wait_for_function(f"{drawn(page)}?.data?.some(trace => trace.name.startsWith('twin'))")
    expect(page).to_have_url(re.compile(r"run=tiny(%2C|,)twin"))
    expect(heading(page, "What differs between them")).to_be_visible()
    expect(page.locator("#runs-compared")).to_contain_text("optim.learning_rate")
    expect(page.locator("#runs-compared")).to_contain_text("Beside tiny, on the same validation examples")
    page.reload()
    expect(box(page, twin)).to_be_checked()
    page.wait_for_function(f"{drawn(page)}?.data?.some(trace => trace.name.startsWith('twin'))")
    box(page, "tiny").uncheck()
    expect(heading(page, "What differs between them")).to_be_hidden()
    expect(page).to_have_url(re.compile(r"run=twin$"))


def test_the_list_is_searched_and_sorted_in_the_browser(page: Page, address: str, twin: str) -> None:
    open_runs(page, address)
    search = page.get_by_role("searchbox", name="Search runs")
    search.fill("twin tiny.jsonl")
    expect(box(page, twin)).to_be_visible()
    expect(box(page, "tiny")).to_be_hidden()
    search.fill("no such run")
    expect(page.get_by_text("No run has these words.")).to_be_visible()
    search.fill("")
    names = page.locator("#runs-list tbody td:nth-child(3)")
    by_name = page.get_by_role("columnheader", name="name")
    by_name.get_by_role("button").click()
    expect(by_name).to_have_attribute("aria-sort", "ascending")
    ascending = names.all_inner_texts()
    assert ascending == sorted(ascending)
    by_name.get_by_role("button").click()
    expect(by_name).to_have_attribute("aria-sort", "descending")
    assert names.all_inner_texts() == sorted(ascending, reverse=True)


def test_the_axis_and_the_smoothing_are_the_readers(page: Page, address: str) -> None:
    open_runs(page, address, "tiny")
    page.wait_for_function(f"{drawn(page)}?.layout?.xaxis?.title?.text === 'step'")
    page.get_by_role("radio", name="epoch").check()
    page.wait_for_function(f"{drawn(page)}?.layout?.xaxis?.title?.text === 'epoch'")
    assert page.evaluate(f"Math.max(...{drawn(page)}.data[0].x)") == 10


def test_the_zoom_survives_an_update(page: Page, address: str, home: Home) -> None:
    folder = twin_of_tiny(home, "growing")
    open_runs(page, address, "growing")
    page.wait_for_function(f"({drawn(page)}?.data?.[0].x.length ?? 0) > 10")
    page.locator("#runs-chart-0").scroll_into_view_if_needed()
    area = page.locator("#runs-chart-0 .nsewdrag").bounding_box()
    assert area is not None
    page.mouse.move(area["x"] + area["width"] * 0.3, area["y"] + area["height"] * 0.3)
    page.mouse.down()
    page.mouse.move(area["x"] + area["width"] * 0.6, area["y"] + area["height"] * 0.7, steps=5)
    page.mouse.up()
    axes = f"(() => {{ const layout = {drawn(page)}.layout; return [layout.xaxis.range, layout.yaxis.range]; }})()"
    page.wait_for_function(f"{axes}[0][0] > 10")
    zoomed, points = page.evaluate(axes), page.evaluate(f"{drawn(page)}.data[0].x.length")
    with open(folder / "metrics.jsonl", "a") as file:
        file.writelines(json.dumps({"step": step, "loss": 0.1}) + "\n" for step in range(241, 261))
    page.wait_for_function(f"{drawn(page)}.data[0].x.length > {points}")
    assert page.evaluate(axes) == zoomed


def test_test_figures_come_on_a_button_and_stay(page: Page, address: str, home: Home) -> None:
    twin_of_tiny(home, "measured")
    open_runs(page, address, "measured")
    details = page.locator("#runs-details")
    expect(details).to_contain_text("Per label, validation, n = 24")
    expect(details).not_to_contain_text("On test")
    on_diagonal = "tbody tr:nth-child({}) td:nth-child({}).volta-right"
    diagonal = details.locator(f"{on_diagonal.format(1, 2)}, {on_diagonal.format(2, 3)}")
    expect(diagonal).to_have_count(2)
    expect(details.locator(".volta-wrong")).to_have_count(2)
    page.locator("#test-button").click()
    expect(details).to_contain_text("On test, n = 24: accuracy")
    expect(details).to_contain_text("Confusion matrix, test")
    page.reload()
    expect(details).to_contain_text("On test, n = 24: accuracy")


def test_a_run_leaves_as_a_zip_is_deleted_and_comes_in_again(
    page: Page, address: str, home: Home, tmp_path: Path
) -> None:
    folder = twin_of_tiny(home, "traveller")
    open_runs(page, address, "traveller")
    page.locator("#notes-fold button").first.click()
    page.locator("#note-text textarea").fill("Seen & <b>liked</b>")
    page.locator("#note-button").click()
    expect(page.locator("#runs-notes")).to_contain_text("Seen & <b>liked</b>")
    with page.expect_download() as download:
        page.locator("#zip-button").click()
    path = tmp_path / "traveller.zip"
    download.value.save_as(path)
    page.locator("#delete-button").click()
    expect(page.locator("#runs-message")).to_contain_text("This removes traveller from the disk")
    assert folder.exists()
    page.locator("#delete-sure").click()
    expect(box(page, "traveller")).to_have_count(0)
    expect(page.locator("#runs-message")).to_contain_text("traveller is deleted.")
    expect(page).not_to_have_url(re.compile("traveller"))
    assert not folder.exists()
    page.get_by_test_id("Bring in a zip of a run-upload-button").set_input_files(path)
    expect(page.locator("#unzip-message")).to_contain_text("traveller is in the list now")
    expect(box(page, "traveller")).to_be_visible()
    assert (folder / "best" / "model.safetensors").exists()


def test_ticked_runs_become_one(page: Page, address: str, home: Home, twin: str) -> None:
    open_runs(page, address, "tiny", twin)
    page.get_by_text("Make one model of several runs").click()
    page.get_by_label("Name of the new run").fill("pair")
    page.get_by_role("button", name="Make it of the ticked runs").click()
    expect(page.locator("#combine-message")).to_contain_text("Made 'pair': macro F1", timeout=60_000)
    expect(box(page, "pair")).to_be_visible()
    shutil.rmtree(home.runs / "pair")


def test_a_file_that_is_no_run_is_refused_in_a_sentence(page: Page, address: str, tmp_path: Path) -> None:
    path = tmp_path / "not-a-run.zip"
    path.write_bytes(b"hello")
    open_runs(page, address)
    page.get_by_test_id("Bring in a zip of a run-upload-button").set_input_files(path)
    expect(page.locator("#unzip-message")).to_contain_text("not-a-run.zip is not a whole zip file")


def test_nothing_overflows_on_a_narrow_screen(context: BrowserContext, address: str, twin: str) -> None:
    page = context.new_page()
    page.set_viewport_size({"width": 360, "height": 740})
    open_runs(page, address, "tiny", twin)
    expect(page.locator("#runs-chart-0 .volta-plot svg").first).to_be_visible()
    expect(page.locator("#runs-details")).to_contain_text("Confusion matrix")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_a_link_to_a_run_that_is_gone_says_so(page: Page, address: str) -> None:
    page.goto(f"{address}/?tab=runs&run=%3Cb%3Egone")
    expect(page.get_by_text("There is no run '<b>gone' here any more: another one is shown.")).to_be_visible()
    expect(box(page, "tiny")).to_be_visible()
