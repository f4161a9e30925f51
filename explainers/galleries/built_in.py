"""The galleries that are part of the package: one for each world that has reference pictures."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..pictures import Picture
from ..worlds import Collection, World, named, worlds
from .kept import mapped
from .stock import Entry, Stock

SHEET, COLUMNS, TILE = "sheet.webp", 30, 48
"""Small pictures lie in one file, where rendering them would take seconds."""


def names() -> tuple[str, ...]:
    """The names of the built-in galleries: those of their worlds."""
    return tuple(world.scheme for world in worlds() if world.collection)


def world(name: str) -> World:
    """The world of a built-in gallery."""
    found = named(name)
    assert found is not None  # of `names`
    return found


@cache
def collection(name: str) -> Collection:
    """Its pictures, without vectors."""
    found = world(name).collection
    assert found is not None  # of `names`
    return found()


def picture(name: str) -> Callable[[int], Picture]:
    """Gives its pictures by number."""
    pixels = collection(name).picture
    return lambda number: Picture.read(pixels(number))


def thumbnail(name: str) -> Callable[[int], NDArray[np.uint8]] | None:
    """Gives a small picture (h, w, 3) by number, where one is had sooner than the whole."""
    if not (world(name).gallery / SHEET).is_file():
        return None

    def cut(number: int) -> NDArray[np.uint8]:
        top, left = number // COLUMNS * TILE, number % COLUMNS * TILE
        return _sheet(name)[top : top + TILE, left : left + TILE]

    return cut


def digests(name: str) -> tuple[str, ...]:
    """The digest of each of its pictures; reckoned from them where none are kept."""
    path = world(name).gallery / "digests.safetensors"
    if path.is_file():
        arrays, _ = mapped(path)
        return tuple(bytes(row).hex() for row in arrays["digests"])
    read = picture(name)
    return tuple(read(number).digest for number in range(len(collection(name).names)))


def shelf(name: str) -> Stock:
    """Its pictures, to be embedded."""
    known, read = collection(name), picture(name)

    def reading(number: int) -> Callable[[], Picture]:
        return lambda: read(number)

    told = enumerate(zip(known.names, known.labels, strict=True))
    return Stock(name, [Entry(each, label, reading(i)) for i, (each, label) in told])


# --- private ---------------------------------------------------------------------------------------------------------


@cache
def _sheet(name: str) -> NDArray[np.uint8]:
    with Image.open(world(name).gallery / SHEET, formats=("WEBP",)) as image:
        return np.asarray(image.convert("RGB"))
