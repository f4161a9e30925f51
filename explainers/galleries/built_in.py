"""The galleries that are part of the package: pond creatures, and handwritten digits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..pictures import Picture
from ..worlds import digits, pond
from .kept import mapped
from .stock import Entry, Stock

NAMES = ("pond", "digits")
POND_SCENES = range(2000, 2900)
"""Test scenes that neither the networks' training nor their measuring used."""

SHEET, COLUMNS, TILE = "sheet.webp", 30, 48
"""The pond's thumbnails lie in one picture, since rendering them takes seconds."""


@dataclass(frozen=True, eq=False)
class Held:
    """A built-in gallery without its vectors; pictures are rendered or read when they are asked for."""

    names: tuple[str, ...]
    labels: tuple[str, ...]
    digests: tuple[str, ...]
    facets: dict[str, tuple[str, ...]]
    picture: Callable[[int], Picture]
    thumbnail: Callable[[int], NDArray[np.uint8]] | None = None
    """A small picture (h, w, 3), where it is had sooner than the whole one."""


def folder(name: str) -> Path:
    """Where the vectors and maps of a built-in gallery lie."""
    return Path(__file__).parent / "shipped" / name


@cache
def held(name: str) -> Held:
    """The built-in gallery of that name."""
    digests = _digests(name)
    if name == "digits":
        return _digits(digests)
    return _pond(digests)


def shelf(name: str) -> Stock:
    """Its pictures, to be embedded."""
    known = _digits(()) if name == "digits" else _pond(())
    entries = [
        Entry(n, label, _reading(known.picture, i))
        for i, (n, label) in enumerate(zip(known.names, known.labels, strict=True))
    ]
    return Stock(name, entries)


# --- private ---------------------------------------------------------------------------------------------------------


def _reading(picture: Callable[[int], Picture], number: int) -> Callable[[], Picture]:
    return lambda: picture(number)


def _digests(name: str) -> tuple[str, ...]:
    arrays, _ = mapped(folder(name) / "digests.safetensors")
    return tuple(bytes(row).hex() for row in arrays["digests"])


def _digits(digests: tuple[str, ...]) -> Held:
    pixels, targets = digits.pictures()
    kept = digits.held_out()
    return Held(
        names=tuple(f"digit {number}" for number in range(len(pixels))),
        labels=tuple(digits.LABELS[target] for target in targets),
        digests=digests,
        facets={"part": tuple("held out" if one else "trained on" for one in kept)},
        picture=lambda number: Picture.read(pixels[number]),
    )


def _pond(digests: tuple[str, ...]) -> Held:
    scenes = [pond.scene("test", number) for number in POND_SCENES]
    bodies = tuple(pond.LABELS_B[each.class_b] for each in scenes)

    def picture(number: int) -> Picture:
        return Picture.read(pond.render(scenes[number], 96).pixels)

    def thumbnail(number: int) -> NDArray[np.uint8]:
        top, left = number // COLUMNS * TILE, number % COLUMNS * TILE
        return _sheet()[top : top + TILE, left : left + TILE]

    return Held(
        names=tuple(f"test:{number}" for number in POND_SCENES),
        labels=tuple(pond.LABELS_A[each.class_a] for each in scenes),
        digests=digests,
        facets={"body": bodies, "scale bar": tuple("without" if each.tag is None else "with" for each in scenes)},
        picture=picture,
        thumbnail=thumbnail,
    )


@cache
def _sheet() -> NDArray[np.uint8]:
    with Image.open(folder("pond") / SHEET, formats=("WEBP",)) as image:
        return np.asarray(image.convert("RGB"))
