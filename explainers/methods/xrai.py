"""XRAI (Kapishnikov et al., ICCV 2019)."""

from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor
from torch.nn import functional as fn

from ..baselines import BaselineName
from ..ingredients.regions import segments
from ..registry import Family, Need, explainer
from ..results import Heatmap
from ..shapes import Heat
from ..trace import Trace

FEWEST = 1 / 1000
"""Share of the picture that a region has to bring in, or it waits for the rest: 50 of 224 × 224 pixels."""

MARGIN = 1 / 45
"""By which share of the shorter side regions are widened, since slopes gather at edges: 5 of 224 pixels."""


@explainer(
    title="XRAI",
    family=Family.GRADIENTS,
    needs={Need.SLOPES},
    paper="https://arxiv.org/abs/1906.02825",
    passes=(33, 32),
)
def xrai(
    trace: Trace,
    *,
    steps: Annotated[int, Field(ge=4, le=128, description="Points on the way from black, and from white.")] = 16,
) -> Heatmap:
    """Which regions add most to the score of the chosen class for their size?

    Integrated gradients from black and from white are averaged, and the picture is cut into regions of like color at
    several scales. The region that adds most per pixel comes first, then the best of what is left, and so on.
    Read it as: a region's color is what its pixels added, on average, when its turn came.
    Beware: the outlines are those of the colors in the picture; the network may use only a part of a region.
    """
    parts = (_integrated(trace, "black", steps) + _integrated(trace, "white", steps)) / 2  # (H, W)
    pixels = trace.pixels.permute(1, 2, 0).float().cpu().numpy()
    reach = max(1, round(MARGIN * min(parts.shape)))
    masks = np.concatenate([_widened(labels, reach) for labels in segments(pixels)])  # (regions, H, W)
    heat = _ranked(masks.reshape(len(masks), -1), parts.double().cpu().numpy().ravel())
    return Heatmap(heat.reshape(parts.shape), signed=True, unit="logit points per pixel of the region")


def _integrated(trace: Trace, baseline: BaselineName, steps: int) -> Heat:
    start = trace.baseline(baseline)
    change, total = trace.pixels - start, torch.zeros_like(start)
    for shares in torch.split((torch.arange(steps).to(start) + 0.5) / steps, trace.at_once):
        total = total + trace.slopes_at(start + shares[:, None, None, None] * change)[0].sum(0)
    return (total / steps * change).sum(0)


def _widened(labels: NDArray[np.int64], reach: int) -> NDArray[np.bool_]:
    """Each region of `labels` (H, W) as a mask (regions, H, W) that goes `reach` pixels further."""
    found: list[Tensor] = []
    for numbers in torch.split(torch.arange(int(labels.max()) + 1), 32):
        masks = (torch.from_numpy(labels) == numbers[:, None, None]).float()
        for side in ((2 * reach + 1, 1), (1, 2 * reach + 1)):
            masks = fn.max_pool2d(masks, side, stride=1, padding=(side[0] // 2, side[1] // 2))
        found.append(masks.bool())
    return torch.cat(found).numpy()


def _ranked(masks: NDArray[np.bool_], parts: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each of P pixels, the mean part of the region it came with: best first, of `masks` (regions, P)."""
    heat, left = np.zeros_like(parts), np.ones(len(parts), np.bool_)
    sums, counts = np.array([parts[mask].sum() for mask in masks]), masks.sum(1)
    while left.any():
        enough = counts >= max(1, FEWEST * len(parts))
        if enough.any():
            best = int(np.where(enough, sums / np.maximum(counts, 1), -np.inf).argmax())
            new = np.flatnonzero(masks[best] & left)
        else:
            new = np.flatnonzero(left)
        heat[new] = parts[new].mean()
        left[new] = False
        sums, counts = sums - masks[:, new] @ parts[new], counts - masks[:, new].sum(1)
    return heat
