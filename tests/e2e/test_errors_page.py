"""The Errors tab in a real browser: filter by clicks, open a sentence, edit it, and come back by the address."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect


@pytest.fixture
def fresh_errors(page: Page, address: str) -> Page:
    return open_errors(page, address)


@pytest.fixture(scope="module")
def errors_page(kept_context: BrowserContext, address: str) -> Page:
    return open_errors(kept_context.new_page(), address)


def open_errors(page: Page, address: str) -> Page:
    page.goto(f"{address}/?tab=errors&run=sst2-minilm&data=starter&split=test")
    expect(page.locator("#errors-list tbody tr").first).to_be_visible()
    expect(page.locator("#errors-sentence .volta-words")).to_be_visible()
    return page


def test_the_first_error_is_open_with_its_colours_and_findings(errors_page: Page) -> None:
    sentence = errors_page.locator("#errors-sentence")
    expect(sentence.locator("h3").first).to_contain_text("gold")
    expect(sentence.locator(".volta-finding").first).to_be_visible()
    expect(sentence).to_contain_text("held in its experiment")
    expect(errors_page.locator("#errors-list .volta-ticked")).to_have_count(1)
    finding = sentence.locator(".volta-finding").first
    finding.locator("summary").click()
    expect(finding).to_contain_text("Would have refuted it:")
    expect(finding.locator("tbody tr").first).to_be_visible()


def test_a_click_on_the_matrix_filters_and_a_second_one_takes_it_back(errors_page: Page) -> None:
    rule = errors_page.locator("#errors-rule input, #errors-rule textarea")
    cell = errors_page.locator("#errors-matrix tbody tr").first.locator(".volta-pick").last
    cell.click()
    expect(rule).to_have_value("gold:negative & predicted:positive")
    expect(errors_page.locator("#errors-summary")).to_contain_text("gold label negative and predicted positive")
    for row in errors_page.locator("#errors-list tbody tr").all():
        expect(row.locator("td").nth(1)).to_have_text("negative")
    expect(errors_page).to_have_url(re.compile(r"rule=gold%3Anegative"))
    cell.click()
    expect(rule).to_have_value("")


def test_what_is_seen_is_reopened_by_the_address(fresh_errors: Page, address: str) -> None:
    fresh_errors.locator("#errors-rule input, #errors-rule textarea").fill("contrast")
    fresh_errors.locator("#errors-rule input, #errors-rule textarea").press("Enter")
    expect(fresh_errors.locator("#errors-summary")).to_contain_text("examples with contrast")
    fresh_errors.get_by_label("all", exact=True).check()
    picked = fresh_errors.locator("#errors-list tbody .volta-pick").nth(2)
    words = picked.text_content()
    picked.click()
    expect(fresh_errors.locator("#errors-whatif textarea")).to_have_value(words)
    expect(fresh_errors).to_have_url(re.compile(r"example=test%3A\d+"))
    expect(fresh_errors).to_have_url(re.compile(r"show=all"))
    again = fresh_errors.context.new_page()
    again.goto(fresh_errors.url)
    expect(again.locator("#errors-whatif textarea")).to_have_value(words)
    expect(again.locator("#errors-list .volta-ticked")).to_contain_text(words)
    expect(again.locator("#errors-summary")).to_contain_text("examples with contrast")


def test_an_edited_sentence_is_predicted_and_coloured(errors_page: Page) -> None:
    errors_page.locator("#errors-whatif textarea").fill("a warm , funny and clever film")
    answer = errors_page.locator("#errors-answer")
    expect(answer.locator("li").first).to_contain_text("positive")
    expect(answer.locator(".volta-words span").nth(1)).to_have_text("warm")


def test_pages_are_turned_and_a_bad_rule_is_one_sentence(fresh_errors: Page) -> None:
    fresh_errors.get_by_label("all", exact=True).check()
    pager = fresh_errors.locator("#errors-list .volta-pager")
    expect(pager).to_contain_text("1 to 20 of 258")
    pager.get_by_label("Next page").click()
    expect(pager).to_contain_text("21 to 40 of 258")
    expect(fresh_errors).to_have_url(re.compile("at=2"))
    fresh_errors.reload()
    expect(pager).to_contain_text("21 to 40 of 258")
    rule = fresh_errors.locator("#errors-rule input, #errors-rule textarea")
    rule.fill("contrst")
    rule.press("Enter")
    problem = fresh_errors.locator("#errors-summary .volta-problem")
    expect(problem).to_contain_text("'contrst' is no condition of a rule")
    expect(pager).to_contain_text("21 to 40 of 258")


@pytest.fixture
def fresh_tiny(page: Page, address: str) -> Page:
    return open_tiny(page, address)


@pytest.fixture(scope="module")
def tiny_page(kept_context: BrowserContext, address: str) -> Page:
    return open_tiny(kept_context.new_page(), address)


def open_tiny(page: Page, address: str) -> Page:
    """Of a run of the browser tests' own, to be written to."""
    page.goto(f"{address}/?tab=errors&run=tiny&show=all")
    expect(page.locator("#errors-sentence .volta-words")).to_be_visible()
    return page


def test_a_mark_is_kept_and_is_a_rule_from_then_on(fresh_tiny: Page) -> None:
    fresh_tiny.locator("#judge-fold button").first.click()
    fresh_tiny.locator("#judge-mark").get_by_label("ambiguous").check()
    fresh_tiny.locator("#judge-note textarea").fill("Both <b>ways</b>.")
    fresh_tiny.locator("#judge-save").click()
    expect(fresh_tiny.locator("#judge-message")).to_contain_text("Kept")
    rule = fresh_tiny.locator("#errors-rule input, #errors-rule textarea")
    rule.fill("ambiguous")
    rule.press("Enter")
    expect(fresh_tiny.locator("#errors-list .volta-pager")).to_contain_text("1 to 1 of 1")
    fresh_tiny.reload()
    expect(fresh_tiny.locator("#errors-list .volta-pager")).to_contain_text("1 to 1 of 1")
    fresh_tiny.locator("#judge-fold button").first.click()
    expect(fresh_tiny.locator("#judge-note textarea")).to_have_value("Both <b>ways</b>.")


def test_an_edited_sentence_goes_on_the_fix_list(tiny_page: Page) -> None:
    tiny_page.locator("#errors-whatif textarea").fill("not a good film")
    tiny_page.locator("#fix-fold button").first.click()
    tiny_page.locator("#fix-label input").click()
    tiny_page.get_by_role("option", name="negative").click()
    tiny_page.locator("#fix-button").click()
    listed = tiny_page.locator("#fix-list")
    expect(listed.locator("tbody tr")).to_contain_text("not a good film")
    listed.get_by_role("button", name="take back").click()
    expect(listed.locator("tbody tr")).to_have_count(0)


def test_training_sentences_are_read_and_say_who_taught_it(tiny_page: Page) -> None:
    tiny_page.locator("#taught-fold button").first.click()
    expect(tiny_page.locator("#errors-taught")).to_contain_text("have not been read yet")
    tiny_page.locator("#index-button").click()
    expect(tiny_page.locator("#errors-taught")).to_contain_text("Nearest in meaning", timeout=60_000)
    expect(tiny_page.locator("#errors-taught tbody tr").first).to_be_visible()


def test_the_list_leaves_the_page_as_html_in_colour(tiny_page: Page, tmp_path: Path) -> None:
    rule = tiny_page.locator("#errors-rule input, #errors-rule textarea")
    rule.fill("word:lovely")
    rule.press("Enter")
    expect(tiny_page.locator("#errors-summary")).to_contain_text("the word “lovely”")
    tiny_page.locator("#export-fold button").first.click()
    tiny_page.locator("#export-kind").get_by_label("HTML, in colour").check()
    tiny_page.locator("#export-button").click()
    message = tiny_page.locator("#export-message")
    expect(message).to_contain_text("examples in tiny-tiny-validation.html", timeout=60_000)
    with tiny_page.expect_download() as download:
        tiny_page.locator("#export-download").click()
    download.value.save_as(tmp_path / "out.html")
    report = tiny_page.context.new_page()
    report.set_content((tmp_path / "out.html").read_text(encoding="utf-8"))
    word = report.locator("article span").filter(has_text="lovely").first
    expect(word).to_have_css("background-color", re.compile("rgba"))


def test_right_ones_are_listed_by_a_click_on_the_matrix_though_errors_were_shown(errors_page: Page) -> None:
    diagonal = errors_page.locator("#errors-matrix tbody tr").first.locator(".volta-pick").first
    count = diagonal.text_content()
    diagonal.click()
    expect(errors_page.locator("#errors-list .volta-pager")).to_contain_text(f"of {count}")
    expect(errors_page.locator("#errors-show").get_by_label("all", exact=True)).to_be_checked()


def test_a_note_that_is_not_kept_yet_survives_a_search(fresh_tiny: Page) -> None:
    fresh_tiny.locator("#judge-fold button").first.click()
    fresh_tiny.locator("#judge-note textarea").fill("half a thought")
    fresh_tiny.locator("#errors-search input, #errors-search textarea").fill("good")
    expect(fresh_tiny.locator("#errors-list")).to_contain_text("good")
    expect(fresh_tiny).to_have_url(re.compile("search=good"))
    expect(fresh_tiny.locator("#judge-note textarea")).to_have_value("half a thought")
