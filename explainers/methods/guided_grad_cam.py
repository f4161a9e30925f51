"""Guided Grad-CAM (Selvaraju et al., ICCV 2017)."""

import torch

from ..ingredients.stretching import stretched
from ..network.rules.guided import Guided
from ..registry import Depth, Family, Need, explainer
from ..results import Heatmap
from ..trace import Trace


@explainer(
    title="Guided Grad-CAM",
    family=Family.GRADIENTS,
    needs={Need.MAPS, Need.RECTIFIERS, Need.MAP_SLOPES},
    paper="https://arxiv.org/abs/1610.02391",
    passes=(2, 2),
)
def guided_grad_cam(trace: Trace, *, depth: Depth = "last") -> Heatmap:
    """Which fine detail lies where the chosen class is found?

    Guided backpropagation gives the detail, Grad-CAM the place; the one is multiplied with the other.
    Read it as: the outlines within the regions of Grad-CAM.
    Beware: only the place is evidence. The detail highlights edges, and looks nearly the same for random weights.
    """
    maps, slopes = trace.maps(depth), trace.slopes(depth)  # (K, h, w) each
    place = torch.einsum("k,khw->hw", slopes.mean((1, 2)), maps).relu()  # (h, w)
    rule = Guided("guided")
    detail = trace.slopes_at(trace.pixels[None], rule=rule)[0][0].sum(0)  # (H, W)
    wide = stretched(place, detail.shape)
    return Heatmap(detail * wide, signed=True, unit="guided signal, no unit of the score", note=rule.note)
