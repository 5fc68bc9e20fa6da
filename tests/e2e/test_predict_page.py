"""The Predict tab and POST /query, in a real browser against the real app."""

from __future__ import annotations

import csv
import json
import time
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.e2e.conftest import ask

SCORES = "all => all.map(word => word.dataset.score)"


@pytest.fixture
def fresh_page(page: Page, address: str) -> Page:
    return open_predict(page, address)


@pytest.fixture(scope="module")
def predict_page(kept_context: BrowserContext, address: str) -> Page:
    return open_predict(kept_context.new_page(), address)


def open_predict(page: Page, address: str) -> Page:
    page.goto(f"{address}/?tab=predict&run=tiny")
    expect(page.locator("#predict-run input")).to_have_value("tiny")
    return page


def test_the_page_opens_with_a_prediction(fresh_page: Page) -> None:
    result = fresh_page.locator("#predict-result")
    expect(fresh_page.locator("#predict-text textarea")).to_have_value("I LOVE YOU but you dnt love me")
    expect(result.locator("li")).to_have_count(2)
    expect(result).to_contain_text("truncated: no")


def test_a_typed_sentence_gets_its_label_at_once(predict_page: Page) -> None:
    result = predict_page.locator("#predict-result li")
    predict_page.locator("#predict-text textarea").fill("good lovely bright film")
    expect(result.first).to_contain_text("positive")
    predict_page.locator("#predict-text textarea").fill("bad dull awful story")
    expect(result.first).to_contain_text("negative")
    expect(result.first).to_contain_text("0.")


def test_the_words_are_coloured_by_what_they_say(predict_page: Page) -> None:
    predict_page.locator("#predict-text textarea").fill("good lovely bright film")
    words = predict_page.locator("#predict-why .volta-words span")
    expect(words).to_have_text(["good", "lovely", "bright", "film"])
    expect(predict_page.locator("#predict-why")).to_contain_text("For and against positive")
    predict_page.get_by_role("checkbox", name="Numbers").check()
    expect(predict_page.locator("#predict-why .volta-scored")).to_be_visible()
    scores = [float(word.replace("\N{MINUS SIGN}", "-")) for word in words.evaluate_all(SCORES)]
    assert max(scores[:3]) > 0
    predict_page.locator("#why-label input").click()
    predict_page.get_by_role("option", name="negative").click()
    expect(predict_page.locator("#predict-why")).to_contain_text("For and against negative")
    predict_page.locator("#predict-text textarea").fill("good film\nbad film")
    expect(predict_page.locator("#predict-why")).to_contain_text("one sentence at a time")


def test_a_try_is_kept_and_come_back_to(fresh_page: Page) -> None:
    text = fresh_page.locator("#predict-text textarea")
    for sentence in ("good lovely film", "good lovely bad film"):
        text.fill(sentence)
        fresh_page.locator("#keep-button").click()
        expect(fresh_page.locator("#predict-tries button").first).to_have_text(sentence)
    fresh_page.locator("#predict-tries").get_by_role("button", name="good lovely film").click()
    expect(text).to_have_value("good lovely film")
    expect(fresh_page.locator("#predict-why .volta-words span")).to_have_text(["good", "lovely", "film"])
    fresh_page.reload()
    expect(fresh_page.locator("#predict-tries button")).to_have_text(["good lovely bad film", "good lovely film"])


def test_a_second_model_answers_beside_the_first(fresh_page: Page) -> None:
    fresh_page.locator("#predict-other input").click()
    fresh_page.get_by_role("option", name="sst2-minilm").click()
    beside = fresh_page.locator("#predict-beside")
    expect(beside).to_contain_text("sst2-minilm says")
    expect(beside.locator(".volta-bars li")).to_have_count(2)
    expect(beside.locator(".volta-words span").first).to_have_text("I")
    fresh_page.locator("#predict-text textarea").fill("a lovely film")
    expect(beside.locator(".volta-words span")).to_have_text(["a", "lovely", "film"])
    fresh_page.reload()
    expect(fresh_page.locator("#predict-other input")).to_have_value("sst2-minilm")
    expect(beside.locator(".volta-words span").first).to_be_visible()


def test_a_file_of_texts_comes_back_with_predictions(predict_page: Page, tmp_path: Path) -> None:
    source = tmp_path / "mine.csv"
    source.write_text("id,review\n7,good lovely film\n8,bad dull film\n")
    predict_page.locator("#file-fold button").first.click()
    predict_page.get_by_test_id("Choose a file-upload-button").set_input_files(source)
    message = predict_page.locator("#file-message")
    expect(message).to_contain_text("2 of 2 texts predicted with tiny, from the column 'review'.")
    expect(message.locator("tbody tr").first).to_contain_text("good lovely film")
    with predict_page.expect_download() as download:
        predict_page.locator("#file-download").click()
    download.value.save_as(tmp_path / "out.csv")
    with open(tmp_path / "out.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["id"], row["predicted"]) for row in rows] == [("7", "positive"), ("8", "negative")]


def test_two_lines_give_two_rows(predict_page: Page) -> None:
    predict_page.locator("#predict-text textarea").fill("good lovely film\n\nbad dull film")
    rows = predict_page.locator("#predict-result tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.nth(0)).to_contain_text("positive")
    expect(rows.nth(1)).to_contain_text("negative")


def test_an_emptied_box_gives_a_hint(predict_page: Page) -> None:
    predict_page.locator("#predict-text textarea").fill("")
    expect(predict_page.locator("#predict-result")).to_contain_text("Type a sentence")
    expect(predict_page.locator("#predict-result li")).to_have_count(0)


def test_an_example_is_one_click_away(predict_page: Page) -> None:
    predict_page.get_by_role("button", name="… bt you don't love me").click()
    expect(predict_page.locator("#predict-text textarea")).to_have_value("I LOVE YOU bt you don't love me")


def test_text_that_looks_like_markup_stays_text(predict_page: Page) -> None:
    markup = "<img src=x onerror='window.hacked = true'> good"
    predict_page.locator("#predict-text textarea").fill(markup)
    expect(predict_page.locator("#predict-why .volta-words")).to_contain_text("onerror=")
    predict_page.locator("#predict-text textarea").fill(f"{markup}\nbad film")
    expect(predict_page.locator("#predict-result tbody tr").first).to_contain_text(markup)
    expect(predict_page.locator("#predict-result img, #predict-why img")).to_have_count(0)
    assert predict_page.evaluate("window.hacked") is None


def test_a_refresh_keeps_the_typed_text(fresh_page: Page) -> None:
    text = fresh_page.locator("#predict-text textarea")
    text.fill("a quite lovely story")
    text.blur()
    fresh_page.reload()
    expect(text).to_have_value("a quite lovely story")


def test_what_is_typed_while_the_page_still_loads_is_not_undone(page: Page, address: str) -> None:
    page.route("**/gradio_api/**", lambda route: (time.sleep(0.3), route.continue_()))     # a server far away
    page.goto(f"{address}/?tab=predict&run=tiny")
    text = page.locator("#predict-text textarea")
    text.fill("a quite lovely story")
    expect(page.locator("#predict-run input")).to_have_value("tiny")
    expect(page.locator("#predict-result li")).to_have_count(2)
    expect(text).to_have_value("a quite lovely story")


def test_the_code_examples_name_this_address(predict_page: Page, address: str) -> None:
    predict_page.get_by_role("button", name="Use it from code").click()
    expect(predict_page.get_by_text(f"curl {address}/query")).to_be_visible()
    expect(predict_page.get_by_text('Predictor.load("tiny")')).to_be_visible()


def test_a_query_over_http_is_answered_in_its_order(address: str) -> None:
    status, answer = ask(address, "/query", json.dumps({"sentences": ["bad dull film", "good lovely film"]}).encode())
    assert status == 200
    assert answer["results"] == [0, 1]
    assert answer["labels"] == ["negative", "positive"]
    assert [round(sum(probabilities), 5) for probabilities in answer["probabilities"]] == [1, 1]


@pytest.mark.parametrize("body, expected", [
    (b'{"sentences": []}', "No sentences provided"),
    (b"{}", "No sentences provided"),
    (b"good film", "not JSON"),
    (b'{"sentences": "good film"}', "list of texts"),
])
def test_a_query_that_makes_no_sense_is_told_so(address: str, body: bytes, expected: str) -> None:
    status, answer = ask(address, "/query", body)
    assert status == 400
    assert expected in answer["error"]


def test_a_program_asks_for_predictions_errors_and_explanations(address: str) -> None:
    from gradio_client import Client

    client = Client(address, verbose=False)
    assert list(client.view_api(return_format="dict")["named_endpoints"]) == ["/predict", "/errors", "/explain"]
    [answer] = client.predict(["good lovely film"], "tiny", api_name="/predict")
    assert answer["label"] == "positive"
    with pytest.raises(Exception, match="no run '/etc'"):
        client.predict(["good lovely film"], "/etc", api_name="/predict")
    told = client.predict("not a good film", "tiny", api_name="/explain")
    assert [each["word"] for each in told["words"]] == ["not", "a", "good", "film"] and told["findings"]
    with pytest.raises(Exception, match="There is no run '/etc' with a trained model."):
        client.predict("x", "/etc", api_name="/explain")
    errors = client.predict("sst2-minilm", "contrast", 3, api_name="/errors")
    assert len(errors) <= 3 and all(each["gold"] != each["predicted"] for each in errors)
