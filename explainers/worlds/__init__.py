"""Worlds in which the truth is known: their pictures, their networks, and what each part of a picture really does."""

from .world import (
    Collection,
    Known,
    Network,
    Pair,
    Taken,
    Truth,
    Way,
    World,
    home,
    named,
    of,
    pairwise,
    picture,
    share_on,
    worlds,
)

__all__ = [
    "Collection",
    "Known",
    "Network",
    "Pair",
    "Taken",
    "Truth",
    "Way",
    "World",
    "home",
    "named",
    "of",
    "pairwise",
    "picture",
    "share_on",
    "worlds",
]
