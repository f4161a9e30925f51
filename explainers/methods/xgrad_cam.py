"""XGrad-CAM (Fu, Hu, Dong, Guo, Gao and Li, BMVC 2020)."""

from typing import Annotated

import torch
from pydantic import Field

from ..ingredients.working import weighted_sum
from ..registry import Depth, Family, Need, explainer
from ..results import Heatmap
from ..trace import Trace

CANCELS = 1e-3
"""A sum below this share of the channel's activity is what rounding left of it."""


@explainer(
    title="XGrad-CAM",
    family=Family.CLASS_ACTIVATION,
    needs={Need.MAPS, Need.MAP_SLOPES},
    paper="https://arxiv.org/abs/2008.02312",
)
def xgrad_cam(
    trace: Trace,
    *,
    depth: Depth = "last",
    signed: Annotated[bool, Field(description="Keep what lowers the score, too.")] = False,
    counterfactual: Annotated[bool, Field(description="Show what speaks against the class instead.")] = False,
) -> Heatmap:
    """Which regions raise the chosen class, so that the map adds up to what the layer contributes?

    A channel's weight is the mean of its slopes, each counted by how active the channel is there.
    Read it as: all of the signed map together is the slope times the activity of the whole layer.
    Beware: a channel whose activity cancels around zero has no such mean; it is left out, and the note says so.
    """
    maps, slopes = trace.maps(depth), trace.slopes(depth)  # (K, h, w) each
    sums, sizes = maps.sum((1, 2)), maps.abs().sum((1, 2))  # (K,)
    steady = sums.abs() > CANCELS * sizes
    weights = torch.where(steady, (slopes * maps).sum((1, 2)) / torch.where(steady, sums, 1), 0)
    weighs = f"how fast the score {'falls' if counterfactual else 'rises'} with it where it is active"
    heat = weighted_sum(trace, maps, -weights if counterfactual else weights, weighs=weighs, signed=signed)
    left_out = int((~steady & (sizes > 0)).sum())
    note = f"{left_out} of {len(maps)} channels cancel themselves and were left out." if left_out else None
    return Heatmap(heat, signed=signed, unit="logit points per cell", note=note)
