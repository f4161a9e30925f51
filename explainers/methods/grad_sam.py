"""Grad-SAM (Barkan et al., CIKM 2021)."""

import torch

from ..ingredients.attending import together
from ..registry import Family, Need, explainer
from ..results import Heatmap
from ..trace import Trace
from ..trace.attention import attention_slopes


@explainer(title="Grad-SAM", family=Family.ATTENTION, needs={Need.ATTENTION}, paper="https://arxiv.org/abs/2204.11073")
def grad_sam(trace: Trace) -> Heatmap:
    """Which patches are attended to where more attention would raise the chosen class?

    Multiply each attention by the slope of the score there, where that is positive, and average over layers, heads and
    queries; what is left for each key is drawn.
    Read it as: attending even more to a warm patch, here or there, would raise the class.
    Beware: all layers count alike, and what a patch has become in a late layer is not only what lies there.
    """
    maps = []
    for layer, matrix, slopes in attention_slopes(trace):
        received = (matrix * slopes.clamp_min(0)).mean((1,), keepdim=True).sum(2)  # (windows, 1, keys)
        windows = torch.arange(layer.windows, device=received.device)
        queries = layer.queries.numel()
        maps.append(layer.placed(received / queries, windows, torch.ones_like(received[:, 0, 0])).maps[0])
    return Heatmap(together(maps, [1 / len(maps)] * len(maps)), unit="attention × logit points")
