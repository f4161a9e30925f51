"""How a result becomes a picture: palettes, overlays, and the same in words."""

from __future__ import annotations

import math
import zlib
from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..pictures import Picture
from ..scores import share_of_area

PaletteName = Literal["ember", "moss", "tide"]

SEQUENTIAL: tuple[PaletteName, ...] = ("ember", "moss")
"""For maps without sign: lightness rises evenly from dark to light."""

DIVERGING: PaletteName = "tide"
"""For signed maps: blue lowers, gray is zero, orange raises; told apart with every common color blindness."""

PALETTES = (*SEQUENTIAL, DIVERGING)

FADE = 0.85
"""Exponent from a value's share of the strongest to its opacity: weak heat shows, zero is transparent."""

SHOWN = 0.995
"""Share of a map's values that lie within its palette; the rest get the strongest color, too."""

DRAWN = 1920 * 1080
"""Pixels up to which a picture is drawn as large as it is: those of a usual screen. Larger ones are drawn so large."""

PNG: dict[str, Any] = {"compress_level": 1, "compress_type": zlib.Z_RLE}
"""How a PNG is written: by run lengths, five times as fast as zlib's usual way, and no larger for what we draw."""

_BLOCK = 65_536  # pixels that are blended at once, which a processor's cache holds

Array = NDArray[np.float32]


def within(size: tuple[int, int], pixels: int = DRAWN) -> tuple[int, int]:
    """The size (h, w) of the same proportions that has at most so many pixels, up to rounding; never larger."""
    share = min(1.0, math.sqrt(pixels / (size[0] * size[1])))
    return max(1, round(size[0] * share)), max(1, round(size[1] * share))


@cache
def palette(name: PaletteName) -> NDArray[np.uint8]:
    """256 sRGB colors (256, 3), evenly spaced in OKLab's lightness (Ottosson 2020), so steps look equal."""
    t = np.linspace(0, 1, 256)
    if name == "tide":
        lightness = 0.62 + 0.2 * np.abs(2 * t - 1)
        chroma = 0.145 * np.abs(2 * t - 1) ** 0.8
        hue = np.where(t < 0.5, 245.0, 62.0)
    else:
        start, end = {"ember": (300.0, 460.0), "moss": (250.0, 130.0)}[name]
        lightness = 0.18 + 0.77 * t
        chroma = 0.02 + 0.19 * np.sin(np.pi * t**0.9) ** 0.8
        hue = start + (end - start) * t
    return _srgb(lightness, chroma, np.deg2rad(hue))


def overlay(
    picture: Picture | NDArray[np.uint8],
    heat: Array,
    *,
    signed: bool,
    opacity: float = 0.85,
    colors: PaletteName | None = None,
    scale: float | None = None,
) -> Image.Image:
    """The picture with heat (h, w) laid over it; zero is transparent, so what is not raised stays itself.

    It is drawn at the heat's size, to which a `Picture` is reduced; pixels (h, w, 3) have it already. `scale` is the
    value that gets the strongest color; that of `strongest` by default. A blank map leaves the picture as it is.
    """
    height, width = heat.shape
    drawn = np.array(picture.reduced((height, width)) if isinstance(picture, Picture) else picture)
    top = scale or strongest(heat)
    if top:
        table = palette(colors or (DIVERGING if signed else SEQUENTIAL[0])).astype(np.float32)
        rows = max(1, _BLOCK // width)
        for start in range(0, height, rows):
            block = slice(start, start + rows)
            share = np.clip(heat[block] / top, -1 if signed else 0, 1)
            position = (share + 1) / 2 if signed else share
            color = table[np.rint(position * 255).astype(int)]
            alpha = (opacity * np.abs(share) ** FADE)[..., None]
            drawn[block] = np.rint(drawn[block] * (1 - alpha) + color * alpha)
    return Image.fromarray(drawn)


def strongest(heat: Array) -> float:
    """The size that gets the strongest color: of all that is not zero, one in 200 is larger; zero for a blank map.

    A map of single pixels has a few values many times larger than all others, beside which nothing else would be seen.
    On a map of few cells this is the maximum.
    """
    sizes = np.abs(heat[heat != 0])
    if not sizes.size:
        return 0.0
    return float(np.partition(sizes, place := math.ceil(SHOWN * (sizes.size - 1)))[place])


def whereabouts(heat: Array) -> str:
    """Where the heat (H, W) lies, in a sentence, for those who cannot see it."""
    mass = np.abs(heat)
    total = float(mass.sum())
    if not total:
        return "The map is zero everywhere."
    rows = np.array_split(mass, 3, axis=0)
    shares = {
        (r, c): float(cell.sum()) / total
        for r, row in zip(_ROWS, rows, strict=True)
        for c, cell in zip(_COLUMNS, np.array_split(row, 3, axis=1), strict=True)
    }
    (row_name, column_name), share = max(shares.items(), key=lambda item: item[1])
    place = "center" if (row_name, column_name) == ("middle", "center") else f"{row_name} {column_name}"
    half = share_of_area(heat, 0.5)
    return f"{percent(share)} of the heat lies in the {place} ninth; half of it on {percent(half)} of the picture."


def percent(share: float) -> str:
    """A share as a percentage with two significant digits at most: 0.714 is “71 %”, 0.004 is “<1 %”."""
    if 0 < share < 0.01:
        return "<1 %"
    if 0.99 < share < 1:
        return ">99 %"
    return f"{round(100 * share)} %"


def figure(value: float) -> str:
    """A number with two significant digits; 0.0312 is “0.031”, 1234 is “1200”."""
    if not value or not math.isfinite(value):
        return f"{value:g}"
    value = float(f"{value:.1e}")  # rounded first: 0.0999 is “0.10”
    return f"{value:.{max(0, 1 - math.floor(math.log10(abs(value))))}f}"


# --- private ---------------------------------------------------------------------------------------------------------

_ROWS = ("upper", "middle", "lower")
_COLUMNS = ("left", "center", "right")


def _srgb(lightness: NDArray[np.float64], chroma: NDArray[np.float64], hue: NDArray[np.float64]) -> NDArray[np.uint8]:
    """OKLCh to 8-bit sRGB, with the chroma reduced where the color lies outside the gamut."""
    for _ in range(60):
        linear = _linear(lightness, chroma, hue)
        outside = ((linear < -1e-6) | (linear > 1 + 1e-6)).any(-1)
        if not outside.any():
            break
        chroma = np.where(outside, chroma * 0.96, chroma)
    linear = linear.clip(0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    colors: NDArray[np.uint8] = np.rint(encoded * 255).astype(np.uint8)
    return colors


def _linear(
    lightness: NDArray[np.float64], chroma: NDArray[np.float64], hue: NDArray[np.float64]
) -> NDArray[np.float64]:
    lab = np.stack([lightness, chroma * np.cos(hue), chroma * np.sin(hue)], -1)
    cone: NDArray[np.float64] = (lab @ _LAB_TO_CONE.T) ** 3
    rgb: NDArray[np.float64] = cone @ _CONE_TO_RGB.T
    return rgb


# Ottosson, "A perceptual color space for image processing", 2020.
_LAB_TO_CONE = np.array(
    [[1, 0.3963377774, 0.2158037573], [1, -0.1055613458, -0.0638541728], [1, -0.0894841775, -1.2914855480]]
)
_CONE_TO_RGB = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)
