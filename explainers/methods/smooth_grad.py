"""SmoothGrad (Smilkov et al., 2017), SquareGrad (Hooker et al., NeurIPS 2019), VarGrad (Adebayo et al., 2018)."""

from collections.abc import Iterator
from typing import Annotated, Literal

import torch
from pydantic import Field

from ..ingredients.running_mean import RunningMean
from ..registry import Family, Need, Seed, explainer
from ..results import Heatmap
from ..trace import Trace


@explainer(
    title="SmoothGrad",
    family=Family.GRADIENTS,
    needs={Need.SLOPES},
    paper="https://arxiv.org/abs/1706.03825",
    passes=(49, 48),
    classic=True,
)
def smooth_grad(
    trace: Trace,
    *,
    noise: Annotated[
        float, Field(ge=0, le=0.5, description="Spread of the noise, as a share of the way from black to white.")
    ] = 0.15,
    samples: Annotated[int, Field(ge=2, le=512, description="How many noisy pictures are averaged over.")] = 48,
    statistic: Annotated[
        Literal["mean", "squared", "variance"],
        Field(description="Of the slopes: their signed mean, the mean of their squares, or their variance."),
    ] = "mean",
    seed: Seed = 0,
) -> Iterator[Heatmap]:
    """Which pixels move the score of the chosen class, in pictures that look like this one through noise?

    Add noise to the picture many times and average the slopes of the score, so that what is grainy cancels out.
    Read it as: around this picture, brightening a warm pixel raises the score; squares and variance have no direction.
    Beware: it describes noisy pictures, on which the network may decide otherwise, and it is smooth by construction.
    """
    generator = torch.Generator().manual_seed(seed)
    slopes, spreads, center = RunningMean(), RunningMean(), trace.pixels.new_zeros(())
    for first in range(0, samples, trace.at_once):
        shape = (min(trace.at_once, samples - first), *trace.pixels.shape)
        drawn = torch.randn(shape, generator=generator, dtype=trace.pixels.dtype).to(trace.pixels.device)
        found = trace.slopes_at(trace.pixels + noise * drawn)[0]  # (N, 3, H, W)
        if statistic == "variance" and first == 0:
            center = found.mean(0)  # near the mean, so that spreads about it are no small differences of large squares
        slopes.add(found.sum(1) if statistic == "mean" else found - center)
        spreads.add((found - center).square().sum(1))
        done = slopes.count / samples
        if statistic == "mean":
            unit = "logit points per unit of brightness"
            yield Heatmap(slopes.mean, signed=True, unit=unit, error=slopes.error, done=done)
        else:
            heat = spreads.mean if statistic == "squared" else slopes.variance.sum(0)
            unit = "squared logit points per unit of brightness"
            yield Heatmap(heat, unit=unit, error=spreads.error, done=done)
