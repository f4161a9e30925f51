"""Large photographs are answered, drawn and kept at a sensible size; the whole size is there where it is asked for."""

import json
import re

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import explainers as ex
from explainers.pictures import PIXELS_LIMIT, Framing, Picture, laid
from explainers.pictures.scaling import reduced, scaled
from explainers.showing import render
from explainers.ui import panes
from explainers.ui.pictures import Shown
from explainers.ui.shelf import _explanation_bytes

EPS = float(np.finfo(np.float32).eps)
LARGE = (3000, 4000)
FRAMINGS = {
    "squash": Framing(size=(32, 32), mode="squash"),
    "crop": Framing(size=(32, 32)),
    "wide": Framing(size=(24, 48), resize=40),
    "padded": Framing(size=(48, 48), resize=32),
}


def network():
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)]
    return nn.Sequential(*layers).eval()


@pytest.fixture(scope="module")
def photograph():
    """Something smooth with noise, 12 megapixels: what telephones take, as far as sizes go."""
    waves = np.sin(np.arange(LARGE[0])[:, None, None] / 300) * np.cos(np.arange(LARGE[1])[None, :, None] / 500)
    noise = np.random.default_rng(0).integers(-9, 10, (*LARGE, 3), dtype=np.int16)
    return Picture.read((127 + 100 * waves).astype(np.int16).__add__(noise).astype(np.uint8))


@pytest.fixture(scope="module")
def answer(photograph):
    model = ex.wrap(network(), framing=FRAMINGS["crop"])
    return ex.explain(ex.look(model, photograph), "grad_cam", signed=True)


# Heat on fewer pixels ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("framing", FRAMINGS.values(), ids=FRAMINGS)
@pytest.mark.parametrize("size", [(60, 90), (90, 60), (7, 300), (1, 1)])
def test_heat_is_laid_alike_by_the_framing_and_from_its_frame(framing, size):
    heat = np.random.default_rng(1).normal(size=(5, 6)).astype(np.float32)
    assert np.array_equal(laid(heat, framing.extent(size), size), framing.unframe(heat, size))


@pytest.mark.parametrize("framing", FRAMINGS.values(), ids=FRAMINGS)
def test_fewer_pixels_show_the_heat_at_their_centers(framing):
    """An odd factor puts the center of each large pixel on that of a small one, so that the values are the same."""
    heat = np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32)
    size, factor = (99, 180), 3
    whole = framing.unframe(heat, size)
    few = framing.unframe(heat, size, at=(33, 60))
    # Values below two, weighed by shares that are rounded to float32.
    assert few == pytest.approx(whole[factor // 2 :: factor, factor // 2 :: factor], abs=8 * EPS)


def test_a_sum_is_kept_on_fewer_pixels():
    heat = np.random.default_rng(1).random((4, 3)).astype(np.float32)
    few = FRAMINGS["squash"].unframe(heat, (400, 300), at=(40, 30), keep_sum=True)
    assert few.sum(dtype=np.float64) == pytest.approx(heat.sum(dtype=np.float64), rel=1200 * EPS)


def test_where_little_is_seen_it_does_not_vanish():
    """A picture of 1 × 9000: less than one of the fewer pixels is seen."""
    framing = Framing(size=(8, 8), resize=8)
    assert np.count_nonzero(framing.unframe(np.ones((2, 2), np.float32), (1, 9000), at=(1, 100))) == 1


# Pixels, strip by strip -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["NEAREST", "BOX", "BILINEAR", "BICUBIC", "LANCZOS"])
@pytest.mark.parametrize("box", [(0, 0, 2500, 1700), (300.25, 0, 2200.5, 1700), (0, 10.75, 2500, 1650.5)])
def test_strips_give_the_same_bits_as_pillow_in_one_piece(kind, box):
    pixels = np.random.default_rng(2).integers(0, 256, (1700, 2500, 3), dtype=np.uint8)
    kind = Image.Resampling[kind]
    for mode in ("", "L"):
        whole = Image.fromarray(pixels)
        whole = whole.convert(mode) if mode else whole
        assert np.array_equal(scaled(pixels, (50, 64), kind, box, mode), np.asarray(whole.resize((64, 50), kind, box)))


def test_deep_pixels_are_the_same_too():
    pixels = np.random.default_rng(2).random((2100, 2000)).astype(np.float32)
    box, kind = (10.5, 3.25, 1990, 2090), Image.Resampling.BICUBIC
    assert np.array_equal(
        scaled(pixels, (40, 30), kind, box), np.asarray(Image.fromarray(pixels).resize((30, 40), kind, box))
    )


@pytest.mark.parametrize("size", [(120, 160), (160, 90), (37, 160)])
def test_reduced_is_an_average(size):
    """A ramp stays a ramp: each pixel is the mean of what it covers, but for rounding twice."""
    height, width = 3 * size[0] + 1, 3 * size[1] + 2
    ramp = np.linspace(0, 255, height)[:, None, None] + np.zeros((1, width, 3))
    small = reduced(np.rint(ramp).astype(np.uint8), size)
    assert small.shape == (*size, 3)
    means = [part.mean() for part in np.array_split(ramp[:, 0, 0], size[0])]
    step = 255 / (size[0] - 1)  # where a row falls to the one part or the other
    assert np.abs(small[:, 0, 0] - means).max() <= 1 + step


def test_48_megapixels_are_within_the_limit():
    assert PIXELS_LIMIT >= 8192 * 6144, "what telephones call 50 megapixels"
    assert Picture.read(np.broadcast_to(np.uint8(7), (6000, 8000))).size == (6000, 8000)


# What is drawn and kept ---------------------------------------------------------------------------------------------


def test_an_overlay_has_a_sensible_size_and_the_whole_where_asked(answer):
    width, height = answer.picture().size
    assert width * height == pytest.approx(render.DRAWN, rel=1 / height), "up to half a pixel on each side"
    assert width / height == pytest.approx(4 / 3, rel=1 / height)
    assert answer.picture(full=True).size == LARGE[::-1]


def test_the_small_overlay_is_the_large_one_made_smaller(answer):
    """Both averaged over blocks, so that noise of single pixels counts no more; each level is rounded once."""
    small, large = (
        np.asarray(answer.picture(full=full).resize((40, 30), Image.Resampling.BOX), np.int16) for full in (False, True)
    )
    assert np.abs(small - large).max() <= 2


def test_a_picture_of_screen_size_is_drawn_as_large_as_it_is():
    assert render.within((1080, 1920)) == (1080, 1920)
    assert render.within((1, 60_000)) == (1, 60_000)
    assert render.within((4, 9), 9) == (2, 4)
    assert render.within((1, 10_000), 100) == (1, 1000)


def test_numbers_are_native_with_their_frame_and_full_where_asked(answer, tmp_path):
    answer.save(tmp_path / "why.npz")
    answer.save(tmp_path / "full.npz", full=True)
    with np.load(tmp_path / "why.npz") as kept, np.load(tmp_path / "full.npz") as full:
        assert set(kept) == {"native", "frame", "size", "payload"}
        assert np.array_equal(kept["native"], answer.native)
        assert np.array_equal(laid(kept["native"], kept["frame"], kept["size"]), full["heat"])
        assert np.array_equal(full["heat"], answer.heat)
        assert json.loads(str(kept["payload"]))["picture"]["width"] == LARGE[1]
    assert (tmp_path / "why.npz").stat().st_size < 10_000


def test_words_and_panes_are_made_without_the_whole_heat(photograph):
    model = ex.wrap(network(), framing=FRAMINGS["crop"])
    answer = ex.explain(ex.look(model, photograph), "grad_cam", signed=True)
    answer.payload()
    answer.picture()
    panes.pane(answer, "timm:resnet10t", Shown(photograph))
    assert "heat" not in vars(answer), "12 million numbers that nobody asked for"
    assert _explanation_bytes(answer) < 100_000
    assert answer.heat.shape == LARGE
    assert _explanation_bytes(answer) > answer.heat.nbytes


def test_words_agree_with_the_whole_heat(answer):
    few, whole = (
        [int(part) for part in re.findall(r"(\d+) %", render.whereabouts(heat))]
        for heat in (answer.laid(512 * 512), answer.heat)
    )
    assert few == pytest.approx(whole, abs=1), "a third of 512 pixels is no whole number"


def test_tiles_over_a_large_picture_are_small(photograph):
    model = ex.wrap(network(), framing=FRAMINGS["crop"])
    sheet = ex.explain(ex.look(model, photograph), "feature_maps").picture()
    assert max(sheet.size) < LARGE[0]
