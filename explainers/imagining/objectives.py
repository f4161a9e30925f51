"""What is to be raised: a class, a channel, a neuron, a layer, a direction, or the likeness to a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor

from ..network.sites import Site
from ..shapes import MapsBatch, Scores
from ..trace import Target


@runtime_checkable
class Objective(Protocol):
    """A number for each picture, from the logits (N, C) and the maps (N, K, h, w) at `site`."""

    @property
    def site(self) -> Site | None:
        """Where the maps are read; None for an objective that reads the logits only."""
        ...

    def __call__(self, logits: Tensor, maps: MapsBatch | None) -> Scores:
        """The numbers (N,) that are to become large."""
        ...


@dataclass(frozen=True)
class ClassScore:
    """The score of a class: its centered logit, unless the target says otherwise; never the probability by default.

    A probability grows as well by lowering all other classes, and then the picture shows nothing of this one.
    """

    target: Target
    site: Site | None = None

    def __call__(self, logits: Tensor, maps: MapsBatch | None) -> Scores:  # noqa: ARG002 - every objective takes both
        """The score (N,) of logits (N, C)."""
        return self.target.of(logits)


@dataclass(frozen=True)
class Channel:
    """One channel of some maps, averaged over its places."""

    site: Site
    channel: int

    def __call__(self, logits: Tensor, maps: MapsBatch | None) -> Scores:  # noqa: ARG002
        """The mean activation (N,)."""
        assert maps is not None
        return maps[:, self.channel].mean((1, 2))


@dataclass(frozen=True)
class Neuron:
    """One channel at one place (row, column) of its grid."""

    site: Site
    channel: int
    place: tuple[int, int]

    def __call__(self, logits: Tensor, maps: MapsBatch | None) -> Scores:  # noqa: ARG002
        """The activation (N,) there."""
        assert maps is not None
        return maps[:, self.channel, self.place[0], self.place[1]]


@dataclass(frozen=True)
class Layer:
    """All that some maps have found already, strengthened: half their mean square, as in deep dream."""

    site: Site

    def __call__(self, logits: Tensor, maps: MapsBatch | None) -> Scores:  # noqa: ARG002
        """Half the mean (N,) of the squares; its slope at a unit is the unit's own activation."""
        assert maps is not None
        return maps.square().mean((1, 2, 3)) / 2


@dataclass(frozen=True, eq=False)
class Direction:
    """A mixture of channels: how far the maps go along it, times how little they go elsewhere (cosine to a power).

    `along` is (K,) for a mixture that is the same at every place, or (K, h, w) for what a picture has where.
    """

    site: Site
    along: Tensor
    power: float = 1.0

    def __call__(self, logits: Tensor, maps: MapsBatch | None) -> Scores:  # noqa: ARG002
        """Projection times cosine to the power (N,)."""
        assert maps is not None
        found = maps.mean((2, 3)) if self.along.ndim == 1 else maps.flatten(1)
        unit = (self.along / self.along.norm().clamp(min=1e-12)).flatten().to(found)
        projected = found @ unit
        cosine = projected / found.norm(dim=1).clamp(min=1e-12)
        # Never zero: a picture that starts on the wrong side still has to find its way.
        score: Scores = projected * cosine.clamp(min=0.1).detach() ** self.power
        return score


@dataclass(frozen=True, eq=False)
class Likeness:
    """How close the maps come to those of a picture: 1 where they are the same, 0 where they are as far as nothing."""

    site: Site
    wanted: Tensor
    """(K, h, w)"""

    def __call__(self, logits: Tensor, maps: MapsBatch | None) -> Scores:  # noqa: ARG002
        """One minus the squared distance (N,) as a share of the squared length."""
        assert maps is not None
        return 1 - (maps - self.wanted).square().sum((1, 2, 3)) / self.wanted.square().sum().clamp(min=1e-12)
