"""Guided backpropagation (Springenberg et al., ICLR workshop 2015)."""

from ..network.rules.guided import Guided
from ..registry import Family, Need, explainer
from ..results import Heatmap
from ..trace import Trace


@explainer(
    title="Guided backpropagation",
    family=Family.GRADIENTS,
    needs={Need.RECTIFIERS},
    paper="https://arxiv.org/abs/1412.6806",
    passes=(2, 1),
    classic=True,
)
def guided_backpropagation(trace: Trace) -> Heatmap:
    """Which pixels raise the chosen class, if only what raises it is followed back?

    The gradient, but each rectified unit hands back only positive signals, and only where it was active itself.
    Read it as: crisp outlines of what excites the network, much of it whatever the class.
    Beware: it is not faithful. It highlights edges, and stays nearly the same when the weights are replaced by random
    ones, so it cannot tell a network that has learned from one that has not.
    """
    rule = Guided("guided")
    slopes, _ = trace.slopes_at(trace.pixels[None], rule=rule)  # (1, 3, H, W)
    return Heatmap(slopes[0].sum(0), signed=True, unit="guided signal, no unit of the score", note=rule.note)
