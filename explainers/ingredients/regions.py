"""Regions: a picture cut into pieces, by a grid or by what looks alike; the same picture gives the same pieces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

COMPACTNESS = (10.0, 30.0, 100.0, 1000.0)
"""How much superpixels keep to squares rather than to colors, from the usual for Lab colors to hardly anything else."""

SMOOTHING = 0.8
"""Standard deviation in pixels of the blur before regions grow (Felzenszwalb & Huttenlocher, IJCV 2004)."""

SCALES = (0.25, 0.5, 1.0, 2.0, 4.0)
"""How unlike neighbors may be, in shares of the full range of brightness: from small regions to large ones."""

FEWEST_PIXELS = 1 / 1500
"""Share of the picture below which a region is joined with its neighbor."""


def grid(size: tuple[int, int], cells: int) -> NDArray[np.int64]:
    """Labels (H, W) of a grid with `cells` cells along each side, row by row from 0; heights differ by one at most.

    Where a side has fewer pixels than that, each pixel of it is a cell of its own.
    """
    (height, width), rows, columns = size, min(cells, size[0]), min(cells, size[1])
    down, across = np.arange(height) * rows // height, np.arange(width) * columns // width
    return down[:, None] * columns + across


def superpixels(pixels: NDArray[Any], count: int) -> NDArray[np.int64]:
    """Labels (H, W), from 0 without gaps, of about `count` connected regions of like color (SLIC).

    `pixels` (H, W, C) lie in [0, 1]. How many regions there are is the largest label plus one.
    """
    from skimage.segmentation import slic  # slow to import, and not every answer needs it

    count = min(count, pixels.shape[0] * pixels.shape[1])
    for compactness in COMPACTNESS:
        found = slic(
            np.ascontiguousarray(pixels, np.float64), n_segments=count, compactness=compactness, start_label=0,
            channel_axis=-1,
        )  # fmt: skip
        labels = _without_gaps(found)
        if labels.max() + 1 > count / 2:  # where colors scatter as in noise, fragments fall together into one region
            break
    return labels


def segments(pixels: NDArray[Any], scales: Sequence[float] = SCALES) -> Iterator[NDArray[np.int64]]:
    """Labels (H, W), from 0 without gaps, for each scale: regions grow over ever larger differences (Felzenszwalb).

    `pixels` (H, W, C) lie in [0, 1]. The larger the scale, the fewer and larger the regions.
    """
    from skimage.segmentation import felzenszwalb

    height, width = pixels.shape[:2]
    pixels = _in_three(pixels)
    for scale in scales:
        yield _without_gaps(
            felzenszwalb(
                np.ascontiguousarray(pixels, np.float64), scale=scale * _UNIT, sigma=SMOOTHING,
                min_size=max(1, round(height * width * FEWEST_PIXELS)), channel_axis=-1,
            )
        )  # fmt: skip


# --- private ---------------------------------------------------------------------------------------------------------

_COLORS = 3
"""The library takes no more channels without a warning."""
_UNIT = 255
"""The library measures scales in steps of 1/255."""


def _in_three(pixels: NDArray[Any]) -> NDArray[Any]:
    """Pixels (H, W, C) of more than three bands by the three directions in which they vary most; distances stay."""
    if pixels.shape[2] <= _COLORS:
        return pixels
    rows = pixels.reshape(-1, pixels.shape[2]).astype(np.float64)
    rows -= rows.mean(0)
    _, directions = np.linalg.eigh(rows.T @ rows)  # the strongest come last
    turned: NDArray[np.float64] = (rows @ directions[:, -_COLORS:]).reshape(*pixels.shape[:2], _COLORS)
    return turned


def _without_gaps(labels: NDArray[Any]) -> NDArray[np.int64]:
    return np.unique(labels, return_inverse=True)[1].reshape(labels.shape).astype(np.int64)
