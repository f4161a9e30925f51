"""Grad-CAM++ (Chattopadhay, Sarkar, Howlader and Balasubramanian, WACV 2018)."""

import torch

from ..registry import Depth, Family, Need, explainer
from ..results import Heatmap
from ..trace import Trace
from ..working import weighted_sum


@explainer(
    title="Grad-CAM++",
    family=Family.CLASS_ACTIVATION,
    needs={Need.MAPS},
    paper="https://arxiv.org/abs/1710.11063",
)
def grad_cam_plus_plus(trace: Trace, *, depth: Depth = "last") -> Heatmap:
    """Which regions raise the chosen class, when every place of a map that raises it may count?

    Like Grad-CAM, but a channel's weight adds up only slopes above zero, and each place counts the more the steeper
    it is beside the channel's whole activity.
    Read it as: several objects of the class light up alike, even where one of them would be enough.
    Beware: what lowers the class is left out from the start, so the map is generous; and its powers of the slope stand
    for higher derivatives only where the network is piecewise linear above the maps.
    """
    maps, slopes = trace.maps(depth), trace.slopes(depth)  # (K, h, w) each
    squares = slopes.square()
    # For exp(score), second and third derivatives are the score's slope squared and cubed.
    below = 2 * squares + maps.sum((1, 2), keepdim=True) * slopes**3
    share = torch.where(below.abs() > _NOTHING * squares.max(), squares / below, 0)
    weights = (share * slopes.relu()).sum((1, 2))  # (K,)
    return Heatmap(weighted_sum(trace, maps, weights).relu(), unit="logit points, reweighed")


_NOTHING = 1e-6
"""A divisor smaller than this share of the largest square has lost its digits to the sum above it."""
