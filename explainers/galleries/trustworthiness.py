"""What a layout of vectors keeps, and what it does not: trustworthiness, continuity, neighbors, labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import QuestionError
from .neighbors import Metric, graph

NEAREST = 10
"""So many neighbors are looked at, as far as there are twice as many pictures."""

MOST_MEASURED = 2000
"""Of a larger gallery, so many points vote, among all the others."""

MOST_RANKS, FEWEST_MEASURED = 10_000_000, 200
"""So many ranks are worked out for a layout: of a large gallery some points are measured, against all the others."""


@dataclass(frozen=True, eq=False)
class Preserved:
    """How far a layout can be trusted: averages, and for each point."""

    trustworthiness: float
    """1 where whoever is near in the layout is near in the vectors; about one half by chance."""
    continuity: float
    """1 where whoever is near in the vectors is near in the layout."""
    recall: float
    """The share of the nearest in the vectors that are among the nearest in the layout."""
    points: NDArray[np.float32]
    """For each point (N,), the share of its nearest that the layout keeps; NaN where it was not measured."""


def preserved(
    vectors: NDArray[np.floating], points: NDArray[np.floating], count: int = NEAREST, metric: Metric = "cosine"
) -> Preserved:
    """Holds a layout (N, 2) against the vectors (N, D) it was made of (Venna & Kaski, 2001; as in scikit-learn).

    Raises `QuestionError` unless `count` is below half the number of points, from where on the measure means nothing.
    """
    return compared(vectors, [points], count, metric)[0]


def compared(
    vectors: NDArray[np.floating],
    layouts: Sequence[NDArray[np.floating]],
    count: int = NEAREST,
    metric: Metric = "cosine",
) -> list[Preserved]:
    """Holds several layouts (N, 2) against the same vectors (N, D); as `preserved`, and cheaper than one by one."""
    n = len(vectors)
    if not 0 < count < n / 2:
        raise QuestionError(f"Among {n} pictures, 1 to {max(1, (n - 1) // 2)} neighbors can be measured, not {count}.")
    rows = _measured(n, max(FEWEST_MEASURED, MOST_RANKS // n))
    in_vectors = _ranks(vectors, rows, metric)  # (m, n); the point itself has rank n
    near_vectors = in_vectors <= count
    norm = 2.0 / (len(rows) * count * (2.0 * n - 3.0 * count - 1.0))
    found = []
    for points in layouts:
        in_layout = _ranks(points, rows, "euclidean")
        near_layout = in_layout <= count
        intruders = np.where(near_layout, np.maximum(in_vectors - count, 0), 0).sum()
        lost = np.where(near_vectors, np.maximum(in_layout - count, 0), 0).sum()
        kept = (near_vectors & near_layout).sum(1) / count
        each = np.full(n, np.nan, np.float32)
        each[rows] = kept
        found.append(Preserved(1.0 - norm * float(intruders), 1.0 - norm * float(lost), float(kept.mean()), each))
    return found


def accuracy(
    vectors: NDArray[np.floating], labels: tuple[str, ...], count: int = NEAREST, metric: Metric = "cosine"
) -> float:
    """How often the nearest others of a picture vote for its own label; of a large gallery, of some of it."""
    rows = _measured(len(vectors))
    count = min(count, len(vectors) - 1)
    found, _ = graph(vectors, count, metric, rows=rows)
    numbers = {label: number for number, label in enumerate(dict.fromkeys(labels))}
    targets = np.array([numbers[label] for label in labels])
    votes = np.zeros((len(rows), len(numbers)))
    # A little more weight for who is nearer settles ties.
    np.add.at(votes, (np.arange(len(rows))[:, None], targets[found]), 1 + 1e-3 * np.linspace(1, 0, count))
    return float((votes.argmax(1) == targets[rows]).mean())


def agreement(one: NDArray[np.floating], other: NDArray[np.floating], count: int = NEAREST) -> float:
    """The share of nearest neighbors that two layouts (N, 2) of the same pictures have in common, over all points."""
    rows = _measured(len(one))
    count = min(count, len(one) - 1)
    a, b = (graph(points, count, "euclidean", rows=rows)[0] for points in (one, other))
    return float(np.mean([len(np.intersect1d(x, y, assume_unique=True)) / count for x, y in zip(a, b, strict=True)]))


def aligned(points: NDArray[np.floating], onto: NDArray[np.floating]) -> NDArray[np.float32]:
    """A layout (N, 2) turned, mirrored, shifted and scaled as a whole to lie nearest to `onto` (N, 2) (Procrustes).

    No distance within the layout changes but by one common factor. Points beyond the N of `onto` move along.
    """
    a, b = np.asarray(points, np.float64), np.asarray(onto, np.float64)
    middle_a, middle_b = a[: len(b)].mean(0), b.mean(0)
    a, b = a - middle_a, b - middle_b
    left, values, right = np.linalg.svd(a[: len(b)].T @ b)
    size = values.sum() / max(float(np.square(a[: len(b)]).sum()), 1e-12)
    return np.asarray(size * a @ left @ right + middle_b, np.float32)


# --- private ---------------------------------------------------------------------------------------------------------


def _measured(n: int, most: int = MOST_MEASURED) -> NDArray[np.int64]:
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng(0).choice(n, most, replace=False))


def _ranks(vectors: NDArray[np.floating], rows: NDArray[np.int64], metric: Metric) -> NDArray[np.int32]:
    """The rank (m, n) of every point among the others of each of `rows`, from 1 for the nearest; n for itself."""
    whole = np.asarray(vectors, np.float64)
    if metric == "cosine":
        whole = whole / np.maximum(np.linalg.norm(whole, axis=1, keepdims=True), 1e-30)
    else:
        whole = whole - whole.mean(0)
    squares = np.square(whole).sum(1)
    ranks = np.empty((len(rows), len(whole)), np.int32)
    places = np.arange(1, len(whole) + 1, dtype=np.int32)
    for i, row in enumerate(rows):
        far = squares - 2 * (whole @ whole[row])
        far[row] = np.inf
        ranks[i, np.argsort(far, kind="stable")] = places
    return ranks
