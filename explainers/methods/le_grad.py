"""LeGrad (Bousselham, Boggust, Chaybouti, Strobelt and Kuehne, ICCV 2025)."""

import torch

from ..ingredients.attending import together
from ..registry import Family, Need, explainer
from ..results import Heatmap
from ..trace import Trace


@explainer(
    title="LeGrad",
    family=Family.ATTENTION,
    needs={Need.ATTENTION, Need.ONE_GRID, Need.BLOCKS},
    paper="https://arxiv.org/abs/2404.03214",
    passes=(2, 1),
)
def le_grad(trace: Trace) -> Heatmap:
    """Which patches would raise the chosen class, layer by layer, if they were attended to more?

    Let the network's head read the tokens after each block as if they were the last ones. The slope of that score at
    the block's own attention, where positive, is averaged over heads and queries, and added up over the layers.
    Read it as: attending more to a warm patch, in some layer, would have raised the class right there.
    Beware: how much is attended to now plays no part, and heads were not trained to read early layers.
    """
    maps = []
    for layer, slopes in trace.layer_slopes():
        sensitive = slopes.clamp_min(0).mean((1,), keepdim=True).mean(2)  # (1, 1, keys)
        maps.append(layer.placed(sensitive, torch.zeros(1, dtype=torch.long, device=slopes.device)).maps[0])
    return Heatmap(together(maps, [1 / len(maps)] * len(maps)), unit="logit points per attention")
