"""The page, used as a visitor uses it: in Chromium, with mouse and keys."""

import io
import re
import sys
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from PIL import Image
from playwright import sync_api as playwright

from explainers import registry, worlds
from explainers.worlds import pond
from tests.serving import CHROMIUM, IN_BROWSER, QUIET, served

pytestmark = [*QUIET, *IN_BROWSER]

SCENE = worlds.home().offered[0]
WELCOME = pond.LABELS_A[pond.scene("test", int(SCENE.partition(":")[2])).class_a]
DONE = "() => window.sightglass?.status?.state === 'done'"
WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 390, "height": 844}


OWN = '''
"""Slow motion: a method that only this test knows. It streams, draws at random, and tells its working."""
import time
from collections.abc import Iterator
from typing import Annotated

import torch
from pydantic import Field

from explainers.registry import Family, explainer
from explainers.results import Heatmap
from explainers.trace import Trace


@explainer(title="Slow motion", family=Family.PERTURBATION, paper="https://example.org/", passes=(1000, 0))
def slow_motion(
    trace: Trace, *, rounds: Annotated[int, Field(ge=1, le=1000, description="How many rounds.")] = 2
) -> Iterator[Heatmap]:
    """Where does the chosen class lie, seen slowly?

    Look at it round by round.
    Read it as: what is bright.
    Beware: it means nothing.
    """
    heat = trace.pixels.mean(0)
    for done in range(1, rounds + 1):
        trace.score(trace.pixels[None])
        time.sleep(0.02)
        if done == rounds:
            half = torch.where(torch.arange(heat.shape[1]) < heat.shape[1] // 2, heat, 0)
            trace.step("Half of the picture is taken.", half, weight=2.0)
            trace.step("And the other half.", heat - half, weight=-1.0)
            trace.step("Together they are the map.", heat, total=3.0)
        yield Heatmap(heat, unit="brightness", error=heat / 20, done=done / rounds)
'''


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """The app with one more network, and one more method, which nothing else names."""
    folder = tmp_path_factory.mktemp("methods")
    (folder / "slow_motion.py").write_text(OWN)
    sys.path.insert(0, str(folder))
    registry.all_methods()  # what is in the package comes first
    __import__("slow_motion")
    with served(models=["timm:resnet18?pretrained=false&num_classes=7"], warm=True) as url:
        yield url
    sys.path.remove(str(folder))
    del registry._methods["slow_motion"], sys.modules["slow_motion"]


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


def gathered(page):
    """Wait for all of the small maps."""
    page.wait_for_function("() => document.querySelector('.strip .total').textContent.includes('each with')")


def choose(page, typed):
    """Choose a method as one does who knows a part of its name."""
    page.keyboard.press("/")
    page.keyboard.type(typed)
    asked(page, lambda: page.keyboard.press("Enter"))


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
    assert page.locator("#part-reading h1").inner_text() == f"Which regions raise {WELCOME}?"
    assert page.locator(".rail .bar").count() == 5
    assert 0.05 < ink(page) < 1
    assert WELCOME in page.locator("#part-viewer .frame").get_attribute("aria-label")
    gathered(page)
    assert 3 <= page.locator(".strip canvas").count() <= 8
    assert page.locator(".welcome").is_visible()
    page.click(".welcome button")
    assert not page.locator(".welcome").is_visible()


def test_a_bar_asks_about_its_class(open_page):
    page = open_page()
    second = page.locator(".rail .bar").nth(1)
    label = second.locator("span").inner_text()
    asked(page, second.click)
    assert label in page.locator("#part-reading h1").inner_text()
    assert page.locator(".rail .bar[aria-pressed=true] span").inner_text() == label
    assert parse_qs(urlsplit(page.url).query)["target"] == [label]


def test_a_small_map_takes_the_stage(open_page):
    page = open_page()
    gathered(page)
    other = page.locator(".strip button[data-method][aria-pressed=false]").first
    method = other.get_attribute("data-method")
    asked(page, other.click)
    assert pane(page) == method
    assert page.locator("#method").get_attribute("data-method") == method
    assert page.locator(f".strip [data-method={method}]").get_attribute("aria-pressed") == "true"


def test_opacity_colors_and_outline_ask_nothing(open_page):
    page = open_page("method=gradient&o.channels=sum")  # signed
    gathered(page)
    page.wait_for_selector(".honest .verdict")
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
    box = page.locator("#part-viewer .frame").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert "of all" in page.locator("#part-viewer .tip").inner_text()


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
    assert page.locator("#part-reading h1").inner_text() == f"Which regions raise {WELCOME}?"
    assert page.evaluate("sightglass.question.scene") == SCENE
    asked(page, lambda: page.keyboard.press("2"))


def test_two_maps_side_by_side_share_the_place_pointed_at(open_page):
    page = open_page()
    asked(page, lambda: page.click("[data-tab=compare]"))
    assert page.locator(".pane").count() == 2
    asked(page, lambda: page.click("[data-beside=target]"))
    assert pane(page, "target", 0) != pane(page, "target", 1)
    assert page.locator(".legend .scale").first.inner_text() == "common scale"
    box = page.locator("#part-viewer .frame").first.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 3, box["y"] + box["height"] / 2)
    assert page.locator("#part-viewer .tip:visible").count() == 2
    assert page.locator("#part-viewer .frame .dot:visible").count() == 1
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


def test_methods_are_found_by_name_and_by_question(open_page):
    page = open_page()
    options = page.locator(".chooser [role=option]")
    page.click("#method")
    families = page.locator(".chooser .family").all_inner_texts()
    assert families[0] == str(next(iter(registry.Family)))
    assert options.count() == len(registry.all_methods())
    assert re.search(r"pass(es)?, (fast|some seconds|long)|\d pass", page.locator(".chooser .takes").first.inner_text())
    page.keyboard.type("score fall window")  # words of a question
    assert 1 <= options.count() < 5
    page.keyboard.press("Escape")
    assert not page.locator(".chooser").is_visible()
    assert page.evaluate("document.activeElement.id") == "method"
    page.keyboard.press("/")
    page.keyboard.press("ArrowDown")
    active = page.locator(".chooser input").get_attribute("aria-activedescendant")
    assert page.locator(f"#{active}").get_attribute("aria-selected") == "false"
    asked(page, lambda: page.keyboard.press("Enter"))
    assert f"choose-{pane(page)}" == active


def test_what_does_not_apply_says_why_and_cannot_be_chosen(open_page):
    page = open_page("model=pond:vit")
    page.click("#method")
    off = page.locator(".chooser [aria-disabled=true]")
    assert "so " in off.first.locator(".says").inner_text()
    assert page.locator(".chooser .family").last.inner_text() == "Not for this network"
    before = pane(page)
    off.first.click(force=True)
    assert page.locator(".chooser").is_visible()
    assert pane(page) == before


def test_many_methods_are_compared_with_one_click(open_page):
    page = open_page()
    gathered(page)
    page.evaluate("document.querySelector('.strip .total').textContent = ''")
    page.click("[data-preset=classics]")
    gathered(page)
    ranks = page.evaluate(
        "[...document.querySelectorAll('.strip .name b')].map(each => parseFloat(each.textContent) || 0)"
    )
    assert 6 <= len(ranks) <= 12
    assert ranks == sorted(ranks, reverse=True)
    spot = page.locator(".strip .spot").nth(1)
    spot.hover()
    assert page.locator(".strip .dot:visible").count() == len(ranks) - 1
    assert page.locator("#part-viewer .frame .tip").is_visible()
    assert "×" not in page.locator(".strip .name b").first.inner_text().replace("× 10", "")


def test_methods_that_somebody_picks_are_compared(open_page):
    page = open_page()
    gathered(page)
    page.evaluate("document.querySelector('.strip .total').textContent = ''")
    page.click("#pick")
    page.click(".chooser >> text=None")
    wanted = page.locator(".chooser [role=option]:not([aria-disabled])")
    picked = {wanted.nth(i).get_attribute("data-id") for i in (0, 2)}
    wanted.nth(0).click()
    wanted.nth(2).click()
    assert page.locator(".chooser .foot span").inner_text() == "2 of at most 12 chosen"
    page.click(".chooser >> text=Show them")
    gathered(page)
    shown = page.locator(".strip .maps [data-method]")
    assert {shown.nth(i).get_attribute("data-method") for i in range(shown.count())} == picked


def test_a_map_gets_better_while_one_looks_and_stays_when_stopped(open_page):
    page = open_page("method=slow_motion")
    assert pane(page, "done") == 1
    page.evaluate("sightglass.ask({ method: 'slow_motion', options: { rounds: 1000 } })")
    page.wait_for_function("() => sightglass.current().done > 0 && sightglass.current().done < 1")
    page.wait_for_selector(".progress.known")
    assert "% done" in page.locator(".progress .words").inner_text() or page.locator(".progress.slow").count() == 0
    page.wait_for_selector(".progress.slow")
    page.click("[data-act=stop]")
    page.wait_for_function("() => sightglass.status.state === 'stopped'")
    share = pane(page, "done")
    assert 0 < share < 1
    assert page.locator(".progress .words").inner_text() == (
        f"Stopped at {round(100 * share)} %: the map is less sharp than it would be."
    )
    assert ink(page) > 0
    assert "other draws" in page.locator(".reading .unsure").inner_text()
    assert "of the work" in page.locator(".reading .cost").inner_text()


def test_the_working_is_shown_step_by_step(open_page):
    page = open_page("method=slow_motion")
    final = ink(page)
    page.click("#working")
    page.wait_for_selector("#step")
    assert page.locator(".working .place").inner_text() == "Step 1 of 3"
    assert page.locator(".working .sentence").inner_text() == "Half of the picture is taken."
    assert page.locator(".working .weights button").count() == 2
    assert page.locator(".working .total b").inner_text() == "0"
    first = ink(page)
    assert first != final
    page.keyboard.press("ArrowRight")
    assert page.locator(".working .place").inner_text() == "Step 2 of 3"
    assert page.locator(".working .weights [aria-current=true]").get_attribute("data-step") == "1"
    page.keyboard.press("End")
    assert page.locator(".working .total b").inner_text() == "+3.0"
    page.keyboard.press("Escape")
    assert not page.locator(".working").is_visible()
    assert ink(page) == final
    page.click("#working")
    page.wait_for_selector("#step")
    asked(page, lambda: page.keyboard.press("2"))  # another question puts it away
    assert not page.locator(".working").is_visible()


def test_a_link_opens_exactly_what_it_says(open_page):
    page = open_page("scene=duet:8&method=grad_cam&o.depth=late&target=Cyclaria+ciliosa&versus=Pyronella+ciliosa")
    assert (
        page.locator("#part-reading h1").inner_text()
        == "Which regions raise Cyclaria ciliosa rather than Pyronella ciliosa?"
    )
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
    page.keyboard.press("c")
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
        ".filter(e => e.offsetParent && !e.closest('.strip .maps, .masthead .tabs'))"  # these scroll
        ".filter(e => e.getBoundingClientRect().right > innerWidth + 1)"
        ".map(e => e.outerHTML.slice(0, 80))"
    )
    assert cut == []
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    light = sum(int(part) for part in ground.removeprefix("rgb(").rstrip(")").split(",")) > 380
    assert light == (scheme == "light")


def test_an_edge_of_the_row_of_tabs_fades_where_there_are_more(open_page):
    page = open_page(size=NARROW)
    fades = "[...document.querySelector('.masthead .tabs').classList].slice(1)"
    assert page.evaluate(fades) == ["after"]
    page.evaluate("sightglass.show('augment')")
    page.wait_for_function(f"{fades}.join() === 'before'")
    page.set_viewport_size(WIDE)
    page.wait_for_function(f"{fades}.length === 0")


def test_the_rail_opens_on_a_phone(open_page):
    page = open_page(size=NARROW)
    assert not page.locator(".rail-body").is_visible()
    page.click(".slim")
    assert page.locator(".rail-body").is_visible()


def test_the_stage_alone_for_embedding(open_page):
    page = open_page("view=1")
    assert page.locator("#part-viewer .frame").is_visible()
    assert not page.locator(".rail").is_visible()
    assert not page.locator(".strip").is_visible()


def test_nothing_moves_while_an_answer_is_awaited(open_page):
    page = open_page()
    parts = "['.frame', 'h1', '.tools', '.strip']"
    spots = f"{parts}.map(name => Math.round(document.querySelector(name).getBoundingClientRect().top))"
    before = page.evaluate(spots)
    asked(page, lambda: page.keyboard.press("3"))
    assert page.evaluate(spots) == before


def test_back_and_forward_go_through_questions_and_tabs(open_page):
    page = open_page()
    there = "[sightglass.question.method, sightglass.question.target, sightglass.tab]"
    first = page.evaluate(there)
    steps = page.evaluate("history.length")
    asked(page, lambda: page.evaluate("sightglass.ask({ options: { ...sightglass.question.options, signed: true } })"))
    assert page.evaluate("history.length") == steps  # a setting is no step
    asked(page, lambda: page.evaluate("sightglass.ask({ method: 'gradient', options: {} })"))
    rival = page.evaluate("sightglass.answer.predictions[1].label")
    asked(page, lambda: page.evaluate(f"sightglass.ask({{ target: {rival!r} }})"))
    page.evaluate("sightglass.show('attention')")
    assert page.evaluate("history.length") == steps + 3
    for wanted in (["gradient", rival, "why"], ["gradient", first[1], "why"], first):
        asked(page, page.go_back) if page.evaluate(there)[:2] != wanted[:2] else page.go_back()
        page.wait_for_function(f"wanted => String({there}) === String(wanted)", arg=wanted)
    asked(page, page.go_forward)
    assert page.evaluate(there) == ["gradient", first[1], "why"]
    assert "method=gradient" in page.url
    assert page.evaluate("sightglass.current().method") == "gradient"
