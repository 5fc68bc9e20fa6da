"""The Diagnose tab in a real browser: its verdict on a run, what is tried, and a remedy that is started."""

from __future__ import annotations

import json
import re

from playwright.sync_api import Page, expect

from tests.e2e.conftest import Home, choose

WAIT_MS = 180_000       # short trainings


def test_what_the_page_shows_is_of_one_subject(page: Page, address: str, home: Home) -> None:
    config = json.loads((home.runs / "tiny" / "run_config.json").read_text())
    for name in ("one", "two"):
        (home.runs / name).mkdir()
        optim = {**config["optim"], "learning_rate": 1.0, "epochs": 1}
        (home.runs / name / "run_config.json").write_text(json.dumps({**config, "name": name, "optim": optim}))
    page.goto(f"{address}/?tab=diagnose&run=one")
    verdict, tried, started = (page.locator(f"#diagnose-{part}") for part in ("verdict", "tried", "started"))
    expect(page.locator("#diagnose-subject input")).to_have_value("run one")
    page.locator("#diagnose-button").click()
    expect(verdict).to_contain_text("Verdict on run one")
    expect(verdict.get_by_role("button").first).to_have_css("white-space", "nowrap")
    choose(page, "diagnose-subject", "run two")
    verdict.get_by_role("button").first.click()
    expect(started).to_contain_text("Examine it first")
    page.locator("#diagnose-try").click()
    expect(verdict).not_to_contain_text("run one")
    expect(started).not_to_contain_text("Examine it first")
    expect(tried).to_contain_text("Tried in order for run two", timeout=WAIT_MS)
    page.locator("#diagnose-button").click()
    expect(tried).not_to_contain_text("run two")


def test_a_run_that_cannot_learn_gets_a_verdict_and_its_remedy_is_started(page: Page, address: str, home: Home) -> None:
    config = json.loads((home.runs / "tiny" / "run_config.json").read_text())
    sick = {**config, "name": "sick", "optim": {**config["optim"], "learning_rate": 1.0}}
    (home.runs / "sick").mkdir()
    (home.runs / "sick" / "run_config.json").write_text(json.dumps(sick))
    page.goto(f"{address}/?tab=diagnose&run=sick")
    expect(page.locator("#diagnose-subject input")).to_have_value("run sick")
    page.locator("#diagnose-button").click()
    verdict = page.locator("#diagnose-verdict")
    expect(verdict.locator("h3").first).to_have_text(re.compile("The learning rate is too large"))
    expect(verdict).to_contain_text("One step at the peak rate of 1 changes a weight matrix")
    page.locator("#evidence-fold button").first.click()
    expect(page.locator("#diagnose-evidence .volta-bars li")).to_have_count(4)      # embeddings, two layers, head
    expect(page.locator("#diagnose-evidence tbody tr", has_text="not fine").first).to_be_visible()
    verdict.get_by_role("button", name="run it: rate 5e-5").click()
    started = page.locator("#diagnose-started")
    expect(started).to_contain_text("sick-rate-5e-5-1")
    started.get_by_role("link").click()
    expect(page).to_have_url(re.compile("tab=train&run=sick-rate-5e-5-1|run=sick-rate-5e-5-1&tab=train"))
    expect(page.locator("#run-status strong")).to_be_in_viewport()      # below the form, which fills a screen
