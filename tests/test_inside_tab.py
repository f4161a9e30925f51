"""The tab “Inside”: what its work tells, how it stops, and its endpoint that streams."""

import base64
import io
import threading
import time

import numpy as np
import pytest
import torch
from PIL import Image
from tolerance import rounding

import explainers as ex
from explainers.errors import QuestionError, Stopped
from explainers.ui.answering import work
from explainers.ui.answering.work import streamed
from explainers.ui.catalogue import Catalogue
from explainers.ui.shelf import Shelf
from explainers.ui.tabs import inside
from tests.serving import QUIET, served

pytestmark = QUIET

POND = {"model": "pond:cnn", "scene": "test:6"}


@pytest.fixture(scope="module")
def shelf():
    return Shelf(Catalogue())


def ask(function, shelf, *, stop=lambda: False, tell=lambda _: None, **given):
    return function(POND | given, shelf, stop, tell)


def picture(address):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))))


def test_a_depth_is_told_with_its_size_and_the_channels_that_speak(shelf):
    told = ask(inside.look, shelf, depth="late")
    assert [each["id"] for each in told["depths"]] == ["early", "middle", "late", "last"]
    chosen = next(each for each in told["depths"] if each["id"] == told["chosen"])
    assert len(told["maps"]) == chosen["channels"]
    assert len(told["speaking"]) == inside.SPEAKING
    sizes = [abs(each["value"]) for each in told["speaking"]]
    assert sizes == sorted(sizes, reverse=True)
    assert picture(told["maps"][0]["picture"]).shape == (chosen["height"], chosen["width"], 3)
    assert sum(each["silent"] for each in told["maps"]) >= 1


def test_filters_are_told_for_any_depth(shelf):
    assert len(ask(inside.filters, shelf)["filters"]) == 12
    assert ask(inside.filters, shelf, where="late")["where"] == "late"


def test_a_channel_brings_natural_pictures_first_and_then_grows(shelf):
    heard = []
    told = ask(inside.channel, shelf, depth="early", channel=2, tell=heard.append)
    assert heard[0]["imagined"] == []
    assert len(heard[0]["exemplars"]) == inside.EXEMPLARS
    best = [each["activation"] for each in told["exemplars"]]
    assert best == sorted(best, reverse=True)
    assert told["step"] == told["steps"] == inside.CHANNEL_STEPS
    assert len(told["imagined"]) == 2
    own = ex.look(shelf.network("pond:cnn"), shelf.catalogue.picture("test:6").picture).maps("early")[2].numpy()
    values = np.frombuffer(base64.b64decode(told["own"]["data"]), "<f2") * told["own"]["scale"]
    assert np.allclose(values, own.ravel(), rtol=0, atol=rounding(1, own.max(), torch.float16))
    with pytest.raises(QuestionError, match="from 0 to"):
        ask(inside.channel, shelf, depth="early", channel=4096)


def test_the_class_grows_in_several_ways_into_films(shelf):
    heard = []
    told = ask(inside.grow, shelf, ways=["naive", "fourier"], tell=heard.append)
    assert [way["how"] for way in told["ways"]] == ["naive", "fourier"]
    assert told["whole"]
    for way in told["ways"]:
        assert way["curve"][-1][0] == told["steps"]
        assert way["curve"][-1][1] > way["curve"][0][1]
        film = Image.open(io.BytesIO(base64.b64decode(way["film"].partition(",")[2])))
        assert film.format == "WEBP"
        assert film.n_frames > 10
        assert "natural ones" in way["worth"]
    natural = [each["score"] for each in told["natural"]]
    assert natural == sorted(natural, reverse=True)
    assert heard[0]["ways"][0]["pictures"] == []
    with pytest.raises(QuestionError, match="naive, fourier or maco"):
        ask(inside.grow, shelf, ways=["dream"])


def test_a_stop_keeps_the_last_picture_and_ends_the_computing(shelf):
    stopped, heard = threading.Event(), []

    def tell(told):
        heard.append(told)
        if told["ways"][0]["step"] >= 2:
            stopped.set()

    began = time.monotonic()
    told = ask(inside.grow, shelf, ways=["fourier"], steps="long", stop=stopped.is_set, tell=tell)
    assert time.monotonic() - began < 10
    assert not told["whole"]
    assert told["ways"][0]["pictures"]
    assert told["ways"][0]["film"].startswith("data:image/webp")
    assert told["ways"][0]["step"] < told["steps"]


def test_leaving_the_page_ends_the_computing(shelf):
    threads = threading.active_count()
    messages = streamed(POND | {"token": "left", "ways": ["fourier"], "steps": "long"}, shelf, inside.grow)
    next(messages)
    messages.close()
    deadline = time.monotonic() + 8
    while threading.active_count() > threads and time.monotonic() < deadline:
        time.sleep(0.05)
    assert threading.active_count() <= threads


def test_what_was_stopped_before_it_began_says_so(shelf):
    work.stop("early")
    assert list(streamed(POND | {"token": "early"}, shelf, inside.redraw))[-1]["state"] == "stopped"
    with pytest.raises(Stopped):
        ask(inside.redraw, shelf, kind="dream", stop=lambda: True)


@pytest.mark.parametrize("kind", list(inside.REDRAWN))
def test_the_picture_is_redrawn_from_what_a_depth_keeps(shelf, kind):
    told = ask(inside.redraw, shelf, kind=kind, depth="middle")
    assert told["done"] == 1
    assert told["pictures"]
    assert picture(told["pictures"][0]["picture"]).shape == (96, 96, 3)


def test_the_endpoint_streams_and_ends_when_it_is_cancelled():
    from gradio_client import Client

    with served() as url:
        client = Client(url, verbose=False)
        job = client.submit("pond:cnn", "Cyclaria ciliosa", "fourier", 16, 0, api_name="/imagined")
        told = [answer for _, answer in job]
        assert [each["step"] for each in told] == sorted({each["step"] for each in told})
        assert told[-1]["step"] == 16
        assert told[-1]["score"] > told[0]["score"]
        long = client.submit("pond:cnn", 3, "maco", 512, 0, api_name="/imagined")
        next(iter(long))
        assert long.cancel()
        # Its place is free again: two more run at once.
        again = client.submit("pond:cnn", 1, "fourier", 8, 0, api_name="/imagined")
        assert again.result(timeout=60)[1]["step"] == 8
        with pytest.raises(Exception, match="has no single class"):
            client.predict("pond:cnn", "unicorn", "fourier", 8, 0, api_name="/imagined")
