"""The tab “Augment”, used as a visitor uses it."""

import pytest

from tests.test_browser import NARROW, WIDE, browser, open_page, pytestmark, url  # noqa: F401 - fixtures


def augment(page):
    page.evaluate("sightglass.show('augment')")
    page.wait_for_selector(".augment .variant:nth-child(15)")
    page.wait_for_function("document.querySelector('.augment .said').textContent === ''")
    return page


def test_a_variant_is_chosen_and_its_heat_carried_back(open_page):  # noqa: F811
    page = augment(open_page())
    page.click(".augment .variant:nth-child(4)")
    page.wait_for_selector(".augment .chosen .trio canvas")
    assert page.locator(".augment .chosen canvas").count() == 3
    assert "agreement" in page.locator(".augment .chosen").inner_text()
    assert "This variant was" in page.locator(".augment .recipe").inner_text()


def test_a_setting_changes_the_preview_and_then_the_grid(open_page):  # noqa: F811
    page = augment(open_page())
    page.select_option(".augment .start select", "rand_augment")
    page.wait_for_function("document.querySelector('.augment .variant:nth-child(2) small').textContent.length > 0")
    page.select_option(".augment .adding select", "posterize")
    assert page.locator(".augment .steps > li").count() == 2
    bits, likely = page.locator(".augment .steps > li").nth(1).locator("input[type=range]").all()
    likely.fill("1")
    bits.fill("1")
    page.wait_for_function(
        "document.querySelector('.augment .live figcaption').textContent.endsWith('posterized to 1 bit')"
    )
    page.locator(".augment .tool[title=earlier]").nth(1).click()
    assert page.locator(".augment .steps b").all_inner_texts() == ["Posterize", "RandAugment"]


def test_the_marker_shows_the_picture_at_its_place(open_page):  # noqa: F811
    page = augment(open_page())
    page.click(".augment .inner button:nth-child(2)")
    page.wait_for_selector(".augment .chart .knob")
    here = page.locator(".augment .here small")
    assert here.inner_text() == "left as it was"
    page.focus(".augment .chart")
    page.keyboard.press("ArrowRight")
    assert here.inner_text() == "rotated by 3.8° counterclockwise"
    box = page.locator(".augment .chart").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 50, box["y"] + 60)
    page.mouse.up()
    assert "clockwise" in here.inner_text()
    assert "counterclockwise" not in here.inner_text()


def test_the_box_is_dragged(open_page):  # noqa: F811
    page = augment(open_page())
    page.click(".augment .inner button:nth-child(3)")
    page.wait_for_selector(".augment .pasted .box")
    caption = page.locator(".augment .mixer figcaption").first
    before = caption.inner_text()
    box = page.locator(".augment .pasted .box").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"], box["y"] + 4, steps=4)
    page.mouse.up()
    page.wait_for_function(
        "(before) => document.querySelector('.augment .mixer figcaption').innerText !== before", arg=before
    )
    assert "(0, " in caption.inner_text()


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_nothing_of_it_is_cut_off(open_page, size):  # noqa: F811
    page = augment(open_page(size=size))
    for sheet in range(1, 6):
        page.click(f".augment .inner button:nth-child({sheet})")
        page.wait_for_timeout(600)
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
