"""The tab “Augment”: what the browser asks for, answered without a browser; and the same through endpoints."""

import base64
import io
import time

import numpy as np
import pytest
import torch
from PIL import Image

import explainers as ex
from explainers.augmenting import PRESETS, Pipeline, picture_of
from explainers.ui.answering.work import streamed
from explainers.ui.catalogue import Catalogue
from explainers.ui.panes import packed
from explainers.ui.shelf import Shelf
from explainers.ui.tabs.augment import TAB, about
from tests.serving import QUIET

pytestmark = QUIET
CLASSIC = Pipeline.parse("classic").as_data()


@pytest.fixture(scope="module")
def shelf():
    return Shelf(Catalogue())


def ask(shelf, name, **given):
    """The last message of a kind of work."""
    *_, last = streamed({"scene": "test:6", "token": "t", **given}, shelf, TAB.work[name])
    return last


def shown(url):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))))


def test_a_preview_is_the_variant_and_comes_at_once(shelf):
    first = ask(shelf, "preview", pipeline=CLASSIC, seed=4)
    trace = next(iter(shelf.traces._items.values()))
    picture, recipe = Pipeline.parse("classic").sample(picture_of(trace), 4)
    assert np.array_equal(shown(first["picture"]), picture.permute(1, 2, 0).numpy())
    assert first["recipe"] == str(recipe)
    best = 9.0
    for _ in range(5):
        began = time.perf_counter()
        ask(shelf, "preview", pipeline=CLASSIC, seed=5)
        best = min(best, time.perf_counter() - began)
    assert best < 0.15  # seconds, the best of five: a drag of a setting should show at once


def test_the_grid_tells_what_was_done_and_what_the_network_says(shelf):
    told = ask(shelf, "variants", pipeline=CLASSIC, seed=7, samples=4)
    assert told["state"] == "done"
    assert [each["seed"] for each in told["variants"]] == [7, 8, 9, 10]
    assert told["original"]["change"] == 0
    assert told["original"]["label"] == told["target"]
    for each in told["variants"]:
        assert each["recipe"]
        assert 0 <= each["share"] <= 1
        assert each["flipped"] == (each["label"] != told["target"])
    made = {}
    exec(told["codes"]["torchvision"], made)
    exec(told["codes"]["timm"], made)
    assert Pipeline.parse(told["text"]) == Pipeline.parse("classic")


def test_a_variant_is_explained_and_its_heat_carried_back(shelf):
    told = ask(shelf, "variant", pipeline=[{"transform": "rotation", "degrees": 40}], seed=1)
    # Unrelated maps of 12 × 12 cells agree by 0 ± 1/√143 = .08, or by four times that where heat comes in blobs of 16.
    assert told["agreement"] > 0.7
    assert 0 < told["share_lost"] < 0.5  # a turn loses the corners, 3 − 2√2 = .17 of a square at most, beside the crop
    assert told["back"]["width"] == told["lost"]["width"]
    plain = ask(shelf, "variant", pipeline=[{"transform": "posterize", "bits": 8, "p": 1}], seed=1)
    assert round(plain["agreement"], 3) == 1  # as it is told
    assert plain["share_lost"] == 0
    mixed = ask(shelf, "variant", pipeline=[{"transform": "aug_mix", "severity": 10}], seed=3)
    assert mixed["back"] is None
    assert mixed["why"].endswith(".")


# What the method tells whoever asks it is what the screen shows.


@pytest.fixture
def trace(shelf):
    return ex.look(shelf.network("pond:cnn"), shelf.catalogue.picture("test:6").picture)


def tiles_of(trace, method, **options):
    return {tile.key: tile for tile in ex.explain(trace, method, **options).result.tiles}


def test_the_grid_is_that_of_the_method(shelf, trace):
    told = ask(shelf, "variants", pipeline=CLASSIC, seed=7, samples=3)
    tiles = tiles_of(trace, "augment", pipeline="classic", seed=7, samples=3)
    for each in told["variants"]:
        tile = tiles[f"variant {each['seed']}"]
        assert (each["change"], np.array_equal(shown(each["picture"]), tile.values)) == (tile.value, True)
        assert {
            name: each[name] for name in ("label", "share", "told", "recipe", "flipped")
        }.items() <= tile.facts.items()


def test_one_variant_is_that_of_the_method(shelf, trace):
    told = ask(shelf, "variant", pipeline=CLASSIC, seed=3)
    tiles = tiles_of(trace, "variant", pipeline="classic", seed=3)
    for name, key in (("heat", "heat"), ("own", "original"), ("back", "back"), ("lost", "lost")):
        assert told[name] == packed(tiles[key].values)
    assert (told["agreement"], told["share_lost"]) == tuple(tiles["back"].facts[n] for n in ("agreement", "share_lost"))


def test_a_sweep_is_that_of_the_method(shelf, trace):
    told = ask(shelf, "sweep", transform="brightness")
    curves = ex.explain(trace, "robustness", transform="brightness").result
    assert told["curves"] == curves.as_json()
    assert [place["told"] for place in told["places"]] == [station.facts["told"] for station in curves.stations]
    assert all(
        np.array_equal(shown(p["picture"]), s.picture) for p, s in zip(told["places"], curves.stations, strict=True)
    )


@pytest.mark.parametrize("kind", ["cutmix", "mixup"])
def test_a_mixture_is_that_of_the_method(shelf, trace, kind):
    told = ask(shelf, "mix", kind=kind, share=0.7, across=0.3, down=0.4, second={"scene": "test:42"})
    tiles = tiles_of(
        trace, "mixture", second=shelf.catalogue.picture("test:42").picture, kind=kind, share=0.7, across=0.3, down=0.4
    )
    facts = tiles["mixture"].facts
    assert {name: told[name] for name in ("share", "box", "label")} == {n: facts[n] for n in ("share", "box", "label")}
    assert [each[0] for each in told["says"]] == [each["label"] for each in facts["says"][:3]]
    assert told["heat_in_box"] == tiles["heat"].value
    assert told["heat"] == packed(tiles["heat"].values)


def test_agreement_is_that_of_the_method(shelf, trace):
    told = ask(shelf, "consistency", pipeline=CLASSIC, samples=3, seed=2)
    tiles = tiles_of(trace, "consistency", pipeline="classic", samples=3, seed=2)
    assert told["control"] == tiles["control"].value
    assert told["agreements"] == [tiles[f"variant {seed}"].value for seed in (2, 3, 4)]
    assert [each["heat"] for each in told["maps"]] == [
        packed(tiles[key].values) for key in ("original", "mean", "drift")
    ]


def test_no_large_graph_is_kept(shelf):
    ask(shelf, "variant", pipeline=CLASSIC, seed=2, by="gradient")
    trace = next(iter(shelf.traces._items.values()))
    assert all(passed.start is not None for passed in trace.memory.passes)


def test_a_sweep_has_a_picture_at_every_place(shelf):
    told = ask(shelf, "sweep", transform="crop")
    assert len(told["places"]) == len(told["curves"]["along"]) == 25
    assert told["places"][-1]["recipe"] == "left as it was"
    assert told["places"][-1]["picture"] == told["original"]
    for place, probability in zip(told["places"], told["curves"]["lines"][0]["values"], strict=True):
        assert place["share"] >= probability - 0.35  # one draw beside the mean of three


def test_bars_begin_with_the_control(shelf):
    bars = ask(shelf, "bars", measure="flips")["bars"]
    assert bars["labels"][0] == "Nothing (control)"
    assert bars["values"][0] == 0


def test_two_pictures_are_mixed_and_one_is_not_enough(shelf):
    told = ask(shelf, "mix", kind="cutmix", share=0.64, across=0.1, down=0.9, second={"scene": "test:42"})
    x0, y0, x1, y1 = told["box"]
    assert (x0, y1) == (0, 96)
    assert told["share"] == pytest.approx(0.64, abs=0.02)
    inside = shown(told["picture"])[y0:y1, x0:x1]
    assert np.array_equal(inside, shown(told["second"])[y0:y1, x0:x1])
    assert 0 <= told["heat_in_box"] <= 1
    assert [share for _, share in told["label"]] == pytest.approx([told["share"], 1 - told["share"]])
    assert ask(shelf, "mix", kind="mixup", share=1, second={"scene": "test:42"})["box"] is None
    for given, words in (
        ({"second": None}, "there is only one; choose a second one"),
        (
            {"second": {"scene": "test:42"}, "share": 1.5},
            "“share” of Two pictures in one is a number from 0 to 1, not 1.5.",
        ),
        ({"second": {"upload": "/etc/hostname"}}, "was not uploaded here"),
        ({"second": {"scene": "lake:1"}}, "is no picture of a built-in world"),
    ):
        last = ask(shelf, "mix", kind="cutmix", **given)
        assert last["state"] == "error"
        assert words in last["sentence"]
    curves = ask(shelf, "mix_sweep", kind="mixup", second={"scene": "test:42"})["curves"]
    assert len(curves["lines"]) == 4


def test_agreement_over_all_variants_stands_beside_its_control(shelf):
    told = ask(shelf, "consistency", pipeline=CLASSIC, samples=4)
    assert len(told["agreements"]) == 4
    assert round(told["control"], 3) == 1
    assert [map_["heat"]["width"] for map_ in told["maps"]] == [56] * 3


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"pipeline": []}, "The pipeline is empty"),
        ({"pipeline": [{"transform": "rotation", "degrees": 400}]}, "from 0 to 180"),
        ({"pipeline": [{"transform": "melt"}]}, "There is no transform “melt”"),
        ({"pipeline": 7}, "A pipeline is a list"),
        ({"pipeline": CLASSIC, "seed": -1}, "“seed” of Augmented variants is a whole number"),
        ({"pipeline": CLASSIC, "seed": True}, "“seed” of Augmented variants is a whole number"),
        ({"pipeline": CLASSIC, "samples": 1000}, "“samples” of Augmented variants is a whole number from 1 to 64"),
    ],
)
def test_what_no_screen_sends_is_refused_in_words(shelf, given, words):
    last = ask(shelf, "variants", **given)
    assert last["state"] == "error"
    assert words in last["sentence"]


def test_the_experiment_comes_with_results_and_runs_live(shelf, monkeypatch):
    from explainers.augmenting import experiment

    told = ask(shelf, "trained")
    assert told["done"] == 1
    assert [way["heat"]["width"] for way in told["results"]["ways"]] == [8] * 4
    assert shown(told["digit"]).shape == (32, 32, 3)
    whole = experiment.experiment
    monkeypatch.setattr(experiment, "experiment", lambda **given: whole(epochs=1, count=16, **given))
    live = ask(shelf, "trained", live=True)
    assert live["live"]
    assert live["done"] == 1
    assert len(live["results"]["ways"]) == 4


def test_the_page_is_told_what_can_be_put_together(shelf):
    told = about(shelf)
    assert set(told["presets"]) == set(PRESETS)
    names = {each["name"] for each in told["transforms"]}
    assert all(step["transform"] in names for preset in told["presets"].values() for step in preset["steps"])
    assert told["sweeps"][0]["name"] == "nothing"


def test_every_one_is_an_endpoint(tmp_path):
    from gradio_client import Client, handle_file

    from tests.serving import served

    noise = torch.randint(0, 255, (60, 60, 3), generator=torch.Generator().manual_seed(0))
    Image.fromarray(noise.to(torch.uint8).numpy()).save(tmp_path / "second.png")
    with served() as url:
        client = Client(url, verbose=False, download_files=tmp_path)
        told = client.predict(scene="test:6", pipeline="rotation(degrees=20)", seed=3, api_name="/augmented")
        assert told[1]["recipe"].startswith("rotated by")
        assert Image.open(told[0]).size == (96, 96)
        _, payload, _ = client.predict(
            scene="test:6", second=handle_file(tmp_path / "second.png"), points=3, api_name="/cutmix"
        )
        assert payload["second"]["width"] == 60
        _, payload, _ = client.predict(scene="test:6", second_scene="test:42", points=3, api_name="/mixup")
        assert payload["curves"]["along"] == [0, 0.5, 1]
        image, told = client.predict(
            scene="test:6", second_scene="test:42", kind="mixup", share=0.25, api_name="/mixed"
        )
        assert Image.open(image).size == (96, 96)
        assert (told["share"], told["box"]) == (0.25, None)
        with pytest.raises(Exception, match="there is only one"):
            client.predict(scene="test:6", api_name="/mixed")
        for name in ("augment", "robustness", "weak_spots", "consistency"):
            assert client.predict(scene="test:6", api_name=f"/{name}")[1]["method"] == name
        with pytest.raises(Exception, match="The pipeline is empty"):
            client.predict(scene="test:6", pipeline="", api_name="/augmented")
