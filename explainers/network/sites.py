"""Sites: where maps are read in a network, in one place or in several, and brought together on one grid."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..shapes import Maps, MapsBatch, full
from .layouts import WHOLE, Layout
from .rules.attended import Grid
from .taps import Point

Outputs = Mapping[Point, Tensor]
"""What came out of points of one pass."""


@dataclass(frozen=True)
class Part:
    """A point whose output is maps over a grid, and how to read them."""

    point: Point
    layout: Layout


@dataclass(frozen=True)
class Site:
    """Maps of one point, or of several branches and calls that the scores depend on, over one grid of the picture.

    The channels of several stand one after the other. Where a part's cells are coarser than the grid, or cover only
    some of it, each is laid over all cells that it covers; its slope is shared among them, so that sums over the grid
    are those over the part.
    """

    parts: tuple[Part, ...]
    grid: Grid
    spots: tuple[tuple[int, ...], ...] = ()
    """For each part and each cell of the grid, the part's cell there, or -1; empty where a single part is the grid."""

    @classmethod
    def of(cls, *parts: Part, size: Grid) -> Site:
        """The parts over one grid as fine as the finest of them, on a framed picture of `size`."""
        if len(parts) == 1 and parts[0].layout.box == WHOLE:
            return cls(parts, parts[0].layout.grid)
        finest = [min(_step(part.layout, axis) for part in parts) for axis in (0, 1)]
        # Rounded, since shares of a picture are: a cell is never lost by it, as a grid has cells of one size.
        grid = (max(1, math.ceil(1 / finest[0] - 0.01)), max(1, math.ceil(1 / finest[1] - 0.01)))
        grid = (min(grid[0], size[0]), min(grid[1], size[1]))
        return cls(parts, grid, tuple(_spots(part.layout, grid) for part in parts))

    @property
    def point(self) -> Point:
        """The first point; the only one, for most networks."""
        return self.parts[0].point

    @property
    def points(self) -> tuple[Point, ...]:
        """All points that are read."""
        return tuple(part.point for part in self.parts)

    @property
    def layout(self) -> Layout:
        """How the first point's output is read."""
        return self.parts[0].layout

    @property
    def channels(self) -> int:
        """The channels of all parts together."""
        return sum(part.layout.channels for part in self.parts)

    @property
    def plain(self) -> bool:
        """Whether it is one point whose grid covers the picture."""
        return not self.spots

    def __str__(self) -> str:
        return " + ".join(map(str, self.points))

    def maps(self, outputs: Outputs) -> Maps:
        """The maps (K, h, w) of one picture."""
        return self.batch(outputs)[0]

    def batch(self, outputs: Outputs) -> MapsBatch:
        """The maps (N, K, h, w) of several pictures, in single precision at least."""
        if self.plain:
            return full(self.layout.cells(outputs[self.point]))
        return torch.cat([self._laid(i, self._cells(i, outputs)) for i in range(len(self.parts))], 1)

    def slopes(self, slopes: Outputs) -> MapsBatch:
        """Gradients at the points' outputs as gradients (N, K, h, w) at `batch`.

        Where a part does not reach, its maps are zero, and its slopes stand at their mean: so neither products nor
        averages change by what is not there.
        """
        if self.plain:
            return self.batch(slopes)
        shared = []
        for i in range(len(self.parts)):
            cells = self._cells(i, slopes)
            cells = cells / self._counts(i, cells).clamp_min(1)
            reached = (self._index(i, cells) >= 0).view(self.grid)
            laid = self._laid(i, cells)
            mean = laid.sum((2, 3), keepdim=True) / reached.sum()
            shared.append(torch.where(reached, laid, mean))
        return torch.cat(shared, 1)

    def put(self, own: Outputs, maps: MapsBatch) -> dict[Point, Tensor]:
        """Outputs for N pictures like those (1, …) of one, with these maps (N, K, h, w) in them."""
        if self.plain:
            return {self.point: self.layout.put(own[self.point], maps.to(own[self.point]))}
        outputs, first = {}, 0
        for i, part in enumerate(self.parts):
            layout, output = part.layout, own[part.point]
            mine = maps[:, first : first + layout.channels].flatten(2).to(output)
            first += layout.channels
            cells = layout.cells(output).flatten(2)
            spots, counts = self._index(i, output), self._counts(i, cells)
            inside = spots >= 0
            total = torch.zeros_like(cells).expand(len(maps), -1, -1).index_add(2, spots[inside], mine[:, :, inside])
            whole = torch.where(counts > 0, total / counts.clamp_min(1), cells)
            outputs[part.point] = layout.put(output, whole.reshape(*whole.shape[:2], *layout.grid))
        return outputs

    def _cells(self, i: int, outputs: Outputs) -> Tensor:
        part = self.parts[i]
        return full(part.layout.cells(outputs[part.point])).flatten(2)  # (N, K, cells)

    def _laid(self, i: int, cells: Tensor) -> MapsBatch:
        spots = self._index(i, cells)
        laid = cells.index_select(2, spots.clamp_min(0)) * (spots >= 0)
        return laid.reshape(*laid.shape[:2], *self.grid)

    def _counts(self, i: int, cells: Tensor) -> Tensor:
        """Over how many cells of the grid each of a part's is laid."""
        spots = self._index(i, cells)
        return torch.bincount(spots[spots >= 0], minlength=cells.shape[2]).to(cells)

    def _index(self, i: int, like: Tensor) -> Tensor:
        return torch.tensor(self.spots[i], device=like.device)


# --- private ---------------------------------------------------------------------------------------------------------


def _step(layout: Layout, axis: int) -> float:
    """How long a cell is, as a share of the picture."""
    return abs(layout.box[axis + 2] - layout.box[axis]) / layout.grid[axis]


def _spots(layout: Layout, grid: Grid) -> tuple[int, ...]:
    """For each cell of a grid over the whole picture, the layout's cell that its middle lies in, or -1."""
    rows, columns = (_along(layout, axis, grid[axis]) for axis in (0, 1))
    return tuple(-1 if min(r, c) < 0 else r * layout.grid[1] + c for r in rows for c in columns)


def _along(layout: Layout, axis: int, count: int) -> list[int]:
    start, end, cells = layout.box[axis], layout.box[axis + 2], layout.grid[axis]
    found = [math.floor(((i + 0.5) / count - start) / (end - start) * cells) for i in range(count)]
    return [cell if 0 <= cell < cells else -1 for cell in found]
