"""What all kinds of results have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


class Result(ABC):
    """What all kinds have in common: a caveat, how much of the work is behind it, its numbers, and itself as JSON."""

    kind: ClassVar[str]
    """Its name in a payload."""
    note: str | None
    done: float
    """The share of the work behind this result, for a method that streams better and better ones."""

    @property
    def finite(self) -> bool:
        """Whether every number in it is one."""
        return all(bool(np.isfinite(a).all()) for a in self.arrays().values() if np.issubdtype(a.dtype, np.number))

    @abstractmethod
    def arrays(self) -> dict[str, NDArray[Any]]:
        """All of its numbers, by name."""

    @abstractmethod
    def as_json(self) -> dict[str, Any]:
        """What a program wants to know of it, without large arrays: those are `arrays`, by name."""


def as_array(values: Tensor | NDArray[Any]) -> NDArray[np.float32]:
    """Numbers as float32 on the CPU, which nobody can change."""
    if isinstance(values, Tensor):
        values = values.detach().float().cpu().numpy()
    return frozen(values, np.float32)


def frozen(values: NDArray[Any], dtype: Any) -> NDArray[Any]:
    """A copy which nobody can change."""
    array = np.array(values, dtype=dtype, copy=True)
    array.flags.writeable = False
    return array
