"""The page in Chinese, in a real browser: picked, kept, and left again."""

from __future__ import annotations

import re

from playwright.sync_api import Browser, Page, expect


def expect_chinese(page: Page) -> None:
    expect(page.get_by_role("heading", name="模型怎么判断？")).to_be_visible()
    expect(page.get_by_label("一个句子，或每行一句")).to_be_visible()
    expect(page.locator("#predict-result")).to_contain_text("截断：否")         # said by the server
    expect(page.get_by_role("checkbox", name="数值")).to_be_visible()           # said by page.js
    expect(page.locator("footer")).to_contain_text("通过 API 使用")             # said by gradio
    assert page.evaluate("document.documentElement.lang") == "zh-CN"


def test_the_page_speaks_chinese_once_that_is_picked_until_english_is(page: Page, address: str) -> None:
    page.goto(f"{address}/?tab=predict&run=tiny")
    text = page.locator("#predict-text textarea")
    expect(page.locator("#predict-result")).to_contain_text("truncated: no")
    text.fill("a quite lovely story")
    text.blur()
    page.get_by_role("link", name="中文").press("Enter")
    expect_chinese(page)
    expect(page).to_have_url(re.compile(r"tab=predict&run=tiny&lang=zh$"))
    expect(text).to_have_value("a quite lovely story")
    expect(page.get_by_role("link", name="中文")).to_have_attribute("aria-current", "true")
    page.goto(f"{address}/?tab=predict&run=tiny")       # the address says nothing: it was picked before
    expect_chinese(page)
    page.get_by_role("link", name="English").click()
    expect(page.get_by_role("heading", name="What does the model say")).to_be_visible()
    expect(page.locator("#predict-result")).to_contain_text("truncated: no")


def test_a_browser_that_prefers_chinese_gets_it_at_once_and_every_tab_is_in_it(browser: Browser, address: str) -> None:
    context = browser.new_context(locale="zh-CN", viewport={"width": 360, "height": 740})
    page = context.new_page()
    page.goto(f"{address}/?tab=predict&run=tiny")
    expect_chinese(page)
    page.get_by_role("tab", name="训练").click()
    expect(page.locator("#group-optim")).to_contain_text("优化器")
    expect(page.locator("#run-status")).to_contain_text("已完成")
    expect(page.locator("#loss-chart")).to_contain_text("验证集 n = 24")
    page.get_by_role("tab", name="运行").click()
    expect(page.get_by_role("columnheader", name="状态")).to_be_visible()
    expect(page.locator("#runs-details")).to_contain_text("混淆矩阵，验证集，n = 24")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    context.close()
