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

    def __post_init__(self) -> None:
        object.__setattr__(self, "points", as_array(self.points))
        if self.points.shape != (len(self.ids), 2) or len(self.groups) != len(self.ids):
            raise ValueError(f"{len(self.ids)} points have two coordinates and a group each, not {self.points.shape}")

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The coordinates, and that of the picture in question."""
        return {"points": self.points} | ({} if self.here is None else {"here": np.array(self.here, np.float32)})

    def as_json(self) -> dict[str, Any]:
        """Ids, groups and coordinates."""
        return {
            "ids": list(self.ids),
            "groups": list(self.groups),
            "points": np.round(self.points, 4).tolist(),
            "here": None if self.here is None else [round(float(value), 4) for value in self.here],
            "measures": dict(self.measures),
            "done": self.done,
        }
