"""Where heat lies on a picture: from the cells over what a network saw to pixels, of the whole size or fewer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


def laid(
    heat: npt.NDArray[Any],
    frame: Sequence[float],
    size: Sequence[int],
    *,
    at: tuple[int, int] | None = None,
    keep_sum: bool = False,
) -> npt.NDArray[np.float32]:
    """Heat (h', w') over `frame`, laid on a picture of `size` (H, W): float32, zero where the frame is not.

    `frame` is (x0, y0, x1, y1) in pixels of the picture, beyond which it may reach. Linear between the centers of the
    cells and flat beyond the outermost ones (`align_corners=False`); averaged where the heat is finer than the pixels.
    A pixel counts as seen where its center is. `at` (h, w) asks for fewer pixels over the same picture; by default,
    its own. With `keep_sum`, each cell spreads its value over its pixels, so that the sum stays instead of the
    height; what lies beyond the picture is lost.
    """
    x0, y0, x1, y1 = map(float, frame)
    height, width = (int(side) for side in (at or size))
    rows, down = _weights(heat.shape[0], y0, y1, int(size[0]), height, keep_sum)
    columns, across = _weights(heat.shape[1], x0, x1, int(size[1]), width, keep_sum)
    on = np.zeros((height, width), np.float32)
    on[rows, columns] = down @ heat.astype(np.float32) @ across.T
    return on


# --- private ---------------------------------------------------------------------------------------------------------


def _weights(
    cells: int, low: float, high: float, length: int, pixels: int, keep_sum: bool
) -> tuple[slice, npt.NDArray[np.float32]]:
    """Which pixels are seen, and (seen pixels, cells) how much of each cell a pixel takes.

    Rows add up to one, or columns with `keep_sum`. Cells lie from `low` to `high` on a side of `length`.
    """
    step = length / pixels
    seen = _seen(max(low, 0.0) / step, min(high, float(length)) / step, pixels)
    per_unit = cells / (high - low)
    at = ((np.arange(seen.start, seen.stop) + 0.5) * step - low) * per_unit - 0.5
    distance = np.abs(at.clip(0, cells - 1)[:, None] - np.arange(cells))
    share: npt.NDArray[np.float64] = (1 - distance / max(1.0, step * per_unit)).clip(0)
    share /= share.sum(1, keepdims=True)
    if keep_sum:
        total = share.sum(0)
        share /= np.where(total > 0, total, 1)
    return seen, share.astype(np.float32)


def _seen(low: float, high: float, pixels: int) -> slice:
    """Pixels whose center was seen; the nearest one where the cut falls between two centers."""
    first, end = math.ceil(low - 0.5), math.ceil(high - 0.5)
    if first < end:
        return slice(first, end)
    nearest = min(int((low + high) / 2), pixels - 1)
    return slice(nearest, nearest + 1)
