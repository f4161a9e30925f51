"""Networks of the built-in world."""

from __future__ import annotations

from ...errors import ModelError
from ...pictures import Framing
from ...worlds.pond import brains
from .identifiers import Identifier
from .origin import Source, assemble


def load(identifier: Identifier, limit: int, *, local: bool) -> Source:  # noqa: ARG001 - every kind takes the same
    """One of the pond's networks; their weights are part of the package."""
    if identifier.name not in brains.NAMES:
        raise ModelError(f"The pond has no network “{identifier.name}”; it has {', '.join(brains.NAMES)}.")
    size = (brains.SIZE, brains.SIZE)
    framing = Framing(size=size, mode="squash", resample="bilinear", mean=brains.MEAN, std=brains.STD)
    return assemble(identifier.title, brains.load(identifier.name), framing, labels=brains.LABELS_A)
