"""How a module's output holds channels over a grid, and where that grid lies on the picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from ..shapes import MapsBatch
from .rules.attended import Grid
from .rules.shadows import NEAR, Shadow, mean, narrowed

FEWEST_CELLS = 4
"""A grid with fewer cells than this places nothing."""

Box = tuple[float, float, float, float]
"""Top, left, bottom and right in shares of the framed picture; bottom before top where the grid is upside down."""

WHOLE: Box = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True)
class Layout:
    """How a module's output holds channels over a grid: which axis is which, and which token lies in which cell."""

    form: Literal["NCHW", "NHWC", "tokens", "channels-first tokens"]
    channels: int
    grid: Grid
    order: tuple[int, ...] = ()
    """The token in each cell, row by row; none where the output has rows and columns of its own."""
    extra: int = 0
    """Tokens beside them: class, distillation and register tokens, wherever they stand."""
    box: Box = WHOLE
    """What the grid covers of the framed picture."""

    def cells(self, output: Tensor) -> MapsBatch:
        """That module's output (N, …) as maps (N, K, h, w); tokens without a place dropped."""
        match self.form:
            case "NCHW":
                return output
            case "NHWC":
                return output.permute(0, 3, 1, 2)
            case "tokens":
                return _over(self._placed(output, 1).mT, self.grid)
            case _:
                return _over(self._placed(output, 2), self.grid)

    def put(self, output: Tensor, maps: MapsBatch) -> Tensor:
        """N outputs like `output` (1, …) with these maps (N, K, h, w) in them; tokens without a place as they were."""
        match self.form:
            case "NCHW":
                return maps
            case "NHWC":
                return maps.permute(0, 2, 3, 1)
            case "tokens":
                tokens, axis = maps.flatten(2).mT, 1
            case _:
                tokens, axis = maps.flatten(2), 2
        if not self.extra and self._first is not None:
            return tokens
        whole = output.expand(len(maps), *output.shape[1:])
        return whole.index_copy(axis, torch.tensor(self.order, device=output.device), tokens.to(whole))

    def _placed(self, output: Tensor, axis: int) -> Tensor:
        if self._first is not None:
            return output.narrow(axis, self._first, len(self.order))
        return output.index_select(axis, torch.tensor(self.order, device=output.device))

    @cached_property
    def _first(self) -> int | None:
        """The first of the tokens where they stand row by row without a gap."""
        first = self.order[0] if self.order else 0
        return first if self.order == tuple(range(first, first + len(self.order))) else None


def lying(at: Shadow, size: Grid) -> Layout | None:
    """The layout of an output (1, …) whose numbers came from those places on a picture of `size`; None for no grid."""
    if at.ndim == 4:
        for form, axis in (("NCHW", 1), ("NHWC", 3)):
            few = _few(at, axis)
            if _level(at, axis) or not _lines(few.select(axis, 0)[0], size, strict=False):
                continue
            cells = mean(few, axis)[0]  # (h, w)
            lines = _lines(cells, size)
            if lines and _together(few[0].movedim(axis - 1, 0), cells, lines, size):
                return Layout(form, at.shape[axis], (cells.shape[0], cells.shape[1]), box=_box(*lines, size))  # type: ignore[arg-type]
        return None
    for form, axis in (("tokens", 2), ("channels-first tokens", 1)):
        few = _few(at, axis)
        if _level(at, axis) or not any(_arranged(few.select(axis, channel)[0]) for channel in (0, -1)):
            continue
        places = mean(few, axis)[0]  # (tokens,)
        arranged = _arranged(places)
        if arranged is None:
            continue
        order, grid = arranged
        chosen = torch.tensor(order, device=at.device)
        cells = places[chosen].view(grid)
        lines = _lines(cells, size)
        within = few[0].movedim(axis - 1, 0)[:, chosen].reshape(-1, *grid)
        if lines and _together(within, cells, lines, size):
            extra = len(places) - len(order)
            return Layout(form, at.shape[axis], grid, tuple(order), extra, _box(*lines, size))  # type: ignore[arg-type]
    return None


def in_order(form: Literal["tokens", "channels-first tokens"], channels: int, grid: Grid, first: int) -> Layout:
    """A layout of tokens that stand row by row behind `first` others."""
    cells = grid[0] * grid[1]
    return Layout(form, channels, grid, tuple(range(first, first + cells)), first)


# --- private ---------------------------------------------------------------------------------------------------------

_UNEVEN = 0.25
"""How far a cell may lie off the line of its row or column, as a share of the step from line to line."""

_SAME_STEP = 0.6
"""A grid whose step is that much of an even division of the picture, or more, covers it; borders shorten the rest."""

_FEW = 32
"""So many channels tell where all of an output's lie."""

_THIN = 4.0
"""A single row or column of cells that are longer than that for their width tells nothing of the other direction."""


def _few(at: Shadow, channels: int) -> Shadow:
    """The places of some channels, evenly chosen: they come in groups that lie alike, or all lie alike."""
    count = at.shape[channels]
    if count <= _FEW or at.stride(channels) == 0:
        return at if at.stride(channels) else at.narrow(channels, 0, 1)
    return at.index_select(channels, torch.linspace(0, count - 1, _FEW, device=at.device).round().long())


def _level(at: Shadow, channels: int) -> bool:
    """Whether places are the same all along an axis that should be one of the grid: a quick no."""
    return any(at.stride(axis) == 0 and at.shape[axis] > 1 for axis in range(1, at.ndim) if axis != channels)


Lines = tuple[list[float], list[float]]
"""Where the rows and the columns of a grid lie, in pixels."""


def _over(cells: Tensor, grid: Grid) -> MapsBatch:
    return cells.reshape(*cells.shape[:2], *grid)


def _lines(cells: Shadow, size: Grid, *, strict: bool = True) -> Lines | None:
    """The lines of a grid of places (h, w); None where they are not on rows and columns in order.

    Without `strict`, cells without a place pass: it is one channel, and another may know more.
    """
    h, w = cells.shape
    if h * w < FEWEST_CELLS:
        return None
    if not bool(cells.real.isfinite().all()):
        return None if strict else ([], [])
    if min(h, w) == 1 and not 1 / _THIN <= (size[0] / h) / (size[1] / w) <= _THIN:
        return None
    found = []
    for part, extent in ((cells.real, size[0]), (cells.imag.T, size[1])):
        line = part.mean(1)
        steps = line.diff()
        step = float(steps.mean()) if len(steps) else float(extent)
        if abs(step) < NEAR or float((part - line[:, None]).abs().max()) > max(NEAR, _UNEVEN * abs(step)):
            return None
        if len(steps) and not bool((steps / step > _UNEVEN).all()):
            return None
        found.append(line.tolist())
    return found[0], found[1]


def _together(at: Shadow, cells: Shadow, lines: Lines, size: Grid) -> bool:
    """Whether all channels (K, h, w) of a cell come from about where the cell lies."""
    at = narrowed(at)
    if at.shape[0] == 1:
        return True
    for part, middle, line, extent in zip((at.real, at.imag), (cells.real, cells.imag), lines, size, strict=True):
        step = abs(line[-1] - line[0]) / (len(line) - 1) if len(line) > 1 else extent
        if float((part - middle).abs().nan_to_num(math.inf).max()) > 1.5 * step:
            return False
    return True


def _arranged(places: Shadow) -> tuple[list[int], Grid] | None:
    """The tokens with a place row by row, and their grid; None where they do not fill one."""
    known = places.real.isfinite()
    count = int(known.sum())
    if count < FEWEST_CELLS:
        return None
    indices = known.nonzero()[:, 0]
    (rows, row), (columns, column) = (_levels(part[known]) for part in (places.real, places.imag))
    cells = row * columns + column
    if rows * columns != count or len(torch.unique(cells)) != count:
        return None
    return indices[cells.argsort()].tolist(), (rows, columns)


def _levels(values: Tensor) -> tuple[int, Tensor]:
    """How many lines there are among coordinates, and on which each lies."""
    ordered = values.sort().values
    gaps = ordered.diff()
    widest = float(gaps.max()) if len(gaps) else 0.0
    bounds = ordered[1:][gaps > max(NEAR, _UNEVEN * widest)]
    return len(bounds) + 1, torch.bucketize(values, bounds, right=True)


def _box(rows: Sequence[float], columns: Sequence[float], size: Grid) -> Box:
    (top, bottom), (left, right) = _ends(rows, size[0]), _ends(columns, size[1])
    return top, left, bottom, right


def _ends(line: Sequence[float], extent: int) -> tuple[float, float]:
    """From where to where lines in pixels reach, as shares: all of the picture where they are near its even division.

    Without padding the middles of what cells see stand a little closer; the cells together still see all of it.
    """
    count, even = len(line), extent / len(line)
    step = (line[-1] - line[0]) / (count - 1) if count > 1 else even
    order = line if step > 0 else line[::-1]
    off = max(abs(p - (i + 0.5) * even) for i, p in enumerate(order))
    if off <= even and _SAME_STEP <= abs(step) / even <= 1 / _SAME_STEP:
        return (0.0, 1.0) if step > 0 else (1.0, 0.0)
    return (line[0] - step / 2) / extent, (line[-1] + step / 2) / extent
