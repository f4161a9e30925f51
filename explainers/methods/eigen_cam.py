"""Eigen-CAM (Bany Muhammad and Yeasin, IJCNN 2020)."""

from typing import Annotated

from pydantic import Field

from ..ingredients.directions import strongest
from ..registry import Depth, Family, Need, explainer
from ..results import Heatmap
from ..trace import Trace


@explainer(
    title="Eigen-CAM",
    family=Family.CLASS_ACTIVATION,
    needs={Need.MAPS},
    paper="https://arxiv.org/abs/2008.00299",
    class_specific=False,
    passes=(1, 0),
)
def eigen_cam(
    trace: Trace,
    *,
    depth: Depth = "last",
    centered: Annotated[
        bool, Field(description="Take each channel's mean off first: what stands out from the mean, not what is there.")
    ] = False,
) -> Heatmap:
    """What stands out most in the maps, whatever the class?

    Take the one mixture of channels that carries most of the maps' activity, and show how strong it is at each place.
    The paper takes the maps as they are, and so does this; other tools center them, which is another map.
    Read it as: what the features respond to most in this picture.
    Beware: no class is asked about, so the map is the same for all of them; and what stands out may be the background,
    above all where maps have values below zero, as in transformers.
    """
    maps = trace.maps(depth)
    # The mean activation is zero behind a LayerNorm; the length is not, and gives maps without negatives the same sign.
    heat = strongest(maps, along=maps.norm(dim=0), centered=centered)
    return Heatmap(heat.relu(), unit="activity along the strongest direction")
