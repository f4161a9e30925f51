"""Occlusion (Zeiler and Fergus, ECCV 2014)."""

from collections.abc import Iterator
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from ..baselines import Baseline
from ..covering import Covered, batches
from ..registry import Family, explainer
from ..results import Heatmap
from ..trace import Trace

CELLS = 12
"""Cells along the shorter side, where the network has no grid of its own."""


@explainer(
    title="Occlusion",
    family=Family.PERTURBATION,
    paper="https://arxiv.org/abs/1311.2901",
    passes=(260, 0),
)
def occlusion(
    trace: Trace,
    *,
    window: Annotated[int, Field(ge=1, le=16, description="Side of the window in cells of the network's grid.")] = 2,
    moves: Annotated[
        Literal["by a cell", "by a window"], Field(description="Windows overlap and are averaged, or lie side by side.")
    ] = "by a cell",
    cover: Baseline = "gray",
) -> Iterator[Heatmap]:
    """Where does the score of the chosen class fall when a window covers the picture?

    Slide a window over the picture, along the network's own grid, cover what is under it, and take down by how much
    the score falls. Each cell gets the mean over the windows that covered it.
    Read it as: a warm place is one that the score cannot do without; a blue one is better covered.
    Beware: what is there twice is missed by nobody when one of it is covered, and an edge of the cover is news, too.
    """
    covered = Covered(trace, cover)
    size = covered.pixels.shape[1:]
    grid = _grid(trace, (int(size[0]), int(size[1])))
    before = trace.score(covered.pixels[None])[0]
    corners = torch.tensor(_corners(grid, window, 1 if moves == "by a cell" else window))
    total, seen = torch.zeros(grid), torch.zeros(grid)
    rows, columns = (torch.arange(side) * cells // side for side, cells in zip(size, grid, strict=True))
    for part, done in batches(corners, trace.at_once):
        inside = [_within(part[:, axis], window, grid[axis]) for axis in (0, 1)]  # (N, h), (N, w)
        cells = inside[0][:, :, None] & inside[1][:, None, :]  # (N, h, w)
        masks = ~cells[:, rows][:, :, columns]
        fallen = (before - covered.scores(masks.to(covered.pixels.device))).cpu()
        share = fallen / cells.sum((1, 2))
        total += torch.einsum("n,nhw->hw", share, cells.to(share))
        seen += cells.sum(0)
        yield Heatmap(total / seen.clamp_min(1), signed=True, unit="logit points lost per cell", done=done)


def _grid(trace: Trace, size: tuple[int, int]) -> tuple[int, int]:
    """The network's own last grid, halved once where its cells are coarse, so that edges fall together."""
    sites = trace.classifier.anatomy.sites
    rows, columns = sites["last"].layout.grid if sites else (CELLS, CELLS)
    finer = 1 if min(rows, columns) > CELLS // 2 else 2
    return min(finer * rows, size[0]), min(finer * columns, size[1])


def _corners(grid: tuple[int, int], window: int, step: int) -> list[tuple[int, int]]:
    """Upper left cells of all windows, far apart first, so that the whole picture is covered early."""
    tops, lefts = (range(0, max(1, side - (window if step == 1 else 1) + 1), step) for side in grid)
    found: dict[tuple[int, int], None] = {}
    for apart in (8, 4, 2, 1):
        found |= dict.fromkeys((top, left) for top in tops[::apart] for left in lefts[::apart])
    return list(found)


def _within(start: Tensor, length: int, side: int) -> Tensor:
    places = torch.arange(side)
    return (places >= start[:, None]) & (places < start[:, None] + length)
