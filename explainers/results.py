"""What a method may return: a small closed set of frozen values, NumPy on the CPU."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Heatmap:
    """A number for each cell of a grid over what the network saw, at the method's own resolution.

    `heat` may be given as a tensor (h, w); it is kept as float32 on the CPU. `signed` says whether values below zero
    carry meaning ("lowers the score"). `unit` is shown beside the palette. Raises `ValueError` for another shape.
    """

    heat: NDArray[np.float32]
    signed: bool = False
    unit: str = "logit points per cell"
    note: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        heat = as_array(self.heat)
        if heat.ndim != 2 or heat.size == 0:
            raise ValueError(f"a heatmap has two axes and at least one cell, this has shape {heat.shape}")
        heat.flags.writeable = False
        object.__setattr__(self, "heat", heat)

    @property
    def blank(self) -> bool:
        """Whether every cell is zero: the method found nothing."""
        return not np.any(self.heat)


Result = Heatmap
RESULTS: tuple[type, ...] = (Heatmap,)


def as_array(value: Any) -> NDArray[np.float32]:
    """A float32 copy on the CPU of a tensor or an array."""
    if hasattr(value, "detach"):
        value = value.detach().float().cpu().numpy()
    return np.array(value, dtype=np.float32, copy=True)
