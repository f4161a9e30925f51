"""Natural pictures: those of a network's own built-in world, or of a gallery that holds its vectors."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import torch

from .. import worlds
from ..errors import QuestionError
from ..galleries.gallery import Gallery, fitting
from ..network import classifier
from ..network.classifier import Classifier
from ..pictures import Picture
from ..shapes import Batch
from ..worlds import World

NATURAL = 90
"""Pictures that stand for all natural ones: ten of each pond class, about."""


def natural_pictures(model: Classifier, count: int = NATURAL) -> tuple[Picture, ...]:
    """Pictures of the network's own world, of a gallery on offer that has its vectors, or those at hand; or none."""
    return _natural(model, count)[0]


def whose(model: Classifier) -> str:
    """Whose the natural pictures of a network are, in words; empty where there are none."""
    return _natural(model, 1)[1]


def have_at_hand(photographs: Sequence[Path]) -> None:
    """Files that stand in for natural pictures wherever a network has none of its own; read when first wanted."""
    _at_hand[:] = photographs


def any_pictures(count: int = NATURAL) -> tuple[Picture, ...]:
    """Pictures that are always here, for a network that has none of its own."""
    return _held_out(worlds.home(), count)


def framed(model: Classifier, pictures: tuple[Picture, ...]) -> Batch:
    """Pictures as a network sees them: (N, 3, H, W) in [0, 1], on its device."""
    found = [model.framing.frame(picture) for picture in pictures]
    return torch.stack(found).to(model.device) if found else torch.zeros(0, 3, *model.framing.size)


def second_opinion(model: Classifier) -> Classifier | None:
    """A network of the same world, trained apart from this one and built otherwise; None where there is none."""
    own = None if model.world is None else model.world.network(model.name)
    return _judge(model.world.identifier(own.second)) if model.world and own and own.second else None


# --- private ---------------------------------------------------------------------------------------------------------

_at_hand: list[Path] = []


def _natural(model: Classifier, count: int) -> tuple[tuple[Picture, ...], str]:
    if model.world is not None:
        return _held_out(model.world, count), "its own world"
    try:
        gallery = fitting(model)
    except QuestionError:
        return _photographs(tuple(_at_hand[:count])), "the photographs here" if _at_hand else ""
    return _spread(gallery, count), f"the gallery {gallery.name}"


@lru_cache(maxsize=2)
def _photographs(files: tuple[Path, ...]) -> tuple[Picture, ...]:
    return tuple(Picture.read(file) for file in files)


@lru_cache(maxsize=4)
def _held_out(world: World, count: int) -> tuple[Picture, ...]:
    return tuple(Picture.read(one) for one in world.natural(count))


@lru_cache(maxsize=4)
def _spread(gallery: Gallery, count: int) -> tuple[Picture, ...]:
    """Pictures at even distances through a gallery, so that each of its classes has a share."""
    count = min(count, len(gallery))
    return tuple(gallery.picture(i * len(gallery) // count) for i in range(count))


@lru_cache(maxsize=2)
def _judge(identifier: str) -> Classifier:
    return classifier.load(identifier, device="cpu")
