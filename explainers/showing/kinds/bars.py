"""Bars as a picture, and in words."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from ...pictures import Framing, Picture
from ...results import Bars
from ..pen import COLORS, GAP, GROUND, INK, LINE, SOFT, WIDE, counted, cut, font
from ..render import PaletteName, figure


def drawn(bars: Bars, _source: Picture | None, _framing: Framing, _colors: PaletteName | None) -> Image.Image:
    """One bar below the other, from zero on, with its error where there is one."""
    names = 200
    image = Image.new("RGB", (WIDE, 2 * GAP + max(1, len(bars.labels)) * (LINE + 6) + LINE), GROUND)
    pen, room = ImageDraw.Draw(image), WIDE - names - 110
    low, high = min(0.0, float(bars.values.min(initial=0))), max(0.0, float(bars.values.max(initial=0)))
    span = (high - low) or 1.0
    zero = names + round(room * -low / span)
    for row, (label, value) in enumerate(zip(bars.labels, bars.values.tolist(), strict=True)):
        y = GAP + row * (LINE + 6)
        pen.text((GAP, y), cut(label, names - 2 * GAP), INK, font(13))
        end = names + round(room * (value - low) / span)
        pen.rectangle((min(zero, end), y + 2, max(zero, end), y + LINE - 4), COLORS[0] if value >= 0 else COLORS[2])
        if bars.error is not None:
            half = round(room * float(bars.error[row]) / span)
            pen.line((end - half, y + LINE // 2 - 1, end + half, y + LINE // 2 - 1), INK)
        pen.text((WIDE - 96, y), figure(value), SOFT, font(13))
    pen.line((zero, GAP, zero, image.height - GAP - LINE), SOFT)
    pen.text((names, image.height - GAP - LINE + 4), bars.unit, SOFT, font(12))
    return image


def in_words(bars: Bars) -> str:
    """The same in a sentence, for those who cannot see it."""
    if not bars.labels:
        return "No bar."
    best = int(np.abs(bars.values).argmax())
    value = f"{figure(float(bars.values[best]))} {bars.unit}".strip()
    return f"{counted(len(bars.labels), 'bar')}; the longest is {bars.labels[best]}, {value}."
