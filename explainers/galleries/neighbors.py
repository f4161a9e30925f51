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

_ROWS = 64  # small blocks stay in the cache, and within one thread: on a busy machine threads wait for each other
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
    rough, lengths = _rough(vectors, query, metric)
    bound = float(rough.kthvalue(count).values)
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


def _rough(vectors: NDArray[np.floating], query: NDArray[np.floating], metric: Metric) -> tuple[Tensor, float]:
    """Distances (N,) that order as the exact ones do, in single precision, and how large what they are made of is.

    They are 1 − cos, or the squared Euclidean distance.
    """
    one = torch.from_numpy(np.array(query, np.float32))
    products, norms = torch.empty(len(vectors)), torch.empty(len(vectors))
    block = torch.empty(_ROWS, vectors.shape[1])  # used again, so that it stays in the processor's cache
    for start in range(0, len(vectors), _ROWS):
        part = torch.from_numpy(np.asarray(vectors[start : start + _ROWS]))
        rows = block[: len(part)]
        rows.copy_(part)
        torch.mv(rows, one, out=products[start : start + len(part)])
        torch.linalg.vector_norm(rows, dim=1, out=norms[start : start + len(part)])
    if metric == "cosine":
        return 1 - products / (norms * one.norm()).clamp_min(1e-30), 2.0
    length = float(one.square().sum())
    squares = norms.square()
    return squares + length - 2 * products, length + float(squares.max())


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths > 0, lengths, 1)
