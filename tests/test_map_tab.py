"""The tab “Map”: what Python tells the browser, and the page as a visitor uses it."""

import base64
import io

import numpy as np
import pytest
import torch
from gradio_client import Client
from PIL import Image
from playwright import sync_api as playwright
from tolerance import rounding

import explainers as ex
from explainers.galleries.gallery import Gallery
from explainers.ui.answering.work import streamed
from explainers.ui.catalogue import Catalogue
from explainers.ui.panes import packed
from explainers.ui.shelf import Shelf
from explainers.ui.tabs.map import TAB
from tests.serving import CHROMIUM, IN_BROWSER, QUIET, served

pytestmark = QUIET
SAYS = "((at, words) => document.querySelector(`[data-at=${at}]`).textContent.includes(words))"
PAINTED = """(() => {
  const canvas = document.querySelector(".chart .over");
  return canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.some((value) => value);
})()"""
ABOUT = {"model": "pond:cnn", "scene": "test:6", "token": "t"}


@pytest.fixture(scope="module")
def shelf():
    return Shelf(Catalogue())


def told(shelf, name, **given):
    return list(streamed(ABOUT | given, shelf, TAB.work[name]))[-1]


def numbers(text, kind):
    return np.frombuffer(base64.b64decode(text), kind)


def test_opening_tells_points_words_neighbors_and_how_far_to_trust_them(shelf):
    answer = told(shelf, "open")
    assert answer["state"] == "done"
    pond = Gallery.open("pond")
    points = numbers(answer["points"], "<f4").reshape(-1, 2)
    assert np.array_equal(points, pond.vectors("pond:cnn").layouts["pooled/tsne"])
    assert answer["names"].split("\n") == list(pond.names)
    assert [answer["labels"][i] for i in numbers(answer["label"], "<i2")] == list(pond.labels)
    assert len(numbers(answer["sure"], "u1")) == len(numbers(answer["kept"], "u1")) == 900
    assert [place["id"] for place in answer["places"]] == ["pixels", "early", "middle", "late", "pooled"]
    near = [each["number"] for each in answer["neighbors"]]
    assert {pond.labels[i] for i in near} == {"Cyclaria ciliosa"}
    assert answer["votes"] == [("Cyclaria ciliosa", 1.0)]
    away = np.linalg.norm(points - answer["here"], axis=1)
    assert {pond.labels[i] for i in away.argsort()[:10]} == {"Cyclaria ciliosa"}  # placed among its kind
    assert answer["figures"]["trustworthiness"] > answer["figures"]["trustworthiness of PCA"] > 0.9
    assert answer["confused"] == []
    assert "means nothing here" in " ".join(answer["caveats"])


def test_what_the_cheater_confuses_is_listed_the_surest_first(shelf):
    answer = told(shelf, "open", model="pond:cheater")
    sure = [each["sure"] for each in answer["confused"]]
    assert len(sure) == 60
    assert sure == sorted(sure, reverse=True)
    pond = Gallery.open("pond")
    tagged = [pond.facets["scale bar"][each["number"]] for each in answer["confused"]]
    assert tagged.count("with") > 55  # it is the tag that it falls for


def test_two_pictures_and_what_makes_them_alike(shelf):
    answer = told(shelf, "alike", number=3)
    assert answer["exact"]
    for side in ("here", "there"):
        heat = answer[side]["heat"]
        values = numbers(heat["data"], "<f2").astype(np.float64) * heat["scale"]
        assert values.sum() == pytest.approx(answer["cosine"], abs=rounding(1, np.abs(values).sum(), torch.float16))
        assert answer[side]["src"].startswith("data:image/png;base64,")
    assert told(shelf, "alike", scene="gallery:pond:3", number=3)["cosine"] == pytest.approx(1)


def test_thumbnails_come_as_one_picture(shelf):
    answer = told(shelf, "thumbs", numbers=list(range(20)))
    with Image.open(io.BytesIO(base64.b64decode(answer["sheet"].partition(",")[2]))) as sheet:
        assert sheet.size == (16 * 48, 2 * 48)
        assert np.asarray(sheet)[:48].mean() > 5


def test_groups_film_and_digits(shelf):
    groups = told(shelf, "groups", by="kmeans", count=9)
    assert len(numbers(groups["of"], "<i2")) == 900
    assert len(groups["groups"]) == 9
    film = told(shelf, "depths")["frames"]
    assert [frame["place"] for frame in film] == ["pixels", "early", "middle", "late", "pooled"]
    assert film[0]["right"] < film[1]["right"] < film[-1]["right"]
    digits = told(shelf, "digits")["maps"]
    assert [len(numbers(one["points"], "<f4")) for one in digits] == [2 * 1797] * 3
    assert digits[1]["right"] < digits[0]["right"] < digits[2]["right"]


# What the method tells whoever asks it is what the screen shows.


@pytest.fixture
def trace(shelf):
    return ex.look(shelf.network("pond:cnn"), shelf.catalogue.picture("test:6").picture)


def test_the_map_is_that_of_the_method(shelf, trace):
    answer = told(shelf, "open", kind="pca", place="middle")
    scatter = ex.explain(trace, "picture_map", gallery="pond", kind="pca", read_at="middle").result
    assert np.array_equal(numbers(answer["points"], "<f4").reshape(-1, 2), scatter.points)
    assert (tuple(answer["here"]), answer["own"]) == (scatter.here, scatter.own)
    assert answer["figures"] == dict(scatter.measures)
    assert np.array_equal(numbers(answer["kept"], "u1"), (scatter.kept * 255).astype(np.uint8))
    assert scatter.kept.mean() == pytest.approx(dict(scatter.measures)["neighbors kept"], abs=rounding(900))
    assert tuple(answer["caveats"]) == scatter.caveats
    near = ex.explain(trace, "nearest", gallery="pond", read_at="middle", count=12).result
    assert [(each["number"], each["distance"]) for each in answer["neighbors"]] == [
        (row.number, row.distance) for row in near.rows
    ]
    assert [near.rows[0].id] == [Gallery.open("pond").names[near.rows[0].number]]
    assert (answer["votes"], answer["near"]) == (list(near.votes), near.near)


def test_what_is_alike_is_that_of_the_method(shelf, trace):
    answer = told(shelf, "alike", number=3)
    for named in ("#3", Gallery.open("pond").names[3]):
        tiles = ex.explain(trace, "why_similar", gallery="pond", named=named).result.tiles
        heats = {tile.key: tile for tile in tiles}
        assert heats["here"].facts == {name: answer[name] for name in ("number", "cosine", "exact")}
        for side in ("here", "there"):
            assert answer[side]["heat"] == packed(heats[side].values)


def test_groups_are_those_of_the_method(shelf, trace):
    answer = told(shelf, "groups", by="kmeans", count=4, place="late")
    result = ex.explain(trace, "clusters", gallery="pond", by="kmeans", count=4, read_at="late").result
    assert answer["sentence"] == result.note
    of = numbers(answer["of"], "<i2")
    first = [tile.facts for tile in result.tiles if "pictures" in tile.facts]
    assert [each["words"] for each in answer["groups"]] == [each["words"] for each in first]
    assert [each["size"] for each in answer["groups"]] == [(of == group["group"]).sum() for group in first]
    assert sorted(number for group in first for number in group["pictures"]) == list(range(900))
    assert all(of[tile.facts["number"]] == tile.facts["group"] for tile in result.tiles)


def test_the_film_is_that_of_the_methods(shelf, trace):
    frames = {frame["place"]: frame for frame in told(shelf, "depths")["frames"]}
    bars = ex.explain(trace, "through_depths", gallery="pond").result
    assert [frames[place]["right"] for place in bars.labels] == bars.values.tolist()
    scatter = ex.explain(trace, "picture_map", gallery="pond", read_at="early", turned=True, measure=False).result
    assert np.array_equal(numbers(frames["early"]["points"], "<f4").reshape(-1, 2), scatter.points)
    assert (scatter.measures, scatter.kept) == ((), None)


@pytest.mark.parametrize(
    ("name", "given", "sentence"),
    [
        ("open", {"gallery": "/etc"}, "There are the galleries pond, digits"),
        ("open", {"kind": "mds"}, "“kind” of Map of pictures is one of tsne, pca or umap"),
        ("alike", {"number": 900}, "The gallery has pictures 0 to 899"),
        ("alike", {"number": "3"}, "The gallery has pictures 0 to 899"),
        ("thumbs", {"numbers": [0] * 301}, "up to 300 pictures"),
        ("groups", {"count": 31}, "0 to 30"),
        ("open", {"model": "timm:resnet18?pretrained=false"}, "No gallery here has vectors of timm:resnet18"),
        ("open", {"scene": "gallery:digits:x"}, "is no picture of a gallery"),
    ],
)
def test_what_cannot_be_told_gets_a_sentence(shelf, name, given, sentence):
    answer = told(shelf, name, **given)
    assert answer["state"] == "error"
    assert sentence in answer["sentence"]


def test_a_picture_of_a_gallery_can_be_asked_about(shelf):
    answer = told(shelf, "open", model="digits:cnn", scene="gallery:digits:5")
    assert answer["own"] == 5
    assert all(each["number"] != 5 for each in answer["neighbors"])


@pytest.fixture(scope="module")
def url():
    with served() as url:
        yield url


def test_ids_and_coordinates_come_from_the_endpoint(url):
    client = Client(url, verbose=False)
    _, payload, _ = client.predict(scene="test:7", model="pond:cnn", api_name="/picture_map")
    scatter = payload["scatter"]
    assert payload["gallery"] == "pond"
    assert len(scatter["ids"]) == len(scatter["points"]) == 900
    assert len(scatter["here"]) == 2
    assert "neighbors kept" in scatter["measures"]
    _, near, _ = client.predict(scene="test:7", model="pond:cnn", count=3, api_name="/nearest")
    assert len(near["neighbors"]["neighbors"]) == 3
    client.close()


@pytest.mark.parametrize("size", [pytest.param(size, marks=IN_BROWSER) for size in ((1440, 900), (390, 844))])
def test_the_page_shows_the_map_and_answers_clicks(url, size):
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
        )
        page = browser.new_page(viewport={"width": size[0], "height": size[1]})
        mishaps = []
        page.on("pageerror", lambda error: mishaps.append(str(error)))
        page.goto(f"{url}?tab=map")
        page.wait_for_selector("[data-at=neighbors] li", timeout=60_000)
        assert "900 others, as pond:cnn sees them" in page.inner_text("[data-at=question]")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.click("[data-at=neighbors] li:nth-child(2) button")
        page.wait_for_selector(".pair canvas", timeout=30_000)
        assert "Every place has a share of it" in page.inner_text("[data-at=alike]")
        page.fill("[data-at=search]", "gemmatula")
        page.wait_for_function(f"{SAYS}('picked', 'pictures with')")
        assert "278 pictures with “gemmatula”" in page.inner_text("[data-at=picked]")
        painted = (
            "(c => new Uint8Array(c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer).some(v => v))"
        )
        assert page.evaluate(f"{painted}(document.querySelector('.chart .over'))")
        page.select_option("[data-at=gallery]", "digits")
        page.wait_for_function(
            "document.querySelector('[data-at=question]').textContent.includes('1,797')", timeout=60_000
        )
        page.wait_for_function("new URLSearchParams(location.search).get('scene')?.startsWith('gallery:digits')")
        assert not mishaps
        browser.close()
