"""Parts of a picture covered and shown again: masks and regions become batches of pictures, and those become scores."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from . import regions
from .baselines import BaselineName
from .shapes import Heat, Scores
from .trace import Trace

Pieces = Annotated[
    Literal["grid", "superpixels"],
    Field(description="Pieces that are covered together: cells of a grid, or regions of like color."),
]
"""An option of the methods that take a picture to be made of pieces."""


class Covered:
    """One picture, with anything in its place that is called `cover`, and how often it was asked about."""

    def __init__(self, trace: Trace, cover: BaselineName) -> None:
        self.trace, self.pixels, self.cover = trace, trace.pixels, trace.baseline(cover)

    def scores(self, masks: Tensor) -> Scores:
        """The score for each of the masks (N, H, W): 1 shows a pixel, 0 covers it, and between they are mixed."""
        return self.trace.score(torch.lerp(self.cover, self.pixels, masks[:, None].to(self.pixels)))

    def ends(self) -> tuple[float, float]:
        """The score with all covered, and with all shown."""
        nothing, everything = self.trace.score(torch.stack([self.cover, self.pixels])).tolist()
        return nothing, everything


class InPieces(Covered):
    """A picture in M pieces, each of which is shown or covered whole."""

    def __init__(self, trace: Trace, cover: BaselineName, pieces: str, count: int) -> None:
        super().__init__(trace, cover)
        self.on_grid = pieces == "grid"
        side = max(2, round(count**0.5))
        shape = (self.pixels.shape[1], self.pixels.shape[2])
        labels = (
            regions.grid(shape, side)
            if self.on_grid
            else regions.superpixels(self.pixels.permute(1, 2, 0).cpu().numpy(), count)
        )
        self.labels = torch.from_numpy(labels).to(self.pixels.device)
        self.count = int(self.labels.max()) + 1
        self._grid = min(side, shape[0]), min(side, shape[1])

    def scores_of(self, shown: Tensor) -> Scores:
        """The score for each choice (N, M) of the pieces that are shown."""
        return self.scores(shown.to(self.pixels)[:, self.labels])

    def laid(self, values: Tensor) -> Heat:
        """A value for each piece (M,) as a map that adds up to them: of the grid's cells, or spread over pixels."""
        if self.on_grid:
            return values.view(self._grid)
        sizes = torch.bincount(self.labels.flatten(), minlength=self.count)
        return (values / sizes.to(values))[self.labels]


def batches(rows: Tensor, size: int) -> Iterator[tuple[Tensor, float]]:
    """Rows (N, …) a batch at a time, each with the share of all that is done with it."""
    for first in range(0, len(rows), size):
        part = rows[first : first + size]
        yield part, (first + len(part)) / len(rows)
