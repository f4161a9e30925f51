"""HiResCAM (Draelos and Carin, 2020)."""

from typing import Annotated

import torch
from pydantic import Field

from ..registry import Depth, Family, Need, explainer
from ..results import Heatmap
from ..trace import Trace


@explainer(
    title="HiResCAM",
    family=Family.CLASS_ACTIVATION,
    needs={Need.MAPS, Need.MAP_SLOPES},
    paper="https://arxiv.org/abs/2011.08891",
)
def hires_cam(
    trace: Trace,
    *,
    depth: Depth = "last",
    signed: Annotated[bool, Field(description="Keep what lowers the score, too.")] = False,
    counterfactual: Annotated[bool, Field(description="Show what speaks against the class instead.")] = False,
) -> Heatmap:
    """Which places does the score of the chosen class come from, each with its own slope?

    Multiply each map by the slope of the score at each of its places, and add up the channels. Grad-CAM averages the
    slopes over the map before; here every place keeps its own.
    Read it as: a warm place is one whose own activity raises the score.
    Beware: where only averages and one linear layer follow the maps this is exact; elsewhere it is a first-order guess.
    """
    heat = torch.einsum("khw,khw->hw", trace.slopes(depth), trace.maps(depth))
    heat = -heat if counterfactual else heat
    return Heatmap(heat if signed else heat.relu(), signed=signed, unit="logit points per cell")
