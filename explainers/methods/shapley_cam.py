"""ShapleyCAM (Cai, 2025)."""

from typing import Annotated

from pydantic import Field

from ..ingredients.working import weighted_sum
from ..registry import Depth, Family, Need, explainer
from ..results import Heatmap
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
    fair = trace.slopes(depth) - trace.slope_changes(maps, depth) / 2
    weighs = "its mean slope, halfway between the maps as they are and none"
    heat = weighted_sum(trace, maps, fair.mean((1, 2)), weighs=weighs, signed=signed)
    return Heatmap(heat, signed=signed, unit="logit points per cell")
