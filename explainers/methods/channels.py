"""Which channels speak for a class here: weight times map, channel by channel (as Grad-CAM sums them)."""

from typing import Annotated

import torch
from pydantic import Field

from ..registry import Depth, Family, Need, explainer
from ..results import Tile, Tiles
from ..trace import Trace


@explainer(
    title="Channels for the class",
    family=Family.INSIDE,
    needs={Need.MAPS, Need.MAP_SLOPES},
    paper="https://arxiv.org/abs/1610.02391",
    passes=(1, 1),
    fills="inside.speaking",
)
def channels(
    trace: Trace,
    *,
    depth: Depth = "last",
    most: Annotated[int, Field(ge=1, le=256, description="How many channels are shown.")] = 12,
) -> Tiles:
    """Which channels speak for the chosen class here, and where?

    A channel's weight is the slope of the score, averaged over the channel's map; its contribution at a place is that
    weight times what it puts out there. The channels with the largest contributions stand first.
    Read it as: warm where the channel speaks for the class, blue where it speaks against it; the number is its sum.
    Beware: the sum over all channels is Grad-CAM's map; how a channel acts together with others is not in it.
    """
    maps, slopes = trace.maps(depth), trace.slopes(depth)
    parts = torch.einsum("k,khw->khw", slopes.mean((1, 2)), maps)
    sums = parts.sum((1, 2))
    best = sums.abs().argsort(stable=True, descending=True, dim=0)[:most].tolist()
    tiles = [
        Tile(parts[k].cpu().numpy(), f"{k}: {float(sums[k]):+.2g}", float(sums[k]), signed=True, facts={"channel": k})
        for k in best
    ]
    for_it, against = float(sums.clamp(min=0).sum()), float(sums.clamp(max=0).sum())
    here = float(sums[best].sum())
    note = f"All {len(maps)} channels together: {for_it:+.2g} for the class and {against:+.2g} against it; those shown "
    note += f"make {here:+.2g} of that."
    return Tiles(
        tuple(tiles), unit=f"{trace.target.points}, to first order", over_picture=True, note=note.replace("-", "−")
    )
