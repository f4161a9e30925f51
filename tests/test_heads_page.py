"""The page with networks whose outputs are no softmax: predictions, scores to choose from, rivals, curves."""

import json

import pytest
import torch
from torch import nn

import explainers as ex
from explainers.network.heads import Head
from explainers.pictures import Framing
from explainers.ui.answering import answers, question
from explainers.ui.answering.work import streamed
from explainers.ui.catalogue import Catalogue
from explainers.ui.shelf import Shelf
from explainers.ui.tabs import augment, inside

FRAMING = Framing(size=(32, 32), mode="squash")


class Net(nn.Module):
    def __init__(self, count):
        super().__init__()
        torch.manual_seed(count)
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, 2, 1), nn.ReLU())
        self.fc = nn.Linear(8, count)

    def forward(self, x):
        return self.fc(self.features(x).mean((2, 3)))


def network(count, head, labels=None):
    return ex.wrap(Net(count).eval(), framing=FRAMING, head=head, labels=labels, name="mine")


NETWORKS = {
    "number": lambda: network(1, Head("regression", unit="years"), ["age"]),
    "one sigmoid": lambda: network(1, "sigmoid", ["tumor"]),
    "sigmoids": lambda: network(3, "sigmoid", ["cat", "dog", "owl"]),
    "softmax": lambda: network(3, "softmax", ["cat", "dog", "owl"]),
}


@pytest.fixture(params=NETWORKS)
def page(request):
    shelf = Shelf(Catalogue())
    model = shelf.networks.put("mine", NETWORKS[request.param]())
    return request.param, model, shelf


def asked(shelf, **more):
    *_, last = streamed({"scene": "test:1", "model": "mine", **more}, shelf, answers.answered)
    json.dumps(last)
    return last


def test_what_the_rail_and_the_stage_are_told(page):
    name, model, shelf = page
    told = asked(shelf, method="grad_cam", score="centered_logit")  # what the page sends where nobody chose a score
    assert told["state"] == "done"
    assert told["refusal"] is None
    first = told["predictions"][0]
    assert told["network"]["scores"] == list(model.head.scores)
    assert bool(told["network"]["no_rival"]) == (name in ("number", "one sigmoid"))
    (pane,) = told["panes"]
    if name == "number":
        assert first["share"] is pane["share"] is None
        assert first["told"] == pane["told"]
        assert first["told"].endswith(" years")
        assert pane["unit"] == "years per cell"
        assert pane["question"][1] == "age in years"
    else:
        assert first["share"] == pytest.approx(pane["share"])
        assert pane["unit"] == "logit points per cell"
    assert not any("no score" in note for note in pane["notes"])
    if name == "one sigmoid":
        assert pane["question"][1] == "tumor rather than not tumor"


def test_every_score_of_the_menu_can_be_asked_for(page):
    _, model, shelf = page
    for score in model.head.scores:
        told = asked(shelf, method="grad_cam", score=score)
        assert told["refusal"] is None
        assert not any("no score" in note for note in told["panes"][0]["notes"])


def test_a_rival_is_refused_in_words_where_there_is_none(page):
    name, model, shelf = page
    told = asked(shelf, method="grad_cam", target=model.labels[0], versus=model.labels[-1])
    if name in ("number", "one sigmoid"):
        assert "versus" in told["refusal"]["sentence"]
        assert told["predictions"]
    else:
        assert told["panes"][0]["versus"] == model.labels[-1]


def test_the_augmentation_tab(page):
    name, _, shelf = page
    given = {"scene": "test:1", "model": "mine", "samples": 2, "pipeline": "classic", "transform": "rotation"}
    told = augment.variants(given, shelf, lambda: False, lambda _: None)
    assert told["unit"] == ("years" if name == "number" else "logit points")
    assert (told["original"]["share"] is None) == (name == "number")
    assert told["original"]["told"]
    swept = augment.sweep(given, shelf, lambda: False, lambda _: None)
    assert swept["curves"]["unit"] == ("years" if name == "number" else "share")
    assert all(each["told"] for each in swept["places"])
    bars = augment.bars({**given, "measure": "flips"}, shelf, lambda: False, lambda _: None)
    assert all(0 <= value <= 1 for value in bars["bars"]["values"])
    mixed = augment.mix({**given, "second": {"scene": "test:2"}, "kind": "mixup"}, shelf, lambda: False, lambda _: None)
    assert len(mixed["says"][0]) == 3
    json.dumps([told, swept, bars, mixed])


def test_the_tab_inside(page):
    name, _, shelf = page
    told = inside.look({"scene": "test:1", "model": "mine"}, shelf, lambda: False, lambda _: None)
    assert told["unit"] == ("years" if name == "number" else "logit points")


def test_the_default_of_links_stands_for_that_of_the_head():
    assert question.score("centered_logit") is question.score("") is question.score(None) is None
    assert question.score("probability") == "probability"
    with pytest.raises(ex.errors.QuestionError, match="one of centered_logit"):
        question.score("softmax")
