"""Attention of all heads, weighted by what each head counts for (Michel, Levy and Neubig, NeurIPS 2019)."""

import torch

from ..ingredients.attending import Layer, asked, layer_at, together
from ..registry import Cell, Family, Need, explainer
from ..results import Heatmap
from ..trace import Trace
from ..trace.attention import attention_slopes


@explainer(
    title="Attention, by head importance",
    family=Family.ATTENTION,
    needs={Need.ATTENTION},
    paper="https://arxiv.org/abs/1905.10650",
)
def attention_weighted(trace: Trace, *, first: Layer = 0, last: Layer = -1, query: Cell = None) -> Heatmap:
    """Which patches do the heads that count for the chosen class attend to?

    A head counts for how fast the score changes when its output is faded out: the sum of attention times the slope of
    the score there, without its sign. The maps of all heads are added up with these weights.
    Read it as: a warm patch is attended to by heads without which the score would be another one.
    Beware: that a head counts does not say that it does so because of the patch it attends to most.
    """
    (begin, _), (end, _) = layer_at(trace, first), layer_at(trace, last)
    chosen = range(min(begin, end), max(begin, end) + 1)
    counts = [
        torch.einsum("whqk,whqk->h", matrix, slopes).abs() for _, matrix, slopes in attention_slopes(trace, chosen)
    ]
    total = float(sum(each.sum() for each in counts))
    rows = trace.attention(chosen, query={index: asked(trace, index, query) for index in chosen})
    maps = [torch.einsum("h,hyx->yx", each / (total or 1), row.maps) for each, row in zip(counts, rows, strict=True)]
    return Heatmap(together(maps, [1.0] * len(maps)), unit="share of attention")
