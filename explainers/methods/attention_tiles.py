"""Attention of all heads of a layer, or of all layers, side by side (as in Caron et al., DINO, ICCV 2021)."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from ..ingredients.attending import Layer, asked, layer_at, notes, whole
from ..registry import Cell, Family, Need, explainer
from ..results import Tile, Tiles
from ..trace import Trace


@explainer(
    title="Attention, side by side",
    family=Family.ATTENTION,
    needs={Need.ATTENTION},
    paper="https://arxiv.org/abs/2104.14294",
    class_specific=False,
    passes=(1, 0),
)
def attention_tiles(
    trace: Trace,
    *,
    across: Annotated[
        Literal["heads", "layers"], Field(description="All heads of one layer, or the mean of each layer.")
    ] = "heads",
    layer: Layer = -1,
    query: Cell = None,
) -> Tiles:
    """What does each head, or each layer, attend to?

    The attention of one query, the class token or the mean patch where none is asked for: one tile for each head of a
    layer, or the mean over the heads for each layer. The number is the share that stays on the picture.
    Read it as: heads with unlike tiles do unlike work, and layers show when attention gathers on something.
    Beware: each tile has its own scale, so that an even one is as bright as a peaked one.
    """
    index, said = layer_at(trace, layer)
    if across == "heads":
        (row,) = trace.attention([index], query=asked(trace, index, query))
        maps, shares, name = list(row.maps), list(whole(row)), "head"
    else:
        count = len(trace.classifier.anatomy.attention)
        rows = trace.attention(query={each: asked(trace, each, query) for each in range(count)})
        maps, shares, name = [row.maps.mean(0) for row in rows], [whole(row).mean() for row in rows], "layer"
    tiles = tuple(
        Tile(np.asarray(each.float().cpu()), f"{name} {number}", float(share))
        for number, (each, share) in enumerate(zip(maps, shares, strict=True))
    )
    return Tiles(tiles, unit="share on the picture", over_picture=True, note=notes(said))
