"""Attention rollout (Abnar and Zuidema, ACL 2020)."""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from ..ingredients.attending import read_through, squared
from ..network.rules.attended import Seen
from ..registry import Family, Need, explainer
from ..results import Heatmap
from ..trace import Trace
from ..trace.attention import attention_over


@explainer(
    title="Attention rollout",
    family=Family.ATTENTION,
    needs={Need.ATTENTION, Need.ONE_GRID},
    paper="https://arxiv.org/abs/2005.00928",
    class_specific=False,
)
def attention_rollout(
    trace: Trace,
    *,
    fusion: Annotated[Literal["mean", "min", "max"], Field(description="What the heads of a layer make together.")] = (
        "mean"
    ),
    residual: Annotated[
        float, Field(ge=0, le=1, description="The share of a token that goes around each layer; 0.5 in the paper.")
    ] = 0.5,
    discard: Annotated[
        float,
        Field(ge=0, le=0.99, description="The share of weakest connections that each layer drops; 0 in the paper."),
    ] = 0.0,
) -> Heatmap:
    """Which patches flow into what the scores are read from, through all layers?

    Treat each layer as a mixing of tokens: half of a token stays, half is replaced by the mean of what it attends to.
    The product of all layers says which share of each patch arrives at the class token.
    Read it as: much of what arrives at the end was mixed in from a warm patch.
    Beware: values, other layers and the class are left out; the map is the same for every class.
    """
    layers = trace.classifier.anatomy.attention

    def step(seen: Seen) -> Tensor:
        matrix = squared(layers, seen.layer, seen.matrix()[0], alone=1.0)  # (heads, T, T)
        together = matrix.mean(0) if fusion == "mean" else matrix.amin(0) if fusion == "min" else matrix.amax(0)
        if discard:
            rows, columns = seen.layer.key_grid
            together = _without_weakest(together, discard, first=len(together) - rows * columns)
        kept = together / together.sum(1, keepdim=True).clamp_min(1e-12)
        stays: Tensor = residual * torch.eye(len(kept), device=kept.device, dtype=kept.dtype)
        return stays + (1 - residual) * kept

    heat = read_through(trace, attention_over(trace, step))
    return Heatmap(heat, unit="share of what arrives")


def _without_weakest(matrix: Tensor, share: float, first: int) -> Tensor:
    """Zero the weakest entries of a layer, but none that leads to one of the `first` tokens, which have no place."""
    patches = matrix[:, first:]
    weakest = patches.flatten().kthvalue(max(1, int(share * patches.numel()))).values
    return torch.cat([matrix[:, :first], patches * (patches > weakest)], 1)
