"""The direction among channels in which maps are strongest, with a sign that means something."""

from __future__ import annotations

import torch

from ..shapes import Heat, Maps


def strongest(maps: Maps, along: Heat, *, centered: bool = False) -> Heat:
    """Maps (K, h, w) projected on their first right singular vector: (h, w).

    Not centered, as the paper has it; `centered` takes each channel's mean off first, as the field's tools do.
    A singular vector has no sign of its own; it gets the one with which the projection goes along with `along` (h, w).
    Worked out from the smaller of the two Gram matrices, in double precision.
    """
    rows = maps.flatten(1).T.double()  # (cells, K)
    rows = rows - rows.mean(0) if centered else rows
    cells, channels = rows.shape
    if cells <= channels:
        values, vectors = torch.linalg.eigh(rows @ rows.T)
        projected = vectors[:, -1] * values[-1].clamp_min(0).sqrt()
    else:
        projected = rows @ torch.linalg.eigh(rows.T @ rows).eigenvectors[:, -1]
    if float(projected @ along.flatten().double()) < 0:
        projected = -projected
    heat: Heat = projected.to(maps).view(maps.shape[1:])
    return heat
