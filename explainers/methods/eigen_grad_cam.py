"""EigenGrad-CAM: Eigen-CAM of maps times slopes, as the field's tools have it."""

from typing import Annotated

from pydantic import Field

from ..ingredients.directions import strongest
from ..registry import Depth, Family, Need, explainer
from ..results import Heatmap
from ..trace import Trace


@explainer(
    title="EigenGrad-CAM",
    family=Family.CLASS_ACTIVATION,
    needs={Need.MAPS, Need.MAP_SLOPES},
    paper="https://arxiv.org/abs/2008.00299",
)
def eigen_grad_cam(
    trace: Trace,
    *,
    depth: Depth = "last",
    centered: Annotated[
        bool,
        Field(description="Take each channel's mean off first, as other tools do; the paper of Eigen-CAM does not."),
    ] = False,
) -> Heatmap:
    """What stands out most among the places that matter to the chosen class?

    Multiply maps by slopes, then show the one mixture of channels that carries most of that.
    Read it as: the main pattern in what raises the class; smoother than the sum over channels.
    Beware: only the first of many patterns is shown. Its sign is that of the sum over all channels, so where that one
    mostly lowers the class, little is left to see.
    """
    products = trace.maps(depth) * trace.slopes(depth)  # (K, h, w)
    heat = strongest(products, along=products.sum(0), centered=centered)  # so that above zero is what raises the class
    return Heatmap(heat.relu(), unit="along the strongest direction")
