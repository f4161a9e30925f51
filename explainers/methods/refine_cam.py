"""RefineCAM: a product of the maps of several depths (Domeniconi and others, 2026)."""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from ..ingredients.stretching import stretched
from ..network.anatomy import DEPTHS
from ..registry import Family, Need, explainer
from ..results import Heatmap
from ..trace import Trace


@explainer(
    title="RefineCAM",
    family=Family.CLASS_ACTIVATION,
    needs={Need.MAPS, Need.MAP_SLOPES},
    paper="https://arxiv.org/abs/2605.14641",
    passes=(1, 4),
)
def refine_cam(
    trace: Trace,
    *,
    lowest: Annotated[
        Literal["zero", "minimum"],
        Field(description="What is cold at a depth: what adds nothing, or the least that any place has there."),
    ] = "zero",
) -> Heatmap:
    """Where do all depths of the network agree that something raises the chosen class?

    At each depth, multiply maps by the slopes that raise the score and add up the channels; bring each to a maximum of
    one, stretch them to the finest grid, and multiply them with each other. The authors' code also takes each depth's
    least value off first (`lowest="minimum"`), which makes some place cold at every depth, even where none is.
    Read it as: warm only where every depth is warm, so the outline is finer than the last maps allow.
    Beware: a product is severe: where one depth is cold, all is; and it is no longer a share of the score.
    """
    depths = list({trace.site(depth).point: depth for depth in reversed(DEPTHS)}.values())  # one maps, one factor
    layers = {depth: _layer(trace, depth) for depth in reversed(depths)}  # the earliest first: one pass serves all
    if lowest == "minimum":
        layers = {depth: heat - heat.min() for depth, heat in layers.items()}
    empty = [depth for depth, heat in layers.items() if not heat.any()]
    spoken = [heat / heat.max() for heat in layers.values() if heat.any()]
    note = f"Nothing came from the maps at depth {' and '.join(empty)}, which had to be left out." if empty else None
    finest = max((heat.shape for heat in layers.values()), key=lambda shape: shape[0] * shape[1])
    if not spoken:
        return Heatmap(torch.zeros(finest), unit=_UNIT, note=note)
    product = torch.stack([stretched(heat, finest) for heat in spoken]).prod(0)
    return Heatmap(product, unit=_UNIT, note=note if product.any() else "The depths agree on no place.")


_UNIT = "product of shares, 1 at most"


def _layer(trace: Trace, depth: str) -> Tensor:
    return torch.einsum("khw,khw->hw", trace.slopes(depth).relu(), trace.maps(depth)).relu()
