"""Maps at another size."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as fn


def stretched(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Maps (…, h, w) at `size` (H, W): linear between the centers of cells, flat beyond the outermost ones."""
    each = maps.reshape(-1, 1, *maps.shape[-2:])
    wide = fn.interpolate(each, tuple(size), mode="bilinear", align_corners=False)
    return wide.view(*maps.shape[:-2], *size)
