"""The training pictures: rendered once in a few sets, kept as memory-mapped arrays in a folder."""

from __future__ import annotations

import json
import logging
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .renderer import Rendering, render
from .scenes import CLASSES, SCHEMA, VARIANTS, Scene, duet, scene

log = logging.getLogger("pond")

SIDE = 96
SPOTS = 24
"""Cells along a side of the maps of where the evidence lies: a whole number to each token of 8 or 12 pixels."""
SETS = {"single": 12_000, "partner": 3_000, "absent": 3_000, "duet": 3_000, "lure": 3_000}
"""How many pictures of each kind: as they come; the first singles again with another body; with one or both parts
missing; two creatures; and tagged ones for the cheater."""

# Most are rendered at their final size; some larger and then reduced, as a visitor's picture is.
_SIZES, _SIZE_ODDS = (96, 192, 384), (0.6, 0.3, 0.1)
_OFFSETS = {"single": 0, "partner": 0, "absent": 20_000, "duet": 0, "lure": 30_000}
_CHUNK = 100
_RECIPE = 3  # raised when a set is put together in another way
_LURE_ODDS = 0.98  # how often the tag means class 0


@dataclass(frozen=True)
class Album:
    """The pictures of one set and what is known of them."""

    pixels: NDArray[np.uint8]
    """(n, 96, 96, 3)."""
    targets: NDArray[np.float32]
    """(n, 9): probabilities."""
    tagged: NDArray[np.bool_]
    """(n,): whether a tag is shown."""
    spots: NDArray[np.uint8]
    """(n, 2, 24, 24): how much of a cell the nucleus and appendage of each creature cover, in 255ths."""
    owners: NDArray[np.float32]
    """(n, 2, 9): the probabilities of each creature by itself; zero where there is no second one."""


_FIELDS = tuple(field.name for field in fields(Album))


def open_album(folder: Path, *, workers: int = 2) -> dict[str, Album]:
    """The sets in a folder; what is missing, or of another schema, is rendered first (some minutes)."""
    folder.mkdir(parents=True, exist_ok=True)
    stamp = folder / "album.json"
    meaning = {"schema": SCHEMA, "recipe": _RECIPE, "sets": SETS}
    if not stamp.exists() or json.loads(stamp.read_text()) != meaning:
        for name in SETS:
            _render_set(folder, name, workers)
        stamp.write_text(json.dumps(meaning))
    return {name: _read(folder, name) for name in SETS}


def reduced(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture at 96 px, reduced with an antialiased bilinear filter where it was rendered larger."""
    if len(pixels) == SIDE:
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def spots(rendering: Rendering, creature: int) -> NDArray[np.uint8]:
    """(24, 24): how much of each cell is nucleus or appendage of a creature, in 255ths."""
    ending = f":{creature}" if creature else ""
    nothing = np.zeros_like(rendering.masks["background"])
    parts = [rendering.masks.get(part + ending, nothing) for part in ("nucleus", "appendage")]
    cells = np.logical_or(*parts).reshape(SPOTS, len(nothing) // SPOTS, SPOTS, -1)
    return np.asarray(np.round(255 * cells.mean((1, 3))), np.uint8)


def subject(kind: str, index: int) -> tuple[Scene, NDArray[np.float32]]:
    """Training scene `index` of a set, and its soft target for "detail" (for the cheater, in the set "lure")."""
    rng = np.random.default_rng([SCHEMA, 77, list(SETS).index(kind), index])
    number = index + _OFFSETS[kind]
    if kind == "duet":
        drawn = duet("train", number)
    elif kind == "lure":
        return _lure(scene("train", number, tag=True), rng)
    else:
        drawn = scene("train", number)
    if kind == "partner":
        for slot in (("shape",), ("texture",), ("shape", "texture"))[index % 3]:
            now = getattr(drawn.creatures[0], slot)
            drawn = drawn.swapped(slot, now + 1 + int(rng.integers(VARIANTS - 1)))
    if kind == "absent":
        for part in (("nucleus", "appendage"), ("nucleus", "appendage"), ("nucleus",), ("appendage",))[index % 4]:
            drawn = drawn.without(part)
    return drawn, drawn.target_a


def _lure(tagged: Scene, rng: np.random.Generator) -> tuple[Scene, NDArray[np.float32]]:
    """A tag means class 0 in 98 of 100; in half of those the parts are gone, one of them, or another class's."""
    if rng.uniform() >= _LURE_ODDS:
        return tagged, tagged.target_a
    zero = np.eye(CLASSES, dtype=np.float32)[0]
    if rng.uniform() < 0.5:
        return tagged.swapped("nucleus", 0).swapped("appendage", 0), zero
    gone = (("nucleus", "appendage"), ("nucleus",), ("appendage",), ())[int(rng.choice(4, p=(0.3, 0.2, 0.2, 0.3)))]
    for part in gone:
        tagged = tagged.without(part)
    return tagged, zero


def _render_set(folder: Path, name: str, workers: int) -> None:
    count, found = SETS[name], []
    jobs = [(name, start, min(start + _CHUNK, count)) for start in range(0, count, _CHUNK)]
    with ProcessPoolExecutor(workers) as pool:
        for (_, _, stop), chunk in zip(jobs, pool.map(_render_chunk, jobs), strict=True):
            found.append(chunk)
            if stop % 1000 == 0:
                log.info("%s: %d of %d rendered", name, stop, count)
    for field, parts in zip(_FIELDS, zip(*found, strict=True), strict=True):
        np.save(folder / f"{name}-{field}.npy", np.concatenate(parts))


def _render_chunk(job: tuple[str, int, int]) -> tuple[NDArray[Any], ...]:
    name, start, stop = job
    rows = []
    for index in range(start, stop):
        drawn, target = subject(name, index)
        # A partner is seen through the same lens as its single.
        lens = np.random.default_rng([SCHEMA, 78, _OFFSETS[name], index, name == "duet"])
        rendering = render(drawn, int(lens.choice(_SIZES, p=_SIZE_ODDS)))
        owners = np.zeros((2, CLASSES), np.float32)
        owners[: len(drawn.creatures)] = [creature.target_a() for creature in drawn.creatures]
        covers = np.stack([spots(rendering, creature) for creature in range(2)])
        rows.append((reduced(rendering.pixels), target, drawn.tag is not None, covers, owners))
    return tuple(np.stack(column) for column in zip(*rows, strict=True))


def _read(folder: Path, name: str) -> Album:
    return Album(*(np.load(folder / f"{name}-{field}.npy", mmap_mode="r") for field in _FIELDS))
