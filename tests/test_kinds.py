"""Methods that give something else than a heat, or are about the network alone, and how each kind is drawn and told."""

import json
from typing import Annotated

import numpy as np
import pytest
import torch
from pydantic import Field
from torch import nn

import explainers as ex
from explainers import registry
from explainers.errors import DoesNotApply, QuestionError, Stopped
from explainers.network.classifier import Classifier
from explainers.pictures import Framing
from explainers.registry import Cell, Family, explainer
from explainers.results import Bars, Curve, Curves, Heatmap, Mark, Neighbor, Neighbors, Scatter, Tile, Tiles
from explainers.showing.kinds.tiles import colored
from explainers.trace import Asked, Trace

PAPER = "https://example.org"
WORDS = "What about it?\n\nSo.\nRead it as: so.\nBeware: of it."
PICTURE = np.full((12, 16, 3), 90, np.uint8)
Numbers = Annotated[
    tuple[float, ...],
    Field(max_length=3, description="Weights.", json_schema_extra={"minimum": -1, "maximum": 2}),
]


@pytest.fixture
def registered(monkeypatch):
    ex.methods()
    monkeypatch.setattr(registry, "_methods", dict(registry._methods))
    return registry._methods


@pytest.fixture
def model():
    torch.manual_seed(0)
    body = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    )
    return ex.wrap(
        body.eval(), labels=["crane", "heron", "newt"], framing=Framing(size=(8, 8), mode="squash"), name="tiny"
    )


def declare(function, class_specific=False, family=Family.INSIDE):
    function.__module__ = function.__name__
    function.__doc__ = WORDS.replace("it?", "the chosen class?") if class_specific else WORDS
    explainer(title=function.__name__.title(), family=family, paper=PAPER, class_specific=class_specific)(function)


# The network alone ---------------------------------------------------------------------------------------------------


def test_a_method_about_the_network_needs_no_picture(registered, model):
    def kernels(model: Classifier) -> Tiles:
        return Tiles(
            tuple(Tile(k.mean(0), f"filter {n}") for n, k in enumerate(model.module[0].weight.detach().numpy()))
        )

    declare(kernels)
    alone, with_picture = ex.explain(model, "kernels"), ex.explain(ex.look(model, PICTURE), "kernels")
    assert [tile.caption for tile in alone.result.tiles] == ["filter 0", "filter 1", "filter 2", "filter 3"]
    assert np.array_equal(alone.result.tiles[2].values, model.module[0].weight[2].mean(0).detach())
    assert alone.source is None
    assert alone.prediction is None
    assert alone.subject == "the network"
    assert alone.payload()["picture"] is None
    assert with_picture.source is not None
    assert "model = ex.load" in alone.code()
    assert not registry.find("kernels").lays_heat
    with pytest.raises(QuestionError, match="gives tiles, not a heat"):
        _ = alone.heat
    with pytest.raises(QuestionError, match="no picture"):
        _ = alone.picture_asked


def test_a_method_about_a_class_of_the_network_needs_its_name(registered, model):
    def dream(model: Classifier, asked: Asked) -> Bars:
        asked.check()
        asked.spent.forwards += 2
        return Bars(np.eye(3)[asked.target.index], model.labels, unit="share")

    declare(dream, class_specific=True)
    answer = ex.explain(model, "dream", target="newt")
    assert answer.result.values.tolist() == [0, 0, 1]
    assert answer.prediction.label == "newt"
    assert answer.prediction.probability is None
    assert answer.spent.forwards == 2
    assert "longest is newt" in answer.alt
    with pytest.raises(QuestionError, match="target='crane'"):
        ex.explain(model, "dream")
    trace = ex.look(model, PICTURE)
    assert ex.explain(trace, "dream").result.labels[trace.class_index] == trace.top(1)[0].label
    with pytest.raises(Stopped):
        ex.explain(model, "dream", target=0, stop=lambda: True)


def test_a_method_about_a_picture_says_that_it_needs_one(model):
    with pytest.raises(QuestionError, match=r"Gradient needs a picture: ask about ex\.look"):
        ex.explain(model, "gradient", target=0)


def test_what_does_not_apply_offers_first_what_gives_the_same(registered):
    flat = ex.wrap(nn.Sequential(nn.Flatten(), nn.Linear(192, 2)).eval(), framing=Framing(size=(8, 8)), name="flat")
    with pytest.raises(DoesNotApply, match="Try gradient"):
        ex.explain(ex.look(flat, PICTURE), "grad_cam")


# Options that are no single number -----------------------------------------------------------------------------------


def test_a_cell_and_several_numbers_are_checked_in_words(registered, model):
    def chosen(trace: Trace, *, query: Cell = None, weights: Numbers = (), say: Annotated[
        str, Field(max_length=5, description="A word.")
    ] = "") -> Bars:  # fmt: skip
        return Bars(
            np.array([*(query or ()), *weights, len(say)]), tuple("abcdef"[: len(query or ()) + len(weights) + 1]), ""
        )

    declare(chosen)
    trace = ex.look(model, PICTURE)
    assert ex.explain(trace, "chosen").result.values.tolist() == [0]
    answer = ex.explain(trace, "chosen", query=[7, 4], weights=[0.5, 2], say="hello")
    assert answer.result.values.tolist() == [7, 4, 0.5, 2, 5]
    assert answer.options == {"query": (7, 4), "weights": (0.5, 2), "say": "hello"}
    assert "query=(7, 4)" in answer.code()
    kinds = {option.name: option.kind for option in registry.find("chosen").options}
    assert kinds == {"query": "cell", "weights": "numbers", "say": "text"}
    for wrong, words in (
        ({"query": (7,)}, "“query” of Chosen is a row and a column, two whole numbers from 0 to 4095, or nothing"),
        ({"query": (-1, 2)}, "a row and a column"),
        ({"weights": (3.0,)}, "at most 3 numbers from -1 to 2"),
        ({"weights": (0, 0, 0, 0)}, "at most 3 numbers"),
        ({"say": "longer"}, "a text of at most 5 letters"),
    ):
        with pytest.raises(QuestionError, match=words):
            ex.explain(trace, "chosen", **wrong)


def test_options_without_bounds_are_refused(registered):
    def endless(trace: Trace, *, say: Annotated[str, Field(description="A word.")] = "") -> Bars: ...

    with pytest.raises(TypeError, match="no bound on its length"):
        declare(endless)

    def boundless(
        trace: Trace, *, by: Annotated[tuple[float, ...], Field(max_length=2, description="By.")] = ()
    ) -> Bars: ...

    with pytest.raises(TypeError, match="has no bounds"):
        declare(boundless)


# Kinds, drawn and told -----------------------------------------------------------------------------------------------

THUMBNAIL = np.zeros((4, 4, 3), np.uint8)
KINDS = [
    Tiles((Tile(np.eye(3), "one", 1.0), Tile(THUMBNAIL, "two")), unit="activation"),
    Tiles(()),
    Tiles((Tile(np.eye(8), "over"),), over_picture=True),
    Bars(np.array([1.0, -2.0]), ("up", "down"), "points", error=np.array([0.1, 0.2])),
    Bars(np.array([]), (), "points"),
    Curves(
        np.array([0.0, 1, 2]),
        (Curve("p", np.array([0.1, 0.5, 0.9]), np.zeros(3), np.ones(3)),),
        "angle in °",
        "share",
        (Mark(1.0, "flips"),),
    ),
    Scatter(np.array([[0.0, 0], [1, 1]]), ("a", "b"), ("x", "y"), here=(0.5, 0.5), measures=(("trust", 0.9),)),
    Neighbors((Neighbor("a", "newt", 0.2, THUMBNAIL),), "cosine distance", (("newt", 1.0),)),
]


@pytest.mark.parametrize("result", KINDS, ids=lambda r: r.kind)
def test_each_kind_is_drawn_told_and_packed(registered, model, result, tmp_path):
    def shown(trace: Trace) -> type(result):
        return result

    shown.__annotations__["return"] = type(result)
    declare(shown)
    answer = ex.explain(ex.look(model, PICTURE), "shown")
    assert min(answer.picture().size) >= 24
    assert json.loads(json.dumps(answer.payload(), allow_nan=False))[result.kind] == json.loads(
        json.dumps(result.as_json())
    )
    assert answer.alt.endswith(".")
    assert result.finite
    answer.save(tmp_path / "it.npz")
    with np.load(tmp_path / "it.npz") as kept:
        assert set(kept) == {*result.arrays(), "payload"}


def test_a_bar_reaches_as_far_as_its_number():
    """The longer of two bars is drawn twice as long as one of half its value."""
    class_free = Bars(np.array([1.0, 0.5]), ("a", "b"), "")
    from explainers.showing.kinds import drawn

    pixels = np.asarray(drawn(class_free, None, Framing(size=(8, 8))))
    green = (pixels == (0x0B, 0x75, 0x59)).all(-1).sum(1)
    lengths = sorted({int(n) for n in green if n})
    assert lengths[-1] == pytest.approx(2 * lengths[0], abs=2)


def test_a_map_gets_its_palette_and_colors_stay_themselves():
    assert np.array_equal(colored(Tile(THUMBNAIL)), THUMBNAIL)
    shades = colored(Tile(np.array([[0.0, 1.0]])))
    assert shades[0, 1].sum() > shades[0, 0].sum()
    signed = colored(Tile(np.array([[-1.0, 1.0]]), signed=True))
    assert signed[0, 0, 2] > signed[0, 0, 0]  # blue lowers
    assert signed[0, 1, 0] > signed[0, 1, 2]  # orange raises


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Tile(np.zeros(3)),
        lambda: Tile(np.zeros((2, 2, 4))),
        lambda: Bars(np.zeros(2), ("a",), ""),
        lambda: Curves(np.zeros(3), (Curve("a", np.zeros(2)),), "", ""),
        lambda: Scatter(np.zeros((2, 3)), ("a", "b"), ("x", "y")),
        lambda: Heatmap(np.zeros(3), unit=""),
    ],
)
def test_shapes_that_do_not_belong_together_are_refused(wrong):
    with pytest.raises(ValueError, match=r"shape|belong|coordinates"):
        wrong()


@pytest.mark.parametrize(
    ("score", "unit"),
    [
        ("centered_logit", "logit points per unit of brightness"),
        ("log_prob", "points of log probability per unit of brightness"),
        ("probability", "points of probability per unit of brightness"),
    ],
)
def test_a_heat_is_counted_in_what_its_score_is_counted_in(model, score, unit):
    answer = ex.explain(ex.look(model, PICTURE), "gradient", score=score)
    assert answer.unit == answer.payload()["heat"]["unit"] == unit
