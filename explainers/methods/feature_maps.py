"""Feature maps: what each channel puts out for this picture (Zeiler & Fergus, ECCV 2014, among many)."""

from typing import Annotated, Literal

from pydantic import Field

from ..registry import Depth, Family, Need, explainer
from ..results import Tile, Tiles
from ..trace import Trace


@explainer(
    title="Feature maps",
    family=Family.INSIDE,
    needs={Need.MAPS},
    paper="https://arxiv.org/abs/1311.2901",
    class_specific=False,
    passes=(1, 0),
    fills="inside.maps",
)
def feature_maps(
    trace: Trace,
    *,
    depth: Depth = "middle",
    order: Annotated[
        Literal["activity", "number"], Field(description="What stands first: the most active, or as numbered.")
    ] = "activity",
    most: Annotated[int, Field(ge=1, le=4096, description="How many channels are shown.")] = 48,
    channel: Annotated[
        int,
        Field(
            ge=-1,
            le=4095,
            description="One channel alone, from 0; past the last one, it counts on from the first. With -1, all that "
            "are shown.",
        ),
    ] = -1,
    over: Annotated[bool, Field(description="Lay each map over the picture.")] = False,
) -> Tiles:
    """What does each channel find in this picture, and where?

    Each tile is one channel's activation over the grid of that depth, on its own scale. For transformers it is one
    feature of every token.
    Read it as: bright where the channel responds; blue where a channel that can go below zero does so.
    Beware: a bright channel is not an important one: whether the class depends on it is another question.
    """
    maps = trace.maps(depth)  # (K, h, w)
    activity = maps.abs().mean((1, 2))
    ranked = activity.argsort(stable=True, descending=True, dim=0).tolist() if order == "activity" else range(len(maps))
    shown = list(ranked)[:most] if channel < 0 else [channel % len(maps)]
    signed = bool((maps[shown] < 0).any())
    tiles = [
        Tile(
            maps[k].cpu().numpy(),
            f"{k}" if activity[k] else f"{k}, silent",
            float(activity[k]),
            signed=signed,
            facts={"channel": k, "silent": not activity[k]},
        )
        for k in shown
    ]
    silent = int((activity == 0).sum())
    which = f"The {len(shown)} first of {len(maps)} channels" if len(shown) < len(maps) else f"All {len(maps)} channels"
    which = which if channel < 0 else f"Channel {shown[0]} of {len(maps)}"
    note = f"{which}, {maps.shape[1]} × {maps.shape[2]} places."
    if silent:
        note += f" {silent} of all are silent here: zero everywhere on this picture."
    return Tiles(tuple(tiles), unit="mean activation", over_picture=over, note=note)
