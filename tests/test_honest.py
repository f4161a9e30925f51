"""What the page is told about how far to trust a map."""

import json

import numpy as np
import pytest
from gradio_client import Client

import explainers as ex
from explainers.scores.truth import by_chance
from explainers.showing.render import percent
from explainers.ui import pictures
from explainers.ui.answering import answers, gathering, honest
from explainers.ui.answering.work import streamed
from explainers.ui.catalogue import Catalogue
from explainers.ui.shelf import Shelf
from explainers.worlds import pairwise, pond
from tests.serving import QUIET, served

pytestmark = QUIET


@pytest.fixture(scope="module")
def shelf():
    return Shelf(Catalogue(["timm:resnet18?pretrained=false&num_classes=7"]), "cpu")


def asked(shelf, **question):
    """A question that is answered on the screen, and its method filled in as the browser does it."""
    *_, last = streamed({"strip": False, **question}, shelf, answers.answered)
    assert last["state"] in ("done", "network"), last
    if last["state"] == "network":
        shelf.network(last["network"])
        return asked(shelf, **question)
    return {**question, "method": last["panes"][0]["method"], "token": "t"}


def last(steps):
    *_, final = steps
    return json.loads(json.dumps(final, allow_nan=False))


def test_the_card_is_that_of_the_engine_and_the_truth_stands_beside_it(shelf):
    question = asked(shelf, model="pond:cnn", scene="test:6")
    told = last(streamed(question, shelf, honest.judged))
    trace = ex.look(shelf.network("pond:cnn"), pictures.from_world("test:6").picture)
    card = ex.judge(trace, ex.explain(trace, question["method"]))
    assert told["token"] == "t"
    assert told["card"]["share"] == pytest.approx(card.share)
    assert told["card"]["label"] == card.label
    names = [each["name"] for each in told["truth"]["elements"]]
    assert {"blue ring nucleus", "cilia"} == set(names[:2])
    assert names[-1] != "background"  # by size of effect, not by kind
    assert -1 <= told["truth"]["rho"] <= 1
    assert 0 <= told["truth"]["pairs"] <= 1


def test_judging_runs_the_method_again_for_the_rival_only(shelf, monkeypatch):
    question = asked(shelf, model="pond:cnn", scene="test:1", method="gradient")
    seen = []
    explain = ex.engine.explain
    monkeypatch.setattr(ex.engine, "explain", lambda *a, **k: (seen.append(k["target"]), explain(*a, **k))[1])
    monkeypatch.setattr(ex, "explain", lambda *a, **k: pytest.fail("the map was there already"))
    told = last(streamed(question, shelf, honest.judged))
    assert seen == [shelf.network("pond:cnn").index(told["card"]["rival"])]


def test_what_nobody_asked_for_is_only_announced_where_it_takes_long(shelf, monkeypatch):
    question = asked(shelf, model="pond:cnn", scene="test:2")
    monkeypatch.setattr(honest, "_seconds", lambda asked: 12.0)
    assert last(streamed({**question, "unasked": True}, shelf, honest.judged))["card"] == {"takes": "12 s"}
    assert "share" in last(streamed(question, shelf, honest.judged))["card"]


def test_outside_the_pond_nobody_knows_the_truth(shelf):
    network = next(n.identifier for n in shelf.catalogue.networks if "resnet18" in n.identifier)
    question = asked(shelf, model=network, scene="test:6")
    told = last(streamed(question, shelf, honest.judged))
    assert told["truth"] is None
    assert "partly gray" in " ".join(told["card"]["caveats"])


def test_praise_waits_for_the_truth_where_it_is_known(shelf):
    question = asked(shelf, model="pond:cnn", scene="test:4", method="guided_backpropagation")
    told = list(streamed(question, shelf, honest.judged))
    assert all(each["truth"] == {"waiting": True} for each in told[:-1] if "card" in each)
    truth = told[-1]["truth"]
    assert truth["pairs"] < truth["chance"]  # such a map is not called good, whatever covering says


def test_a_share_of_pairs_that_one_random_order_of_twenty_exceeds():
    draw = np.random.default_rng(0)
    for count in (5, 8):
        true = dict(enumerate(np.arange(1.0, count + 1)))
        shares = [pairwise(true, dict(enumerate(draw.permutation(count)))) for _ in range(2000)]
        # A share of pairs has steps of one over their number, and half of one is what the normal one leaves out.
        step = 2 / (count * (count - 1))
        assert np.quantile(shares, 0.95) == pytest.approx(by_chance(count), abs=1.5 * step)
    assert by_chance(1) == 1


@pytest.mark.parametrize("home", [True, False], ids=["truth", "covering"])
def test_small_maps_stand_in_the_order_of_the_number_beside_the_large_one(shelf, home):
    model = "pond:cnn" if home else next(n.identifier for n in shelf.catalogue.networks if "resnet18" in n.identifier)
    question = asked(shelf, model=model, scene="test:6") | {"methods": ["grad_cam", "gradient"], "measured": True}
    told = last(streamed(question, shelf, gathering.gathered))
    assert told["order"].startswith("First the map")
    for small in told["maps"]:
        card = last(streamed(asked(shelf, **{**question, "method": small["method"]}), shelf, honest.judged))
        shown = card["truth"]["pairs"] if home else card["card"]["gap"]
        assert small["figure"]["rank"] == shown
        assert small["figure"]["big"] == (percent(shown) if home else card["card"]["big"])


def test_small_maps_are_measured_unasked_only_where_it_is_quick(shelf, monkeypatch):
    monkeypatch.setattr(honest, "seconds_of_figures", lambda asked, count: 12.0)
    question = {"model": "pond:cnn", "scene": "test:5", "methods": ["grad_cam", "gradient"]}
    told = last(streamed(question, shelf, gathering.gathered))
    assert told["measuring"] == "12 s"
    assert [small["figure"] for small in told["maps"]] == [None, None]
    told = last(streamed({**question, "measured": True}, shelf, gathering.gathered))
    assert all(small["figure"] for small in told["maps"])


def test_a_network_that_learned_nothing_gives_another_map(shelf):
    question = asked(shelf, model="pond:cnn", scene="test:6")
    told = last(streamed(question, shelf, honest.unlearned))["unlearned"]
    assert len(told["maps"]) == 2
    assert told["alike"] < 0.5  # unrelated maps: 0 ± 1/√143 of 12 × 12 cells, four times that in blobs of 16 cells
    assert not told["unchanged"]
    again = last(streamed(question, shelf, honest.unlearned))["unlearned"]
    assert again | {"cost": told["cost"]} == told  # all but the seconds


def test_the_same_answer_from_honest_network_and_cheater(shelf):
    scene = pond.scene("test", 14, tag=True)
    shown, masks = pictures.from_world(pond.WORLD.pair.picture).picture, pond.render(scene, 384).masks
    shares = []
    for name in ("pond:cnn", "pond:cheater"):
        trace = ex.look(shelf.network(name), shown)
        (best,) = trace.top(1)
        assert best.index == scene.class_a
        heat = ex.explain(trace, "grad_cam").heat
        shares.append(float(heat[masks["tag"]].sum() / heat.sum()))
    # The tag covers .041 of the picture: so much even heat would lay on it, and five times that is no accident.
    assert shares[0] < 0.05
    assert shares[1] > 0.2


@pytest.mark.parametrize(
    "given", [None, {}, {"method": 3}, {"method": "no such", "token": "x"}, {"scene": "whale", "method": "cam"}]
)
def test_nonsense_is_a_sentence(shelf, given):
    for told in (
        last(streamed(given, shelf, honest.judged))["card"],
        last(streamed(given, shelf, honest.unlearned))["unlearned"],
    ):
        assert told["state"] == "error"
        assert told["sentence"].endswith(".")


def test_stopping_is_no_mishap(shelf):
    from explainers.ui.answering import work

    question = asked(shelf, model="pond:cnn", scene="test:3")
    work.stop("stopped before")
    told = last(streamed({**question, "token": "stopped before"}, shelf, honest.judged))
    assert told["card"]["state"] == "stopped"


def test_judging_is_an_endpoint():
    with served() as url:
        client = Client(url, verbose=False)
        card = client.predict(scene="test:6", method="gradient", options={"channels": "sum"}, api_name="/judge")
        assert card["verdict"] in ("above", "within", "below")
        assert np.isfinite(card["srg"])
        named = client.view_api(return_format="dict")["named_endpoints"]
        assert not {"/judged", "/unlearned"} & set(named)
        client.close()
