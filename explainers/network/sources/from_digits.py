"""Networks that read handwritten digits, built in."""

from __future__ import annotations

from ...pictures import Framing
from ...worlds.digits import reader
from ...worlds.digits.drawn import LABELS, SIDE
from .identifiers import Identifier
from .origin import Source, assemble


def load(identifier: Identifier, limit: int, *, local: bool) -> Source:  # noqa: ARG001 - every kind takes the same
    """The trained network, or the same one as it was before training."""
    framing = Framing(size=(SIDE, SIDE), mode="squash", resample="bilinear", mean=reader.MEAN, std=reader.STD)
    untrained = identifier.name == "untrained"
    module = reader.load(identifier.name)
    return assemble(identifier.title, module, framing, labels=LABELS, random_weights=untrained)
