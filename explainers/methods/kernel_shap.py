"""Kernel SHAP (Lundberg and Lee, NeurIPS 2017), with its two end points held exactly."""

import math
from collections.abc import Iterator
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from ..baselines import Baseline
from ..covering import InPieces, Pieces, batches
from ..registry import Family, explainer
from ..results import Heatmap, Sum
from ..trace import Trace


@explainer(
    title="Kernel SHAP",
    family=Family.PERTURBATION,
    paper="https://arxiv.org/abs/1705.07874",
    passes=(515, 0),
    sums=True,
)
def kernel_shap(
    trace: Trace,
    *,
    pieces: Pieces = "superpixels",
    count: Annotated[int, Field(ge=4, le=200, description="About how many pieces.")] = 40,
    samples: Annotated[int, Field(ge=32, le=8000, description="How many pictures with some pieces covered.")] = 512,
    cover: Baseline = "gray",
    seed: Annotated[int, Field(ge=0, le=1000, description="Another seed, other samples.")] = 0,
) -> Iterator[Heatmap]:
    """What is each piece's fair share in the score of the chosen class?

    A fair share is what a piece adds on average, over all orders in which the pieces could be shown one after the other
    (Shapley). It is estimated by a weighted fit to pictures with some pieces covered; where there are few pieces, all
    such pictures are taken, and it is exact.
    Read it as: all shares together are the score here minus the score with everything covered.
    Beware: it rates pieces, and how the picture is cut decides what can be told apart.
    """
    covered = InPieces(trace, cover, pieces, count)
    nothing, everything = covered.ends()
    whole, m = everything - nothing, covered.count
    if m == 1:
        yield _map(covered, torch.tensor([whole], dtype=torch.float64), whole, trace, 1.0)
        return
    shown, weights = _all(m) if m < _COUNTED and 2**m - 2 <= samples else _drawn(m, samples, seed)
    found = torch.empty(0, dtype=torch.float64)
    for part, done in batches(shown, trace.at_once):
        found = torch.cat([found, covered.scores_of(part.to(covered.pixels.device)).double().cpu()])
        shares = _fair(shown[: len(found)].double(), found - nothing, weights[: len(found)], whole)
        yield _map(covered, shares, whole, trace, done)


def _map(covered: InPieces, shares: Tensor, whole: float, trace: Trace, done: float) -> Heatmap:
    adds_up = Sum(float(shares.sum()), whole, floor=0.05 * float(trace.logits.std(correction=0)))
    unit = "logit points" if covered.on_grid else "logit points per pixel"
    return Heatmap(covered.laid(shares), signed=True, unit=unit, adds_up=adds_up, done=done)


def _all(m: int) -> tuple[Tensor, Tensor]:
    """Every choice (2^m − 2, m) but none and all, with the Shapley kernel."""
    numbers = torch.arange(1, 2**m - 1)
    shown = (numbers[:, None] >> torch.arange(m)) & 1 == 1
    sizes = shown.sum(1)
    weights = [(m - 1) / (math.comb(m, s) * s * (m - s)) for s in sizes.tolist()]
    return shown, torch.tensor(weights, dtype=torch.float64)


def _drawn(m: int, samples: int, seed: int) -> tuple[Tensor, Tensor]:
    """Choices drawn by the kernel, each followed by its opposite, so that all count alike."""
    generator = torch.Generator().manual_seed(seed)
    sizes = torch.arange(1, m, dtype=torch.float64)
    odds = (m - 1) / (sizes * (m - sizes))
    drawn = torch.multinomial(odds, -(-samples // 2), replacement=True, generator=generator) + 1
    order = torch.rand(len(drawn), m, generator=generator).argsort(1).argsort(1)
    half = order < drawn[:, None]
    shown = torch.stack([half, ~half], 1).flatten(0, 1)[:samples]
    return shown, torch.ones(samples, dtype=torch.float64)


def _fair(shown: Tensor, gained: Tensor, weights: Tensor, whole: float) -> Tensor:
    """The weighted least squares fit of Σ shares = gained, among shares that add up to `whole` exactly."""
    weighted = shown * weights[:, None]
    scale = weights.sum()
    matrix = weighted.T @ shown / scale + _LEAST * torch.eye(shown.shape[1], dtype=shown.dtype)
    both = torch.stack([weighted.T @ gained / scale, torch.ones(shown.shape[1], dtype=shown.dtype)], 1)
    free, step = torch.linalg.solve(matrix, both).unbind(1)
    shares: Tensor = free - step * (free.sum() - whole) / step.sum()
    return shares


_COUNTED = 20
"""From this many pieces on there are more choices than anybody asks for."""

_LEAST = 1e-9
"""Keeps the equations solvable while there are fewer samples than pieces."""
