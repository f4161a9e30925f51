"""How finely a heat is judged: fixed by the question alone, so that a slow machine takes longer and finds the same."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from torch import Tensor

from ..network.classifier import Classifier
from ..trace import Trace

TOP = 0.2
"""The share of the cells that is kept alone, or covered alone."""


@dataclass(frozen=True)
class Plan:
    """The shares of the cells covered on the way, and how many random orders a heat is held against.

    Each random order is judged with its reverse, so random maps score zero on average by construction; and at every
    second share only: on real networks their spread was .95 to 1.2 times that of all, at three fifths of the cost.
    """

    shares: tuple[float, ...] = (0, 0.15, 0.3, 0.45, 0.6, 0.8, 1)
    orders: int = 8
    """4, 8, 16, 32 or 64."""

    @property
    def steps(self) -> int:
        """T: steps from the whole picture to the covered one."""
        return len(self.shares) - 1

    @property
    def sparse(self) -> tuple[float, ...]:
        """The shares that random orders cover."""
        return self.shares[1:-1:2]

    @property
    def curves(self) -> int:
        """Forward passes for one heat, where random orders are known from another."""
        return 2 * (self.steps - 1) + (TOP not in self.shares) + 1

    @property
    def forwards(self) -> int:
        """Forward passes that a judgment takes at most."""
        return self.curves + 2 * self.orders * len(self.sparse)


PLAN = Plan()


def seconds_per_forward(trace: Trace) -> float:
    """How long the network takes for one picture, at best so far: it tells how long judging will take."""
    with _lock:
        known = _paces.get(trace.classifier)
    if known is not None:
        return known
    one = trace.baseline("gray")[None]
    took = min(_timed(trace, one), _timed(trace, one))  # the first pass of a process warms up
    if took < _QUICK:  # small networks gain from batches, and large ones need no third look
        took = min(took, _timed(trace, one.expand(_PACE, -1, -1, -1)))
    return noted(trace.classifier, took)


def noted(model: Classifier, took: float) -> float:
    """The best time for one picture so far: what else a machine does can only make it longer."""
    with _lock:
        best: float = min(took, _paces.get(model, took))
        _paces[model] = best
    return best


# --- private ---------------------------------------------------------------------------------------------------------

_PACE = 8
"""Pictures in the batch that tells how fast a network is."""

_QUICK = 0.02
"""Seconds for one picture below which batches are tried."""

_lock = threading.Lock()
_paces: WeakKeyDictionary[Classifier, float] = WeakKeyDictionary()


def _timed(trace: Trace, pictures: Tensor) -> float:
    began = time.perf_counter()
    trace.logits_at(pictures)
    return (time.perf_counter() - began) / len(pictures)
