"""CAM, the class activation map (Zhou et al., CVPR 2016)."""

from typing import Annotated

import torch
from pydantic import Field

from ..ingredients.working import weighted_sum
from ..network.anatomy import ClassMaps, LinearHead
from ..registry import Family, Need, explainer
from ..results import Heatmap
from ..trace import Trace


@explainer(
    title="CAM",
    family=Family.CLASS_ACTIVATION,
    needs={Need.MAPS, Need.LINEAR_HEAD},
    paper="https://arxiv.org/abs/1512.04150",
    passes=(1, 0),
    classic=True,
)
def cam(
    trace: Trace,
    *,
    signed: Annotated[bool, Field(description="Keep what lowers the score, too.")] = False,
    counterfactual: Annotated[bool, Field(description="Show what speaks against the class instead.")] = False,
) -> Heatmap:
    """Which regions does the score of the chosen class add up from?

    The head is linear and reads the plain average of the last maps, so it can be applied to each cell instead.
    Read it as: the score is the average of the signed map, but for a constant.
    Beware: it needs a linear head over averaged maps, which many networks do not have.
    """
    head = trace.classifier.anatomy.head
    over_logits = torch.func.grad(trace.asked.of)(trace.logits)  # (C,): what each logit counts for in the score
    if counterfactual:
        over_logits = -over_logits
    if isinstance(head, ClassMaps):
        maps, weights, constant = trace.maps(head.site).to(over_logits), over_logits, 0.0
        weighs = "what that class counts in the score"
    else:
        assert isinstance(head, LinearHead)
        maps, weights = trace.maps("last").to(over_logits), over_logits @ head.weight.to(over_logits)  # (K, h, w), (K,)
        constant, weighs = float(over_logits @ head.bias.to(over_logits)), "which the network has learned for the class"
    averages = trace.target.explained in ("centered_logit", "logit") and not counterfactual
    heat = weighted_sum(trace, maps, weights, weighs=weighs, signed=signed, bias=constant if averages else None)
    return Heatmap(heat, signed=signed, unit="logit points, averaged over the cells")
