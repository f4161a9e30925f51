"""World: a place where the truth is known, declared as a frozen value by each folder here; found, never listed."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

Pixels = NDArray[np.uint8]
"""A picture (h, w, 3)."""
Mask = NDArray[np.bool_]
Floats = NDArray[np.floating[Any]]
Score = Callable[[Pixels], Sequence[float] | Floats]
"""The scores (n,) of n pictures (n, h, w, 3)."""


@dataclass(frozen=True)
class Network:
    """A network that lives in a world."""

    name: str
    line: str = ""
    """What the list says of it; a network without a line is loaded by name only."""
    millions: float = 0.0
    """Of parameters."""
    attends: bool = False
    """Whether it has attention that can be read."""
    learned: bool = True
    """False for one with random weights, kept to compare with."""
    second: str = ""
    """A network of the same world, trained apart from it and built otherwise, that judges pictures imagined for it."""
    embedded: tuple[str, ...] = ()
    """Where in it the vectors of the world's gallery are read."""


@dataclass(frozen=True)
class Taken:
    """What networks of a world take and say: square pictures of `side` pixels, their statistics, and the classes."""

    side: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    labels: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Truth:
    """What truly decides in one picture: what each of its elements does to a score, and what a heat puts on each."""

    elements: Mapping[str, str]
    """Names and words: “nucleus” is “blue ring nucleus”."""
    effects: Callable[[Score], Mapping[str, float]]
    """By how much each element raises a score."""
    given: Callable[[Floats], Mapping[str, float]]
    """What a heat (h, w) of the whole picture puts on each element."""
    asides: Mapping[str, str]
    """Kinds of elements that should decide nothing (a name up to its colon), in words: “tag” is “the scale bar”."""


@dataclass(frozen=True, eq=False)
class Known:
    """A picture of a world that has a name, and what is known of it."""

    name: str
    pixels: Pixels
    about: str
    """What it shows, in plain words."""
    file: str
    """What the picture is called in code."""
    code: str
    """Lines of Python that make that file again."""
    evidence: Callable[[str], Mask]
    """Which pixels (h, w) decide for the network of that name."""
    truth: Truth


@dataclass(frozen=True, eq=False)
class Collection:
    """A world's reference pictures; each is rendered or read when it is asked for."""

    names: tuple[str, ...]
    labels: tuple[str, ...]
    facets: Mapping[str, tuple[str, ...]]
    """Other labels, by what they tell apart."""
    picture: Callable[[int], Pixels]
    named: bool = False
    """Whether `names` are pictures of the world by name."""
    slow: bool = False
    """Whether a picture takes so long that small ones are kept, too."""


@dataclass(frozen=True)
class Pair:
    """Two networks that name pictures equally well, of which one cheats; and a picture that shows it."""

    honest: str
    cheater: str
    picture: str


@dataclass(frozen=True)
class Way:
    """A layout of the world's gallery worth seeing beside others: of which network, read where, in words."""

    network: str
    read_at: str
    words: str


@dataclass(frozen=True, eq=False)
class World:
    """Everything that the project knows of one world. Whatever is absent, the world does not have."""

    scheme: str
    """How the identifiers of its networks begin, and what its gallery is called."""
    title: str
    knows: str
    """All that its networks have ever seen, in words: “pond creatures”."""
    folder: Path
    networks: tuple[Network, ...]
    taken: Taken
    load: Callable[[str], nn.Module]
    """The network of that name in eval mode, float32, on the CPU."""
    natural: Callable[[int], Sequence[Pixels]]
    """So many pictures that no network was trained on."""
    order: int = 100
    """Where it stands among worlds; the first is where visitors arrive."""
    covered: bool = False
    """Whether its networks were trained on partly covered pictures, too."""
    picture: Callable[[str, int], Known | None] | None = None
    """The picture of a name, so many pixels on each side; None where the name is none of this world's."""
    naming: str = ""
    """How pictures are named, in words."""
    offered: tuple[str, ...] = ()
    """Names of the pictures that are offered at once; the first is what a visitor meets."""
    collection: Callable[[], Collection] | None = None
    example: str = ""
    """The picture to ask about when somebody comes to its gallery from another network; by default the same one."""
    ways: tuple[Way, ...] = ()
    pair: Pair | None = None

    @property
    def first(self) -> str:
        """The identifier of its first network."""
        return self.identifier(self.networks[0].name)

    def identifier(self, name: str) -> str:
        """What the network of that name is loaded by."""
        return f"{self.scheme}:{name}"

    def network(self, identifier: str) -> Network | None:
        """The network that an identifier names, where it is one of this world's."""
        return next((each for each in self.networks if self.identifier(each.name) == identifier), None)

    @property
    def gallery(self) -> Path:
        """The folder with what its gallery ships: vectors, layouts, digests, small pictures."""
        return self.folder / "gallery"


@cache
def worlds() -> tuple[World, ...]:
    """Every world: what the folders beside this file declare as `WORLD`, in their order."""
    package = import_module(__package__)
    folders = [found.name for found in pkgutil.iter_modules(package.__path__) if found.ispkg]
    found: list[World] = [import_module(f"{__package__}.{name}").WORLD for name in folders]
    return tuple(sorted(found, key=lambda world: (world.order, world.scheme)))


def home() -> World:
    """The world where visitors arrive."""
    return worlds()[0]


def named(scheme: str) -> World | None:
    """The world of that name."""
    return next((world for world in worlds() if world.scheme == scheme), None)


def of(identifier: str) -> World | None:
    """The world that an identifier names a network of."""
    return next((world for world in worlds() if world.network(identifier)), None)


def picture(name: str, side: int) -> tuple[World, Known] | None:
    """The picture of that name, `side` pixels square, and its world; None where no world has it."""
    for world in worlds():
        if world.picture is not None and (found := world.picture(name, side)) is not None:
            return world, found
    return None


def pairwise(true: Mapping[str, float], attributed: Mapping[str, float]) -> float | None:
    """The share of pairs of elements that a heat puts in the right order, of those whose effects differ.

    Two differ by more than 5 % of the largest effect; a tie of the heat counts one half. None without such a pair.
    """
    effect = np.array(list(true.values()))
    amount = np.array([attributed[name] for name in true])
    one, other = np.triu_indices(len(effect), 1)
    apart = effect[one] - effect[other]
    told = np.abs(apart) > 0.05 * np.abs(effect).max(initial=0)
    right = np.sign(amount[one] - amount[other]) * np.sign(apart)
    return float((right[told] + 1).mean() / 2) if told.any() else None


def share_on(kind: str, attributed: Mapping[str, float]) -> float:
    """The share of what a heat counts as raising that it puts on elements of a kind, “tag” or “debris”."""
    raising = {name: max(0.0, amount) for name, amount in attributed.items()}
    total = sum(raising.values())
    return sum(amount for name, amount in raising.items() if name.partition(":")[0] == kind) / total if total else 0.0
