"""Heat: a number for each cell of a grid over what the network saw, and the steps that led to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from .result import Result, as_array


@dataclass(frozen=True)
class Sum:
    """What a map promises to add up to, and what it does add up to, both in units of the score."""

    parts: float
    """The sum of the map, before any rounding."""
    whole: float
    """What the parts are to add up to: for most, the score here minus the score of the baseline."""
    floor: float = 0.0
    """A whole smaller than this is too small to be a measure; the residual is taken against this instead."""

    @property
    def residual(self) -> float:
        """By how much the parts miss the whole, as a share of it."""
        return abs(self.parts - self.whole) / max(abs(self.whole), self.floor, 1e-12)


@dataclass(frozen=True, eq=False, init=False)
class Heatmap(Result):
    """A number for each cell of a grid over what the network saw, at the method's own resolution.

    `heat` may be given as a tensor (h, w); it is kept as float32 on the CPU. `signed` says whether values below zero
    carry meaning ("lowers the score"). `unit` is shown beside the palette, and `note` where the map needs a caveat.
    `adds_up` belongs to a method that promises a sum, `error` (h, w) to one that draws at random: the standard error
    of each cell. `done` is the share of the work behind this map, for a method that streams better and better ones.
    Raises `ValueError` for another shape.
    """

    kind: ClassVar[str] = "heat"

    heat: NDArray[np.float32]
    signed: bool
    unit: str
    note: str | None
    adds_up: Sum | None
    error: NDArray[np.float32] | None
    done: float

    def __init__(
        self,
        values: Tensor | NDArray[Any],
        *,
        unit: str,
        signed: bool = False,
        note: str | None = None,
        adds_up: Sum | None = None,
        error: Tensor | NDArray[Any] | None = None,
        done: float = 1.0,
    ) -> None:
        heat = as_array(values)
        if heat.ndim != 2 or heat.size == 0:
            raise ValueError(f"a heatmap has two axes and at least one cell, this has shape {heat.shape}")
        spread = None if error is None else as_array(error)
        if spread is not None and spread.shape != heat.shape:
            raise ValueError(f"a standard error belongs to each cell: {spread.shape} beside {heat.shape}")
        known = {"heat": heat, "signed": signed, "unit": unit, "note": note}
        for name, value in (known | {"adds_up": adds_up, "error": spread, "done": float(done)}).items():
            object.__setattr__(self, name, value)

    @property
    def blank(self) -> bool:
        """Whether every cell is zero: the method found nothing."""
        return not np.any(self.heat)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The map (h, w) at the method's own resolution."""
        return {"native": self.heat}

    def as_json(self) -> dict[str, Any]:
        """Shape, unit, sign and range."""
        return {
            "shape": list(self.heat.shape),
            "unit": self.unit,
            "signed": self.signed,
            "blank": self.blank,
            "minimum": float(self.heat.min()),
            "maximum": float(self.heat.max()),
            "done": self.done,
        }


@dataclass(frozen=True, eq=False)
class Step:
    """One stage of a method's working: a sentence, the map at this stage, and the numbers that go with it."""

    sentence: str
    heat: NDArray[np.float32]
    signed: bool = True
    weight: float | None = None
    """What this map counts for; drawn as a bar beside those of the other steps."""
    total: float | None = None
    """What the steps so far add up to, in units of the score."""
