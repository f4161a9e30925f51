"""Attention of one layer and head, as the network computes it (Vaswani et al., NeurIPS 2017)."""

from typing import Annotated, Literal

from pydantic import Field

from ..ingredients.attending import Head, Layer, elsewhere, fused, head_at, layer_at, notes, whole
from ..registry import Cell, Family, Need, explainer
from ..results import Heatmap
from ..trace import Trace
from ..trace.attention import attention_over


@explainer(
    title="Attention",
    family=Family.ATTENTION,
    needs={Need.ATTENTION},
    paper="https://arxiv.org/abs/1706.03762",
    class_specific=False,
)
def attention(
    trace: Trace,
    *,
    layer: Layer = -1,
    head: Head = -1,
    query: Cell = None,
    direction: Annotated[
        Literal["given", "received"], Field(description="What the query attends to, or who attends to it.")
    ] = "given",
) -> Heatmap:
    """Which patches does a patch, or the class token, attend to?

    Read the softmax of queries and keys beside the network's own computation, and lay the row of one query over the
    picture. Without a query it is the row of the tokens that the scores are read from: the class token where there is
    one, else the mean over all patches. "Received" is the column instead: who attends to this patch.
    Read it as: a warm patch passes much of its value on to the query in this layer.
    Beware: attending is not mattering. What is passed on may be discarded later, and the map knows no class.
    """
    index, too_deep = layer_at(trace, layer)
    known = trace.classifier.anatomy.attention[index]
    chosen, too_many = head_at(known, head)
    said = (too_deep, too_many)
    if direction == "received" and query is not None:
        (maps,) = attention_over(trace, lambda seen: seen.received(*query), [index])
        return Heatmap(fused(maps, chosen), unit="share of each patch's attention", note=notes(*said))
    (row,) = trace.attention([index], query=query or ("patches" if direction == "received" else "read"))
    unit = "share of the mean patch's attention" if direction == "received" else "share of the query's attention"
    left = elsewhere(1 - float(fused(whole(row), chosen)))
    return Heatmap(fused(row.maps, chosen), unit=unit, note=notes(*said, left))
