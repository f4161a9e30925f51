"""LIME for pictures (Ribeiro, Singh and Guestrin, KDD 2016)."""

from collections.abc import Iterator
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from ..baselines import Baseline
from ..covering import InPieces, Pieces, batches
from ..registry import Family, explainer
from ..results import Heatmap
from ..trace import Trace


@explainer(title="LIME", family=Family.PERTURBATION, paper="https://arxiv.org/abs/1602.04938", passes=(502, 0))
def lime(
    trace: Trace,
    *,
    pieces: Pieces = "superpixels",
    count: Annotated[int, Field(ge=4, le=200, description="About how many pieces.")] = 40,
    samples: Annotated[int, Field(ge=32, le=4000, description="How many pictures with some pieces covered.")] = 500,
    width: Annotated[
        float, Field(ge=0.05, le=5, description="How far from the picture a sample may be and still count.")
    ] = 0.25,
    ridge: Annotated[float, Field(ge=0, le=10, description="How strongly the weights are drawn to zero.")] = 0.01,
    cover: Baseline = "gray",
    seed: Annotated[int, Field(ge=0, le=1000, description="Another seed, other samples.")] = 0,
) -> Iterator[Heatmap]:
    """Which pieces of the picture does the score of the chosen class hang on, near this picture?

    Cover random pieces, and fit a linear rule from "which pieces are shown" to the score; samples that leave more of
    the picture count more. The map shows the rule's weights.
    Read it as: a warm piece adds its weight to the score whenever it is shown.
    Beware: the cut into pieces decides what can be found, and other samples give other weights.
    """
    covered = InPieces(trace, cover, pieces, count)
    generator = torch.Generator().manual_seed(seed)
    shown = torch.rand(samples, covered.count, generator=generator) < 0.5
    shown[0] = True
    apart = 1 - shown.double().mean(1).sqrt()  # the cosine between a choice and the whole picture is √(share shown)
    nearness = torch.exp(-(apart**2) / width**2)
    found = torch.empty(0, dtype=torch.float64)
    for part, done in batches(shown, trace.at_once):
        found = torch.cat([found, covered.scores_of(part.to(covered.pixels.device)).double().cpu()])
        weights, explained = _fitted(shown[: len(found)].double(), found, nearness[: len(found)], ridge)
        note = f"The linear rule accounts for {max(0.0, explained):.0%} of how the scores vary."
        heat = covered.laid(weights)
        yield Heatmap(
            heat,
            signed=True,
            unit="logit points" if covered.on_grid else "logit points per pixel",
            note=note,
            done=done,
        )


def _fitted(shown: Tensor, scores: Tensor, nearness: Tensor, ridge: float) -> tuple[Tensor, float]:
    """Weights (M,) of the ridge regression with a free constant, and the share of the variance that it explains."""
    total = nearness.sum()
    mean_shown, mean_score = (nearness @ shown) / total, (nearness @ scores) / total
    x, y = shown - mean_shown, scores - mean_score
    weighted = x * nearness[:, None]
    penalty = max(ridge, _LEAST) * torch.eye(x.shape[1], dtype=x.dtype)
    weights = torch.linalg.solve(weighted.T @ x + penalty, weighted.T @ y)
    spread = float(nearness @ y.square())
    return weights, 1 - float(nearness @ (y - x @ weights).square()) / spread if spread else 0.0


_LEAST = 1e-9
"""Keeps the equations solvable while there are fewer samples than pieces."""
