"""Smooth Grad-CAM++: Grad-CAM++ over pictures with noise (Omeiza, Speakman, Cintas and Weldemariam, 2019)."""

from collections.abc import Iterator
from typing import Annotated

import torch
from pydantic import Field

from ..ingredients.working import weighted_sum
from ..registry import Depth, Family, Need, explainer
from ..results import Heatmap
from ..trace import Trace

SMALLEST = 1e-3
"""Places whose divisor is below this count nothing: it is two or more where no channel sums below zero."""


@explainer(
    title="Smooth Grad-CAM++",
    family=Family.CLASS_ACTIVATION,
    needs={Need.MAPS, Need.MAP_SLOPES},
    paper="https://arxiv.org/abs/1908.01224",
    passes=(11, 10),
)
def smooth_grad_cam_plus_plus(
    trace: Trace,
    *,
    depth: Depth = "last",
    samples: Annotated[int, Field(ge=2, le=64, description="How many noisy pictures are averaged.")] = 10,
    noise: Annotated[
        float, Field(ge=0, le=0.5, description="Deviation of the noise, as a share of full brightness.")
    ] = 0.1,
) -> Iterator[Heatmap]:
    """Which regions raise the chosen class, whatever a little noise does to the picture?

    Average slopes and their powers over noisy copies of the picture, weigh the channels as Grad-CAM++ does, and lay the
    weights over the maps of the picture itself.
    Read it as: what stays warm does not hang on a few pixels.
    Beware: with much noise another picture is explained. And where only averages and one linear layer follow the maps,
    slopes are the same for every picture, so that noise changes nothing.
    """
    maps, pixels = trace.maps(depth), trace.pixels
    generator = torch.Generator().manual_seed(0)
    first, second, third = (torch.zeros_like(maps, dtype=torch.double) for _ in range(3))  # of which powers underflow
    for done in range(1, samples + 1):
        added = noise * torch.randn(pixels.shape, generator=generator, dtype=pixels.dtype).to(pixels.device)
        slopes = trace.elsewhere((pixels + added).clamp(0, 1)).slopes(depth).double()
        first, second, third = first + slopes, second + slopes.square(), third + slopes**3
        below = 2 + maps.sum((1, 2), keepdim=True) * third / second.clamp_min(torch.finfo(torch.double).tiny)
        fine = below > SMALLEST
        weights = torch.where(fine, first.relu() / done / torch.where(fine, below, 1), 0).sum((1, 2)).to(maps)  # (K,)
        if done < samples:
            heat = torch.einsum("k,khw->hw", weights, maps).relu()
        else:
            heat = weighted_sum(trace, maps, weights, weighs="its slopes above zero, averaged over noisy copies")
        yield Heatmap(heat, unit="logit points, reweighed", done=done / samples)
