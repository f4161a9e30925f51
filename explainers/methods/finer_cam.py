"""FinerCAM (Zhang, Gu, Miao and others, CVPR 2025)."""

from dataclasses import replace
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from ..ingredients.working import weighted_sum
from ..registry import Depth, Family, Need, explainer
from ..results import Heatmap
from ..shapes import Logits
from ..trace import Trace


@explainer(
    title="FinerCAM",
    family=Family.CLASS_ACTIVATION,
    needs={Need.MAPS, Need.MAP_SLOPES},
    paper="https://arxiv.org/abs/2501.11309",
)
def finer_cam(
    trace: Trace,
    *,
    depth: Depth = "last",
    alike: Annotated[int, Field(ge=1, le=10, description="With how many of the nearest classes it is compared.")] = 3,
    strength: Annotated[float, Field(ge=0, le=1, description="How much of what they share is taken away.")] = 0.6,
    rivals: Annotated[
        Literal["alike", "by probability"],
        Field(description="Whether those classes count alike, or each for how probable it is among them."),
    ] = "alike",
) -> Heatmap:
    """What sets the chosen class apart from the classes that are most like it?

    Grad-CAM of the class's score less a share of the mean score of those classes whose logits are nearest here. That is
    the paper's formula; its authors' code weighs those classes by their probabilities and takes all of their mean away
    (`rivals="by probability"`, `strength=1`).
    Read it as: warm is what speaks for this class and not for its neighbors alike.
    Beware: neighbors are the classes with the nearest logits here, which need not be the most similar things.
    """
    maps, chosen, head, target = trace.maps(depth), trace.class_index, trace.classifier.head, trace.asked
    asked = [chosen] if target.versus is None else [chosen, target.versus]
    apart = head.logits(trace.logits)
    apart = (apart - apart[chosen]).abs()
    apart[asked] = torch.inf
    others = apart.topk(min(alike, len(apart) - len(asked)), largest=False).indices.tolist()

    def lead(outputs: Logits) -> Tensor:
        ahead = target.of(outputs)
        if not others:
            return ahead
        scores = torch.stack([replace(target, index=other).of(outputs) for other in others])
        among = torch.ones_like(scores) if rivals == "alike" else head.readings(outputs)[others]
        return ahead - strength * (among / among.sum()) @ scores

    weights = trace.slopes(depth, of=lead).mean((1, 2))  # (K,)
    heat = weighted_sum(trace, maps, weights, weighs="how fast the lead over similar classes grows with it")
    names = ", ".join(trace.classifier.labels[other] for other in others)
    return Heatmap(heat, unit="logit points per cell", note=f"Held against {names}." if names else None)
