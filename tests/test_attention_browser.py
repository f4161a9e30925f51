"""The tab “Attention”, used as a visitor uses it: in Chromium, with mouse and keys."""

import pytest
from playwright import sync_api as playwright

from tests.serving import CHROMIUM, IN_BROWSER, QUIET, served

pytestmark = [*QUIET, *IN_BROWSER]
READY = "(what) => document.querySelector('.attention .frame')?.dataset.ready === what"


@pytest.fixture(scope="module")
def pages():
    with served() as url, playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        opened = []

        def open_page(address, width=1440):
            page = browser.new_page(viewport={"width": width, "height": 900})
            page.set_default_timeout(60_000)
            page.on("pageerror", lambda error: opened.append(error))
            page.goto(url + address)
            return page

        yield open_page
        browser.close()
        assert not opened


def test_every_head_is_there_and_a_click_moves_the_query(pages):
    page = pages("?model=pond:vit&tab=attention")
    page.wait_for_function(READY, arg="5.-1.head.")
    assert page.locator(".attention .matrix button").count() == 6 * (4 + 1)
    assert "the class token attends to" in page.inner_text(".attention .asks")
    page.click('.attention [data-at="2.1"]')
    assert "Layer 2, head 1" in page.inner_text(".attention .asks")
    box = page.locator(".attention .frame").bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.51, box["y"] + box["height"] * 0.26)
    page.wait_for_function(READY, arg="2.1.head.2,4")
    assert "what patch (2, 4) attends to" in page.inner_text(".attention .asks")
    assert page.locator(".attention .patch").is_visible()
    assert "t.patch=2" in page.url
    page.focus(".attention .frame")
    page.keyboard.press("ArrowRight")
    page.wait_for_function(READY, arg="2.1.head.2,5")
    page.click(".attention .unask")
    page.wait_for_function(READY, arg="2.1.head.")
    page.click(".attention .play")
    page.wait_for_function(READY, arg="5.1.head.")


def test_weights_make_one_map_of_all_and_it_is_held_against_what_matters(pages):
    page = pages("?model=pond:vit&tab=attention&t.layer=3&t.head=0")
    page.wait_for_function(READY, arg="3.0.head.")
    page.click('.attention [data-mode="all"]')
    page.wait_for_function(READY, arg="3.0.all.")
    assert page.locator(".attention .weights input").count() == 6 + 4
    page.locator('.attention [aria-label="Weight of layer 0"]').fill("0")
    assert page.locator(".attention .matrix button.off").count() == 4
    page.click("#worth")
    page.wait_for_selector(".attention .worth table")
    assert page.locator(".attention .worth figure").count() == 3
    assert page.locator(".attention .worth tbody tr").count() >= 4


def test_convolutions_get_a_card_and_a_narrow_screen_has_room_for_all_heads(pages):
    page = pages("?model=pond:cnn&tab=attention", width=390)
    page.wait_for_selector(".attention .card")
    assert "no attention of one patch to another" in page.inner_text(".attention .card")
    assert not page.locator(".attention .matrix").is_visible()
    assert page.locator(".attention .card [data-network]").first.inner_text() == "pond:vit"
    page.click(".attention .card button >> nth=0")
    page.wait_for_function("() => document.body.dataset.tab === 'why'")
    page = pages("?model=pond:vit&tab=attention", width=390)
    page.wait_for_function(READY, arg="5.-1.head.")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
