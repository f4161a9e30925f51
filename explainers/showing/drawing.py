"""How tiles, bars, lines, points and neighbors become a picture, and the same in words."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ..pictures import Framing, Picture
from ..results import Bars, Curves, Neighbors, Result, Scatter, Tile, Tiles
from .render import DIVERGING, SEQUENTIAL, PaletteName, figure, overlay, palette, percent, strongest, within

SIDE = 144
"""Pixels of the longer side of a tile on a sheet."""
GAP, LINE = 12, 18
WIDE, HIGH = 720, 420
GROUND, INK, SOFT, RULE, ACCENT = "#ffffff", "#191b1a", "#5f6562", "#e2e5e2", "#0b7559"
COLORS = ("#0b7559", "#c4622d", "#3c6fb0", "#8a5aa8", "#a88a00", "#b0406a", "#4a8a94", "#6a6f6c", "#7a4a2a", "#2f3f8f")
"""Told apart with common color blindness; after the tenth they start anew."""


def drawn(
    result: Result, source: Picture | None, framing: Framing, *, colors: PaletteName | None = None
) -> Image.Image:
    """A result that is not a heat, as a picture with its captions. Raises `TypeError` for a kind without a drawing."""
    match result:
        case Tiles():
            return _sheet(result, source, framing, colors)
        case Bars():
            return _bars(result)
        case Curves():
            return _curves(result)
        case Scatter():
            return _scatter(result)
        case Neighbors():
            tiles = [Tile(row.thumbnail, f"{row.label}, {figure(row.distance)}") for row in result.rows]
            return _sheet(Tiles(tuple(tiles)), None, framing, colors)
    raise TypeError(f"no drawing for {type(result).__name__}")


def in_words(result: Result) -> str:
    """What a result shows, in a sentence, for those who cannot see it."""
    match result:
        case Tiles():
            named = [tile.caption for tile in result.tiles if tile.caption]
            return f"{_count(len(result.tiles), 'tile')}{': ' + ', '.join(named[:5]) if named else ''}."
        case Bars() if len(result.labels):
            best = int(np.abs(result.values).argmax())
            value = f"{figure(float(result.values[best]))} {result.unit}".strip()
            return f"{_count(len(result.labels), 'bar')}; the longest is {result.labels[best]}, {value}."
        case Curves():
            ends = [
                f"{line.label} goes from {figure(float(line.values[0]))} to {figure(float(line.values[-1]))}"
                for line in result.lines
                if len(line.values)
            ]
            return f"{'; '.join(ends[:5])}." if ends else "No line."
        case Scatter():
            return f"{_count(len(result.ids), 'picture')} in {_count(len(set(result.groups)), 'group')}."
        case Neighbors() if result.rows:
            vote = f" {percent(result.votes[0][1])} of the vote is for {result.votes[0][0]}." if result.votes else ""
            return f"The nearest is {result.rows[0].label}, {figure(result.rows[0].distance)} {result.unit} away.{vote}"
    return "Nothing to show."


def colored(tile: Tile, scale: float | None = None, colors: PaletteName | None = None) -> NDArray[np.uint8]:
    """A tile as colors (h, w, 3): a map through its palette, `scale` getting the strongest color."""
    if tile.values.ndim == 3:
        return tile.values
    share = np.clip(tile.values / (scale or strongest(tile.values) or 1.0), -1 if tile.signed else 0, 1)
    position = (share + 1) / 2 if tile.signed else share
    shades: NDArray[np.uint8] = palette(colors or (DIVERGING if tile.signed else SEQUENTIAL[0]))[
        np.rint(position * 255).astype(int)
    ]
    return shades


# --- private ---------------------------------------------------------------------------------------------------------


def _sheet(tiles: Tiles, source: Picture | None, framing: Framing, colors: PaletteName | None) -> Image.Image:
    small = source.reduced(within(source.size, SIDE * SIDE)) if source is not None and tiles.over_picture else None
    pictures = [_tile(tile, source, small, framing, colors) for tile in tiles.tiles]
    if not pictures:
        return Image.new("RGB", (SIDE, SIDE), GROUND)
    columns = tiles.columns or min(len(pictures), 8, max(3, math.ceil(math.sqrt(len(pictures) * 1.6))))
    wide, high = max(p.width for p in pictures), max(p.height for p in pictures)
    lines = LINE if any(tile.caption for tile in tiles.tiles) else 0
    rows = math.ceil(len(pictures) / columns)
    sheet = Image.new("RGB", (GAP + columns * (wide + GAP), GAP + rows * (high + lines + GAP)), GROUND)
    pen = ImageDraw.Draw(sheet)
    for place, (tile, picture) in enumerate(zip(tiles.tiles, pictures, strict=True)):
        x, y = GAP + place % columns * (wide + GAP), GAP + place // columns * (high + lines + GAP)
        sheet.paste(picture, (x, y))
        pen.text((x, y + high + 2), _cut(tile.caption, wide), INK, _font(12))
    return sheet


def _tile(
    tile: Tile,
    source: Picture | None,
    small: NDArray[np.uint8] | None,
    framing: Framing,
    colors: PaletteName | None,
) -> Image.Image:
    if source is not None and small is not None and tile.values.ndim == 2:
        heat = framing.unframe(tile.values, source.size, at=small.shape[:2])
        picture = overlay(small, heat, signed=tile.signed, colors=colors)
        smooth = True
    else:
        picture, smooth = Image.fromarray(colored(tile, colors=colors)), max(tile.values.shape[:2]) >= SIDE
    ratio = SIDE / max(picture.size)
    size = (max(1, round(picture.width * ratio)), max(1, round(picture.height * ratio)))
    return picture.resize(size, Image.Resampling.LANCZOS if smooth else Image.Resampling.NEAREST)


def _bars(bars: Bars) -> Image.Image:
    names = 200
    image = Image.new("RGB", (WIDE, 2 * GAP + max(1, len(bars.labels)) * (LINE + 6) + LINE), GROUND)
    pen, room = ImageDraw.Draw(image), WIDE - names - 110
    low, high = min(0.0, float(bars.values.min(initial=0))), max(0.0, float(bars.values.max(initial=0)))
    span = (high - low) or 1.0
    zero = names + round(room * -low / span)
    for row, (label, value) in enumerate(zip(bars.labels, bars.values.tolist(), strict=True)):
        y = GAP + row * (LINE + 6)
        pen.text((GAP, y), _cut(label, names - 2 * GAP), INK, _font(13))
        end = names + round(room * (value - low) / span)
        pen.rectangle((min(zero, end), y + 2, max(zero, end), y + LINE - 4), COLORS[0] if value >= 0 else COLORS[2])
        if bars.error is not None:
            half = round(room * float(bars.error[row]) / span)
            pen.line((end - half, y + LINE // 2 - 1, end + half, y + LINE // 2 - 1), INK)
        pen.text((WIDE - 96, y), figure(value), SOFT, _font(13))
    pen.line((zero, GAP, zero, image.height - GAP - LINE), SOFT)
    pen.text((names, image.height - GAP - LINE + 4), bars.unit, SOFT, _font(12))
    return image


def _curves(curves: Curves) -> Image.Image:
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
        pen.text((left - 8, y), figure(value), SOFT, _font(12), anchor="rm")
        x = start + (end - start) * step / 4
        pen.text((at(x, low)[0], bottom + 6), figure(x), SOFT, _font(12), anchor="mt")
    for mark in curves.marks:
        x = at(mark.at, low)[0]
        pen.line((x, top, x, bottom), SOFT)
        pen.text((x + 4, top), _cut(mark.caption, 160), SOFT, _font(12))
    for number, line in enumerate(curves.lines):
        color = COLORS[number % len(COLORS)]
        if line.low is not None and line.high is not None:
            edge = [at(x, y) for x, y in zip(curves.along, line.high, strict=True)]
            back = [at(x, y) for x, y in zip(curves.along, line.low, strict=True)]
            veil = Image.new("L", image.size, 0)
            ImageDraw.Draw(veil).polygon([*edge, *reversed(back)], 46)
            image.paste(color, mask=veil)
        pen.line([at(x, y) for x, y in zip(curves.along, line.values, strict=True)], color, 2)
    pen.text(((left + right) / 2, bottom + 24), curves.along_unit, SOFT, _font(12), anchor="mt")
    _legend(pen, [line.label for line in curves.lines], left, HIGH - 22)
    pen.text((right, top), curves.unit, SOFT, _font(12), anchor="rt")
    return image


def _scatter(scatter: Scatter) -> Image.Image:
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
    _legend(pen, names, GAP, WIDE + 8)
    return image


def _legend(pen: ImageDraw.ImageDraw, names: Sequence[str], x: float, y: float) -> None:
    for number, name in enumerate(names):
        width = pen.textlength(name, _font(12)) + 30
        if x + width > WIDE:
            pen.text((x, y), "…", SOFT, _font(12))
            return
        pen.rectangle((x, y + 3, x + 10, y + 13), COLORS[number % len(COLORS)])
        pen.text((x + 15, y), name, INK, _font(12))
        x += width


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _cut(text: str, width: int) -> str:
    """As much of a text as fits, with a sign that it was more."""
    font = _font(12)
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
