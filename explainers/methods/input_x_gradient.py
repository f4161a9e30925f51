"""Input × gradient (Shrikumar et al., 2016)."""

from ..baselines import Baseline
from ..registry import Family, Need, explainer
from ..results import Heatmap
from ..trace import Trace


@explainer(
    title="Input × gradient",
    family=Family.GRADIENTS,
    needs={Need.PIXEL_SLOPES},
    paper="https://arxiv.org/abs/1605.01713",
)
def input_x_gradient(trace: Trace, *, baseline: Baseline = "gray") -> Heatmap:
    """If the score of the chosen class went on as steeply as here, what would each pixel add to it?

    Take the slope of the score at each pixel, times how far the pixel is from the baseline.
    Read it as: one straight step from the baseline; the parts add up to the score only in a network of rectified units
    without any bias, with gray as the baseline.
    Beware: the picture itself shows through, so that the map can look right for a network that has learned nothing.
    """
    change = trace.pixels - trace.baseline(baseline)  # (3, H, W)
    return Heatmap((change * trace.pixel_slopes()).sum(0), signed=True, unit="logit points")
