"""The page, used as a visitor uses it: in Chromium, with mouse and keys."""

import io
import shutil
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from PIL import Image

from explainers import pond
from explainers.ui import pictures
from tests.serving import QUIET, served

playwright = pytest.importorskip("playwright.sync_api", reason="the browser tests need playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [
    *QUIET,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine"),
]

WELCOME = pond.LABELS_A[pond.scene("test", int(pictures.WELCOME.partition(":")[2])).class_a]
DONE = "() => window.sightglass?.status?.state === 'done'"
WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def url():
    with served(models=["timm:resnet18?pretrained=false&num_classes=7"], warm=True) as url:
        yield url


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as player:
        browser = player.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, url):
    """Open a page and wait for its first answer; in the end nothing came from elsewhere, and no error was logged."""
    contexts, hosts, errors = [], set(), []

    def opened(query="", *, size=WIDE, **choices):
        context = browser.new_context(viewport=size, **choices)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{url}?{query}")
        page.wait_for_function(DONE)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert hosts <= {urlsplit(url).netloc, ""}  # data: addresses have no host
    assert errors == []


def asked(page, act):
    """Do something that asks a question, and wait for its answer."""
    page.evaluate("sightglass.status = { state: 'about to ask' }")
    act()
    page.wait_for_function(DONE)


def pane(page, what="method", number=0):
    return page.evaluate(f"sightglass.answer.panes[{number}].{what}")


def ink(page):
    """How much of the heat's canvas is not transparent."""
    return page.evaluate(
        "(() => { const c = document.querySelector('.heat'); const d = c.getContext('2d')"
        ".getImageData(0, 0, c.width, c.height).data; let n = 0; for (let i = 3; i < d.length; i += 4) n += d[i] > 8;"
        " return n / (c.width * c.height); })()"
    )


def photograph():
    pixels = np.random.default_rng(1).integers(0, 256, (90, 160, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG")
    return {"name": "holiday.jpg", "mimeType": "image/jpeg", "buffer": buffer.getvalue()}


def test_opens_on_an_explained_picture(open_page):
    page = open_page()
    assert page.title() == "Sightglass"
    assert page.locator("h1").inner_text() == f"Which regions raise {WELCOME}?"
    assert page.locator(".rail .bar").count() == 5
    assert 0.05 < ink(page) < 1
    assert WELCOME in page.locator(".frame").get_attribute("aria-label")
    assert page.locator(".strip canvas").count() == len(page.evaluate("sightglass.catalogue.methods"))
    assert page.locator(".welcome").is_visible()
    page.click(".welcome button")
    assert not page.locator(".welcome").is_visible()


def test_a_bar_asks_about_its_class(open_page):
    page = open_page()
    second = page.locator(".rail .bar").nth(1)
    label = second.locator("span").inner_text()
    asked(page, second.click)
    assert label in page.locator("h1").inner_text()
    assert page.locator(".rail .bar[aria-pressed=true] span").inner_text() == label
    assert parse_qs(urlsplit(page.url).query)["target"] == [label]


def test_a_small_map_takes_the_stage(open_page):
    page = open_page()
    other = page.locator(".strip button[aria-pressed=false]").first
    method = other.get_attribute("data-method")
    asked(page, other.click)
    assert pane(page) == method
    assert page.locator("#method").input_value() == method
    assert page.locator(f".strip [data-method={method}]").get_attribute("aria-pressed") == "true"


def test_opacity_colors_and_outline_ask_nothing(open_page):
    page = open_page("method=gradient&o.channels=sum")  # signed
    page.wait_for_load_state("networkidle")
    requests = []
    page.on("request", lambda request: requests.append(request.url) if "data:" not in request.url else None)
    everything = ink(page)
    page.locator("#opacity").fill("20")
    assert page.locator(".heat").evaluate("each => getComputedStyle(each).opacity") == "0.2"
    page.click("[data-sign=raises]")
    assert 0 < ink(page) < everything
    page.check("[name=cells]")
    page.uncheck("[name=outline]")
    page.check("[name=truth]")
    page.wait_for_timeout(100)
    assert requests == []


def test_pointing_reads_the_value(open_page):
    page = open_page()
    box = page.locator(".frame").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert "of all" in page.locator(".tip").inner_text()


def test_an_upload_is_explained(open_page):
    page = open_page()
    asked(page, lambda: page.set_input_files(".file", photograph()))
    assert page.evaluate("[sightglass.picture.width, sightglass.picture.height]") == [160, 90]
    assert page.locator(".rail .about").inner_text() == "160 × 90 pixels"
    assert "scene" not in parse_qs(urlsplit(page.url).query)
    page.click("text=Share")
    assert "not the picture you uploaded" in page.locator(".share").inner_text()


def test_a_bad_upload_is_a_sentence_and_changes_nothing(open_page):
    page = open_page()
    page.set_input_files(".file", {"name": "cat.png", "mimeType": "image/png", "buffer": b"no picture at all"})
    page.wait_for_selector(".progress.told")
    assert "JPEG, PNG and WebP" in page.locator(".progress .words").inner_text()
    assert page.locator("h1").inner_text() == f"Which regions raise {WELCOME}?"
    assert page.evaluate("sightglass.question.scene") == pictures.WELCOME
    asked(page, lambda: page.keyboard.press("2"))


def test_two_maps_side_by_side_share_the_place_pointed_at(open_page):
    page = open_page()
    asked(page, lambda: page.click("[data-tab=compare]"))
    assert page.locator(".pane").count() == 2
    asked(page, lambda: page.click("[data-beside=target]"))
    assert pane(page, "target", 0) != pane(page, "target", 1)
    assert page.locator(".legend .scale").first.inner_text() == "common scale"
    box = page.locator(".frame").first.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 3, box["y"] + box["height"] / 2)
    assert page.locator(".tip:visible").count() == 2
    assert page.locator(".dot:visible").count() == 1
    asked(page, lambda: page.click("[data-tab=why]"))
    assert page.locator(".pane").count() == 1


def test_a_network_with_random_weights_says_so(open_page):
    page = open_page()
    network = page.locator("#network option").filter(has_text="resnet18").get_attribute("value")
    asked(page, lambda: page.select_option("#network", network))
    assert "random weights" in page.locator(".banner").inner_text()
    assert "random weights" in page.locator(".reading .notes").inner_text()


def test_a_photograph_beside_a_pond_network_is_offered_another_network(open_page):
    page = open_page()
    assert page.locator(".advice").is_hidden()
    asked(page, lambda: page.set_input_files(".file", photograph()))
    assert "knows pond creatures only" in page.locator(".advice").inner_text()
    assert page.locator(".advice button").inner_text().startswith("Ask ")


def test_a_network_that_is_not_there_is_a_sentence(open_page):
    page = open_page()
    page.select_option("#network", "")
    page.fill(".typed input", "pond:whale")
    page.press(".typed input", "Enter")
    page.wait_for_selector(".progress.told")
    assert "whale" in page.locator(".progress .words").inner_text()
    assert page.locator("#network").input_value() == "pond:cnn"


def test_a_link_opens_exactly_what_it_says(open_page):
    page = open_page("scene=duet:8&method=grad_cam&o.depth=late&target=Cyclaria+ciliosa&versus=Pyronella+ciliosa")
    assert page.locator("h1").inner_text() == "Which regions raise Cyclaria ciliosa rather than Pyronella ciliosa?"
    assert pane(page, "options.depth") == "late"
    query = parse_qs(urlsplit(page.url).query)
    assert query["scene"] == ["duet:8"]
    assert query["o.depth"] == ["late"]


def test_keys_are_enough(open_page):
    page = open_page()
    asked(page, lambda: page.keyboard.press("2"))
    assert page.locator(".rail .bar").nth(1).get_attribute("aria-pressed") == "true"
    before = pane(page)
    asked(page, lambda: page.keyboard.press("ArrowRight"))
    assert pane(page) != before
    page.keyboard.down(" ")
    assert page.locator(".panes").evaluate("each => each.classList.contains('plain')")
    page.keyboard.up(" ")
    assert not page.locator(".panes").evaluate("each => each.classList.contains('plain')")
    page.keyboard.press("/")
    page.keyboard.type("gemmatula c")
    asked(page, lambda: page.keyboard.press("Enter"))
    assert pane(page, "target") == "Gemmatula ciliosa"
    page.keyboard.press("?")
    assert page.locator("dialog.help").is_visible()
    page.keyboard.press("Escape")
    with page.expect_download() as download:
        page.keyboard.press("s")
    assert download.value.suggested_filename.endswith(".png")


def test_tab_reaches_what_can_be_pressed_and_shows_where(open_page):
    page = open_page()
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        where = page.evaluate(
            "(() => { const e = document.activeElement; if (e === document.body) return ['', 'past the end'];"
            " const s = getComputedStyle(e);"
            " return [e.id || e.className || e.dataset.method || e.textContent.slice(0, 20), s.outlineStyle]; })()"
        )
        reached.add(where[0])
        assert where[1] != "none", where
    assert {"network", "method", "opacity", "plain", "search"} <= reached


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_cut_off(open_page, size, scheme):
    page = open_page(size=size, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    cut = page.evaluate(
        "[...document.querySelectorAll('#bench :is(h1, h2, p, button, label, summary, figcaption, small)')]"
        ".filter(e => e.offsetParent && !e.closest('.strip .maps') && e.getBoundingClientRect().right > innerWidth + 1)"
        ".map(e => e.outerHTML.slice(0, 80))"
    )
    assert cut == []
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    light = sum(int(part) for part in ground.removeprefix("rgb(").rstrip(")").split(",")) > 380
    assert light == (scheme == "light")


def test_the_rail_opens_on_a_phone(open_page):
    page = open_page(size=NARROW)
    assert not page.locator(".rail-body").is_visible()
    page.click(".slim")
    assert page.locator(".rail-body").is_visible()


def test_the_stage_alone_for_embedding(open_page):
    page = open_page("view=1")
    assert page.locator(".frame").is_visible()
    assert not page.locator(".rail").is_visible()
    assert not page.locator(".strip").is_visible()


def test_nothing_moves_while_an_answer_is_awaited(open_page):
    page = open_page()
    parts = "['.frame', 'h1', '.tools', '.strip']"
    spots = f"{parts}.map(name => Math.round(document.querySelector(name).getBoundingClientRect().top))"
    before = page.evaluate(spots)
    asked(page, lambda: page.keyboard.press("3"))
    assert page.evaluate(spots) == before
