"""LayerCAM (Jiang, Zhang, Hou, Cheng and Wei, IEEE TIP 2021)."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as fn

from ..anatomy import DEPTHS
from ..registry import Depth, Family, Need, explainer
from ..results import Heatmap
from ..trace import Trace

GAMMA = 2.0
"""How strongly a shallow layer's weak heat is lifted before it is fused; the paper's figure."""


@explainer(
    title="LayerCAM",
    family=Family.CLASS_ACTIVATION,
    needs={Need.MAPS},
    paper="https://mmcheng.net/mftp/Papers/21TIP_LayerCAM.pdf",
)
def layer_cam(
    trace: Trace,
    *,
    depth: Depth = "last",
    fused: Annotated[
        bool, Field(description="Join the maps of all depths; each is scaled to its own maximum, and the largest wins.")
    ] = False,
) -> Heatmap:
    """Which places raise the chosen class, at whatever depth one looks?

    Multiply each map by those of its slopes that raise the score, place by place, and add up the channels.
    Read it as: warm places raise the class; at shallow depths the map follows fine detail.
    Beware: what lowers the class is left out before the channels are added, so that nothing cancels.
    """
    if not fused:
        return Heatmap(_layer(trace, depth), unit="logit points per cell")
    layers = [_layer(trace, each) for each in DEPTHS]
    scaled = [torch.tanh(GAMMA * heat / heat.max().clamp_min(1e-12)) for heat in layers]
    size = scaled[0].shape
    largest = torch.stack([_resized(heat, size) for heat in scaled]).amax(0)
    return Heatmap(largest, unit="share of each depth's strongest value")


def _layer(trace: Trace, depth: str) -> Tensor:
    return (trace.slopes(depth).relu() * trace.maps(depth)).sum(0).relu()  # (h, w)


def _resized(heat: Tensor, size: torch.Size) -> Tensor:
    return fn.interpolate(heat[None, None], tuple(size), mode="bilinear", align_corners=False)[0, 0]
