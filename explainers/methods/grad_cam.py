"""Grad-CAM (Selvaraju et al., ICCV 2017)."""

from typing import Annotated

from pydantic import Field

from ..ingredients.working import weighted_sum
from ..registry import Depth, Family, Need, explainer
from ..results import Heatmap
from ..trace import Trace


@explainer(
    title="Grad-CAM",
    family=Family.CLASS_ACTIVATION,
    needs={Need.MAPS, Need.MAP_SLOPES},
    paper="https://arxiv.org/abs/1610.02391",
    classic=True,
)
def grad_cam(
    trace: Trace,
    *,
    depth: Depth = "last",
    signed: Annotated[bool, Field(description="Keep what lowers the score, too.")] = False,
    counterfactual: Annotated[bool, Field(description="Show what speaks against the class instead.")] = False,
) -> Heatmap:
    """Which regions raise the chosen class?

    Average the slope of the score over each channel of the maps, and add up the channels with these weights.
    Read it as: covering a warm region should lower the score.
    Beware: the map has the resolution of the layer it is read at, so its edges are soft.
    """
    maps, slopes = trace.maps(depth), trace.slopes(depth)  # (K, h, w) each
    weights = slopes.mean((1, 2))  # (K,)
    weighs = f"how fast the score {'falls' if counterfactual else 'rises'} with it, averaged over the places"
    heat = weighted_sum(trace, maps, -weights if counterfactual else weights, weighs=weighs, signed=signed)  # (h, w)
    return Heatmap(heat, signed=signed, unit="logit points per cell")
