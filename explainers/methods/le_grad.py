"""LeGrad (Bousselham, Boggust, Chaybouti, Strobelt and Kuehne, ICCV 2025)."""

from collections.abc import Iterator

import torch
from torch import Tensor

from ..ingredients.attending import together
from ..network.rules.attended import Attending, AttentionLayer, Seen
from ..registry import Family, Need, explainer
from ..results import Heatmap
from ..trace import Trace
from ..trace.attention import attentions, blocks


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
    for layer, slopes in _layer_slopes(trace):
        sensitive = slopes.clamp_min(0).mean((1,), keepdim=True).mean(2)  # (1, 1, keys)
        maps.append(layer.placed(sensitive, torch.zeros(1, dtype=torch.long, device=slopes.device)).maps[0])
    return Heatmap(together(maps, [1 / len(maps)] * len(maps)), unit="logit points per attention")


def _layer_slopes(trace: Trace) -> Iterator[tuple[AttentionLayer, Tensor]]:
    """For each layer, the gradient with respect to its matrix of the score that is read right behind its block.

    One pass and one way back for all of them: each block's graph ends where the block begins, and the head reads the
    tokens of all blocks at once.
    """
    points, layers, seen = [site.point for site in blocks(trace)], attentions(trace), dict[int, Seen]()
    passed = trace.run(taps=points, cut=points, graph=False, under=Attending(layers, seen.__setitem__, graph=True))
    logits = trace.run_on({points[-1]: torch.cat([passed.taps[point] for point in points])})  # (blocks, C)
    outs = {index: each.out for index, each in seen.items() if each.out is not None}
    slopes = trace.backward(trace.asked.of(logits).sum(), outs)
    for index, layer in layers.items():
        with torch.no_grad():
            yield layer, seen[index].slopes(slopes[index])
