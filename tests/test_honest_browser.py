"""The number beside the map, used as a visitor uses it."""

import pytest

from tests.test_browser import DONE, NARROW, WIDE, asked, browser, gathered, open_page, pytestmark, url  # noqa: F401 - fixtures


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


def test_what_was_covered_is_seen_step_by_step(open_page):  # noqa: F811
    page = open_page()
    page.wait_for_selector(".covering figcaption b")
    slider, captions = page.locator(".covering input"), page.locator(".covering figcaption span")
    colors = """() => [...document.querySelectorAll('.covering canvas')].map((canvas) => {
        const seen = canvas.getContext('2d').getImageData(4, 4, canvas.width - 8, canvas.height - 8);
        return new Set(new Uint32Array(seen.data.buffer)).size;
    })"""
    half = captions.all_inner_texts()
    slider.fill("0")
    whole = captions.all_inner_texts()
    assert whole[0] == whole[1]
    assert min(page.evaluate(colors)) > 100
    slider.fill("6")
    assert page.evaluate(colors) == [1, 1]  # nothing is left but the color that covers
    assert len({*captions.all_inner_texts()}) == 1
    page.locator(".curves").hover(position={"x": 0.45 * page.locator(".curves").bounding_box()["width"], "y": 20})
    assert captions.all_inner_texts() == half


def test_a_map_that_has_the_truth_in_no_order_is_not_praised(open_page):  # noqa: F811
    page = open_page("scene=test:4&model=pond:cnn&method=guided_backpropagation")
    page.wait_for_selector(".honest .truth")
    assert "stand in the order of their true effects" in page.locator(".honest .verdict").inner_text()
    assert page.locator(".honest .above").count() == 0


def test_between_two_classes_both_are_named_at_the_ends(open_page):  # noqa: F811
    page = open_page()
    page.wait_for_selector(".honest .verdict")
    first, second = page.evaluate("sightglass.answer.predictions.slice(0, 2).map(each => each.label)")
    page.evaluate("document.querySelector('.honest .verdict').classList.add('old')")
    asked(page, lambda: page.evaluate(f"sightglass.ask({{ versus: {second!r} }})"))
    page.wait_for_selector(".honest .verdict:not(.old)")
    ends = page.locator(".honest .band text").all_text_contents()
    assert [f"← {second}", f"{first} →"] == ends[1:]
    assert "%" not in page.locator(".honest .figure b").inner_text()


def test_small_maps_have_the_number_of_the_large_one(open_page):  # noqa: F811
    page = open_page()
    gathered(page)
    page.wait_for_selector(".honest .truth")
    assert "order of their true effects" in page.locator("#strip .total, .strip .total").first.inner_text()
    now = page.locator(".maps [aria-pressed=true] .name b").inner_text()
    assert f"{now.replace(chr(160), ' ')} in order" in page.locator(".truth summary").inner_text().replace(
        "\u00a0", " "
    )
