"""Scatter: points in two dimensions, each a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .result import Result, as_array


@dataclass(frozen=True, eq=False)
class Scatter(Result):
    """Points in two dimensions, each a picture."""

    kind: ClassVar[str] = "scatter"

    points: NDArray[np.float32]
    """Coordinates (n, 2)."""
    ids: tuple[str, ...]
    groups: tuple[str, ...]
    """What each point is colored by: its label, or its cluster."""
    here: tuple[float, float] | None = None
    """Where the picture in question lies."""
    measures: tuple[tuple[str, float], ...] = ()
    """How far the map can be trusted: named numbers."""
    note: str | None = None
    done: float = 1.0
    own: int | None = None
    """The number of the picture in question, where it is one of the points itself."""
    kept: NDArray[np.float32] | None = None
    """Of each point (n,) the share of its neighbors that lie beside it here, too, where that was measured."""
    caveats: tuple[str, ...] = ()
    """What has to be known of such a map, each a sentence; the note has them, too."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "points", as_array(self.points))
        if self.kept is not None:
            object.__setattr__(self, "kept", as_array(self.kept))
        if self.points.shape != (len(self.ids), 2) or len(self.groups) != len(self.ids):
            raise ValueError(f"{len(self.ids)} points have two coordinates and a group each, not {self.points.shape}")

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The coordinates, that of the picture in question, and of each point what is kept."""
        here = {} if self.here is None else {"here": np.array(self.here, np.float32)}
        return {"points": self.points} | here | ({} if self.kept is None else {"kept": self.kept})

    def as_json(self) -> dict[str, Any]:
        """Ids, groups and coordinates."""
        return {
            "ids": list(self.ids),
            "groups": list(self.groups),
            "points": np.round(self.points, 4).tolist(),
            "here": None if self.here is None else [round(float(value), 4) for value in self.here],
            "measures": dict(self.measures),
            "own": self.own,
            "caveats": list(self.caveats),
            "done": self.done,
        }
