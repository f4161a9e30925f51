"""Networks of the built-in worlds; their weights are part of the package."""

from __future__ import annotations

from dataclasses import replace

from ... import worlds
from ...errors import ModelError
from ...pictures import Framing
from .identifiers import Identifier
from .origin import Source, assemble


def load(identifier: Identifier, limit: int, *, local: bool) -> Source:  # noqa: ARG001 - every kind takes the same
    """A network of the world that the identifier's kind names; it says that it is from there."""
    world = worlds.named(identifier.kind)
    assert world is not None  # parse knows no other kinds
    network = world.network(identifier.title)
    if network is None:
        raise ModelError(
            f"The world “{world.scheme}” has no network “{identifier.name}”; "
            f"it has {', '.join(each.name for each in world.networks)}."
        )
    taken = world.taken
    framing = Framing((taken.side, taken.side), mode="squash", resample="bilinear", mean=taken.mean, std=taken.std)
    module = world.load(network.name)
    source = assemble(identifier.title, module, framing, labels=taken.labels, random_weights=not network.learned)
    return replace(source, world=world)
