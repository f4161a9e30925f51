"""ShapleyCAM (Cai, 2025)."""

from typing import Annotated

import torch
from pydantic import Field

from ..ingredients.working import weighted_sum
from ..network.rules.attention import Spelled
from ..registry import Depth, Family, Need, explainer
from ..results import Heatmap
from ..shapes import Maps, Slopes
from ..trace import Trace


@explainer(
    title="ShapleyCAM",
    family=Family.CLASS_ACTIVATION,
    needs={Need.MAPS, Need.MAP_SLOPES},
    paper="https://arxiv.org/abs/2501.06261",
    passes=(2, 3),
)
def shapley_cam(
    trace: Trace,
    *,
    depth: Depth = "last",
    signed: Annotated[bool, Field(description="Keep what lowers the score, too.")] = False,
) -> Heatmap:
    """Which regions raise the chosen class, when it is counted how the maps work together?

    Grad-CAM's weights, corrected by half of how the slopes change when the maps are taken away: a second-order guess at
    each channel's fair share.
    Read it as: as Grad-CAM; the difference to it is what first-order slopes miss.
    Beware: where the network is piecewise linear above the maps, the correction of a logit score is zero, and this is
    Grad-CAM.
    """
    maps = trace.maps(depth)  # (K, h, w)
    fair = trace.slopes(depth) - slope_changes(trace, maps, depth) / 2
    weighs = "its mean slope, halfway between the maps as they are and none"
    heat = weighted_sum(trace, maps, fair.mean((1, 2)), weighs=weighs, signed=signed)
    return Heatmap(heat, signed=signed, unit="logit points per cell")


def slope_changes(trace: Trace, along: Maps, depth: str) -> Slopes:
    """How the slopes at a depth change along a direction: the Hessian of the score times `along` (K, h, w)."""
    site = trace.site(depth)
    passed = trace.run(start=site.points, under=Spelled())  # fused attention has no second derivative
    slopes = trace.backward(trace.asked.of(passed.output[0]), passed.taps, create_graph=True)
    inner = (site.slopes(slopes)[0] * along).sum()
    if not inner.requires_grad:  # the score is a straight line from here on
        return torch.zeros_like(along)
    return site.slopes(trace.backward(inner, passed.taps))[0]
