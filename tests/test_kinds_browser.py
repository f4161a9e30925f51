"""Results of every kind on the page: each drawn by the renderer of its name, from its own JSON alone."""

import re

import pytest
from playwright import sync_api as playwright

from explainers import registry
from explainers.results import Result
from tests.serving import CHROMIUM, IN_BROWSER, QUIET, served

pytestmark = [*QUIET, *IN_BROWSER]

DRAWN = {"tiles": "figure :is(img, canvas)", "bars": ".amounts li", "curves": ".plot .line", "scatter": "circle",
         "neighbors": "figure img"}  # fmt: skip


@pytest.fixture(scope="module")
def page():
    with served() as url, playwright.sync_playwright() as player:
        browser = player.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 390, "height": 844})
        failed = []
        page.on("pageerror", lambda error: failed.append(str(error)))
        page.goto(url)
        page.wait_for_function("() => window.sightglass?.status?.state === 'done'")
        yield page
        assert not failed
        browser.close()


def test_every_kind_has_a_renderer(page):
    kinds = {kind.kind for kind in Result.__subclasses__()}
    assert set(page.evaluate("Object.keys(sightglass.kinds)")) == kinds


@pytest.mark.parametrize("kind", DRAWN)
def test_a_method_of_each_kind_takes_the_stage(page, kind):
    quick = min((m for m in registry.all_methods() if m.gives.kind == kind), key=lambda m: (sum(m.passes), m.id))
    page.evaluate("id => sightglass.ask({ method: id, options: {}, model: 'pond:vit' })", quick.id)
    page.wait_for_selector(f'.drawn-kind[data-ready="{quick.id}"]', timeout=60_000)
    assert page.locator(f".drawn-kind {DRAWN[kind]}").count() > 0
    assert page.locator(".drawn-kind").get_attribute("aria-label")
    assert page.locator("#part-reading h1").inner_text()
    assert page.locator(".honest").inner_text() == ""
    assert not page.locator("#part-viewer .tools").is_visible()
    assert not page.locator("#part-viewer .frame").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert f"method={quick.id}" in page.evaluate("location.search") or page.evaluate("sightglass.busy()")


def test_the_weights_of_a_kernel_are_cells_and_photographs_are_not(page):
    rendering = "getComputedStyle(document.querySelector('.drawn-kind img')).imageRendering"
    page.evaluate("sightglass.ask({ method: 'filters', options: {}, model: 'pond:cnn' })")
    page.wait_for_selector('.drawn-kind[data-ready="filters"] img')
    assert page.evaluate("document.querySelector('.drawn-kind img').naturalWidth") <= 16
    assert page.evaluate(rendering) == "pixelated"
    page.evaluate("sightglass.ask({ method: 'augment', options: {} })")
    page.wait_for_selector('.drawn-kind[data-ready="augment"] img')
    assert page.evaluate(rendering) == "auto"


def test_heat_comes_back_with_all_that_it_has(page):
    page.evaluate("sightglass.ask({ method: 'gradient', options: {} })")
    page.wait_for_selector('#part-viewer .frame[data-ready="gradient"]')
    assert page.locator("#part-viewer .tools").is_visible()
    assert page.locator(".drawn-kind").inner_html() == ""


def test_a_kind_without_a_renderer_shows_its_facts(page):
    page.evaluate("""() => {
      const pane = sightglass.current();
      const result = { kind: "melody", tempo: 90, done: 1, arrays: { notes: { shape: [2, 3], data: "" } } };
      sightglass.answer.panes = [{ ...pane, heat: undefined, result }];
      sightglass.emit("answer");
    }""")
    text = page.locator(".drawn-kind").inner_text()
    assert re.search(r"no drawing for the kind “melody”", text)
    assert re.search(r"tempo\s+90", text)
    assert re.search(r"notes\s+numbers, 2 × 3", text)


def test_the_search_finds_methods_of_every_kind_and_says_what_they_give(page):
    page.evaluate("document.querySelector('#method').click()")
    page.fill(".chooser input", "nearest pictures")
    assert "Gives neighbors." in page.locator("#choose-nearest").inner_text()
