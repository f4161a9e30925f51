"""Attention of all heads and layers, added up with weights of one's own (as Vig, ACL 2019, has them chosen)."""

from typing import Annotated

import torch
from pydantic import Field

from ..errors import QuestionError
from ..ingredients.attending import MOST_HEADS, MOST_LAYERS, asked, elsewhere, notes, together, whole
from ..registry import Cell, Family, Need, explainer
from ..results import Heatmap
from ..trace import Trace


@explainer(
    title="Attention, weighted by hand",
    family=Family.ATTENTION,
    needs={Need.ATTENTION},
    paper="https://arxiv.org/abs/1906.05714",
    class_specific=False,
    fills="attention.weighted",
)
def attention_by_hand(
    trace: Trace,
    *,
    weights: Annotated[
        tuple[float, ...],
        Field(
            max_length=MOST_LAYERS * MOST_HEADS,
            json_schema_extra={"minimum": 0, "maximum": 1},
            description="Of each head, layer after layer from the first one on, and 0 for the rest; without any, all "
            "are the same.",
        ),
    ] = (),
    query: Cell = None,
) -> Heatmap:
    """Which patches do the heads attend to that are chosen here?

    Add up the maps of all heads and layers, each times its weight. With weights that add up to 1 the map is an average:
    of one head, of a layer, or of whatever heads seem to belong together.
    Read it as: a warm patch passes much of its value on in the heads that have weight.
    Beware: weights that make a map look right do not make these heads matter; hold it against a map of the class.
    """
    layers = trace.classifier.anatomy.attention
    heads = [layer.heads for layer in layers]
    if len(weights) > sum(heads):
        raise QuestionError(
            f"{trace.classifier.name} has {sum(heads)} heads in {len(layers)} layers; these are {len(weights)} weights."
        )
    rows = trace.attention(query={index: asked(trace, index, query) for index in range(len(layers))})
    given = weights + (0.0,) * (sum(heads) - len(weights)) if weights else (1 / sum(heads),) * sum(heads)
    split = torch.split(torch.tensor(given), heads)
    own = [weight.to(row.maps) for weight, row in zip(split, rows, strict=True)]
    maps = [torch.einsum("h,hyx->yx", weight, row.maps) for weight, row in zip(own, rows, strict=True)]
    total = sum(float(weight.sum()) for weight in own)
    left = total - sum(float(weight @ whole(row)) for weight, row in zip(own, rows, strict=True))
    said = elsewhere(left / total) if total else "All weights are zero."
    return Heatmap(together(maps, [1.0] * len(maps)), unit="share of attention", note=notes(said))
