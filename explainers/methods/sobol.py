"""Sobol indices of a picture's parts (Fel and others, NeurIPS 2021)."""

from collections.abc import Iterator
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from scipy.stats import qmc
from torch import Tensor
from torch.nn import functional as fn

from ..baselines import Baseline
from ..covering import Covered
from ..registry import Family, explainer
from ..results import Heatmap
from ..trace import Trace


@explainer(title="Sobol", family=Family.PERTURBATION, paper="https://arxiv.org/abs/2111.04138", passes=(801, 0))
def sobol(
    trace: Trace,
    *,
    cells: Annotated[int, Field(ge=3, le=12, description="Cells along each side.")] = 7,
    designs: Annotated[
        int, Field(ge=4, le=64, description="How many pairs of masks; each asks about every cell.")
    ] = 16,
    cover: Baseline = "gray",
    seed: Annotated[int, Field(ge=0, le=1000, description="Another seed, other masks.")] = 0,
) -> Iterator[Heatmap]:
    """How much of the changes in the score of the chosen class is due to each part, alone and together with others?

    Cover every cell to a random degree; then change one cell alone and see how much the score changes. The mean square
    of that, as a share of how much scores vary at all, is the cell's total Sobol index.
    Read it as: a warm cell has a hand in that share of all changes, alone or together with others.
    Beware: it has no sign, so a warm cell may raise the class or lower it.
    """
    covered = Covered(trace, cover)
    size = covered.pixels.shape[1:]
    draws = qmc.Sobol(2 * cells**2, seed=np.random.default_rng(seed)).random_base2(int(np.ceil(np.log2(designs))))
    pairs = torch.from_numpy(draws[:designs]).float().view(-1, 2, cells**2)
    squares, starts = torch.zeros(0, cells**2), torch.zeros(0)
    for done, (first, second) in enumerate(pairs, 1):
        rows = first.repeat(cells**2 + 1, 1)
        rows[1:].fill_diagonal_(0)
        rows[1:] += torch.diag(second)
        masks = _enlarged(rows.view(-1, cells, cells), (int(size[0]), int(size[1])))
        scores = covered.scores(masks.to(covered.pixels.device)).cpu()
        squares = torch.cat([squares, (scores[1:] - scores[0]).square()[None] / 2])
        starts = torch.cat([starts, scores[:1]])
        spread = starts.var(correction=0).clamp_min(1e-12) if done > 1 else squares.mean().clamp_min(1e-12) * cells**2
        error = squares.std(0) / done**0.5 / spread if done > 1 else torch.zeros(cells**2)
        yield Heatmap(
            (squares.mean(0) / spread).view(cells, cells), unit="share of the score's variance",
            error=error.view(cells, cells), done=done / designs,
        )  # fmt: skip


def _enlarged(masks: Tensor, size: tuple[int, int]) -> Tensor:
    return fn.interpolate(masks[:, None], size, mode="nearest-exact")[:, 0]
