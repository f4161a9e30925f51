"""The gradient, or saliency (Simonyan et al., ICLR workshop 2014)."""

from typing import Annotated, Literal

from pydantic import Field

from ..registry import Family, Need, explainer
from ..results import Heatmap
from ..trace import Trace


@explainer(
    title="Gradient",
    family=Family.GRADIENTS,
    needs={Need.PIXEL_SLOPES},
    paper="https://arxiv.org/abs/1312.6034",
    classic=True,
)
def gradient(
    trace: Trace,
    *,
    channels: Annotated[
        Literal["strongest", "sum"],
        Field(description="How red, green and blue become one number: the strongest size, or the signed sum."),
    ] = "strongest",
) -> Heatmap:
    """Which pixels would move the score of the chosen class most if they changed a little?

    Take the slope of the score at each pixel, with pixels between 0 and 1 and the network's normalization inside.
    Read it as: the score is sensitive here; the map says nothing about which way.
    Beware: on deep networks it is grainy, and a region that already decides can have no slope at all.
    """
    slopes = trace.pixel_slopes()  # (3, H, W)
    unit = "logit points per unit of brightness"
    if channels == "sum":
        return Heatmap(slopes.sum(0), signed=True, unit=unit)
    return Heatmap(slopes.abs().amax(0), unit=unit)
