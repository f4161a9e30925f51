"""CAM, the class activation map (Zhou et al., CVPR 2016)."""

from typing import Annotated

from pydantic import Field

from ..anatomy import ClassMaps, LinearHead
from ..registry import Family, Need, explainer
from ..results import Heatmap
from ..trace import Trace
from ..working import weighted_sum


@explainer(
    title="CAM",
    family=Family.CLASS_ACTIVATION,
    needs={Need.MAPS, Need.LINEAR_HEAD},
    paper="https://arxiv.org/abs/1512.04150",
    passes=(1, 0),
)
def cam(
    trace: Trace,
    *,
    signed: Annotated[bool, Field(description="Keep what lowers the score, too.")] = False,
) -> Heatmap:
    """Which regions does the score of the chosen class add up from?

    The head is linear and reads the plain average of the last maps, so it can be applied to each cell instead.
    Read it as: the score is the average of the signed map, but for a constant.
    Beware: it needs a linear head over averaged maps, which many networks do not have.
    """
    head = trace.classifier.anatomy.head
    over_logits = trace.logit_slopes()  # (C,): what each logit counts for in the score
    if isinstance(head, ClassMaps):
        heat = weighted_sum(trace, trace.maps(head.site).to(over_logits), over_logits, bias=0.0)
    else:
        assert isinstance(head, LinearHead)
        weights = over_logits @ head.weight.to(over_logits)  # (K,)
        constant = float(over_logits @ head.bias.to(over_logits))
        heat = weighted_sum(trace, trace.maps("last").to(weights), weights, bias=constant)  # (h, w)
    return Heatmap(heat if signed else heat.relu(), signed=signed, unit="logit points, averaged over the cells")
