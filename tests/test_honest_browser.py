"""The number beside the map, used as a visitor uses it."""

import pytest

from tests.test_browser import DONE, NARROW, WIDE, asked, browser, open_page, pytestmark, url  # noqa: F401 - fixtures


def test_the_number_arrives_after_the_map_and_tells_how_it_was_measured(open_page):  # noqa: F811
    page = open_page()
    page.wait_for_selector(".honest .verdict")
    card = page.locator(".honest")
    assert card.locator(".figure b").inner_text().replace("\u00a0", " ").endswith(" %")
    assert "random maps" in card.locator(".verdict").inner_text()
    assert card.locator(".curves polyline").count() == 2
    assert "falls from" in card.locator(".curves").get_attribute("aria-label")
    card.locator(".measured summary").click()
    assert "makes no such promise" in card.locator("dl").inner_text()
    assert "forward" in card.locator(".measured .quiet").inner_text()
    page.wait_for_selector(".honest .truth")
    card.locator(".truth summary").click()
    assert "nucleus" in card.locator(".truth li").first.inner_text() + card.locator(".truth li").nth(1).inner_text()


def test_a_new_question_gets_a_new_number(open_page):  # noqa: F811
    page = open_page()
    page.wait_for_selector(".honest .verdict")
    before = page.locator(".honest .figure b").inner_text()
    page.evaluate("document.querySelector('.honest .verdict').classList.add('old')")
    asked(page, lambda: page.evaluate("sightglass.ask({ method: 'gradient', options: {} })"))
    page.wait_for_selector(".honest .verdict:not(.old)")
    assert page.locator(".honest .figure b").inner_text() != before


def test_the_same_question_to_a_network_that_has_learned_nothing(open_page):  # noqa: F811
    page = open_page()
    page.wait_for_selector(".honest .verdict")
    page.click("#unlearn")
    page.wait_for_selector(".unlearned canvas")
    assert page.locator(".unlearned canvas").count() == 2
    assert "Rank correlation" in page.locator(".unlearned p").inner_text()


def test_spot_the_cheater(open_page):  # noqa: F811
    page = open_page()
    page.wait_for_selector("#cheater")
    asked(page, lambda: page.click("#cheater"))
    assert page.locator(".pane").count() == 2
    assert page.evaluate("sightglass.answer.panes.map(pane => pane.model)") == ["pond:cnn", "pond:cheater"]
    assert "accuracy cannot tell them apart" in page.locator(".pair").inner_text()
    assert page.locator("#cheater").count() == 0


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_nothing_of_it_is_cut_off(open_page, size):  # noqa: F811
    page = open_page(size=size)
    page.wait_for_selector(".honest .truth")
    for part in (".measured", ".truth"):
        page.locator(f".honest {part} summary").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    beyond = page.evaluate(
        "[...document.querySelectorAll('.honest *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1)"
        ".map(e => e.outerHTML.slice(0, 80))"
    )
    assert beyond == []
