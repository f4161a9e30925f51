"""What a method may return: a small closed set of frozen values, NumPy on the CPU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, eq=False, init=False)
class Heatmap:
    """A number for each cell of a grid over what the network saw, at the method's own resolution.

    `heat` may be given as a tensor (h, w); it is kept as float32 on the CPU. `signed` says whether values below zero
    carry meaning ("lowers the score"). `unit` is shown beside the palette, and `note` where the map needs a caveat.
    Raises `ValueError` for another shape.
    """

    heat: NDArray[np.float32]
    signed: bool
    unit: str
    note: str | None

    def __init__(
        self, values: Tensor | NDArray[Any], *, unit: str, signed: bool = False, note: str | None = None
    ) -> None:
        heat = _as_array(values)
        if heat.ndim != 2 or heat.size == 0:
            raise ValueError(f"a heatmap has two axes and at least one cell, this has shape {heat.shape}")
        heat.flags.writeable = False
        for name, value in {"heat": heat, "signed": signed, "unit": unit, "note": note}.items():
            object.__setattr__(self, name, value)

    @property
    def blank(self) -> bool:
        """Whether every cell is zero: the method found nothing."""
        return not np.any(self.heat)


Result = Heatmap
RESULTS: tuple[type, ...] = (Heatmap,)


# --- private ---------------------------------------------------------------------------------------------------------


def _as_array(values: Tensor | NDArray[Any]) -> NDArray[np.float32]:
    if isinstance(values, Tensor):
        values = values.detach().float().cpu().numpy()
    return np.array(values, dtype=np.float32, copy=True)
