"""A method of any kind, dropped in as one file, is found on the page, asked, drawn, linked, saved and called."""

import json
import sys
from urllib.parse import urlencode

import numpy as np
import pytest
from playwright import sync_api as playwright

from explainers import registry
from explainers.ui.answering import answers, work
from explainers.ui.catalogue import Catalogue
from explainers.ui.shelf import Shelf
from tests.serving import CHROMIUM, IN_BROWSER, QUIET, served

pytestmark = QUIET

FILE = '''
"""A method that only this test knows."""
from typing import Annotated

import numpy as np
from pydantic import Field

from explainers.registry import Family, explainer
from explainers.results import *
from explainers.trace import Trace


@explainer(title="Dropped {kind}", family=Family.INSIDE, paper="https://example.org/", passes=(1, 0))
def dropped_{kind}(
    trace: Trace, *, size: Annotated[int, Field(ge=1, le=9, description="How large it is.")] = 3
) -> {gives}:
    """What does the chosen class have to do with {kind}?

    Nothing; it is made up.
    Read it as: something was drawn.
    Beware: it means nothing.
    """
    trace.logits  # a pass
    picture = (trace.pixels.permute(1, 2, 0) * 255).byte().cpu().numpy()
    return {made}
'''

KINDS = {
    "heat": ("Heatmap", "Heatmap(trace.pixels.mean(0) * size, unit='brightness')"),
    "tiles": (
        "Tiles",
        "Tiles(tuple(Tile(picture, f'tile {n}', float(n), key=f'number {n}', facts={'n': n}) for n in range(size)))",
    ),
    "bars": ("Bars", "Bars(np.arange(size) - 1.0, tuple(f'bar {n}' for n in range(size)), 'points')"),
    "curves": (
        "Curves",
        "Curves(np.arange(size + 1), (Curve('a line', np.arange(size + 1) ** 2.0),), 'steps', 'points',"
        " (Mark(1.0, 'a mark', picture),))",
    ),
    "scatter": (
        "Scatter",
        "Scatter(np.eye(2).repeat(size, 0), tuple(map(str, range(2 * size))), ('one',) * size + ('two',) * size,"
        " here=(0.5, 0.5))",
    ),
    "neighbors": (
        "Neighbors",
        "Neighbors(tuple(Neighbor(str(n), f'neighbor {n}', float(n), picture) for n in range(size)), 'steps',"
        " (('neighbor 0', 1.0),))",
    ),
}


@pytest.fixture(scope="module")
def methods(tmp_path_factory):
    folder = tmp_path_factory.mktemp("methods")
    registry.all_methods()  # what is in the package comes first
    sys.path.insert(0, str(folder))
    for kind, (gives, made) in KINDS.items():
        (folder / f"dropped_{kind}.py").write_text(FILE.format(kind=kind, gives=gives, made=made))
        __import__(f"dropped_{kind}")
    yield
    sys.path.remove(str(folder))
    for kind in KINDS:
        del registry._methods[f"dropped_{kind}"], sys.modules[f"dropped_{kind}"]


@pytest.fixture(scope="module")
def shelf(methods):
    shelf = Shelf(Catalogue())
    shelf.network(shelf.catalogue.first)
    return shelf


def asked(shelf, **question):
    *_, last = work.streamed(question, shelf, answers.answered)
    return last


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_in_the_list_and_answered_with_all_that_its_renderer_needs(shelf, kind):
    (listed,) = (each for each in shelf.catalogue.as_json()["methods"] if each["id"] == f"dropped_{kind}")
    assert listed["kind"] == kind
    assert [option["name"] for option in listed["options"]] == ["size"]
    told = asked(shelf, method=f"dropped_{kind}", options={"size": 4})
    assert told["state"] == "done"
    (pane,) = told["panes"]
    assert pane["result"]["kind"] == kind
    assert pane["options"] == {"size": 4}
    assert pane["cost"] == "no pass of its own; it was all there already" or pane["cost"].startswith("1 forward")
    assert f'"dropped_{kind}"' in pane["code"]
    json.dumps(pane)
    assert f"dropped_{kind}" in {fit["id"] for fit in told["fits"]}


def test_a_heat_is_sent_once(shelf):
    told = asked(shelf, method="dropped_heat")
    data = told["panes"][0]["result"]["arrays"]["native"]["data"]
    assert json.dumps(told).count(data) == 1


def test_pictures_and_facts_of_tiles_reach_the_page(shelf):
    result = asked(shelf, method="dropped_tiles")["panes"][0]["result"]
    assert [tile["facts"] for tile in result["tiles"]] == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert result["arrays"]["tile_2"]["src"].startswith("data:image/png;base64,")
    assert (result["arrays"]["tile_2"]["width"], result["arrays"]["tile_2"]["height"]) == (96, 96)
    curves = asked(shelf, method="dropped_curves")["panes"][0]["result"]
    assert curves["arrays"]["mark_0"]["src"].startswith("data:image/")
    neighbors = asked(shelf, method="dropped_neighbors")["panes"][0]["result"]
    assert neighbors["arrays"]["thumbnail_1"]["src"].startswith("data:image/")


# In Chromium ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page(methods):
    with served() as url, playwright.sync_playwright() as player:
        browser = player.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1440, "height": 900}, accept_downloads=True)
        page.set_default_timeout(60_000)
        page.errors = []
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.address = url
        yield page
        browser.close()


def settled(page, kind):
    page.wait_for_function(
        f"() => window.sightglass?.status?.state === 'done' && sightglass.current()?.method === 'dropped_{kind}'"
    )


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=IN_BROWSER) for kind in KINDS])
def test_a_visitor_finds_it_and_sees_it(page, kind):
    page.goto(page.address)
    page.wait_for_function("() => window.sightglass?.status?.state === 'done'")
    page.keyboard.press("/")
    page.keyboard.type(f"Dropped {kind}")
    page.get_by_role("option", name=f"Dropped {kind}").first.click()
    settled(page, kind)
    drawn = page.locator("#part-viewer")
    assert drawn.is_visible()
    image = np.frombuffer(drawn.screenshot(), np.uint8)
    assert len(image) > 2_000  # not a blank sheet
    match kind:
        case "tiles" | "neighbors":
            assert drawn.locator("img").count() >= 3
        case "bars":
            assert "bar 2" in drawn.inner_text()
        case "curves" | "scatter":
            assert drawn.locator("svg, canvas").count() >= 1
    reading = page.locator("#part-reading")
    assert "Read it as" in reading.inner_text()
    assert not page.errors


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=IN_BROWSER) for kind in ("tiles", "bars")])
def test_a_link_opens_it(page, kind):
    page.goto(f"{page.address}?{urlencode({'method': f'dropped_{kind}'})}")
    settled(page, kind)
    assert not page.errors
