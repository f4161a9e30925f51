"""LIME for pictures (Ribeiro, Singh & Guestrin, KDD 2016)."""

from collections.abc import Iterator
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from ..ingredients.covering import Cover, InPieces, Pieces
from ..registry import Family, Seed, explainer
from ..results import Heatmap
from ..trace import Trace


@explainer(
    title="LIME",
    family=Family.PERTURBATION,
    paper="https://arxiv.org/abs/1602.04938",
    passes=(501, 0),
    classic=True,
)
def lime(
    trace: Trace,
    *,
    pieces: Pieces = "superpixels",
    count: Annotated[int, Field(ge=4, le=200, description="About how many pieces.")] = 40,
    samples: Annotated[int, Field(ge=32, le=4000, description="How many pictures with some pieces covered.")] = 500,
    width: Annotated[
        float, Field(ge=0.05, le=5, description="How far from the picture a sample may be and still count.")
    ] = 0.25,
    kernel: Annotated[
        Literal["paper", "package"],
        Field(description="How nearness falls with distance d and width w: exp(−d²/w²), or the root of that."),
    ] = "paper",
    ridge: Annotated[float, Field(ge=0, le=10, description="How strongly the weights are drawn to zero.")] = 0.01,
    cover: Cover = "gray",
    seed: Seed = 0,
) -> Iterator[Heatmap]:
    """Which pieces of the picture does the score of the chosen class hang on, near this picture?

    Cover random pieces, and fit a linear rule from "which pieces are shown" to the score; samples that show more of
    the picture count more. The map shows the rule's weights. The paper counts a sample by exp(−d²/w²), and so does
    this; its authors' package takes the root of that, so that its width of 0.25 is one of 0.35 here.
    Read it as: by the rule, showing a warm piece adds so much to the score, whatever else is shown.
    Beware: the network is not linear. The note says how much of what the scores do the rule accounts for.
    """
    covered = InPieces(trace, cover, pieces, count)
    shown = _shown(covered.count, samples, seed)  # (N, M)
    apart = 1 - shown.double().mean(1).sqrt()  # the cosine between a choice and the whole picture is √(share shown)
    nearness = torch.exp(-((apart / width) ** 2) / (1 if kernel == "paper" else 2))
    for scores in covered.scored(shown):
        n = len(scores)
        weights, error, explained = _fitted(shown[:n].double(), scores, nearness[:n], ridge)
        if explained is None:
            note = f"So far there are too few samples to tell {covered.count} pieces apart."
        else:
            note = f"The linear rule accounts for {max(0.0, explained):.0%} of how the scores vary."
        yield Heatmap(
            covered.painted(weights), signed=True, unit="logit points for the whole piece", note=note,
            error=covered.painted(error) if explained is not None and len(shown) < 2**covered.count else None,
            done=n / len(shown),
        )  # fmt: skip


def _shown(m: int, samples: int, seed: int) -> Tensor:
    """Which pieces each sample shows (N, m): all choices there are, or the whole picture and random ones."""
    if m < samples.bit_length() and 2**m <= samples:
        return (torch.arange(2**m).flip(0)[:, None] >> torch.arange(m)) & 1 == 1
    shown = torch.rand(samples, m, generator=torch.Generator().manual_seed(seed)) < 0.5
    shown[0] = True
    return shown


def _fitted(shown: Tensor, scores: Tensor, nearness: Tensor, ridge: float) -> tuple[Tensor, Tensor, float | None]:
    """The weights (M,) of a ridge regression with a free constant, their standard errors, and what it accounts for.

    That is the share of the variance, adjusted for the number of pieces; None where there are too few samples.
    """
    n, m = shown.shape
    total = nearness.sum()
    gained = scores - scores[0]  # so that nothing is left of a score that never changes
    x, y = shown - nearness @ shown / total, gained - nearness @ gained / total
    near = x * nearness[:, None]
    inverse = torch.linalg.pinv(near.T @ x + ridge * torch.eye(m).to(x), hermitian=True)
    weights = inverse @ (near.T @ y)
    missed = y - x @ weights
    enough = n - m - 1
    # What each sample does to the weights; the sum of squares is the usual robust variance (White 1980).
    moves = (near * missed[:, None]) @ inverse  # (N, M)
    error = (moves.square().sum(0) * n / max(1, enough)).sqrt()
    if enough < 1:
        return weights, error, None
    varied, left = float(nearness @ y.square()), float(nearness @ missed.square())
    return weights, error, 1 - left / varied * (n - 1) / enough if varied > 0 else 1.0
