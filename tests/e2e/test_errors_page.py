"""The Errors tab in a real browser: filter by clicks, open a sentence, edit it, and come back by the address."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect


@pytest.fixture
def errors_page(page: Page, address: str) -> Page:
    page.goto(f"{address}/?tab=errors&run=sst2-minilm&data=starter&split=test")
    expect(page.locator("#errors-list tbody tr").first).to_be_visible()
    expect(page.locator("#errors-sentence .volta-words")).to_be_visible()
    return page


def test_the_first_error_is_open_with_its_colours_and_findings(errors_page: Page) -> None:
    sentence = errors_page.locator("#errors-sentence")
    expect(sentence.locator("h3").first).to_contain_text("gold")
    expect(sentence.locator(".volta-finding").first).to_be_visible()
    expect(sentence).to_contain_text("Do these words matter?")
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


def test_what_is_seen_is_reopened_by_the_address(errors_page: Page, address: str) -> None:
    errors_page.locator("#errors-rule input, #errors-rule textarea").fill("contrast")
    errors_page.locator("#errors-rule input, #errors-rule textarea").press("Enter")
    expect(errors_page.locator("#errors-summary")).to_contain_text("examples with contrast")
    errors_page.get_by_label("all", exact=True).check()
    picked = errors_page.locator("#errors-list tbody .volta-pick").nth(2)
    words = picked.text_content()
    picked.click()
    expect(errors_page.locator("#errors-whatif textarea")).to_have_value(words)
    expect(errors_page).to_have_url(re.compile(r"example=test%3A\d+"))
    expect(errors_page).to_have_url(re.compile(r"show=all"))
    again = errors_page.context.new_page()
    again.goto(errors_page.url)
    expect(again.locator("#errors-whatif textarea")).to_have_value(words)
    expect(again.locator("#errors-list .volta-ticked")).to_contain_text(words)
    expect(again.locator("#errors-summary")).to_contain_text("examples with contrast")


def test_an_edited_sentence_is_predicted_and_coloured(errors_page: Page) -> None:
    errors_page.locator("#errors-whatif textarea").fill("a warm , funny and clever film")
    answer = errors_page.locator("#errors-answer")
    expect(answer.locator("li").first).to_contain_text("positive")
    expect(answer.locator(".volta-words span").nth(1)).to_have_text("warm")


def test_pages_are_turned_and_a_bad_rule_is_one_sentence(errors_page: Page) -> None:
    errors_page.get_by_label("all", exact=True).check()
    pager = errors_page.locator("#errors-list .volta-pager")
    expect(pager).to_contain_text("1 to 20 of 258")
    pager.get_by_label("Next page").click()
    expect(pager).to_contain_text("21 to 40 of 258")
    rule = errors_page.locator("#errors-rule input, #errors-rule textarea")
    rule.fill("contrst")
    rule.press("Enter")
    expect(errors_page.locator("#errors-summary .volta-problem")).to_contain_text("'contrst' is no condition of a rule")
    expect(pager).to_contain_text("21 to 40 of 258")
