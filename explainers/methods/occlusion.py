"""Occlusion (Zeiler & Fergus, ECCV 2014), along the network's own grid."""

from collections.abc import Iterator
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from ..ingredients.covering import Cover, Covered
from ..registry import Family, explainer
from ..results import Heatmap
from ..trace import Trace

CELLS = 16
"""At most so many cells along a side: with the default window, 225 places for it."""


@explainer(
    title="Occlusion",
    family=Family.PERTURBATION,
    paper="https://arxiv.org/abs/1311.2901",
    passes=(227, 0),
    classic=True,
)
def occlusion(
    trace: Trace,
    *,
    window: Annotated[int, Field(ge=1, le=16, description="Side of the window, in cells of the map.")] = 2,
    overlap: Annotated[
        bool, Field(description="The window moves by one cell, and the places overlap; else they lie side by side.")
    ] = True,
    cover: Cover = "gray",
) -> Iterator[Heatmap]:
    """Where does the score of the chosen class fall when a window covers the picture?

    Move a window over the picture, along the network's own grid, cover what is under it, and see by how much the
    score falls. A fall is shared out among the cells under the window; where windows overlap, each cell gets the mean.
    Read it as: covering a warm cell costs so much of the score; covering a cold one raises it.
    Beware: of two things that say the same, either can be covered at no cost, so both may stay pale.
    """
    covered = Covered(trace, cover)
    whole = trace.score(covered.pixels[None])[0]
    grid, in_tokens = _grid(trace)
    rows, columns = (_cells(*axis, whole=in_tokens) for axis in zip(covered.size, grid, strict=True))  # (H,), (W,)
    height, width = int(rows[-1]) + 1, int(columns[-1]) + 1
    corners = _corners((height, width), window, 1 if overlap else window)  # (P, 2)
    total, seen = torch.zeros(2, height, width, dtype=torch.float64)
    losses = torch.empty(0, dtype=torch.float64)
    for part in torch.split(corners, trace.at_once):
        down, across = (_within(part[:, axis], window, side) for axis, side in enumerate((height, width)))
        hidden = down[:, rows, None] & across[:, None, columns]  # (N, H, W)
        fallen = (whole - covered.scores(~hidden)).double().cpu()
        cells = torch.einsum("nh,nw->nhw", down.double(), across.double())
        each = fallen / cells.sum((1, 2))
        total, seen = total + torch.einsum("n,nhw->hw", each, cells), seen + cells.sum(0)
        losses = torch.cat([losses, each])
        heat = torch.where(seen > 0, total / seen.clamp(min=1), _nearest(losses, corners[: len(losses)], window, seen))
        yield Heatmap(heat, signed=True, unit="logit points lost", done=len(losses) / len(corners))


def _grid(trace: Trace) -> tuple[tuple[int, int], bool]:
    """Rows and columns of the network's last maps, or a usual number; and whether their cells are tokens."""
    sites = trace.classifier.anatomy.sites
    site = sites["last"] if sites else None
    return (site.grid, "tokens" in site.layout.form) if site else ((CELLS // 2, CELLS // 2), False)


def _cells(pixels: int, grid: int, *, whole: bool = False) -> Tensor:
    """The cell (pixels,) that each pixel along a side lies in: one or several of the grid's, or a fraction of one.

    A token is read as a whole, and never cut. Each cell has a pixel at least.
    """
    grid, finer = min(grid, pixels), 1
    while not whole and 2 * finer * grid <= min(CELLS, pixels):
        finer *= 2
    coarser = -(-grid // CELLS)
    return torch.arange(pixels) * (finer * grid) // pixels // coarser


def _corners(grid: tuple[int, int], window: int, step: int) -> Tensor:
    """The upper left cells (P, 2) of all windows, far apart first, so that the whole picture is covered early."""
    last = [max(0, side - window) if step == 1 else side - 1 for side in grid]
    tops, lefts = (list(range(0, end + 1, step)) for end in last)
    order: dict[tuple[int, int], None] = {}
    for apart in (8, 4, 2, 1):
        order |= dict.fromkeys((top, left) for top in tops[::apart] for left in lefts[::apart])
    return torch.tensor(list(order))


def _within(start: Tensor, window: int, side: int) -> Tensor:
    """Which of the cells along a side lie in each of N windows: (N, side)."""
    cells = torch.arange(side)
    return (cells >= start[:, None]) & (cells < start[:, None] + window)


def _nearest(losses: Tensor, corners: Tensor, window: int, like: Tensor) -> Tensor:
    """For each cell, what the nearest window so far says of its own: to be seen until its turn has come."""
    cells = torch.cartesian_prod(*(torch.arange(float(side)) for side in like.shape))
    apart = torch.cdist(cells, corners + (window - 1) / 2)  # (cells, n)
    return losses[apart.argmin(1)].view(like.shape)
