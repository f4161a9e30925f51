"""Which vectors are nearest to which: exact, in blocks, whatever the size of the gallery."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import QuestionError, Stopped

Metric = Literal["cosine", "euclidean"]
METRICS: tuple[Metric, ...] = get_args(Metric)

_ROWS = 8192  # a block of 512 numbers each stays within 16 MB
_SLACK = 1e-5  # single precision puts a distance wrong by less than this share of the squared lengths


def nearest(
    vectors: NDArray[np.floating],
    query: NDArray[np.floating],
    count: int,
    metric: Metric = "cosine",
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The `count` nearest of vectors (N, D) to one query (D,): their numbers and distances, the nearest first.

    The cosine distance is 1 − cos, worked out as half the squared distance of the unit vectors, so that a stored
    vector lies at exactly 0 from itself. Ties go to the lower number. What is near in single precision is measured
    again in double, so the order is that of a search by brute force.
    """
    count = min(count, len(vectors))
    if count < 1:
        raise QuestionError("A gallery without pictures has no neighbors.")
    rough = _rough(vectors, query, metric)
    bound = float(rough.kthvalue(count).values)
    lengths = 2.0 if metric == "cosine" else float(np.square(query, dtype=np.float64).sum()) + float(rough.max())
    near = torch.nonzero(rough <= bound + _SLACK * lengths).flatten().numpy()
    exact = np.concatenate([
        distances(vectors[near[start : start + _ROWS]], query, metric) for start in range(0, len(near), _ROWS)
    ])  # fmt: skip
    order = np.lexsort((near, exact))[:count]
    return near[order], exact[order]


def distances(
    vectors: NDArray[np.floating], query: NDArray[np.floating], metric: Metric = "cosine"
) -> NDArray[np.float64]:
    """The distance of each of vectors (N, D) to a query (D,), in double precision."""
    rows, one = vectors.astype(np.float64), np.asarray(query, np.float64)
    if metric == "euclidean":
        return np.asarray(np.sqrt(np.square(rows - one).sum(1)))
    return np.asarray(np.square(_unit(rows) - _unit(one[None])).sum(1) / 2)


def graph(
    vectors: NDArray[np.floating],
    count: int,
    metric: Metric = "cosine",
    *,
    rows: NDArray[np.int64] | None = None,
    stop: Callable[[], bool] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The `count` nearest others of each vector, or of those at `rows`: numbers and distances (n, count).

    In single precision, with Euclidean distances; under "cosine", of the unit vectors, which order alike.
    """
    whole = prepared(vectors, metric)
    if not 1 <= count < len(whole):
        raise QuestionError(f"Each of {len(whole)} pictures has 1 to {len(whole) - 1} others, not {count}.")
    rows = np.arange(len(whole)) if rows is None else rows
    squares = whole.square().sum(1)
    step = max(16, (1 << 25) // len(whole))
    found, far = [], []
    for start in range(0, len(rows), step):
        if stop is not None and stop():
            raise Stopped("Stopped, as asked.")
        chosen = torch.from_numpy(rows[start : start + step])
        squared = squares[chosen, None] + squares - 2 * (whole[chosen] @ whole.T)
        squared[torch.arange(len(chosen)), chosen] = torch.inf  # a picture is no neighbor of its own
        best = squared.topk(count, largest=False)
        found.append(best.indices)
        far.append(best.values.clamp_min(0).sqrt())
    return torch.cat(found).numpy(), torch.cat(far).numpy()


def prepared(vectors: NDArray[np.floating], metric: Metric) -> Tensor:
    """Vectors (N, D) in single precision, centered, or brought to length one, so that little is lost in products."""
    rows = torch.from_numpy(np.asarray(vectors)).float()
    if metric == "cosine":
        return torch.nn.functional.normalize(rows, dim=1)
    return rows - rows.mean(0)


def vote(labels: list[str]) -> list[tuple[str, float]]:
    """The share of each label among the nearest, the largest first; in a tie, the one that is nearer."""
    shares = {label: labels.count(label) / len(labels) for label in dict.fromkeys(labels) if label}
    return sorted(shares.items(), key=lambda item: -item[1])


# --- private ---------------------------------------------------------------------------------------------------------


def _rough(vectors: NDArray[np.floating], query: NDArray[np.floating], metric: Metric) -> Tensor:
    """Distances (N,) that order as the exact ones do, in single precision: 1 − cos, or the squared Euclidean."""
    one = torch.from_numpy(np.asarray(query, np.float32))
    parts = []
    for start in range(0, len(vectors), _ROWS):
        rows = torch.from_numpy(np.asarray(vectors[start : start + _ROWS])).float()
        if metric == "euclidean":
            parts.append((rows - one).square_().sum(1))
        else:
            parts.append(1 - rows @ one / (rows.norm(dim=1) * one.norm()).clamp_min(1e-30))
    return torch.cat(parts)


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths > 0, lengths, 1)
