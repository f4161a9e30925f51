"""RefineCAM: a product of the maps of several depths (Domeniconi and others, 2026)."""

import torch
from torch import Tensor
from torch.nn import functional as fn

from ..anatomy import DEPTHS
from ..registry import Family, Need, explainer
from ..results import Heatmap
from ..trace import Trace


@explainer(
    title="RefineCAM",
    family=Family.CLASS_ACTIVATION,
    needs={Need.MAPS},
    paper="https://arxiv.org/abs/2605.14641",
    passes=(2, 4),
)
def refine_cam(trace: Trace) -> Heatmap:
    """Where do all depths of the network agree that something raises the chosen class?

    At each depth, multiply maps by the slopes that raise the score and add up the channels; bring each to a maximum of
    one, and multiply them with each other at the finest resolution.
    Read it as: warm only where every depth is warm, so the outline is finer than the last maps allow.
    Beware: a product is severe, one depth that says nothing somewhere silences all; and it is no longer a share of the
    score.
    """
    layers = {depth: (trace.slopes(depth).relu() * trace.maps(depth)).sum(0).relu() for depth in DEPTHS}
    empty = [depth for depth, heat in layers.items() if not heat.any()]
    spoken = [heat / heat.max() for heat in layers.values() if heat.any()]
    if not spoken:
        return Heatmap(torch.zeros_like(layers[DEPTHS[0]]), unit=_UNIT)
    size = max((heat.shape for heat in layers.values()), key=lambda shape: shape[0] * shape[1])
    product = torch.stack([_resized(heat, size) for heat in spoken]).prod(0)
    said = "The {} maps say nothing and were left out of the product."
    return Heatmap(product, unit=_UNIT, note=said.format(" and ".join(empty)) if empty else None)


_UNIT = "product of shares, 1 at most"


def _resized(heat: Tensor, size: torch.Size) -> Tensor:
    return fn.interpolate(heat[None, None], tuple(size), mode="bilinear", align_corners=False)[0, 0]
