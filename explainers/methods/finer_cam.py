"""FinerCAM (Zhang, Gu, Miao and others, CVPR 2025)."""

from dataclasses import replace
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

    Grad-CAM of the class's score less a share of the mean score of those classes whose logits are nearest here.
    Read it as: warm is what speaks for this class and not for its neighbors alike.
    Beware: neighbors are the classes with the nearest logits here, which need not be the most similar things.
    """
    maps, logits, chosen = trace.maps(depth), trace.logits, trace.class_index
    asked = [chosen] if trace.target.versus is None else [chosen, trace.target.versus]
    apart = (logits - logits[chosen]).abs()
    apart[asked] = torch.inf
    others = apart.topk(min(alike, len(logits) - len(asked)), largest=False).indices.tolist()
    counts = trace.logit_slopes()  # (C,): what each logit counts for in the score that was asked about
    for other in others:
        counts = counts - strength / len(others) * trace.ask(replace(trace.target, index=other)).logit_slopes()
    weights = trace.slopes_of(counts, depth).mean((1, 2))  # (K,)
    heat = weighted_sum(trace, maps, weights, weighs="how fast the lead over similar classes grows with it")
    names = ", ".join(trace.classifier.labels[other] for other in others)
    return Heatmap(heat, unit="logit points per cell", note=f"Held against {names}." if names else None)
