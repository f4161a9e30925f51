"""Attention of all heads and layers, combined with weights that nobody learned."""

import math
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from ..ingredients.attending import MOST_HEADS, MOST_LAYERS, Layer, asked, elsewhere, layer_at, notes, together, whole
from ..network.rules.attended import Seen
from ..registry import Cell, Family, Need, explainer
from ..results import Heatmap
from ..trace import Trace
from ..trace.attention import attention_over

Weights = {"minimum": 0, "maximum": 1}


@explainer(
    title="Mean attention",
    family=Family.ATTENTION,
    needs={Need.ATTENTION},
    paper="https://arxiv.org/abs/1905.09418",
    class_specific=False,
)
def attention_mean(
    trace: Trace,
    *,
    by: Annotated[
        Literal["uniform", "confidence", "entropy", "minimum", "maximum"],
        Field(description="What a head counts for, or which of the heads to take at each patch."),
    ] = "uniform",
    first: Layer = 0,
    last: Layer = -1,
    query: Cell = None,
    layer_weights: Annotated[
        tuple[float, ...],
        Field(max_length=MOST_LAYERS, json_schema_extra=Weights, description="Of each layer; 1 where none is given."),
    ] = (),
    head_weights: Annotated[
        tuple[float, ...],
        Field(max_length=MOST_HEADS, json_schema_extra=Weights, description="Of each head; 1 where none is given."),
    ] = (),
) -> Heatmap:
    """Which patches do the heads attend to, taken together?

    Add up the maps of all heads and layers, each with its weight: one, how sure a head is (the largest share that a
    query gives, on average: Voita et al., ACL 2019), or how far its rows are from even (1 minus their entropy).
    Read it as: a warm patch passes much of its value on, in many heads or in those that are sure of themselves.
    Beware: heads that fight each other are averaged away, and the map knows no class.
    """
    (begin, _), (end, _) = layer_at(trace, first), layer_at(trace, last)
    chosen = range(min(begin, end), max(begin, end) + 1)
    layers = [trace.classifier.anatomy.attention[index] for index in chosen]
    sure = {index: torch.ones(layer.heads) for index, layer in zip(chosen, layers, strict=True)}
    if by in ("confidence", "entropy"):
        measure = _confidence if by == "confidence" else _unevenness
        found = attention_over(trace, measure, chosen)
        sure = {index: weights.cpu() for index, weights in zip(chosen, found, strict=True)}
    rows = trace.attention(chosen, query={index: asked(trace, index, query) for index in chosen})
    maps, weights, shares = [], [], []
    for index, row in zip(chosen, rows, strict=True):
        own = sure[index] * torch.tensor([_weight(head_weights, head) for head in range(len(row.maps))])
        per_head = (own / own.sum().clamp_min(1e-12)).to(row.maps)
        if by in ("minimum", "maximum"):
            kept = row.maps[per_head > 0] if bool((per_head > 0).any()) else row.maps
            maps.append(kept.amin(0) if by == "minimum" else kept.amax(0))
        else:
            maps.append(torch.einsum("h,hyx->yx", per_head, row.maps))
        weights.append(_weight(layer_weights, index))
        shares.append(float(per_head @ whole(row)))
    total = sum(weights)
    weights = [weight / total for weight in weights] if total else weights
    left = elsewhere(1 - sum(w * s for w, s in zip(weights, shares, strict=True)))
    silent = "" if total else "All weights are zero."
    plain = by not in ("minimum", "maximum") and total
    return Heatmap(together(maps, weights), unit="share of attention", note=notes(silent, left if plain else ""))


def _weight(given: tuple[float, ...], index: int) -> float:
    return given[index] if index < len(given) else 1.0


def _confidence(seen: Seen) -> Tensor:
    """The largest share in a row, averaged over rows (heads,)."""
    return seen.matrix().amax(-1).mean((0, 2))


def _unevenness(seen: Seen) -> Tensor:
    """1 minus the entropy of a row over the largest there can be, averaged over rows (heads,)."""
    matrix = seen.matrix()
    entropy = torch.special.entr(matrix).sum(-1).mean((0, 2))
    unevenness: Tensor = 1 - entropy / math.log(matrix.shape[-1])
    return unevenness
