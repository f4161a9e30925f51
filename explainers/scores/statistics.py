"""The arithmetic of judging: cells, orders, areas, ranks and focus; knows arrays alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Order = NDArray[np.intp]

SEED = 0
"""Of the order in which equal cells are covered."""


def cell_means(heat: Floats, cells: tuple[int, int]) -> Floats:
    """The mean of a signed map (h, w) over each of rows × columns cells; it ranks them as their sums do.

    Values that lie in two cells count for each by the area in it, and values that are equal stay exactly equal.
    """
    (height, width), (rows, columns) = heat.shape, cells
    down, across = _overlaps(height, rows), _overlaps(width, columns)
    means: Floats = down @ heat.astype(np.float64) @ across.T / (height * width)
    return means


def coldest_first(warmth: Floats, noise: Floats | None = None) -> Order:
    """The cells (n,) in order of their warmth, ties in the order of `noise`, by default a fixed random one."""
    if noise is None:
        noise = np.random.default_rng(SEED).random(warmth.size)
    return np.lexsort((noise, warmth))


def area_between(covered: Floats, coldest: Floats, warmest: Floats) -> float:
    """SRG: the area under the scores with the coldest covered first, less that with the warmest first."""
    return float(np.trapezoid(np.asarray(coldest) - np.asarray(warmest), covered))


def spearman(one: Floats, other: Floats) -> float | None:
    """Rank correlation of two arrays of one shape, ties averaged; None where either is the same everywhere."""
    ranks = [_ranks(np.asarray(each).ravel()) for each in (one, other)]
    a, b = (each - each.mean() for each in ranks)
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size else None


def gini(heat: Floats) -> float | None:
    """Gini coefficient of a map's sizes: 0 where all are equal, 1 − 1/n for a single one; None for a map of zeros."""
    ordered = np.sort(np.abs(heat), axis=None).astype(np.float64)
    count, total = ordered.size, ordered.sum()
    if not total:
        return None
    return float(2 * (np.arange(1, count + 1) @ ordered) / (count * total) - (count + 1) / count)


def share_of_area(heat: Floats, mass: float) -> float:
    """The smallest share of the area that holds a share `mass` of the heat's size; 0 for a map of zeros."""
    ordered = np.sort(np.abs(heat), axis=None)[::-1].astype(np.float64)
    total = ordered.sum()
    if not total:
        return 0.0
    held = int(np.searchsorted(np.cumsum(ordered), mass * total)) + 1
    return min(held, ordered.size) / ordered.size  # the two sums differ in rounding


# --- private ---------------------------------------------------------------------------------------------------------


def _overlaps(count: int, cells: int) -> Floats:
    """How much of each of `count` values lies in each of `cells` cells: (cells, count), in whole numbers."""
    first, last = np.arange(cells)[:, None] * count, np.arange(count) * cells
    shared = np.minimum(first + count, last + cells) - np.maximum(first, last)
    return shared.clip(0).astype(np.float64)


def _ranks(values: Floats) -> Floats:
    """Ranks (n,), those of equal values averaged."""
    _, where, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[where])
