"""Generic attention explainability, without propagation rules (Chefer, Gur and Wolf, ICCV 2021)."""

import torch

from ..ingredients.attending import read_through, squared
from ..registry import Family, Need, explainer
from ..results import Heatmap
from ..trace import Trace
from ..trace.attention import attention_slopes


@explainer(
    title="GenAtt",
    family=Family.ATTENTION,
    needs={Need.ATTENTION, Need.ONE_GRID},
    paper="https://arxiv.org/abs/2103.15679",
    classic=True,
)
def gen_att(trace: Trace) -> Heatmap:
    """Which patches reach what the chosen class is read from, through attention that raises it?

    Multiply each attention by the slope of the score there, drop what is negative, average over the heads, and follow
    the layers from the last one back: R grows by the layer's share of R each time.
    Read it as: attention that carries something from a warm patch to the class token raises the class.
    Beware: attention that lowers the class is dropped, and what flows around attention is only counted as staying.
    """
    layers = trace.classifier.anatomy.attention
    steps = [
        squared(layers, layer, (matrix * slopes).clamp_min(0)[0].mean(0), alone=0.0)
        for layer, matrix, slopes in attention_slopes(trace)
    ]
    eye = torch.eye(len(steps[0]), device=steps[0].device, dtype=steps[0].dtype)
    heat = read_through(trace, [eye + step for step in steps]) - read_through(trace, [eye])
    return Heatmap(heat.clamp_min(0), unit="relevance")
