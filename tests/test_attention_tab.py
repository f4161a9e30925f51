"""The tab “Attention”: rows for every layer and head, what they are worth, and a card where there is none."""

import base64
import threading

import numpy as np
import pytest
import torch
from tolerance import rounding

import explainers as ex
from explainers.errors import QuestionError
from explainers.scores.scorecard import REACHES
from explainers.trace.attention import attention_rows
from explainers.ui.catalogue import Catalogue
from explainers.ui.shelf import Shelf
from explainers.ui.tabs.attention import TAB

ASKED = {"model": "pond:vit", "scene": "test:7"}
HALF = rounding(1, 1, torch.float16)  # what the page is told of maps


@pytest.fixture(scope="module")
def shelf():
    return Shelf(Catalogue(), "cpu")


def ask(shelf, name, **given):
    told = []
    return TAB.work[name]({**ASKED, **given}, shelf, lambda: False, told.append), told


def shown(layer):
    """The maps (heads, 8, 8) of a layer as the browser has them."""
    return unpacked(layer["heat"], 4, (8, 8)) + np.array(layer["least"])[:, None, None]


def unpacked(heat, heads, grid):
    values = np.frombuffer(base64.b64decode(heat["data"]), "<f2").astype(np.float32) * heat["scale"]
    return values.reshape(heads, *grid)


def test_rows_are_those_of_the_trace_for_every_layer_and_head(shelf):
    answer, _ = ask(shelf, "rows")
    assert [layer["heads"] for layer in answer["layers"]] == [4] * 6
    assert answer["grid"] == [8, 8]
    assert {layer["asks"] for layer in answer["layers"]} == {"the class token"}
    trace = ex.look(shelf.network("pond:vit"), shelf.catalogue.picture("test:7").picture)
    for layer, row in zip(answer["layers"], attention_rows(trace), strict=True):
        assert np.allclose(shown(layer), row.maps, rtol=0, atol=HALF)
        assert np.allclose(layer["rest"], row.rest.sum(1), rtol=0, atol=HALF)


def test_a_click_on_a_patch_takes_no_pass(shelf):
    ask(shelf, "rows")
    answer, _ = ask(shelf, "rows", cell=[3, 4])
    assert answer["cost"] == "no pass"
    assert answer["layers"][0]["asks"] == "patch (3, 4)"
    trace = ex.look(shelf.network("pond:vit"), shelf.catalogue.picture("test:7").picture)
    expected = attention_rows(trace, [2], query=(3, 4))[0].maps
    assert np.allclose(shown(answer["layers"][2]), expected, rtol=0, atol=HALF)
    for wrong in ([8, 0], [0], "a1", [0.5, 1], [-1, 0]):
        with pytest.raises(QuestionError):
            ask(shelf, "rows", cell=wrong)


def test_attention_is_held_against_maps_that_know_the_class_and_against_the_truth(shelf):
    weights = [[1 / 24] * 4] * 6
    answer, told = ask(shelf, "worth", weights=weights)
    assert len(answer["maps"]) == 3
    assert told[-1]["maps"] == answer["maps"]
    for each in answer["maps"]:
        assert each["reaches"] == REACHES[each["verdict"]]
        assert sum(map(abs, each["truth"]["shares"])) == pytest.approx(1, abs=rounding(24))
        assert -1 <= each["truth"]["rho"] <= 1
    effects = [each["effect"] for each in answer["elements"]]
    assert effects == sorted(effects, key=lambda effect: -abs(effect))
    trace = ex.look(shelf.network("pond:vit"), shelf.catalogue.picture("test:7").picture)
    mean = torch.stack([row.maps.mean(0) for row in attention_rows(trace)]).mean(0)
    heat = answer["maps"][0]["heat"]
    assert np.allclose(unpacked(heat, 1, (8, 8))[0], mean, rtol=0, atol=HALF)
    for wrong in (None, [[1.0]], [[2.0] * 4] * 6, [["x"] * 4] * 6):
        with pytest.raises(QuestionError):
            ask(shelf, "worth", weights=wrong)


def test_more_is_drawn_by_every_method_about_attention_that_lays_no_heat(shelf):
    answer, _ = ask(shelf, "more", layer=1)
    assert len(answer["drawn"]) == sum(
        fit.method.family == "Attention" and not fit.method.lays_heat for fit in ex.methods(shelf.network("pond:vit"))
    )
    assert all(each["picture"].startswith("data:image/png;base64,") for each in answer["drawn"])


def test_a_network_of_convolutions_says_what_it_has_instead(shelf):
    answer, _ = ask(shelf, "rows", model="pond:cnn")
    assert answer["why_not"] == "pond:cnn has no attention of one patch to another."
    assert answer["instead"]
    fits = {fit.method.id: fit for fit in ex.methods(shelf.network("pond:cnn"))}
    assert all(fits[each["id"]].applies for each in answer["instead"])


def test_only_a_few_traces_are_held_however_many_ask_at_once(shelf):
    from explainers.ui.tabs import attention

    asking = [threading.Thread(target=ask, args=(shelf, "rows"), kwargs={"scene": f"test:{n}"}) for n in range(1, 7)]
    for each in asking:
        each.start()
    for each in asking:
        each.join()
    assert len(attention._held) == attention.HELD
