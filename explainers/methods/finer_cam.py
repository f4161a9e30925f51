"""FinerCAM (Zhang, Gu, Miao and others, CVPR 2025)."""

from typing import Annotated

import torch
from pydantic import Field

from ..registry import Depth, Family, Need, explainer
from ..results import Heatmap
from ..trace import Trace
from ..working import weighted_sum


@explainer(
    title="FinerCAM",
    family=Family.CLASS_ACTIVATION,
    needs={Need.MAPS},
    paper="https://arxiv.org/abs/2501.11309",
)
def finer_cam(
    trace: Trace,
    *,
    depth: Depth = "last",
    alike: Annotated[int, Field(ge=1, le=10, description="With how many of the nearest classes it is compared.")] = 3,
    strength: Annotated[float, Field(ge=0, le=1, description="How much of what they share is taken away.")] = 0.6,
) -> Heatmap:
    """What sets the chosen class apart from the classes that are most like it?

    Grad-CAM of the class's logit less a share of the mean logit of the classes nearest to it in this picture.
    Read it as: warm is what speaks for this class and not for its neighbors alike.
    Beware: neighbors are the classes with the nearest logits here, which need not be the most similar things.
    """
    maps, logits, chosen = trace.maps(depth), trace.logits, trace.class_index
    apart = (logits - logits[chosen]).abs()
    apart[chosen] = torch.inf
    others = apart.topk(min(alike, len(logits) - 1), largest=False).indices
    counted = trace.logit_slopes().clone()  # what each logit counts for in the score that was asked about
    if len(others):
        counted[others] -= strength * counted[chosen] / len(others)
    heat = weighted_sum(trace, maps, trace.slopes_of(counted, depth).mean((1, 2)))
    names = ", ".join(trace.classifier.labels[int(i)] for i in others)
    return Heatmap(heat.relu(), unit="logit points per cell", note=f"Held against {names}." if names else None)
