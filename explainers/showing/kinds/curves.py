"""Curves as a picture, and in words."""

from __future__ import annotations

from PIL import Image, ImageDraw

from ...pictures import Framing, Picture
from ...results import Curves
from ..pen import COLORS, GROUND, HIGH, RULE, SOFT, WIDE, cut, font, legend
from ..render import PaletteName, figure


def drawn(curves: Curves, _source: Picture | None, _framing: Framing, _colors: PaletteName | None) -> Image.Image:
    """Lines over the swept quantity, with bands and marks."""
    image = Image.new("RGB", (WIDE, HIGH), GROUND)
    pen = ImageDraw.Draw(image)
    bands = [v for line in curves.lines for v in (line.values, line.low, line.high) if v is not None and len(v)]
    if not bands:
        return image
    low, high = min(float(v.min()) for v in bands), max(float(v.max()) for v in bands)
    left, right, top, bottom = 64, WIDE - 16, 16, HIGH - 76
    start, end = float(curves.along[0]), float(curves.along[-1])

    def at(x: float, y: float) -> tuple[float, float]:
        across = (x - start) / ((end - start) or 1.0)
        return left + across * (right - left), bottom - (y - low) / ((high - low) or 1.0) * (bottom - top)

    for step in range(5):
        value = low + (high - low) * step / 4
        y = at(start, value)[1]
        pen.line((left, y, right, y), RULE)
        pen.text((left - 8, y), figure(value), SOFT, font(12), anchor="rm")
        x = start + (end - start) * step / 4
        pen.text((at(x, low)[0], bottom + 6), figure(x), SOFT, font(12), anchor="mt")
    for mark in curves.marks:
        x = at(mark.at, low)[0]
        pen.line((x, top, x, bottom), SOFT)
        pen.text((x + 4, top), cut(mark.caption, 160), SOFT, font(12))
    along = curves.along.tolist()
    for number, line in enumerate(curves.lines):
        color = COLORS[number % len(COLORS)]
        if line.low is not None and line.high is not None:
            edge = [at(x, y) for x, y in zip(along, line.high.tolist(), strict=True)]
            back = [at(x, y) for x, y in zip(along, line.low.tolist(), strict=True)]
            veil = Image.new("L", image.size, 0)
            ImageDraw.Draw(veil).polygon([*edge, *reversed(back)], 46)
            image.paste(color, mask=veil)
        pen.line([at(x, y) for x, y in zip(along, line.values.tolist(), strict=True)], color, 2)
    pen.text(((left + right) / 2, bottom + 24), curves.along_unit, SOFT, font(12), anchor="mt")
    legend(pen, [line.label for line in curves.lines], left, HIGH - 22)
    pen.text((right, top), curves.unit, SOFT, font(12), anchor="rt")
    return image


def in_words(curves: Curves) -> str:
    """The same in a sentence, for those who cannot see it."""
    ends = [
        f"{line.label} goes from {figure(float(line.values[0]))} to {figure(float(line.values[-1]))}"
        for line in curves.lines
        if len(line.values)
    ]
    return f"{'; '.join(ends[:5])}." if ends else "No line."
