"""Natural pictures: those of a network's own built-in world, or of a gallery that holds its vectors."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

from ..errors import QuestionError
from ..galleries.gallery import Gallery, fitting
from ..network import classifier
from ..network.classifier import Classifier
from ..pictures import Picture
from ..shapes import Batch
from ..worlds.digits import drawn
from ..worlds.pond import LABELS_A, brains, render, scene

NATURAL = 90
"""Pictures that stand for all natural ones: ten of each pond class, about."""


def natural_pictures(model: Classifier, count: int = NATURAL) -> tuple[Picture, ...]:
    """Held-out pictures of the network's own world, or those of a gallery on offer that has its vectors; or none."""
    if model.labels == LABELS_A:
        return pond_pictures(count)
    if model.labels == drawn.LABELS:
        return _digits(count)
    try:
        return _spread(fitting(model), count)
    except QuestionError:
        return ()


@lru_cache(maxsize=2)
def pond_pictures(count: int = NATURAL) -> tuple[Picture, ...]:
    """Held-out pond pictures, without scale bars."""
    return tuple(Picture.read(np.array(render(scene("val", i, tag=False), brains.SIZE).pixels)) for i in range(count))


def framed(model: Classifier, pictures: tuple[Picture, ...]) -> Batch:
    """Pictures as a network sees them: (N, 3, H, W) in [0, 1], on its device."""
    found = [model.framing.frame(picture) for picture in pictures]
    return torch.stack(found).to(model.device) if found else torch.zeros(0, 3, *model.framing.size)


def second_opinion(model: Classifier) -> Classifier | None:
    """A network of the same world, trained apart from this one and built otherwise; None where there is none."""
    if model.labels != LABELS_A:
        return None
    return _pond_network("cnn" if model.anatomy.attention else "vit")


# --- private ---------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=2)
def _digits(count: int) -> tuple[Picture, ...]:
    pixels, _ = drawn.pictures()
    return tuple(Picture.read(np.array(one)) for one in pixels[drawn.held_out()][:count])


@lru_cache(maxsize=4)
def _spread(gallery: Gallery, count: int) -> tuple[Picture, ...]:
    """Pictures at even distances through a gallery, so that each of its classes has a share."""
    count = min(count, len(gallery))
    return tuple(gallery.picture(i * len(gallery) // count) for i in range(count))


@lru_cache(maxsize=2)
def _pond_network(name: str) -> Classifier:
    return classifier.load(f"pond:{name}", device="cpu")
