"""How heat becomes a picture: palettes that people can tell apart, overlays worked out by hand, and words."""

import numpy as np
import pytest

from explainers.pictures import Picture
from explainers.showing.render import (
    DIVERGING,
    FADE,
    SEQUENTIAL,
    figure,
    overlay,
    palette,
    percent,
    share_of_area,
    strongest,
    whereabouts,
)

# Machado, Oliveira, Fernandes 2009: full protanopia, deuteranopia and tritanopia, on linear RGB.
BLINDNESS = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def linear(colors):
    share = np.asarray(colors, np.float64) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def lightness(colors):
    """CIE L*, 0 to 100, of sRGB colors (…, 3)."""
    y = linear(colors) @ [0.2126, 0.7152, 0.0722]
    return np.where(y > (6 / 29) ** 3, 116 * np.cbrt(y) - 16, y * (29 / 3) ** 3)


def lab(rgb):
    """CIE L*a*b* of linear sRGB (…, 3), for white D65."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) / np.array(
        [[0.9505], [1], [1.089]]
    )
    x, y, z = np.moveaxis(np.cbrt(np.clip(rgb @ to_xyz.T, 0, None)), -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


# Palettes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SEQUENTIAL)
def test_a_sequential_palette_grows_lighter_in_even_steps(name):
    light = lightness(palette(name))
    assert palette(name).shape == (256, 3)
    steps = np.diff(light[::5])
    assert steps.min() > 0
    assert steps.max() < 2.5 * np.median(steps)
    assert light[0] < 25
    assert light[-1] > 85


def test_a_diverging_palette_is_gray_in_the_middle_and_as_light_at_both_ends():
    table = palette(DIVERGING)
    assert np.ptp(table[127:129].astype(int), axis=1).max() <= 12
    light = lightness(table)
    assert abs(light[0] - light[-1]) < 10
    assert np.abs(light - light[::-1]).max() < 10
    assert np.linalg.norm(lab(linear(table[0])) - lab(linear(table[-1]))) > 60


@pytest.mark.parametrize("matrix", BLINDNESS.values(), ids=BLINDNESS)
def test_no_common_color_blindness_makes_lower_and_raise_alike(matrix):
    table = palette(DIVERGING)
    seen = lab(np.clip(linear(table) @ np.array(matrix).T, 0, 1))
    assert np.linalg.norm(seen[0] - seen[255]) > 25
    assert np.linalg.norm(seen[48] - seen[207]) > 15


# Overlays ------------------------------------------------------------------------------------------------------------

GRAY = Picture.read(np.full((1, 3, 3), 100, np.uint8))


def laid(heat, **how):
    return np.asarray(overlay(GRAY, np.array([heat], np.float32), **how))[0].astype(int)


def test_zero_is_transparent_and_the_strongest_gets_the_last_color():
    pixels = laid([0, 1, 2], signed=False, opacity=1.0)
    assert pixels[0].tolist() == [100, 100, 100]
    assert pixels[2].tolist() == palette("ember")[255].tolist()
    mixed = 100 * (1 - 0.5**FADE) + palette("ember")[128] * 0.5**FADE
    assert np.abs(pixels[1] - mixed).max() <= 1


def test_opacity_mixes_picture_and_color():
    pixels = laid([0, 0, 3], signed=False, opacity=0.25)
    assert np.abs(pixels[2] - (75 + 0.25 * palette("ember")[255])).max() <= 1
    assert laid([0, 1, 3], signed=False, opacity=0).tolist() == [[100] * 3] * 3


def test_signed_heat_is_blue_below_and_orange_above():
    pixels = laid([-2, 0, 2], signed=True, opacity=1.0)
    assert pixels[0].tolist() == palette(DIVERGING)[0].tolist()
    assert pixels[1].tolist() == [100, 100, 100]
    assert pixels[2].tolist() == palette(DIVERGING)[255].tolist()
    assert pixels[0][2] > pixels[0][0]
    assert pixels[2][0] > pixels[2][2]


def test_what_lowers_is_not_drawn_where_the_map_has_no_sign():
    assert laid([-5, 0, 1], signed=False)[0].tolist() == [100, 100, 100]


def test_one_scale_makes_two_maps_comparable():
    weak, strong = laid([0, 0, 1], signed=False, scale=4), laid([0, 0, 4], signed=False, scale=4)
    assert weak[2].tolist() == laid([0, 1, 4], signed=False)[1].tolist()
    assert strong[2].tolist() == laid([0, 0, 4], signed=False)[2].tolist()
    assert laid([0, 0, 9], signed=False, scale=4)[2].tolist() == strong[2].tolist()  # beyond the scale: its last color


@pytest.mark.parametrize("signed", [False, True])
def test_a_blank_map_leaves_the_picture_as_it_is(signed):
    assert laid([0, 0, 0], signed=signed).tolist() == [[100] * 3] * 3


def test_the_smallest_heat_there_is_makes_no_warning():
    tiny = float(np.finfo(np.float32).smallest_subnormal)
    assert (laid([0, 0, tiny], signed=False) == laid([0, 0, 1], signed=False)).all()


# Words ---------------------------------------------------------------------------------------------------------------


def test_whereabouts_in_words():
    heat = np.zeros((6, 6), np.float32)
    heat[0, 5] = 3
    heat[3, 3] = 1
    assert whereabouts(heat) == "75 % of the heat lies in the upper right ninth; half of it on 3 % of the picture."
    middle = np.zeros((9, 9), np.float32)
    middle[3:6, 3:6] = -1  # what lowers is heat as well
    assert whereabouts(middle) == "100 % of the heat lies in the center ninth; half of it on 6 % of the picture."
    assert whereabouts(np.zeros((4, 4), np.float32)) == "The map is zero everywhere."
    assert whereabouts(np.ones((1, 1), np.float32)).startswith("100 % of the heat")


def test_the_area_that_holds_a_share():
    heat = np.array([[4, 3], [2, 1]], np.float32)
    assert share_of_area(heat, 0.4) == 0.25
    assert share_of_area(heat, 0.5) == 0.5
    assert share_of_area(heat, 1.0) == 1.0
    assert share_of_area(np.zeros((2, 2), np.float32), 0.5) == 0
    noise = np.random.default_rng(0).random((97, 89)).astype(np.float32)
    assert share_of_area(noise, 1.0) <= 1


@pytest.mark.parametrize(
    ("share", "words"),
    [(0, "0 %"), (0.004, "<1 %"), (0.01, "1 %"), (0.714, "71 %"), (0.99, "99 %"), (0.996, ">99 %"), (1, "100 %")],
)
def test_percent(share, words):
    assert percent(share) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.0312, "0.031"),
        (1234, "1200"),
        (0.0999, "0.10"),
        (9.96, "10"),
        (99.6, "100"),
        (-0.5, "-0.50"),
        (1, "1.0"),
        (0, "0"),
        (float("nan"), "nan"),
    ],
)
def test_figure(value, words):
    assert figure(value) == words


def test_a_few_pixels_do_not_hide_the_rest_and_a_coarse_map_keeps_its_maximum():
    grain = np.random.default_rng(0).standard_normal((100, 100)).astype(np.float32)
    grain[3, 4] = 1000
    assert 2 < strongest(grain) < 4
    coarse = np.zeros((7, 7), np.float32)
    coarse[2, 3], coarse[4, 4] = -5, 2
    assert strongest(coarse) == 5
    assert strongest(np.zeros((7, 7), np.float32)) == 0
