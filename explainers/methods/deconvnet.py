"""The deconvnet (Zeiler & Fergus, ECCV 2014)."""

from ..network.rules.guided import Guided
from ..registry import Family, Need, explainer
from ..results import Heatmap
from ..trace import Trace


@explainer(
    title="Deconvnet",
    family=Family.GRADIENTS,
    needs={Need.RECTIFIERS},
    paper="https://arxiv.org/abs/1311.2901",
    passes=(2, 1),
)
def deconvnet(trace: Trace) -> Heatmap:
    """What would the layers draw, run in reverse, to raise the score of the chosen class?

    The gradient, but each rectified unit hands back every positive signal, active or not, and no negative one.
    Read it as: patterns that excite the network, placed where pooling remembers them.
    Beware: it is not faithful. It highlights edges and the network's own grid, hardly depends on the class, and stays
    nearly the same when the weights are replaced by random ones.
    """
    rule = Guided("deconvnet")
    slopes, _ = trace.slopes_at(trace.pixels[None], rule=rule)  # (1, 3, H, W)
    return Heatmap(slopes[0].sum(0), signed=True, unit="reversed signal, no unit of the score", note=rule.note)
