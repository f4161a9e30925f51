"""The tab “Inside”, used as a visitor uses it."""

import pytest

from tests.test_browser import NARROW, WIDE, browser, open_page, pytestmark, url  # noqa: F401 - fixtures


def test_from_a_map_to_the_channels_that_made_it_and_into_one_of_them(open_page):  # noqa: F811
    page = open_page("scene=test:6&model=pond:cnn")
    page.click("#to-inside")
    page.wait_for_selector(".inside .one .cuts img")
    assert page.locator(".inside .trunk button").count() == 5
    assert page.locator(".inside .speaking button").count() == 12
    assert page.locator(".inside .maps button").count() == 128
    first = page.locator(".inside .one h3").first.inner_text()
    page.locator(".inside .maps button").nth(20).click()
    page.wait_for_function(f"document.querySelector('.inside .one h3').textContent !== {first!r}")
    page.wait_for_selector(".inside .one .pair img")
    page.locator(".inside .trunk button").nth(1).click()
    page.wait_for_function("document.querySelectorAll('.inside .maps button').length === 32")
    assert "t.depth=early" in page.url
    page.locator(".inside .trunk button").first.click()
    page.wait_for_selector(".inside .kernels img")
    assert page.locator(".inside .kernels img").count() == 12


def test_a_class_grows_can_be_stopped_and_taken_along(open_page):  # noqa: F811
    page = open_page("scene=test:6&model=pond:cnn&tab=inside&t.sheet=class")
    page.wait_for_selector('.inside [data-way="fourier"] img')
    page.click(".inside .go:text('Stop')")
    page.wait_for_selector('.inside [data-way="fourier"] a[download]')
    assert "Stopped after" in page.inner_text(".inside .said")
    assert page.locator(".inside .way img").count() == 3
    assert page.locator(".inside .way polyline").count() == 3
    assert page.locator(".inside .natural img").count() == 3
    with page.expect_download() as saved:
        page.click('.inside [data-way="fourier"] a[download]')
    assert saved.value.suggested_filename == "Cyclaria-ciliosa-fourier.webp"


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_nothing_of_it_is_wider_than_the_page(open_page, size):  # noqa: F811
    page = open_page("scene=test:6&model=pond:vit&tab=inside", size=size)
    page.wait_for_selector(".inside .one .cuts img")
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
