"""The digits as a world: real pictures, whose classes are known and whose true effects are not."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from ..world import Collection, Network, Pixels, Taken, Way, World
from .drawn import LABELS, MEAN, SIDE, STD, held_out, pictures

# --- private ---------------------------------------------------------------------------------------------------------


def _load(name: str) -> nn.Module:
    from . import reader

    return reader.load(name)


def _natural(count: int) -> tuple[Pixels, ...]:
    pixels, _ = pictures()
    return tuple(pixels[held_out()][:count])


def _collection() -> Collection:
    pixels, targets = pictures()
    return Collection(
        names=tuple(f"digit {number}" for number in range(len(pixels))),
        labels=tuple(LABELS[target] for target in targets),
        facets={"part": tuple("held out" if one else "trained on" for one in held_out())},
        picture=lambda number: pixels[number],
    )


WORLD = World(
    scheme="digits",
    title="Handwritten digits",
    knows="handwritten digits",
    folder=Path(__file__).parent,
    networks=(
        Network(
            "cnn",
            "Small convolutional network that reads handwritten digits",
            0.06,
            embedded=("pooled", "late", "middle", "early", "pixels"),
        ),
        Network("untrained", learned=False, embedded=("pooled",)),
    ),
    taken=Taken(SIDE, MEAN, STD, LABELS),
    load=_load,
    natural=_natural,
    order=10,
    collection=_collection,
    example="gallery:digits:1402",
    ways=(
        Way("cnn", "pixels", "pixels"),
        Way("untrained", "pooled", "a network before training"),
        Way("cnn", "pooled", "the same network after it"),
    ),
)
