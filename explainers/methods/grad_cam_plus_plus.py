"""Grad-CAM++ (Chattopadhay, Sarkar, Howlader and Balasubramanian, WACV 2018)."""

import torch

from ..ingredients.working import weighted_sum
from ..registry import Depth, Family, Need, explainer
from ..results import Heatmap
from ..trace import Trace

SMALLEST = 1e-3
"""Places whose divisor is below this count nothing: it is two or more where no channel sums below zero."""


@explainer(
    title="Grad-CAM++",
    family=Family.CLASS_ACTIVATION,
    needs={Need.MAPS, Need.MAP_SLOPES},
    paper="https://arxiv.org/abs/1710.11063",
    classic=True,
)
def grad_cam_plus_plus(trace: Trace, *, depth: Depth = "last") -> Heatmap:
    """Which regions raise the chosen class, when every place of a map that raises it may count?

    Like Grad-CAM, but a channel's weight adds up only slopes above zero, each counting for less the more active the
    whole channel is beside it.
    Read it as: several objects of the class light up alike, even where one of them would be enough.
    Beware: what lowers the class is left out from the start, so the map is generous; and its powers of the slope stand
    for higher derivatives only where the network is piecewise linear above the maps.
    """
    maps, slopes = trace.maps(depth), trace.slopes(depth)  # (K, h, w) each
    # For exp(score), second and third derivatives are the slope squared and cubed, so a place counts for
    # g² / (2 g² + ΣA g³): without the common square, which would underflow, that is 1 / (2 + ΣA g).
    below = 2 + maps.sum((1, 2), keepdim=True) * slopes
    fine = below > SMALLEST
    weights = torch.where(fine, slopes.relu() / torch.where(fine, below, 1), 0).sum((1, 2))  # (K,)
    heat = weighted_sum(trace, maps, weights, weighs="its slopes above zero, added up place by place")
    left = int((~fine & (slopes > 0)).any(2).any(1).sum())
    note = f"{left} of {len(maps)} channels sum to less than zero; where the formula breaks down, they do not count."
    return Heatmap(heat, unit="logit points, reweighed", note=note if left else None)
