"""Curves: numbers over a quantity that is swept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .result import Result, as_array


@dataclass(frozen=True, eq=False)
class Curve:
    """One line of `Curves`: a number at each place, with a band where it was measured several times."""

    label: str
    values: NDArray[np.float32]
    low: NDArray[np.float32] | None = None
    high: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        for name in ("values", "low", "high"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, as_array(getattr(self, name)))


@dataclass(frozen=True, eq=False)
class Mark:
    """A place on the horizontal axis that is worth a word, and perhaps a picture (h, w, 3) as uint8."""

    at: float
    caption: str
    picture: NDArray[np.uint8] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What a program may want to know of it, as JSON; nobody has to read it out of the caption."""


@dataclass(frozen=True, eq=False)
class Curves(Result):
    """Numbers over a quantity that is swept."""

    kind: ClassVar[str] = "curves"

    along: NDArray[np.float32]
    """The swept quantity (n,), rising."""
    lines: tuple[Curve, ...]
    along_unit: str
    unit: str
    marks: tuple[Mark, ...] = ()
    stations: tuple[Mark, ...] = ()
    """What stands at each of `along`, in its order, where a method tells; pictures are here, and not in `arrays`."""
    note: str | None = None
    done: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "along", as_array(self.along))
        for line in self.lines:
            for values in (line.values, line.low, line.high):
                if values is not None and values.shape != self.along.shape:
                    raise ValueError(f"“{line.label}” has shape {values.shape} over {self.along.shape} places")
        if self.stations and len(self.stations) != len(self.along):
            raise ValueError(f"{len(self.stations)} stations stand along {len(self.along)} places")

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The places, each line by its label, and the pictures of marks by their number."""
        bands = {
            f"{line.label} {name}": values
            for line in self.lines
            for name, values in (("low", line.low), ("high", line.high))
            if values is not None
        }
        pictures = {f"mark_{n}": mark.picture for n, mark in enumerate(self.marks) if mark.picture is not None}
        return {"along": self.along} | {line.label: line.values for line in self.lines} | bands | pictures

    def as_json(self) -> dict[str, Any]:
        """All numbers; of marks and stations the places, words and facts."""
        lines = [
            {
                "label": line.label,
                "values": line.values.tolist(),
                "low": None if line.low is None else line.low.tolist(),
                "high": None if line.high is None else line.high.tolist(),
            }
            for line in self.lines
        ]
        return {
            "along": self.along.tolist(),
            "along_unit": self.along_unit,
            "unit": self.unit,
            "lines": lines,
            "marks": [_told(mark) for mark in self.marks],
            "stations": [_told(mark) for mark in self.stations],
            "done": self.done,
        }


# --- private ---------------------------------------------------------------------------------------------------------


def _told(mark: Mark) -> dict[str, Any]:
    return {"at": mark.at, "caption": mark.caption, "facts": dict(mark.facts)}
