"""The Train tab in a real browser: start, follow, refresh, stop, resume, restart the app."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from tabs.run_panel import SLOW_SECONDS
from tests.e2e.conftest import Home, choose

STEPS = 38_400      # 192 examples, 2 a step, 400 epochs: more than any machine does while a test looks at it

PLOT = "document.querySelector('#loss-chart .volta-plot')"


def open_train(page: Page, address: str, run: str = "") -> None:
    page.goto(f"{address}/?tab=train{f'&run={run}' if run else ''}")
    expect(page.locator("#train-command")).to_contain_text("python -m pipeline train")
    # The form is what the browser kept, then: values that were typed before would be overwritten by those.
    page.wait_for_function("() => localStorage.getItem('volta-train-form')")


def open_fold(page: Page, elem_id: str) -> None:
    page.locator(f"#{elem_id} button").first.click()


def fill_in(page: Page, name: str, model: Path, data: Path) -> None:
    choose(page, "train-source", str(data))
    choose(page, "train-base", str(model))
    open_fold(page, "group-data")
    choose(page, "field-data-split", "random")
    open_fold(page, "group-optim")
    page.locator("#field-optim-batch_size input").fill("2")
    page.locator("#field-optim-epochs input").fill("400")
    page.locator("#train-name input").fill(name)


def wait_for_points(page: Page, more_than: int) -> None:
    page.wait_for_function(f"count => ({PLOT}?.data?.[0].x.length ?? 0) > count", arg=more_than)


def shown_run(page: Page) -> Locator:
    return page.locator("#run-status strong")


def state_of(page: Page) -> Locator:
    return page.locator("#run-status .volta-state")


def test_a_run_is_started_followed_stopped_and_resumed(
    context: BrowserContext, page: Page, address: str, home: Home, tiny_model: Path, tiny_data: Path
) -> None:
    open_train(page, address)
    fill_in(page, "from-page", tiny_model, tiny_data)
    page.locator("#start-button").click()
    expect(page.locator("#start-message")).to_contain_text("Started from-page")
    expect(page.locator("#train-command")).to_contain_text("--set optim.epochs=400")
    expect(state_of(page)).to_have_text("running")
    expect(page.locator("#run-status")).to_contain_text(f"of {STEPS:,}")
    # The loss falls.
    page.wait_for_function(f"(() => {{ const y = {PLOT}?.data?.[1].y ?? []; return y.at(-1) < y[0]; }})()")

    page.wait_for_url("**/?*run=from-page*")
    page.reload()
    expect(shown_run(page)).to_have_text("from-page")
    expect(page.locator("#train-source input")).to_have_value(str(tiny_data))       # the form is still filled in
    second = context.new_page()
    second.goto(page.url)
    expect(shown_run(second)).to_have_text("from-page")
    expect(state_of(second)).to_have_text("running")

    page.locator("#stop-button").click()
    expect(state_of(page)).to_have_text("stopped")
    expect(state_of(second)).to_have_text("stopped")
    expect(page.locator("#stop-button")).to_be_disabled()
    stopped_at = json.loads((home.runs / "from-page" / "status.json").read_text())["step"]

    page.locator("#resume-button").click()
    expect(state_of(page)).to_have_text("running")
    expect(page.locator("#resume-button")).to_be_disabled()
    page.wait_for_function(f"step => {PLOT}.data[0].x.at(-1) > step", arg=stopped_at)
    page.locator("#stop-button").click()
    expect(state_of(page)).to_have_text("stopped")
    lines = [json.loads(line) for line in (home.runs / "from-page" / "metrics.jsonl").read_text().splitlines()]
    steps = [line["step"] for line in lines if "split" not in line]
    assert steps == list(range(1, len(steps) + 1))


def test_a_resumed_run_finishes_and_predicts(page: Page, address: str, home: Home) -> None:
    write_record(home, "to-finish", num_steps=0)
    open_train(page, address, "to-finish")
    expect(state_of(page)).to_have_text("stopped")
    page.locator("#resume-button").click()
    expect(state_of(page)).to_have_text("finished")
    expect(page.locator("#run-status")).to_contain_text("step 240 of 240")
    expect(page.locator("#run-status")).to_contain_text("best macro F1")
    expect(page.locator("#resume-button")).to_be_disabled()
    page.get_by_role("link", name="Predict with this model").click()
    expect(page.locator("#predict-run input")).to_have_value("to-finish")
    expect(page.locator("#predict-result li")).to_have_count(2)


def test_a_failed_run_shows_its_reason(page: Page, address: str, home: Home) -> None:
    write_record(home, "failed", num_steps=3)
    reason = "The loss became nan at step 4; the last good state is kept."
    (home.runs / "failed" / "status.json").write_text(json.dumps({"state": "failed", "step": 3, "reason": reason}))
    open_train(page, address, "failed")
    expect(page.locator("#run-status [role=alert]")).to_have_text(reason)
    expect(page.locator("#resume-button")).to_be_enabled()
    expect(page.locator("#stop-button")).to_be_disabled()


def write_record(home: Home, name: str, num_steps: int) -> Path:
    """A stopped run, without a saved state; more lines can be appended to the metrics returned."""
    folder = home.runs / name
    folder.mkdir()
    config = json.loads((home.runs / "tiny" / "run_config.json").read_text())
    (folder / "run_config.json").write_text(json.dumps({**config, "name": name}))
    (folder / "status.json").write_text(json.dumps({"state": "stopped", "step": num_steps, "total_steps": 1_000}))
    metrics = folder / "metrics.jsonl"
    append_steps(metrics, 1, num_steps)
    return metrics


def append_steps(metrics: Path, first: int, last: int) -> None:
    with open(metrics, "a") as file:
        for step in range(first, last + 1):
            file.write(json.dumps({"step": step, "loss": 1 / step}) + "\n")


def test_the_zoom_survives_an_update(page: Page, address: str, home: Home) -> None:
    metrics = write_record(home, "zoomed", 100)
    open_train(page, address, "zoomed")
    wait_for_points(page, more_than=99)
    page.locator("#loss-chart").scroll_into_view_if_needed()
    area = page.locator("#loss-chart .nsewdrag").bounding_box()
    assert area is not None
    page.mouse.move(area["x"] + area["width"] * 0.3, area["y"] + area["height"] * 0.3)
    page.mouse.down()
    page.mouse.move(area["x"] + area["width"] * 0.6, area["y"] + area["height"] * 0.7, steps=5)
    page.mouse.up()
    axes = f"(() => {{ const layout = {PLOT}.layout; return [layout.xaxis.range, layout.yaxis.range]; }})()"
    page.wait_for_function(f"{axes}[0][0] > 10")
    zoomed = page.evaluate(axes)
    append_steps(metrics, 101, 400)
    wait_for_points(page, more_than=399)
    assert page.evaluate(axes) == zoomed


def test_only_the_tab_in_sight_asks_how_runs_are_doing(page: Page, address: str) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.post_data or "") if "queue/join" in request.url else None)
    page.goto(f"{address}/?tab=predict&run=tiny")
    expect(page.locator("#predict-why .volta-words")).to_be_visible()
    page.wait_for_timeout(2_000)        # what the page still asks while it is opened
    asked.clear()
    page.wait_for_timeout(1_000 * SLOW_SECONDS + 2_000)
    assert asked == []
    page.get_by_role("tab", name="Runs").click()
    with page.expect_request("**/queue/join*"):     # by the click
        pass
    with page.expect_request("**/queue/join*"):     # by the timer
        pass


def test_a_tab_opened_by_its_address_asks_again_and_again(page: Page, address: str) -> None:
    # gradio selects its first tab as well, now before and now after the one asked for
    for tab, shown in (("train", "#run-status strong"), ("runs", "#runs-list tbody tr")):
        page.goto(f"{address}/?tab={tab}&run=tiny")
        expect(page.locator(shown).first).to_be_visible()
        page.wait_for_timeout(2_000)    # what the page still asks while it is opened
        with page.expect_request("**/queue/join*", timeout=1_000 * SLOW_SECONDS + 3_000):
            pass


def test_the_numbers_of_a_chart_are_one_click_away(page: Page, address: str) -> None:
    open_train(page, address, "tiny")
    page.locator("#score-chart summary").click()
    rows = page.locator("#score-chart tbody tr")
    expect(rows).to_have_count(11)          # before the first step, and after each of ten epochs
    expect(rows.first).to_contain_text("0")


def test_a_wrong_request_is_told_in_a_sentence_and_makes_no_run(page: Page, address: str, home: Home) -> None:
    before = sorted(home.runs.iterdir())
    open_train(page, address)
    message = page.locator("#start-message [role=alert]")
    choose(page, "train-source", "no-such-data.csv")
    page.locator("#start-button").click()
    expect(message).to_contain_text("no file 'no-such-data.csv'")
    choose(page, "train-base", "no-such-model")
    page.locator("#start-button").click()
    expect(message).to_contain_text("No model 'no-such-model'")
    page.locator("#train-name input").fill("")
    page.locator("#start-button").click()
    expect(message).to_contain_text("letters, digits")
    assert sorted(home.runs.iterdir()) == before


def test_the_data_and_ten_augmented_examples_are_shown_before_a_start(
    page: Page, address: str, tiny_model: Path, tiny_data: Path
) -> None:
    open_train(page, address)
    choose(page, "train-source", str(tiny_data))
    choose(page, "train-base", str(tiny_model))
    open_fold(page, "data-fold")
    report = page.locator("#data-report")
    expect(report).to_contain_text("validation")
    expect(report.get_by_role("region", name="Splits:")).to_contain_text("train")
    expect(report.get_by_role("region", name="Texts shared")).to_contain_text("test in train")
    expect(report.get_by_role("region", name="The first training texts")).to_contain_text("[CLS]")

    page.locator("#copies-button").click()
    expect(page.locator("#copies")).to_contain_text("augment.steps is empty")
    open_fold(page, "group-augment")
    page.locator("#field-augment-steps textarea, #field-augment-steps input").fill("antonym, delete")
    page.locator("#copies-button").click()
    expect(page.locator("#copies").get_by_role("row")).to_have_count(11)
    expect(page.locator("#copies")).to_contain_text("antonym")


def test_what_a_run_will_take_is_told_before_it_starts(
    page: Page, address: str, tiny_model: Path, tiny_data: Path
) -> None:
    open_train(page, address)
    fill_in(page, "planned", tiny_model, tiny_data)
    page.locator("#plan-button").click()
    plan = page.locator("#train-plan")
    expect(plan).to_contain_text("192 train · 24 validation · 24 test")
    expect(plan).to_contain_text("38,400, the first 2,304 of them warm-up")
    expect(plan).to_contain_text("ms a step, measured here")
    page.locator("#field-optim-epochs input").fill("3")
    expect(plan).to_be_empty()


def test_an_uploaded_file_becomes_the_source(page: Page, address: str, home: Home, tiny_data: Path) -> None:
    open_train(page, address)
    open_fold(page, "data-fold")
    page.locator("#data-fold input[type=file]").set_input_files(tiny_data)
    kept = re.compile(rf"{re.escape(str(home.runs))}/_uploads/.*/tiny.jsonl")
    expect(page.locator("#train-source input")).to_have_value(kept)
    expect(page.locator("#train-command")).to_contain_text("_uploads")
    page.locator("#data-button").click()
    expect(page.locator("#data-report")).to_contain_text("192 train · 24 validation · 24 test")


def test_files_of_the_project_and_of_runs_are_not_served(address: str, home: Home) -> None:
    for path in (home.runs / "tiny" / "run_config.json", Path(__file__), Path("/etc/passwd")):
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(f"{address}/gradio_api/file={path}")


def test_a_changed_field_is_marked_stands_in_the_command_and_is_told_its_bounds(page: Page, address: str) -> None:
    open_train(page, address)
    open_fold(page, "group-optim")
    field = page.locator("#field-optim-epochs")
    field.locator("input").fill("7")
    expect(page.locator("#group-optim")).to_contain_text("changed: epochs")
    expect(page.locator("#train-command")).to_contain_text("--set optim.epochs=7")
    expect(field).not_to_have_class(re.compile("volta-invalid"))
    field.locator("input").fill("0")
    bounds = "optim.epochs should be greater than or equal to 1"
    expect(page.locator("#train-problem")).to_contain_text(bounds)
    expect(field).to_have_class(re.compile("volta-invalid"))
    expect(field).to_have_attribute("data-problem", re.compile(bounds))
    field.locator("input").fill("2")
    expect(field).not_to_have_class(re.compile("volta-invalid"))


def test_a_preset_starts_from_what_can_be_had_here_within_the_budget(page: Page, address: str) -> None:
    open_train(page, address)
    choose(page, "train-preset", "frozen")
    expect(page.locator("#preset-note")).to_contain_text("bert-base-uncased")
    expect(page.locator("#preset-note")).to_contain_text("not on this machine, and the Hub is out of reach")
    expect(page.locator("#train-base input")).to_have_value("all-MiniLM-L6-v2")
    choose(page, "train-budget", "quick")
    expect(page.locator("#preset-note")).to_contain_text("Within the budget: Epochs 2 (instead of 3)")
    command = page.locator("#train-command")
    expect(command).to_contain_text("--preset frozen --budget quick --set")
    expect(command).to_contain_text("model.base=all-MiniLM-L6-v2")
    page.reload()
    expect(page.locator("#train-budget input")).to_have_value("quick")
    expect(command).to_contain_text("--preset frozen --budget quick --set")


def test_a_preset_of_several_runs_shows_its_command_and_no_fields_of_one_run(page: Page, address: str) -> None:
    open_train(page, address)
    choose(page, "train-preset", "scibert-and-companions")
    expect(page.locator("#train-command")).to_contain_text("sweep scibert-and-companions --set model.base=all-MiniLM")
    for hidden in ("#train-base", "#train-source", "#group-optim", "#plan-button"):
        expect(page.locator(hidden)).to_be_hidden()
    choose(page, "train-preset", "quick")
    expect(page.locator("#group-optim")).to_be_visible()
    expect(page.locator("#train-command")).to_contain_text("train --preset quick --name quick-1")


@pytest.mark.parametrize("tab", ["predict", "train"])
def test_nothing_overflows_on_a_narrow_screen(context: BrowserContext, address: str, tab: str) -> None:
    page = context.new_page()
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(f"{address}/?tab={tab}&run=tiny")
    expect(page.locator("#predict-result li" if tab == "predict" else "#run-status strong").first).to_be_visible()
    if tab == "train":
        for fold in ("group-optim", "group-data", "group-hardware"):
            open_fold(page, fold)
        expect(page.locator("#field-hardware-device")).to_be_visible()
        expect(page.locator("#loss-chart .volta-plot svg").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
