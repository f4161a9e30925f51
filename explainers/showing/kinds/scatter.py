"""Points as a picture, and in words."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from ...pictures import Framing, Picture
from ...results import Scatter
from ..pen import COLORS, GAP, GROUND, INK, WIDE, counted, legend
from ..render import PaletteName


def drawn(scatter: Scatter, _source: Picture | None, _framing: Framing, _colors: PaletteName | None) -> Image.Image:
    """Points in the color of their group, and a ring where the picture in question lies."""
    image = Image.new("RGB", (WIDE, WIDE + 32), GROUND)
    pen = ImageDraw.Draw(image)
    if not len(scatter.points):
        return image
    low, high = scatter.points.min(0), scatter.points.max(0)
    span, middle = float((high - low).max()) or 1.0, (low + high) / 2
    places = (scatter.points - middle) / span * (WIDE - 64) * np.array([1, -1]) + WIDE / 2
    names = sorted(set(scatter.groups))
    for (x, y), group in zip(places.tolist(), scatter.groups, strict=True):
        pen.ellipse((x - 3, y - 3, x + 3, y + 3), COLORS[names.index(group) % len(COLORS)])
    if scatter.here is not None:
        x, y = ((np.array(scatter.here) - middle) / span * (WIDE - 64) * np.array([1, -1]) + WIDE / 2).tolist()
        pen.ellipse((x - 9, y - 9, x + 9, y + 9), None, INK, 3)
    legend(pen, names, GAP, WIDE + 8)
    return image


def in_words(scatter: Scatter) -> str:
    """The same in a sentence, for those who cannot see it."""
    return f"{counted(len(scatter.ids), 'picture')} in {counted(len(set(scatter.groups)), 'group')}."
