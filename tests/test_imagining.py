"""Gradient ascent: the identities of its canvases, what it must leave alone, and that it rises."""

import math
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from tolerance import close, operations, rounding
from torch import nn

import explainers as ex
from explainers.errors import Stopped
from explainers.imagining import (
    RECIPES,
    Channel,
    ClassScore,
    Direction,
    Fourier,
    Layer,
    Likeness,
    Maco,
    Neuron,
    Pixels,
    Shaking,
    imagine,
    spectrum,
)
from explainers.imagining import worlds as own
from explainers.imagining.measures import scores_of, spectrum_distance, standing
from explainers.imagining.measuring import measure
from explainers.imagining.spectrum import frequencies
from explainers.imagining.worlds import framed, natural_pictures
from explainers.pictures import Framing
from explainers.trace import Target

SIZES = [(96, 96), (31, 48), (33, 27)]
each_size = pytest.mark.parametrize("size", SIZES, ids=str)
each_recipe = pytest.mark.parametrize("name", list(RECIPES))


def noise(seed=0):
    return torch.Generator().manual_seed(seed)


def wrapped(module, size=(24, 32), **framing):
    return ex.wrap(module.eval(), framing=Framing(size=size, mode="squash", **framing))


def last(states):
    *_, state = states
    return state


@pytest.fixture(scope="module")
def cnn():
    return ex.load("pond:cnn")


@pytest.fixture(scope="module")
def vit():
    return ex.load("pond:vit")


# The spectrum --------------------------------------------------------------------------------------------------------


def test_the_spectrum_is_what_the_script_measures():
    small = measure(4, 96)
    known = spectrum()
    colors = torch.tensor(small["colors"])
    assert torch.allclose(colors @ colors.T, known.colors @ known.colors.T, atol=0.1)  # of four pictures, not 240
    shared = slice(1, 40)
    ratio = torch.tensor(small["curve"])[0, shared] / known.curve[0, shared]
    # √2 either way: a power for an amplitude, or half of it, would be off by more over so many radii.
    assert 0.7 < float(ratio.log().mean().exp()) < 1.4


def test_colors_are_mixed_from_components_that_vary_independently():
    framing = Framing(size=(32, 32), std=(0.2, 0.25, 0.1))
    mixing = spectrum().mixing(framing)
    assert torch.allclose((mixing @ mixing.T).diagonal().sqrt(), torch.tensor(framing.std), rtol=0, atol=rounding(100))
    assert torch.allclose(torch.linalg.inv(mixing) @ mixing, torch.eye(3), rtol=0, atol=rounding(20))
    assert torch.allclose(
        spectrum().colors.T @ spectrum().colors, torch.diag((spectrum().colors ** 2).sum(0)), atol=1e-4
    )


@each_size
def test_the_magnitudes_make_components_of_unit_variance(size):
    magnitudes = spectrum().magnitudes(size)
    assert magnitudes.shape == (3, size[0], size[1] // 2 + 1)
    near = rounding(math.prod(size))
    components = Maco.random(
        1, wrapped(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), size), noise()
    ).components()
    assert close(components.mean((2, 3)), torch.zeros(1, 3), near)
    assert close(components.square().mean((2, 3)), torch.ones(1, 3), near)
    assert frequencies(size)[0, 0] == 0


# The canvases --------------------------------------------------------------------------------------------------------


@each_size
def test_pictures_go_into_fourier_coefficients_and_come_back(size):
    framing = Framing(size=size, mean=(0.4, 0.5, 0.3), std=(0.2, 0.3, 0.25))
    pictures = torch.rand(2, 3, *size, generator=noise()).double() * 0.98 + 0.01
    assert (Fourier.of(pictures, framing).pictures() - pictures).abs().max() < rounding(math.prod(size))


@each_size
def test_maco_turns_phases_and_leaves_every_magnitude_as_it_was(size):
    model = wrapped(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), size)
    canvas = Maco.random(2, model, noise())
    canvas = Maco(canvas.knobs.double(), model.framing)
    before = canvas.components()
    with torch.no_grad():
        canvas.knobs += torch.randn(canvas.knobs.shape, generator=noise(1))
    after = canvas.components()
    assert not torch.allclose(after, before, atol=0.1)
    wanted = canvas.magnitudes.clone()
    found = torch.fft.rfft2(after, norm="forward").abs()
    kept = wanted > 0  # everything but the mean
    assert ((found - wanted).abs() / wanted.clamp(min=1e-12))[kept.expand_as(found)].max() < rounding(math.prod(size))
    assert found[..., 0, 0].abs().max() < rounding(math.prod(size))


@pytest.mark.parametrize("kind", ["pixels", "fourier", "maco"])
def test_a_slope_at_a_knob_is_what_turning_it_a_little_does(kind):
    model = wrapped(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), (6, 8))
    make = {"pixels": Pixels.gray, "fourier": Fourier.faint, "maco": Maco.random}[kind]
    canvas = make(1, model, noise())
    weights = torch.randn(1, 3, 6, 8, generator=noise(2)).double()
    knobs = canvas.knobs.detach().double()
    if kind == "pixels":
        canvas = Pixels(knobs)
    else:
        canvas = type(canvas)(knobs * (0.3 if kind == "fourier" else 1), replace(model.framing, std=(0.02,) * 3))
    (slope,) = torch.autograd.grad((canvas.pictures() * weights).sum(), canvas.knobs)
    for place in (7, 40, 77):
        values = []
        near = 1e-10 + rounding(1000, 10, torch.float64) / 1e-5  # of the third derivative, and of rounding
        for step in (1e-5, -1e-5):
            with torch.no_grad():
                canvas.knobs.view(-1)[place] += step
                values.append(float((canvas.pictures() * weights).sum()))
                canvas.knobs.view(-1)[place] -= step
        assert (values[0] - values[1]) / 2e-5 == pytest.approx(float(slope.flatten()[place]), abs=near)


# Shaking -------------------------------------------------------------------------------------------------------------


def test_shaking_of_no_strength_leaves_pictures_alone():
    pictures = torch.rand(2, 3, 12, 16, generator=noise())
    shaking = Shaking(shift=0.2, turn=30, closest=0.5, widest=1.5, noise=0.3)
    assert torch.allclose(shaking(pictures, noise(), 0.0), pictures, rtol=0, atol=rounding(8 * 16))
    assert torch.equal(Shaking()(pictures, noise()), pictures)


def test_a_quarter_turn_is_one_in_pixels_whatever_the_sides():
    from explainers.imagining.shaking import _turned

    pictures = torch.rand(1, 3, 12, 20, generator=noise())
    theta = _turned(torch.tensor([math.pi / 2]), torch.ones(1), torch.zeros(1, 2), 12 / 20)
    grid = nn.functional.affine_grid(theta, [1, 3, 12, 20], align_corners=False)
    turned = nn.functional.grid_sample(pictures, grid, align_corners=False)
    square = pictures[..., 4:16]  # the middle, 12 by 12
    assert torch.allclose(turned[..., 4:16], square.rot90(1, (2, 3)), rtol=0, atol=rounding(8 * 20))


def test_places_are_those_of_torch():
    from explainers.imagining.shaking import _grid, _turned

    draws = torch.rand(3, 4, generator=noise())
    maps = _turned(draws[:, 0], draws[:, 1] + 0.5, draws[:, 2:] - 0.5, 7 / 12)
    theirs = nn.functional.affine_grid(maps, [3, 3, 7, 12], align_corners=False)
    assert close(_grid(maps, 7, 12), theirs, rounding(8, 2))


def test_a_part_that_is_cut_out_lies_within_the_picture():
    ramp = torch.linspace(0, 1, 64).expand(8, 3, 64, 64).contiguous()
    cut = Shaking(closest=0.5, widest=0.5001)(ramp, noise())
    spans = cut[:, 0, 0, -1] - cut[:, 0, 0, 0]
    assert torch.allclose(spans, torch.full((8,), 0.5), atol=0.02)
    assert cut[:, 0, 0, 0].min() > -rounding(8) < 1 - cut.max() + 2 * rounding(8)
    # Offsets are even over .5, with a deviation of .5/√12 = .144; of eight draws less than .05 comes once in 300 seeds.
    assert cut[:, 0, 0, 0].std() > 0.05


# The ascent ----------------------------------------------------------------------------------------------------------


class Linear(nn.Module):
    """Logits that are linear in the pixels, so that the best picture is known."""

    def __init__(self, size):
        super().__init__()
        torch.manual_seed(0)
        self.weight = nn.Parameter(torch.randn(2, 3, *size))

    def forward(self, x):
        return torch.einsum("nchw,kchw->nk", x, self.weight)


def test_the_naive_way_finds_the_best_picture_of_a_linear_unit():
    size = (8, 10)
    model = wrapped(Linear(size), size, mean=(0.5,) * 3, std=(1.0,) * 3)
    recipe = replace(RECIPES["naive"], rate=0.001, fading=0.02)
    state = last(imagine(model, ClassScore(Target(1, score="logit")), recipe, steps=600))
    found = (state.pictures[0] - 0.5).flatten()
    best = model.module.weight[1].detach().flatten()
    assert float(nn.functional.cosine_similarity(found, best, 0)) >= 0.999


class Viewing(nn.Module):
    """Lays the maps out by `view`, which takes no tensor whose channels come last."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4 * 22 * 30, 3)

    def forward(self, x):
        maps = self.body(x).relu()
        return self.head(maps.view(len(maps), -1))


def test_a_network_that_needs_its_channels_first_gets_them_so():
    states = list(imagine(wrapped(Viewing()), ClassScore(Target(1)), RECIPES["fourier"], count=2, steps=8))
    assert (states[-1].scores > states[0].scores).all()


@each_recipe
def test_it_rises_for_both_pond_networks_and_every_seed(name, cnn, vit):
    for model in (cnn, vit):
        states = list(imagine(model, ClassScore(Target(4)), RECIPES[name], count=3, steps=96 if name == "maco" else 16))
        assert (states[-1].scores > states[0].scores).all()
        assert [s.step for s in states] == sorted({s.step for s in states})
        assert states[-1].done == 1


def objectives(model):
    site = model.anatomy.site("late")
    wanted = ex.look(model, torch.rand(96, 96, 3, generator=noise()).numpy()).maps("late")
    yield Channel(site, 3)
    yield Neuron(site, 3, (1, 2))
    yield Direction(site, torch.randn(site.channels, generator=noise()), power=1)
    yield Likeness(site, wanted)
    yield ClassScore(Target(2, 5))


@pytest.mark.parametrize("network", ["cnn", "vit"])
def test_every_objective_rises(network, cnn, vit):
    model = {"cnn": cnn, "vit": vit}[network]
    for objective in objectives(model):
        recipe = RECIPES["fourier"].gentle() if isinstance(objective, Likeness | Neuron) else RECIPES["fourier"]
        states = list(imagine(model, objective, recipe, steps=16))
        assert states[-1].scores > states[0].scores, objective
        again = last(imagine(model, objective, recipe, steps=16))
        assert torch.equal(again.pictures, states[-1].pictures)
        assert torch.allclose(
            scores_of(model, objective, states[-1].pictures),
            states[-1].scores,
            rtol=0,
            atol=rounding(operations(model.module), states[-1].scores),
        )


def test_a_layer_is_strengthened_from_a_picture_on(cnn):
    picture = torch.rand(1, 3, 24, 24, generator=noise()).repeat_interleave(4, 2).repeat_interleave(4, 3)
    recipe = RECIPES["fourier"].gentle()
    canvas = Fourier.of(picture, cnn.framing)
    states = list(imagine(cnn, Layer(cnn.anatomy.site("middle")), recipe, steps=8, canvas=canvas))
    assert (states[0].pictures - picture).abs().max() < 0.01
    assert states[-1].scores > 1.5 * states[0].scores


def test_a_tokens_network_is_read_past_its_class_token(vit):
    site = vit.anatomy.site("late")
    trace = ex.look(vit, torch.rand(96, 96, 3, generator=noise()).numpy())
    objective = Neuron(site, 5, (2, 3))
    assert float(scores_of(vit, objective, trace.pixels[None])) == pytest.approx(
        float(trace.maps("late")[5, 2, 3]), abs=rounding(operations(vit.module), trace.maps("late"))
    )


def test_several_grow_apart_when_they_are_to(cnn):
    from explainers.imagining.measures import apartness

    site = cnn.anatomy.site("last")
    alike, apart = (
        last(imagine(cnn, ClassScore(Target(0), site), RECIPES["fourier"], count=4, steps=32, diversity=d))
        for d in (0.0, 4.0)
    )
    assert apartness(cnn, apart.pictures) > apartness(cnn, alike.pictures)


def test_the_curve_and_the_care_are_those_of_the_pictures(cnn):
    state = last(imagine(cnn, ClassScore(Target(1)), RECIPES["fourier"], count=2, steps=10))
    assert state.curve[-1] == (10, pytest.approx(tuple(state.scores.tolist())))
    assert state.care.shape == (2, 96, 96)
    assert 0 <= state.care.min() < state.care.max() == 1
    assert 0 <= state.pictures.min() <= state.pictures.max() <= 1


def test_nothing_is_written_on_the_model_and_no_random_state_moves(cnn):
    before = {k: (v.clone(), v._version) for k, v in cnn.module.state_dict(keep_vars=True).items()}
    state = torch.get_rng_state()
    for name in RECIPES:
        list(imagine(cnn, Channel(cnn.anatomy.site("middle"), 0), RECIPES[name], steps=3))
    with torch.inference_mode():
        list(imagine(cnn, ClassScore(Target(0)), RECIPES["maco"], steps=3))
        assert torch.is_inference_mode_enabled()
    assert torch.equal(torch.get_rng_state(), state)
    for key, value in cnn.module.state_dict(keep_vars=True).items():
        assert torch.equal(value, before[key][0])
        assert value._version == before[key][1]
    assert all(p.grad is None for p in cnn.module.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks or m.training for m in cnn.module.modules())


def test_stop_is_looked_at_within_a_pass(cnn):
    seen = []

    def stop():
        seen.append(time.perf_counter())
        return len(seen) > 200

    states = []
    with pytest.raises(Stopped):
        states.extend(imagine(cnn, ClassScore(Target(0)), RECIPES["fourier"], steps=1000, stop=stop))
    assert len(seen) == 201


def test_the_bill_is_what_ran(cnn):
    from explainers.trace import Spent

    ran, spent = [], Spent()
    handle = cnn.module.register_forward_hook(lambda m, i, o: ran.append(len(o)))
    list(imagine(cnn, ClassScore(Target(0)), RECIPES["fourier"], count=2, steps=8, spent=spent))
    handle.remove()
    assert spent.forwards == sum(ran)
    assert spent.backwards == 16


def test_a_gallery_that_fits_stands_for_the_world_of_a_network(monkeypatch):
    from explainers.galleries import gallery
    from explainers.galleries.stock import from_arrays

    model = wrapped(Viewing())
    assert natural_pictures(model) == ()
    pixels = [np.full((24, 32, 3), shade, np.uint8) for shade in range(0, 200, 10)]
    monkeypatch.setattr(gallery, "_offered", {})
    gallery.offer(gallery.Gallery.of(from_arrays("shades", pixels, [""] * 20), model))
    shades = [int(picture.array.mean()) for picture in natural_pictures(model, 5)]
    assert shades == pytest.approx([0, 40, 80, 120, 160], abs=2)
    found = ex.explain(model, "max_activating", count=2, depth="last")
    assert "pond pictures" not in found.result.note


# How good it is ------------------------------------------------------------------------------------------------------


def test_a_natural_spectrum_is_near_and_noise_is_far():
    model = ex.load("pond:cnn")
    natural = framed(model, natural_pictures(model, 8))
    # Two sides of a gap: what lies in it would be neither.
    assert spectrum_distance(natural).max() < 0.35
    assert spectrum_distance(torch.rand(2, 3, 96, 96, generator=noise())).min() > 0.4
    assert torch.allclose(spectrum_distance(natural), spectrum_distance(natural * 0.5), rtol=0, atol=rounding(1000))


def test_pictures_for_one_network_mean_the_same_to_the_other(cnn, vit):
    from explainers.imagining.measures import predictions

    right = {}
    for name in ("naive", "fourier"):
        pictures = [
            last(imagine(cnn, ClassScore(Target(index)), RECIPES[name], steps=48)).pictures for index in (0, 3, 8)
        ]
        assert [p.index for p in predictions(cnn, torch.cat(pictures))] == [0, 3, 8]
        right[name] = sum(p.index == i for p, i in zip(predictions(vit, torch.cat(pictures)), (0, 3, 8), strict=True))
    assert right["naive"] < right["fourier"]


def test_the_standing_of_a_natural_picture_is_its_rank(cnn):
    natural = torch.rand(5, 3, 96, 96, generator=noise())
    objective = ClassScore(Target(0))
    scores = scores_of(cnn, objective, natural)
    order = scores.argsort()
    found = standing(cnn, objective, natural[order], scores)
    assert [s.percentile for s in found] == pytest.approx([0, 0.2, 0.4, 0.6, 0.8])
    assert all(s.best == float(scores.max()) for s in found)


def test_photographs_at_hand_stand_in_for_natural_pictures_and_are_read_when_they_are_wanted(monkeypatch, tmp_path):
    monkeypatch.setattr(own, "_at_hand", [])
    stranger = ex.wrap(nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval(), name="stranger")
    assert own.natural_pictures(stranger) == ()
    own.have_at_hand([tmp_path / "later.png"])  # which is not there yet
    Image.new("RGB", (40, 30), "teal").save(tmp_path / "later.png")
    assert [picture.size for picture in own.natural_pictures(stranger)] == [(30, 40)]
    assert own.whose(stranger) == "the photographs here"
