"""LayerCAM (Jiang, Zhang, Hou, Cheng and Wei, IEEE TIP 2021)."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from ..ingredients.stretching import stretched
from ..network.anatomy import DEPTHS
from ..registry import Depth, Family, Need, explainer
from ..results import Heatmap
from ..trace import Trace

SHALLOW = ("early", "middle")
GAMMA = 2.0
"""How strongly the weak heat of shallow maps is lifted before it is joined; the paper's figure."""


@explainer(
    title="LayerCAM",
    family=Family.CLASS_ACTIVATION,
    needs={Need.MAPS, Need.MAP_SLOPES},
    paper="https://mmcheng.net/mftp/Papers/21TIP_LayerCAM.pdf",
)
def layer_cam(
    trace: Trace,
    *,
    depth: Depth = "last",
    fused: Annotated[bool, Field(description="Join the maps of all four depths, whichever depth is chosen.")] = False,
    counterfactual: Annotated[bool, Field(description="Show what speaks against the class instead.")] = False,
) -> Heatmap:
    """Which places raise the chosen class, at whatever depth one looks?

    Multiply each map by those of its slopes that raise the score, place by place, and add up the channels. Fused: each
    depth is brought to a maximum of one, weak heat in the two shallow ones is lifted (tanh of twice the share), all are
    stretched to the finest grid, and the largest wins at each place.
    Read it as: warm places raise the class; at shallow depths the map follows fine detail.
    Beware: what lowers the class is left out before the channels are added, so that nothing cancels.
    """
    if not fused:
        return Heatmap(_layer(trace, depth, counterfactual), unit="logit points per cell")
    layers = {each: _layer(trace, each, counterfactual) for each in DEPTHS}  # the earliest first: one pass serves all
    empty = [each for each, heat in layers.items() if not heat.any()]
    shares = [_share(heat, lifted=each in SHALLOW) for each, heat in layers.items()]
    finest = max((heat.shape for heat in shares), key=lambda shape: shape[0] * shape[1])
    largest = torch.stack([stretched(heat, finest) for heat in shares]).amax(0)
    note = f"Nothing came from the maps at depth {' and '.join(empty)}." if empty else None
    return Heatmap(largest, unit="share of each depth's strongest value", note=note)


def _layer(trace: Trace, depth: str, counterfactual: bool) -> Tensor:
    slopes = trace.slopes(depth)
    return torch.einsum("khw,khw->hw", (-slopes if counterfactual else slopes).relu(), trace.maps(depth)).relu()


def _share(heat: Tensor, *, lifted: bool) -> Tensor:
    share = heat / heat.max() if heat.any() else heat
    return torch.tanh(GAMMA * share) if lifted else share
