"""Tiles as a sheet, and in words."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ...pictures import Framing, Picture
from ...results import Tile, Tiles
from ..pen import GAP, GROUND, INK, LINE, counted, cut, font
from ..render import DIVERGING, SEQUENTIAL, PaletteName, overlay, palette, strongest, within

SIDE = 144
"""Pixels of the longer side of a tile on a sheet."""


def drawn(tiles: Tiles, source: Picture | None, framing: Framing, colors: PaletteName | None) -> Image.Image:
    """The tiles beside each other with their captions; maps over the picture where they belong there."""
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
        pen.text((x, y + high + 2), cut(tile.caption, wide), INK, font(12))
    return sheet


def in_words(tiles: Tiles) -> str:
    """The same in a sentence, for those who cannot see it."""
    named = [tile.caption for tile in tiles.tiles if tile.caption]
    return f"{counted(len(tiles.tiles), 'tile')}{': ' + ', '.join(named[:5]) if named else ''}."


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
