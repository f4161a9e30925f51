"""Covering: parts of a picture hidden and shown; masks and choices of pieces become pictures, and those scores."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from ..baselines import BaselineName
from ..shapes import Heat, Scores
from ..trace import Trace
from . import regions

Cover = Annotated[
    BaselineName,
    Field(
        description="What stands where the picture is covered: gray is the mean color of the network's training "
        "pictures, blur the picture itself out of focus, noise random pixels."
    ),
]
"""An option of the methods that cover parts of a picture."""

Pieces = Annotated[
    Literal["superpixels", "grid"],
    Field(description="What is covered together: regions of like color, or the cells of a grid."),
]
"""An option of the methods that take a picture to be made of pieces."""

GROWTH = 1.1
"""A fit is made anew when there are so many times as many scores as for the last one,"""

PATIENCE = 8
"""or so many batches more."""


class Covered:
    """One picture, with nothing in it wherever a mask hides it."""

    def __init__(self, trace: Trace, cover: BaselineName) -> None:
        self.trace, self.pixels, self.cover = trace, trace.pixels, trace.baseline(cover)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.pixels.shape[1], self.pixels.shape[2]

    def scores(self, masks: Tensor) -> Scores:
        """The score for each of the masks (N, H, W): 1 shows a pixel, 0 covers it, and between they are mixed."""
        return self.trace.score(torch.lerp(self.cover, self.pixels, masks[:, None].to(self.pixels)))

    def ends(self) -> tuple[float, float]:
        """The score with everything covered, and that of the picture."""
        nothing, everything = self.trace.score(torch.stack([self.cover, self.pixels])).tolist()
        return nothing, everything


class InPieces(Covered):
    """One picture in M pieces, each of which is shown or covered as a whole."""

    def __init__(self, trace: Trace, cover: BaselineName, pieces: str, count: int) -> None:
        super().__init__(trace, cover)
        self.on_grid, side = pieces == "grid", max(2, round(count**0.5))
        if self.on_grid:
            labels = regions.grid(self.size, side)
        else:
            labels = regions.superpixels(self.pixels.permute(1, 2, 0).cpu().numpy(), count)
        self.labels = torch.from_numpy(labels).to(self.pixels.device)  # (H, W)
        self.count = int(self.labels.max()) + 1
        self._grid = min(side, self.size[0]), min(side, self.size[1])

    def scored(self, shown: Tensor) -> Iterator[Tensor]:
        """The scores (n,) of the first n of N choices (N, M) of pieces to show: told each time n has grown enough."""
        found: list[Tensor] = []
        known = told = 0
        for part in torch.split(shown, self.trace.at_once):
            masks = part.to(self.pixels).index_select(1, self.labels.flatten()).view(-1, *self.size)
            found.append(self.scores(masks).double().cpu())
            known += len(part)
            if known >= min(GROWTH * told, told + PATIENCE * self.trace.at_once) or known == len(shown):
                told = known
                yield torch.cat(found)

    def painted(self, values: Tensor) -> Heat:
        """A value for each piece (M,) as a map: of the grid's cells, or of pixels that each have their piece's."""
        return values.view(self._grid) if self.on_grid else values[self.labels.cpu()]

    def spread(self, values: Tensor) -> Heat:
        """As `painted`, but each piece's value is spread over its pixels, so that the map adds up to the values."""
        if self.on_grid:
            return self.painted(values)
        sizes = torch.bincount(self.labels.flatten(), minlength=self.count)
        return self.painted(values / sizes.to(values))
