"""What excites a channel most among given pictures, and which part of the picture it can see."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..network.classifier import Classifier
from ..network.sites import Site
from ..shapes import Batch, MapsBatch
from ..trace import Billed, Spent


@dataclass(frozen=True)
class Field:
    """The part of the framed picture that cells of a grid can see, in pixels."""

    rows: tuple[int, int]
    """First row and the one after the last that the cell in the middle sees."""
    columns: tuple[int, int]
    middle: tuple[int, int]
    """That cell."""
    stride: tuple[float, float]
    """Pixels from cell to cell."""
    picture: tuple[int, int] = (1 << 30, 1 << 30)
    """Height and width of what is seen at all: a field that reaches its edge may reach beyond, and counts as whole."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.rows[1] - self.rows[0], self.columns[1] - self.columns[0]

    def of(self, cell: tuple[int, int]) -> tuple[int, int, int, int]:
        """(top, left, bottom, right) of what a cell sees; may reach beyond the picture."""
        ends = []
        for k, (low, high) in enumerate((self.rows, self.columns)):
            if low <= 0 or high >= self.picture[k]:
                ends.append((0, self.picture[k]))
                continue
            start = round(low + (cell[k] - self.middle[k]) * self.stride[k])
            ends.append((start, start + high - low))
        (top, bottom), (left, right) = ends
        return top, left, bottom, right


@dataclass(frozen=True, eq=False)
class Exemplar:
    """A place in a picture that excites a channel."""

    picture: int
    """Its number among the given ones."""
    cell: tuple[int, int]
    activation: float


def receptive_field(model: Classifier, site: Site, *, spent: Spent | None = None) -> Field:
    """What the cell in the middle of a site's grid can see, exactly: NaN at a pixel taints all that reads it.

    Found by halving: is the cell tainted when all rows up to here are? About eight passes of four pictures. Kernels
    that mix neighbors on the way (Winograd, FFT; on a GPU) may widen it a little.
    """
    billed = Billed(model, spent or Spent())
    height, width = model.framing.size
    h, w = site.grid
    middle = (h // 2, w // 2)
    lows, highs = [0, 0, 0, 0], [height, width, height, width]
    while any(low < high for low, high in zip(lows, highs, strict=True)):
        tries = [(low + high) // 2 for low, high in zip(lows, highs, strict=True)]
        pictures = torch.zeros(4, model.framing.channel_count, height, width)
        pictures[0, :, : tries[0] + 1] = torch.nan  # is row `try` or one above it seen?
        pictures[1, :, :, : tries[1] + 1] = torch.nan
        pictures[2, :, height - tries[2] - 1 :] = torch.nan  # and from below
        pictures[3, :, :, width - tries[3] - 1 :] = torch.nan
        seen = _maps(billed, site, pictures)[:, :, middle[0], middle[1]].isnan().any(1).tolist()
        for k, tainted in enumerate(seen):
            if lows[k] < highs[k]:
                lows[k], highs[k] = (lows[k], tries[k]) if tainted else (tries[k] + 1, highs[k])
    rows, columns = (lows[0], height - lows[2]), (lows[1], width - lows[3])
    return Field(rows, columns, middle, (height / h, width / w), (height, width))


def exemplars(
    model: Classifier,
    site: Site,
    pictures: Batch,
    channels: list[int],
    *,
    count: int = 4,
    spent: Spent | None = None,
    stop: Callable[[], bool] | None = None,
) -> list[list[Exemplar]]:
    """For each channel, the pictures (N, 3, H, W) that excite it most, strongest first, each with its best cell."""
    billed = Billed(model, spent or Spent(), stop)
    peaks, cells = [], []
    for part in torch.split(pictures, billed.at_once):
        maps = _maps(billed, site, part)[:, channels].flatten(2)  # (n, channels, cells)
        best = maps.max(2)
        peaks.append(best.values)
        cells.append(best.indices)
    peak, cell = torch.cat(peaks), torch.cat(cells)  # (N, channels)
    order = peak.argsort(stable=True, dim=0, descending=True)[:count]
    width = site.grid[1]
    return [
        [Exemplar(int(n), divmod(int(cell[n, k]), width), float(peak[n, k])) for n in order[:, k]]
        for k in range(len(channels))
    ]


def cut(picture: Tensor, box: tuple[int, int, int, int], ground: Tensor) -> Tensor:
    """The part (C, h, w) of a picture (C, H, W) in a box (top, left, bottom, right); `ground` where it reaches out."""
    top, left, bottom, right = box
    found = ground.to(picture).expand(len(picture), bottom - top, right - left).clone()
    _, height, width = picture.shape
    rows, columns = slice(max(0, top), min(height, bottom)), slice(max(0, left), min(width, right))
    seen = picture[:, rows, columns]
    found[:, rows.start - top : rows.start - top + seen.shape[1], columns.start - left :][:, :, : seen.shape[2]] = seen
    return found


# --- private ---------------------------------------------------------------------------------------------------------


def _maps(billed: Billed, site: Site, pictures: Batch) -> MapsBatch:
    maps = billed.peek(pictures, site)[1]
    assert maps is not None
    return maps
