"""Curves: numbers over a quantity that is swept."""

from __future__ import annotations

from dataclasses import dataclass
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
    note: str | None = None
    done: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "along", as_array(self.along))
        for line in self.lines:
            for values in (line.values, line.low, line.high):
                if values is not None and values.shape != self.along.shape:
                    raise ValueError(f"“{line.label}” has shape {values.shape} over {self.along.shape} places")

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
        """All numbers; of marks the places and words."""
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
            "marks": [{"at": mark.at, "caption": mark.caption} for mark in self.marks],
            "done": self.done,
        }
