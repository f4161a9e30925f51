"""The endpoints, called as their users call them: through gradio_client against a running server."""

import json
import pickle
import sys
import threading
import time
import types
import urllib.request
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image
from tolerance import close, rounding

import explainers as ex
from explainers import registry
from explainers.pictures import laid
from explainers.registry import Family
from explainers.showing.render import percent
from explainers.trace import Trace
from explainers.ui import presets
from explainers.ui.answering import answers, gathering, work
from explainers.ui.answering.asked import Asked
from explainers.ui.answering.question import read
from explainers.ui.catalogue import Catalogue
from explainers.ui.shelf import Lru, Shelf
from explainers.ui.tabs import all_tabs
from tests.serving import QUIET, served

pytestmark = QUIET

OWN = '''
"""Brightness: a method that only this test knows."""
from typing import Annotated

from pydantic import Field

from explainers.registry import Family, explainer
from explainers.results import Heatmap
from explainers.trace import Trace


@explainer(
    title="Brightness", family=Family.GRADIENTS, paper="https://example.org/", class_specific=False, passes=(0, 0)
)
def brightness(
    trace: Trace, *, gain: Annotated[float, Field(ge=0.5, le=4, description="How much brighter.")] = 1.0
) -> Heatmap:
    """Where is the picture bright?

    Average the three channels.
    Read it as: light falls here.
    Beware: it knows nothing of the network.
    """
    return Heatmap(trace.pixels.mean(0) * gain, unit="brightness")
'''


DRIZZLE = '''
"""Drizzle: a method that only this test knows; it takes its time."""
import time
from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from explainers.registry import Family, explainer
from explainers.results import Heatmap
from explainers.trace import Trace


@explainer(title="Drizzle", family=Family.PERTURBATION, paper="https://example.org/", passes=(100, 0))
def drizzle(
    trace: Trace, *, drops: Annotated[int, Field(ge=1, le=1000, description="How many drops.")] = 4
) -> Iterator[Heatmap]:
    """Where does it rain on the chosen class?

    Drop by drop.
    Read it as: here it is wet.
    Beware: it dries.
    """
    for drop in range(1, drops + 1):
        trace.score(trace.pixels[None])
        time.sleep(0.05)
        heat = trace.pixels.mean(0) * drop
        trace.step(f"Drop {drop}.", heat, weight=1.0, total=float(drop))
        yield Heatmap(heat, unit="drops", error=heat * 0 + 0.1, done=drop / drops)
'''


def told_by(asked, given, shelf):
    """What the page is told by a kind of work."""
    return work.streamed(given, shelf, asked)


@pytest.fixture(scope="module")
def methods(tmp_path_factory):
    """Two more methods in the registry, in files of their own that nothing else names."""
    folder = tmp_path_factory.mktemp("methods")
    (folder / "brightness.py").write_text(OWN)
    (folder / "drizzle.py").write_text(DRIZZLE)
    sys.path.insert(0, str(folder))
    registry.all_methods()  # what is in the package comes first
    for name in ("brightness", "drizzle"):
        __import__(name)
    yield
    sys.path.remove(str(folder))
    for name in ("brightness", "drizzle"):
        del registry._methods[name], sys.modules[name]


@pytest.fixture(scope="module")
def url(methods):
    with served() as url:
        yield url


@pytest.fixture
def shelf(methods):
    shelf = Shelf(Catalogue())
    shelf.network("pond:cnn")
    return shelf


@pytest.fixture(scope="module")
def client(url):
    return Client(url, verbose=False)


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    path = tmp_path_factory.mktemp("pictures") / "stripes.png"
    pixels = np.zeros((60, 90, 3), np.uint8)
    pixels[:, ::6] = 255
    Image.fromarray(pixels).save(path)
    return path


def test_reads_well_in_view_api(client):
    text = client.view_api(return_format="str")
    for method in ex.methods():
        assert f'api_name="/{method.id}"' in text
        for option in method.options:
            assert f" {option.name}: " in text
            assert option.description in text
    assert "depth: Literal['early', 'middle', 'late', 'last']" in text
    assert "signed: bool" in text
    assert "gain: float" in text
    assert "From 0.5 to 4." in text  # bounds, which types cannot tell
    for name in ("predict", "models", "methods"):
        assert f'api_name="/{name}"' in text


stock = cache(ex.load)

LONG = 200
"""Passes of a method beyond which, if it lays no heat over the picture, its own tests ask it in a smaller way."""


@pytest.mark.parametrize(
    "method", [m for m in ex.methods() if m.lays_heat or sum(m.passes) <= LONG], ids=lambda m: m.id
)
def test_every_method_is_an_endpoint(client, picture, method):
    model = next(name for name in ("pond:cnn", "pond:vit") if not method.why_not(stock(name)))
    about = {"picture": handle_file(picture)} if Trace in method.given else {"target": 1}
    shown, payload, numbers = client.predict(**about, model=model, api_name=f"/{method.id}")
    assert Image.open(shown).format == "PNG"
    assert payload["method"] == method.id
    assert payload["model"] == model
    assert payload[method.gives.kind]["done"] == 1
    with np.load(numbers) as saved:
        assert json.loads(str(saved["payload"]))["question"] == payload["question"]
        if method.lays_heat:
            assert Image.open(shown).size == (90, 60)
            assert tuple(saved["size"]) == (60, 90)
            assert laid(saved["native"], saved["frame"], saved["size"]).shape == (60, 90)


def test_any_map_is_given_in_full_size(client, picture):
    overlay, payload, numbers = client.predict(
        picture=handle_file(picture), method="gradient", options={"channels": "sum"}, api_name="/full_size"
    )
    with np.load(numbers) as saved, Image.open(overlay) as drawn:
        assert saved["heat"].shape == drawn.size[::-1] == tuple(saved["size"])
        assert np.array_equal(saved["heat"], laid(saved["native"], saved["frame"], saved["size"]))
    assert payload["options"]["channels"] == "sum"


def test_galleries_are_named_and_never_paths(client):
    _, payload, _ = client.predict(scene="test:1", gallery="pond", api_name="/nearest")
    assert payload["gallery"] == "pond"
    assert payload["neighbors"]["neighbors"][0]["label"] == "Pyronella globifera"
    for wrong in ("/etc", "../pond", "attic"):
        with pytest.raises(AppError, match="There are the galleries pond, digits"):
            client.predict(scene="test:1", gallery=wrong, api_name="/nearest")


def test_answers_what_the_package_answers(client):
    _, payload, heat = client.predict(scene="test:1", versus="Pyronella ciliosa", signed=True, api_name="/grad_cam")
    from explainers.worlds import pond

    trace = ex.look(ex.load("pond:cnn"), pond.render(pond.scene("test", 1), 384).pixels)
    here = ex.explain(trace, "grad_cam", versus="Pyronella ciliosa", signed=True)
    with np.load(heat) as saved:
        assert close(saved["native"], here.native, rounding(10_000, here.native))  # more than it takes in a row
    assert payload["versus"]["label"] == "Pyronella ciliosa"
    assert payload["options"] == here.options


def test_predicts(client):
    top = client.predict(scene="test:1", count=3, api_name="/predict")
    assert [set(each) for each in top] == [{"label", "index", "probability"}] * 3
    assert top[0]["label"] == "Pyronella globifera"
    assert top[0]["probability"] >= top[1]["probability"]


def test_lists_networks_and_methods(client):
    assert client.predict(api_name="/models")[0]["id"] == "pond:cnn"
    methods = {each["id"]: each for each in client.predict(api_name="/methods")}
    assert list(methods["grad_cam"]["options"][0]["choices"]) == ["early", "middle", "late", "last"]
    assert methods["grad_cam"]["why_not"] == ""


def test_a_method_in_a_file_has_endpoint_and_controls(client, url):
    _, payload, _ = client.predict(scene="test:1", gain=2.0, api_name="/brightness")
    assert payload["notes"] == ["This map does not depend on the class."]
    with pytest.raises(AppError, match=r"“gain” of Brightness is a number from 0.5 to 4, not 9"):
        client.predict(scene="test:1", gain=9.0, api_name="/brightness")
    with urllib.request.urlopen(f"{url}config") as answer:
        parts = json.load(answer)["components"]
    (wire,) = [part for part in parts if part["props"].get("elem_id") == "part-wire"]
    (method,) = [m for m in wire["props"]["props"]["catalogue"]["methods"] if m["id"] == "brightness"]
    (gain,) = method["options"]
    assert (gain["kind"], gain["minimum"], gain["maximum"], gain["default"]) == ("number", 0.5, 4.0, 1.0)


def test_the_steps_of_the_page_cannot_be_called(client):
    named = client.view_api(return_format="dict")["named_endpoints"]
    assert not {"/ask", "/open_network", "/stop", "/save"} & set(named)
    with pytest.raises(ValueError, match="Cannot find a function"):
        client.predict(api_name="/ask")


def test_many_at_once_get_what_one_gets_alone(client):
    scenes = [f"test:{number}" for number in range(3)]

    def answer(job):
        _, payload, heat = job.result()
        with np.load(heat) as saved:
            return payload["picture"]["digest"], saved["native"].tolist()

    alone = [answer(client.submit(scene=scene, api_name="/grad_cam")) for scene in scenes]
    together = [client.submit(scene=scene, api_name="/grad_cam") for scene in scenes * 4]
    assert [answer(job) for job in together] == alone * 4


def test_what_goes_to_a_lent_gpu_and_back_can_be_pickled(monkeypatch):
    """A Space runs the decorated function in another process, and streams what it yields."""

    def there_and_back(value):
        return pickle.loads(pickle.dumps(value))

    def lend(function):
        def lent(*given):
            for told in function(*there_and_back(given)):
                yield there_and_back(told)

        return lent

    borrowed = []
    monkeypatch.setitem(sys.modules, "spaces", types.SimpleNamespace(GPU=lambda f: borrowed.append(f) or lend(f)))
    monkeypatch.setattr(work, "GPU_IS_LENT", True)
    monkeypatch.setattr(work, "_lent", work.on_gpu(work._lent))
    shelf = Shelf(Catalogue())
    shelf.network("pond:cnn")
    *_, last = told_by(answers.answered, {"scene": "test:1", "strip": False}, shelf)
    assert last["state"] == "done"
    assert last["panes"][0]["target"] == "Pyronella globifera"
    for tab in all_tabs():  # all that the browser can ask for goes the same way
        for asked in tab.work.values():
            assert there_and_back(asked)
    assert len(borrowed) == 1


def test_a_map_sharpens_on_the_way_and_its_last_answer_is_what_the_endpoint_gives(shelf, client):
    asked = {"scene": "test:1", "method": "drizzle", "options": {"drops": 30}}
    told = [each for each in told_by(answers.answered, asked, shelf) if each.get("panes")]
    shares = [each["panes"][0]["done"] for each in told]
    assert shares == sorted(shares)
    assert 0 < shares[0] < 1
    assert len(shares) < 15  # the latest wins: nobody is sent every drop
    assert told[0]["predictions"][0]["label"] == "Pyronella globifera"
    assert told[-1]["state"] == "done"
    assert shares[-1] == 1
    _, payload, _ = client.predict(scene="test:1", drops=30, api_name="/drizzle")
    assert payload["heat"]["done"] == 1


def test_a_map_that_is_stopped_on_the_way_stays_and_is_what_is_saved(shelf):
    asked = {"scene": "test:1", "method": "drizzle", "options": {"drops": 400}, "token": "enough"}
    for told in told_by(answers.answered, asked, shelf):
        if told.get("panes") and told["panes"][0]["done"] > 0.02:
            work.stop("enough")
    share = told["panes"][0]["done"]
    assert told["state"] == "stopped"
    assert told["sentence"] == f"Stopped at {percent(share)}: the map is less sharp than it would be."
    assert 0 < share < 1
    question = read(asked, shelf.catalogue)
    assert Asked(question, shelf).again().result.done == share
    again = next(each for each in told_by(answers.answered, asked | {"token": "more"}, shelf) if each.get("panes"))
    assert again["panes"][0]["done"] < share  # half a map is no answer to the next who asks
    work.stop("more")


def test_the_working_is_told_with_the_method_s_own_numbers(shelf):
    asked = {"scene": "test:1", "method": "drizzle", "token": "how"}
    *_, last = told_by(answers.answered, asked, shelf)
    assert last["panes"][0]["steps"] == 4
    *_, told = told_by(answers.working, asked, shelf)
    assert [step["sentence"] for step in told["steps"]] == [f"Drop {drop}." for drop in (1, 2, 3, 4)]
    assert told["steps"][3]["total"] == 4
    assert told["steps"][3]["heat"]["scale"] == pytest.approx(4 * told["steps"][0]["heat"]["scale"])


def test_presets_go_by_what_a_method_is_and_takes():
    plain = replace(registry.find("gradient"), classic=False)

    def method(title, family, passes, **more):
        return replace(plain, id=title, title=title, family=family, passes=passes, **more)

    old = method("old", Family.GRADIENTS, (1, 1), classic=True)
    dear = method("dear", Family.GRADIENTS, (500, 0), classic=True)
    new = method("new", Family.GRADIENTS, (1, 1))
    honest = method("honest", Family.DIFFERENCES, (3, 1), sums=True)
    cover = method("cover", Family.PERTURBATION, (200, 0))
    every = [old, dear, new, honest, cover]
    assert presets.chosen("quick", every, new, 0.001) == [new, old, honest, cover]
    assert presets.chosen("quick", every, None, 0.1) == [old, honest]  # covering would take 20 s here
    assert presets.chosen("classics", every, new, 0.1) == [old, dear]
    assert presets.chosen("careful", every, new, 0.1) == [honest, cover]
    assert len(presets.chosen("classics", [old] * 40, old, 0.1)) == presets.MOST


def test_small_maps_come_as_far_as_they_are_and_stay_when_stopped(shelf):
    asked = {"scene": "test:1", "methods": ["drizzle", "gradient", "grad_cam"], "token": "some"}
    *_, last = told_by(gathering.gathered, asked, shelf)
    assert last["state"] == "done"
    assert {each["method"] for each in last["maps"]} == set(asked["methods"])
    assert last["waiting"] == []
    assert last["pace"] > 0
    alone = Asked(read({"scene": "test:1", "method": "grad_cam"}, shelf.catalogue), shelf).again()
    assert alone.spent.forwards <= 1
    work.stop("none")
    *_, stopped = told_by(
        gathering.gathered, asked | {"methods": ["gradient", "cam"], "scene": "test:2", "token": "none"}, shelf
    )
    assert stopped["state"] == "stopped"
    assert len(stopped["maps"]) + len(stopped["waiting"]) == 2


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"methods": ["gradient"] * 13}, "At most 12 methods"),
        ({"methods": ["nonsense"]}, "There is no method"),
        ({"methods": "gradient"}, "At most 12 methods"),
        ({"preset": "all of them"}, "not known"),
        ({"scene": "nowhere"}, "is no picture of a built-in world"),
    ],
)
def test_a_choice_of_methods_that_cannot_be_is_a_sentence(shelf, given, sentence):
    *_, told = told_by(gathering.gathered, {"token": "x", **given}, shelf)
    assert told["state"] == "error"
    assert sentence in told["sentence"]


def test_news_comes_at_once_and_the_latest_wins(shelf):
    heard = threading.Event()

    def hasty(given, shelf, stop, tell):
        for number in range(1000):
            tell(lambda number=number: {"number": number})
        heard.wait(10)
        return {}

    told = work.streamed({"token": "t"}, shelf, hasty)
    began = time.perf_counter()
    first = next(each for each in told if "number" in each)
    assert time.perf_counter() - began < work.TICK
    numbers = [first["number"], *(each.get("number", -1) for each in [next(told)])]
    assert numbers[-1] == 999
    heard.set()
    assert list(told)[-1]["state"] == "done"


def test_what_is_not_used_for_longest_leaves_the_shelf():
    shelf = Lru(10, len)
    for key in ("one", "two", "six"):
        shelf.put(key, "....")
        shelf.get("one")
    assert shelf.get("two") is None
    assert shelf.get("one") == shelf.get("six") == "...."


def test_importing_the_app_launches_nothing():
    import importlib

    sys.path.insert(0, str(Path(__file__).parents[1]))
    try:
        app = importlib.import_module("app")
    finally:
        sys.path.pop(0)
    assert app.demo.title == "Sightglass"
    assert not app.demo.is_running
