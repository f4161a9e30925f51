"""Bars: one number for each of several things that have names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .result import Result, as_array


@dataclass(frozen=True, eq=False)
class Bars(Result):
    """One number for each of several things that have names."""

    kind: ClassVar[str] = "bars"

    values: NDArray[np.float32]
    labels: tuple[str, ...]
    unit: str
    error: NDArray[np.float32] | None = None
    """The standard error of each."""
    note: str | None = None
    done: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", as_array(self.values))
        if self.error is not None:
            object.__setattr__(self, "error", as_array(self.error))
        for numbers in (self.values, self.error):
            if numbers is not None and numbers.shape != (len(self.labels),):
                raise ValueError(f"{len(self.labels)} labels belong to as many numbers, not to {numbers.shape}")

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The numbers, and their errors where there are any."""
        return {"values": self.values} | ({} if self.error is None else {"error": self.error})

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        error = None if self.error is None else self.error.tolist()
        return {"labels": list(self.labels), "values": self.values.tolist(), "error": error, "unit": self.unit,
                "done": self.done}  # fmt: skip
