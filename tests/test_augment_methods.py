"""Variants, sweeps, mixtures and whether the reason survives: by networks whose answers can be worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tolerance import close, operations, rounding
from torch import nn

import explainers as ex
from explainers import registry
from explainers.augmenting import NOTHING, SWEEPS, Pipeline, agreement, compared, picture_of, pixels_of
from explainers.errors import QuestionError
from explainers.pictures import Framing
from explainers.registry import heat_method, heat_of
from explainers.results import Heatmap
from explainers.trace import PIXELS

SIZE = (48, 48)
TOLD = 5e-4  # agreements are told to three digits; of two values that rounding alone tells apart, ranks may be swapped
PLAIN = Framing(size=SIZE, mode="squash", mean=(0, 0, 0), std=(1, 1, 1))


class Brightness(nn.Module):
    """Bright or dark: the mean brightness, held against a half. It knows no places, only colors."""

    def __init__(self):
        super().__init__()
        self.look, self.head = nn.Conv2d(3, 2, 1), nn.Linear(2, 2)
        with torch.no_grad():
            self.look.weight.copy_(torch.tensor([[1.0, 1, 1], [-1.0, -1, -1]])[..., None, None] / 3)
            self.look.bias.copy_(torch.tensor([0.0, 1.0]))
            self.head.weight.copy_(torch.eye(2) * 20)
            self.head.bias.zero_()

    def forward(self, x):
        return self.head(torch.relu(self.look(x)).mean((2, 3)))


class Upright(nn.Module):
    """Sees nothing but the left half, wherever the picture turns."""

    def __init__(self):
        super().__init__()
        self.inner = Brightness()
        self.register_buffer("left", (torch.arange(SIZE[1]) < SIZE[1] // 2).float())

    def forward(self, x):
        return self.inner.head((torch.relu(self.inner.look(x)) * self.left).mean((2, 3)))


class Flipped(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x.flip(-1))


def wrapped(module, name="tiny"):
    return ex.wrap(module.eval(), labels=["bright", "dark"], framing=PLAIN, name=name)


def small(seed=0):
    """A network of two convolutions, trained on nothing."""
    torch.manual_seed(seed)
    body = nn.Sequential(nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(6, 8, 3, stride=2, padding=1))
    return nn.Sequential(body, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2))


def smooth(seed=0):
    noise = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(seed))
    large = torch.nn.functional.interpolate(noise, SIZE, mode="bicubic")[0]  # a little beyond 0 to 1
    return (large * 120 + 60).to(torch.uint8).permute(1, 2, 0).numpy()


@pytest.fixture
def trace():
    return ex.look(wrapped(small()), smooth())


# Variants ------------------------------------------------------------------------------------------------------------


def test_each_variant_is_what_its_recipe_makes_of_the_picture_and_says_what_the_network_says(trace):
    answer = ex.explain(trace, "augment", samples=5, seed=3, pipeline="rotation, posterize(bits=2, p=1)")
    original, *variants = answer.result.tiles
    assert len(variants) == 5
    assert original.value == 0
    assert np.array_equal(original.values, smooth())
    whole = trace.score(trace.pixels[None])[0]
    for number, tile in enumerate(variants):
        picture, recipe = Pipeline.parse("rotation, posterize(bits=2, p=1)").sample(picture_of(trace), 3 + number)
        assert np.array_equal(tile.values, picture.permute(1, 2, 0).numpy())
        assert tile.value == pytest.approx(
            float(trace.score(pixels_of([picture], trace))[0] - whole),
            abs=rounding(operations(trace.classifier.module), whole),
        )
        assert tile.caption.endswith(str(recipe))
        assert (tile.key, tile.facts["recipe"]) == (f"variant {3 + number}", str(recipe))
        assert tile.facts["flipped"] == (tile.facts["label"] != original.facts["label"])
        assert tile.caption.startswith(("bright", "dark"))


@pytest.mark.parametrize("method", ["augment", "consistency"])
def test_a_pipeline_that_is_none_is_refused_in_words(trace, method):
    for text, words in (
        ("", "The pipeline is empty"),
        ("rotation(degrees=500)", "from 0 to 180"),
        ("wobble", "no tra"),
    ):
        with pytest.raises(QuestionError, match=words):
            ex.explain(trace, method, pipeline=text)


# Sweeps --------------------------------------------------------------------------------------------------------------


def test_a_sweep_flips_where_it_must():
    """A gray of 0.4 is dark until its brightness is multiplied by 1.25."""
    trace = ex.look(wrapped(Brightness()), np.full((*SIZE, 3), 102, np.uint8))
    answer = ex.explain(trace, "robustness", transform="brightness", points=18)  # steps of 0.1
    flips = [mark for mark in answer.result.marks if mark.caption == "flips to bright"]
    assert [round(mark.at, 1) for mark in flips] == [1.3]
    assert flips[0].picture.mean() == pytest.approx(102 * 1.3, abs=1)
    probability, rank = answer.result.lines
    seen = np.floor(102 * answer.result.along + 1e-4) / 255  # colors are whole numbers
    assert np.allclose(probability.values, 1 / (1 + np.exp(20 * (2 * seen - 1))), atol=0.001)
    assert probability.low is None
    assert np.array_equal(rank.values, np.where(probability.values > 0.5, 1, 0.5).astype(np.float32))


def test_a_band_spans_what_was_drawn_and_the_neutral_place_has_none(trace):
    answer = ex.explain(trace, "robustness", transform="noise", points=5, seeds=4)
    line, near = answer.result.lines[0], rounding(2 * 4)  # the mean of four probabilities, told in single precision
    assert (line.low <= line.values + near).all()
    assert (line.values <= line.high + near).all()
    assert line.low[0] == pytest.approx(line.high[0], abs=near)
    assert line.high[-1] > line.low[-1]


def test_the_control_is_flat_and_its_bar_exactly_zero(trace):
    flat = ex.explain(trace, "robustness", transform="nothing").result.lines[0].values
    assert np.ptp(flat) <= rounding(operations(trace.classifier.module))
    for measure in ("change", "flips"):
        bars = ex.explain(trace, "weak_spots", measure=measure, points=3).result
        assert bars.labels[0] == "Nothing (control)"
        assert bars.values[0] == 0
        assert len(bars.labels) == len(SWEEPS)
        assert np.any(bars.values != 0) or measure == "flips"


def test_every_place_of_a_sweep_has_its_picture_and_what_the_network_says():
    trace = ex.look(wrapped(Brightness()), np.full((*SIZE, 3), 102, np.uint8))
    curves = ex.explain(trace, "robustness", transform="brightness", points=18).result
    assert [station.at for station in curves.stations] == pytest.approx(curves.along.tolist())
    for station, probability in zip(curves.stations, curves.lines[0].values, strict=True):
        assert station.facts["label"] == ("bright" if station.picture.mean() > 127.5 else "dark")
        assert station.facts["share"] == pytest.approx(max(probability, 1 - probability), abs=rounding(2))
    assert not any(name.startswith("station") for name in curves.arrays())
    with pytest.raises(ValueError, match="17 stations stand along 18 places"):
        replace(curves, stations=curves.stations[1:])


def test_an_unknown_sweep_is_refused_in_words(trace):
    with pytest.raises(QuestionError, match="There is no sweep “melting”; there are nothing"):
        ex.explain(trace, "robustness", transform="melting")


# Whether the reason survives -----------------------------------------------------------------------------------------


def agreements(answer):
    """Of the control, and of the variants."""
    told = {tile.key: tile.value for tile in answer.result.tiles}
    return told["control"], [value for key, value in told.items() if key.startswith("variant")]


def test_the_control_agrees_fully(trace):
    for text in ("classic", "noise", "aug_mix"):
        control, _ = agreements(ex.explain(trace, "consistency", pipeline=text, samples=4))
        assert f"{control:.3f}" == "1.000"


@pytest.mark.parametrize(
    "text",
    [
        "horizontal_flip(p=1)",
        "vertical_flip(p=1)",
        "rotation(degrees=40, fill=200)",
        "affine(degrees=20, shear=10, fill=200)",
        "perspective(p=1, distortion=0.3, fill=200)",
        "resized_crop(scale_from=0.5)",
        "horizontal_flip(p=1), rotation(degrees=20, fill=200), resized_crop(scale_from=0.6)",
    ],
)
def test_a_network_that_knows_no_places_agrees_up_to_interpolation(text):
    trace = ex.look(wrapped(Brightness()), (smooth(3) * 0.4 + 140).astype(np.uint8))
    _, found = agreements(ex.explain(trace, "consistency", pipeline=text, samples=6, explained_by="grad_cam"))
    exact = text in ("horizontal_flip(p=1)", "vertical_flip(p=1)")
    assert min(found) > (0.9999 if exact else 0.98)


def test_a_network_that_sees_one_side_does_not():
    trace = ex.look(wrapped(Upright()), smooth(3))
    _, found = agreements(
        ex.explain(trace, "consistency", pipeline="horizontal_flip(p=1)", samples=2, explained_by="input_x_gradient")
    )
    # Before and after, all heat lies in other halves: where one map is, the other is 0, so they cannot rank alike.
    assert max(found) < 0


def test_the_flipped_network_gives_the_flipped_map():
    """For maps at the pixels, E'(flip x) = flip E(x), where the network flips its picture first."""
    plain, flipped = wrapped(small(2)), wrapped(Flipped(small(2)), "flipped")
    picture = smooth(4)
    turned, recipe = Pipeline.parse("horizontal_flip(p=1)").sample(torch.from_numpy(picture).permute(2, 0, 1), 0)
    for name in ("gradient", "input_x_gradient"):
        own = ex.explain(ex.look(plain, picture), name, target=0).result
        mirrored = ex.explain(ex.look(flipped, turned.permute(1, 2, 0).numpy()), name, target=0).result
        assert close(mirrored.heat[:, ::-1], own.heat, rounding(2 * operations(plain.module), own.heat))
        assert compared(mirrored, own, recipe, SIZE).agreement == pytest.approx(1, abs=TOLD)


def test_mean_and_drift_are_those_of_the_maps(trace):
    answer = ex.explain(trace, "consistency", pipeline="color_jitter", samples=3, explained_by="gradient")
    _, mean, drift, *maps = answer.result.tiles
    heats = np.stack([tile.values / np.abs(tile.values).max() for tile in maps])
    assert close(mean.values, heats.mean(0), rounding(4))
    assert close(drift.values, heats.std(0), rounding(8))


def test_mixtures_without_a_way_back_are_left_out_and_counted(trace):
    answer = ex.explain(trace, "consistency", pipeline="aug_mix(severity=10)", samples=6)
    left_out = 6 - len(answer.result.tiles[4:])
    assert left_out
    assert answer.result.note.startswith(f"{left_out} variants were mixed")


def test_one_variant_is_explained_and_its_map_carried_back(trace):
    answer = ex.explain(trace, "variant", pipeline="horizontal_flip(p=1)", seed=5, explained_by="gradient")
    tiles = {tile.key: tile for tile in answer.result.tiles}
    assert np.array_equal(tiles["variant"].values, smooth()[:, ::-1])
    mirrored = ex.explain(ex.look(trace.classifier, smooth()[:, ::-1].copy()), "gradient", target=trace.class_index)
    size = np.abs(mirrored.native).max()
    assert close(tiles["heat"].values, mirrored.native, rounding(2 * operations(trace.classifier.module), size))
    assert np.allclose(tiles["back"].values, tiles["heat"].values[:, ::-1], atol=1e-6 * size)
    assert np.array_equal(tiles["original"].values, ex.explain(trace, "gradient").native)
    assert tiles["back"].facts["share_lost"] == tiles["lost"].values.max() == 0
    whole = ex.explain(
        trace, "consistency", pipeline="rotation(degrees=40)", seed=5, samples=2, explained_by="gradient"
    )
    one = ex.explain(trace, "variant", pipeline="rotation(degrees=40)", seed=6, explained_by="gradient")
    told = {tile.key: tile for tile in one.result.tiles}
    assert told["back"].value == pytest.approx(agreements(whole)[1][1], abs=TOLD)
    assert 0 < told["back"].facts["share_lost"] == pytest.approx(told["lost"].values.mean())
    assert (told["back"].values[told["lost"].values > 0] == 0).all()


def test_a_variant_without_a_way_back_says_so(trace):
    answers = [ex.explain(trace, "variant", pipeline="aug_mix(severity=10)", seed=seed) for seed in range(6)]
    without = [answer.result for answer in answers if "back" not in [tile.key for tile in answer.result.tiles]]
    assert without
    assert all(each.note.startswith("Several moved copies") for each in without)


def test_agreement_is_spearmans():
    from scipy.stats import spearmanr

    one, other = torch.rand(2, 200, generator=torch.Generator().manual_seed(0)).mul(9).round()
    assert agreement(one, other) == pytest.approx(float(spearmanr(one, other)[0]))
    assert agreement(torch.zeros(5), torch.zeros(5)) == 1
    assert agreement(torch.zeros(5), torch.arange(5.0)) == 0
    assert agreement(torch.zeros(0), torch.zeros(0)) == 0


def test_a_map_is_found_by_its_name_or_the_quickest_is_taken(trace):
    model = trace.classifier
    assert heat_method("", model).lays_heat
    assert heat_method("", model).classic
    assert heat_method("occlusion", model).id == "occlusion"
    with pytest.raises(QuestionError, match="lays no heat over the picture; take one that does"):
        heat_method("robustness", model)
    with pytest.raises(QuestionError, match="There is no method “sonar”"):
        ex.explain(trace, "consistency", explained_by="sonar")


# Many pictures at once -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", ["last", "early", PIXELS])
def test_batched_passes_give_what_single_ones_give(start):
    model = ex.load("digits:cnn")
    trace, terms = ex.look(model, smooth()), 2 * operations(model.module)  # there and back
    others = torch.rand(11, *trace.pixels.shape, generator=torch.Generator().manual_seed(1))
    view = trace.ask(ex.engine.Target(index=3))
    before = view.spent.forwards
    together = list(view.all_elsewhere(others, start))
    assert view.spent.forwards - before == view.spent.backwards == 11
    for batched, pixels in zip(together, others, strict=True):
        batched, alone = batched.ask(batched.target), view.elsewhere(pixels)
        assert close(batched.logits, alone.logits, rounding(terms, alone.logits))
        if start == PIXELS:
            assert close(batched.pixel_slopes(), alone.pixel_slopes(), rounding(terms, alone.pixel_slopes()))
        else:
            assert close(batched.maps(start), alone.maps(start), rounding(terms, alone.maps(start)))
            assert close(batched.slopes(start), alone.slopes(start), rounding(terms, alone.slopes(start)))
        assert batched.spent.forwards == batched.spent.backwards == 0


@pytest.mark.parametrize("method", [m.id for m in registry.laying_heat() if sum(m.passes) <= 4])
def test_every_quick_map_can_be_asked_for_from_a_batch(trace, method):
    if registry.find(method).why_not(trace.classifier):
        trace = ex.look(ex.load("pond:vit"), trace.picture)
    by = heat_method(method, trace.classifier)
    (view,) = trace.all_elsewhere(trace.pixels[None], by.start(by.check({})))
    native, network = ex.explain(trace, method).native, trace.classifier.module
    assert close(heat_of(view, by).heat, native, rounding(2 * operations(network), native))


# Two pictures --------------------------------------------------------------------------------------------------------


def test_the_share_of_heat_in_the_box_is_what_can_be_counted():
    """Heat is the brightness beyond a half here: 0.1 in the box, 0.4 around it."""
    model = wrapped(Brightness())
    first, second = (np.full((*SIZE, 3), value, np.uint8) for value in (230, 153))
    answer = ex.explain(
        ex.look(model, first), "cutmix", target="bright", second=second, points=5, explained_by="grad_cam"
    )
    lines = {line.label: line.values for line in answer.result.lines}
    area = lines["area of the box, 1 − λ"]
    assert np.allclose(area + answer.result.along, 1)
    inside, around = 153 / 255 - 0.5, 230 / 255 - 0.5
    expected = area * inside / (area * inside + (1 - area) * around)
    assert np.allclose(lines["heat in the box"], expected, atol=0.02)
    assert set(lines) == {"heat in the box", "area of the box, 1 − λ", "probability of bright"}
    assert answer.payload()["second"]["width"] == SIZE[1]
    assert 'second="second.png"' in answer.code()


@pytest.mark.parametrize("kind", ["cutmix", "mixup"])
def test_two_pictures_in_one_have_the_label_that_training_gives_them(kind):
    """As above: 0.1 a place in the box and 0.4 around it; a blend is 0.6 · 0.9 + 0.4 · 0.6 = 0.78 everywhere."""
    model = wrapped(Brightness())
    first, second = (np.full((*SIZE, 3), value, np.uint8) for value in (230, 51))
    answer = ex.explain(ex.look(model, first), "mixture", second=second, kind=kind, share=0.6, explained_by="grad_cam")
    tiles = {tile.key: tile for tile in answer.result.tiles}
    facts, share = tiles["mixture"].facts, tiles["mixture"].facts["share"]
    assert share == pytest.approx(0.6, abs=0.02)
    assert facts["label"] == [["bright", share], ["dark", 1 - share]]
    mean = (share * 230 + (1 - share) * 51) / 255
    assert tiles["mixture"].values.mean() / 255 == pytest.approx(mean, abs=0.5 / 255)
    assert facts["says"][0]["label"] == ("bright" if mean > 0.5 else "dark")
    assert (facts["box"] is None) == (kind == "mixup") == (tiles["heat"].value is None)
    if kind == "cutmix":
        x0, y0, x1, y1 = facts["box"]
        assert (tiles["mixture"].values[y0:y1, x0:x1] == 51).all()
        assert (x1 - x0) * (y1 - y0) / (SIZE[0] * SIZE[1]) == pytest.approx(1 - share)
        curves = ex.explain(
            ex.look(model, first), "cutmix", second=second, points=6, target="bright", explained_by="grad_cam"
        ).result
        assert tiles["heat"].value == pytest.approx(curves.lines[0].values[3], abs=rounding(1))  # λ = 0.6


def test_a_blend_resembles_first_one_and_then_the_other():
    trace = ex.look(wrapped(small()), smooth(1))
    answer = ex.explain(trace, "mixup", second=smooth(2), points=5, explained_by="gradient")
    first, second = (line.values for line in answer.result.lines[:2])
    assert answer.result.along.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert first[-1] == pytest.approx(1, abs=TOLD)
    assert second[0] == pytest.approx(1, abs=TOLD)


def test_without_a_second_picture_a_pond_creature_is_taken(trace):
    for method in ("cutmix", "mixup"):
        answer = ex.explain(trace, method, points=3)
        assert answer.second is None
        assert "second=" not in answer.code()


def test_a_second_picture_that_is_none_is_refused_in_words(trace):
    from explainers.errors import PictureError

    with pytest.raises(PictureError):
        ex.explain(trace, "cutmix", second=b"no picture")


def test_nothing_is_the_control():
    assert NOTHING.actions == ()
    heat = Heatmap(np.arange(12.0).reshape(3, 4), unit="")
    assert compared(heat, heat, NOTHING, SIZE).agreement == 1
