"""Sobol indices of a picture's cells (Fel et al., NeurIPS 2021), by Jansen's estimator."""

from collections.abc import Iterator
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from ..ingredients import regions
from ..ingredients.covering import Cover, Covered
from ..registry import Family, Seed, explainer
from ..results import Heatmap
from ..trace import Trace


@explainer(title="Sobol", family=Family.PERTURBATION, paper="https://arxiv.org/abs/2111.04138", passes=(801, 0))
def sobol(
    trace: Trace,
    *,
    cells: Annotated[int, Field(ge=2, le=12, description="Cells along each side.")] = 7,
    designs: Annotated[
        int, Field(ge=4, le=64, description="How many random masks, each of which is changed at every cell in turn.")
    ] = 16,
    cover: Cover = "gray",
    seed: Seed = 0,
) -> Iterator[Heatmap]:
    """Which cells have a hand in how the score of the chosen class varies?

    Cover every cell to a random degree; then change a single one, and see how much the score changes. Half the mean
    square of that change, as a share of how much scores vary at all, is the total index of the cell (Sobol).
    Read it as: a warm cell has a hand in so much of the variance, alone or together with others.
    Beware: it has no sign, so a warm cell may raise the class or lower it; and what two cells do together is counted
    for both.
    """
    covered = Covered(trace, cover)
    labels = torch.from_numpy(regions.grid(covered.size, cells)).to(covered.pixels.device)  # (H, W)
    rows, columns = (min(cells, side) for side in covered.size)
    masks = _designs(designs, rows * columns, seed).to(covered.pixels)  # (designs, 1 + cells, cells)
    scores = torch.full(masks.shape[:2], torch.nan, dtype=torch.float64)
    known = 0
    for part in torch.split(masks.flatten(0, 1), trace.at_once):
        scores.view(-1)[known : known + len(part)] = covered.scores(part[:, labels]).double().cpu()
        known += len(part)
        index, error = _total(scores)
        yield Heatmap(
            index.view(rows, columns), unit="share of the score's variance",
            error=None if error is None else error.view(rows, columns), done=known / scores.numel(),
        )  # fmt: skip


def _designs(count: int, cells: int, seed: int) -> Tensor:
    """Masks (count, 1 + cells, cells): one, and the same with each cell changed alone.

    What a cell shows before and after is spread evenly over the square (Sobol, again), in an order of its own for each
    cell (Owen 1998). One sequence over all of them would tie some together, until there are thousands of masks.
    """
    from scipy.stats import qmc  # slow to import, and not every answer needs it

    generator = np.random.default_rng(seed)
    pairs = qmc.Sobol(2, rng=generator).random_base2((count - 1).bit_length())[:count]
    orders = generator.permuted(np.tile(np.arange(count), (cells, 1)), axis=1)
    own, other = torch.from_numpy(pairs[orders]).permute(2, 1, 0)[:, :, None]  # (count, 1, cells) each
    changed = torch.where(torch.eye(cells, dtype=torch.bool), other, own)
    return torch.cat([own, changed], 1)


def _total(scores: Tensor) -> tuple[Tensor, Tensor | None]:
    """Total Sobol indices (cells,) and their standard errors, by the scores (designs, 1 + cells) known so far.

    All masks alike are uniform random ones, so all of them tell of the variance. Zero where a cell has had no turn; no
    errors before each has had two.
    """
    squares = (scores[:, 1:] - scores[:, :1]).square() / 2  # Jansen 1999
    turns = (~squares.isnan()).sum(0)
    mean = squares.nansum(0) / turns.clamp(min=1)
    apart = (scores - scores.nanmean()).square()
    variance = apart.nanmean().clamp(min=1e-24)
    index, full = (mean / variance).clamp(max=1), int(turns.min())  # by chance only could it be more than 1
    if full < 2:
        return index, None
    # What each design does to the quotient; they are spread evenly, so that the true error is rather less.
    moves = squares[:full] - mean - index * (apart[:full].mean(1, keepdim=True) - variance)
    return index, (moves.square().sum(0) / full / (full - 1)).sqrt() / variance
