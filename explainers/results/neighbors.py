"""Neighbors: pictures of a gallery, the nearest first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .result import Result


@dataclass(frozen=True, eq=False)
class Neighbor:
    """A picture of a gallery, and how far it is from the one in question."""

    id: str
    label: str
    distance: float
    thumbnail: NDArray[np.uint8]
    """(h, w, 3)."""
    number: int | None = None
    """Its number in the gallery, from 0."""


@dataclass(frozen=True, eq=False)
class Neighbors(Result):
    """Pictures of a gallery, the nearest first."""

    kind: ClassVar[str] = "neighbors"

    rows: tuple[Neighbor, ...]
    unit: str
    votes: tuple[tuple[str, float], ...] = ()
    """The share of the vote that each label gets."""
    near: str = ""
    """How near the nearest is by the gallery's own measure, as a sentence; the note has it, too."""
    note: str | None = None
    done: float = 1.0

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The distances, and the thumbnails by their place."""
        thumbnails = {f"thumbnail_{n}": row.thumbnail for n, row in enumerate(self.rows)}
        return {"distances": np.array([row.distance for row in self.rows], np.float32)} | thumbnails

    def as_json(self) -> dict[str, Any]:
        """Ids, labels, distances, and numbers in the gallery."""
        rows = [{"id": row.id, "label": row.label, "distance": row.distance, "number": row.number} for row in self.rows]
        votes = dict(self.votes)
        return {"neighbors": rows, "unit": self.unit, "votes": votes, "near": self.near, "done": self.done}
