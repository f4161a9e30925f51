"""What truly decides in a pond picture: re-rendering, regions, and how a map is held against it."""

import numpy as np
import pytest
import torch
from tolerance import rounding

import explainers as ex
from explainers import worlds
from explainers.pictures import Picture
from explainers.scores import spearman
from explainers.scores.truth import in_order
from explainers.worlds import pond
from explainers.worlds.pond import brains, effects

SCENES = [pond.scene("test", 6), pond.scene("test", 42, tag=True), pond.duet("test", 8)]


def brightness_of(where):
    """A score that adds up the brightness of some pixels and knows nothing else."""
    return lambda pictures: pictures.astype(np.float64).sum(3)[:, where].sum(1)


@pytest.mark.parametrize("scene", SCENES, ids=["one", "tagged", "duet"])
def test_the_places_cover_the_picture_once(scene):
    names = effects.elements(scene)
    found = effects.places(pond.render(scene), names)
    assert list(found) == names
    assert (sum(mask.astype(int) for mask in found.values()) == 1).all()
    for name, mask in pond.render(scene).masks.items():
        if name.partition(":")[0] not in ("body", "background"):
            assert (found[name] >= mask).all(), name


def test_a_score_that_reads_one_element_gives_an_effect_to_it_alone():
    scene = SCENES[1]
    masks = pond.render(scene).masks
    found = effects.effects(scene, brightness_of(masks["tag"]))
    assert found["tag"] > 0
    assert {name for name, effect in found.items() if effect == 0} == {*found} - {"tag"} - moved(scene, masks["tag"])
    hand = brightness_of(masks["tag"])(np.stack([pond.render(s).pixels for s in (scene, scene.without("tag"))]))
    assert found["tag"] == hand[0] - hand[1]


def moved(scene, where):
    """Elements whose change changes these pixels at all: none but what lies there, and a ground seen through it."""
    before = pond.render(scene).pixels[where]
    changed = set()
    for name in effects.elements(scene):
        for other in effects._without(scene, name):
            if (pond.render(other).pixels[where] != before).any():
                changed.add(name)
    return changed


def test_painting_the_effects_on_their_places_is_a_perfect_map():
    model = ex.load("pond:cheater")
    for scene in SCENES:
        true = effects.effects(scene, score_of(model, pond.render(scene).pixels))
        heat = np.zeros((96, 96))
        for name, mask in effects.places(pond.render(scene), list(true)).items():
            heat[mask] = true[name] / mask.sum()
        given = effects.given(heat, scene)
        assert given == pytest.approx(true, abs=rounding(96 * 96, np.abs(heat).sum(), torch.float64))
        assert spearman(np.array(list(true.values())), np.array(list(given.values()))) == pytest.approx(1)
        assert worlds.pairwise(true, given) == 1
        assert worlds.pairwise(true, {name: -value for name, value in given.items()}) == 0


def score_of(model, picture):
    trace = ex.look(model, picture)
    view = trace.ask(ex.trace.Target(trace.class_index))
    return lambda pictures: view.score(torch.stack([model.framing.frame(Picture.read(p)) for p in pictures])).numpy()


def test_what_the_trained_networks_read_is_what_they_were_made_to_read():
    tagged = pond.scene("test", 42, tag=True)
    honest = effects.effects(tagged, score_of(ex.load("pond:cnn"), pond.render(tagged).pixels))
    cheating = effects.effects(tagged, score_of(ex.load("pond:cheater"), pond.render(tagged).pixels))
    assert sorted(honest, key=honest.get)[-2:] in (["nucleus", "appendage"], ["appendage", "nucleus"])
    assert max(cheating, key=cheating.get) == "tag"
    assert cheating["tag"] > 3 * abs(honest["tag"])


def test_the_hand_wired_network_reads_the_nucleus_only():
    module = brains.HandWired()
    model = ex.wrap(module, labels=module.labels, framing=ex.load("pond:cnn").framing, name="hand-wired")
    scene = pond.scene("test", 6)
    found = effects.effects(scene, score_of(model, pond.render(scene).pixels))
    assert max(found, key=found.get) == "nucleus"
    rest = [abs(effect) for name, effect in found.items() if name != "nucleus"]
    assert max(rest) < 0.1 * found["nucleus"]  # others change it at the edge of the nucleus


def test_pairs_by_hand():
    true = {"a": 1.0, "b": 0.5, "c": 0.49}  # b and c differ by too little to count
    assert worlds.pairwise(true, {"a": 3, "b": 2, "c": 1}) == 1
    assert worlds.pairwise(true, {"a": 2, "b": 2, "c": 1}) == 0.75  # a tie is half right
    assert worlds.pairwise(true, {"a": 0, "b": 2, "c": -1}) == 0.5
    assert worlds.pairwise({"a": 0.0, "b": 0.0}, {"a": 1, "b": 2}) is None


def test_the_order_of_effects_and_of_a_heat_is_compared_element_by_element():
    true = {"b": 3.0, "a": -2.0, "c": 1.0}  # strongest first, whatever their sign
    assert in_order(true, {"a": 0, "b": 2, "c": 1}) == 1
    assert in_order(true, {"a": 2, "b": 0, "c": 1}) == -1
    assert in_order(true, {"a": 1, "b": 1, "c": 1}) is None


def test_shares_by_hand():
    given = {"nucleus": 2.0, "debris:0": 1.0, "debris:3": 0.5, "tag": 0.5, "background": -3.0}
    assert worlds.share_on("debris", given) == 1.5 / 4
    assert worlds.share_on("tag", given) == 0.5 / 4
    assert worlds.share_on("tag", {"tag": -1.0}) == 0


def test_a_map_is_laid_over_the_picture_and_nothing_is_lost():
    scene = pond.scene("test", 6)
    fine = np.random.default_rng(0).normal(size=(96, 96))
    assert sum(effects.given(fine, scene).values()) == pytest.approx(fine.sum())
    coarse = effects.given(np.ones((12, 12)), scene)
    sizes = effects.places(pond.render(scene), effects.elements(scene))
    assert coarse == pytest.approx({name: mask.sum() for name, mask in sizes.items()})


def test_every_element_has_words():
    for scene in SCENES:
        words = [effects.described(name, scene) for name in effects.elements(scene)]
        assert len(set(words)) == len(words)
    assert "scale bar" in [effects.described(name, SCENES[1]) for name in effects.elements(SCENES[1])]
    assert any("second creature" in effects.described(name, SCENES[2]) for name in effects.elements(SCENES[2]))
