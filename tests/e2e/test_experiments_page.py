"""Experiments in a real browser: queued on the page, going on while the app is restarted, reported, taken as a file."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page, expect

from tests.e2e.conftest import Home, free_port, running_app


def open_fold(page: Page) -> None:
    page.locator("#experiments-fold > button").click()


def test_an_experiment_outlives_the_app_and_is_reported(
    page: Page, home: Home, tiny_model: Path, tiny_data: Path
) -> None:
    port = free_port()
    with running_app(home, port) as address:
        page.goto(f"{address}/?tab=runs&run=tiny")
        open_fold(page)
        page.locator("#experiment-report").click()
        expect(page.locator("#experiment-message")).to_contain_text("Choose an experiment above.")
        page.locator("#experiment-new > button").click()
        alike = f"data.source={tiny_data}, model.base={tiny_model}, optim.epochs=1, hardware.precision=fp32"
        different = "fast: optim.learning_rate=1e-2"
        for field, words in {"name": "pairs", "seeds": "1", "common": alike, "changes": different}.items():
            page.locator(f"#experiment-{field} :is(input, textarea)").fill(words)
        page.locator("#experiment-begin").click()
        expect(page.locator("#experiment-runs")).to_contain_text("At work: 0 of 2 runs are finished.")
    with running_app(home, port):
        page.reload()
        expect(page.get_by_role("checkbox", name="Show tiny", exact=True)).to_be_checked()
        open_fold(page)
        expect(page.locator("#experiment-runs")).to_contain_text("All 2 runs are finished.")
        expect(page.locator("#experiment-result")).to_contain_text("what the others are compared with")
        expect(page.locator("#experiment-result")).not_to_contain_text("not all runs have finished")
        page.locator("#experiment-report").click()
        with page.expect_download() as download:
            page.get_by_text("Download pairs.html").click()
        assert "pairs" in Path(download.value.path()).read_text(encoding="utf-8")
