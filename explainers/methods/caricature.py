"""Feature caricature: a picture redrawn by what a layer keeps of it, exaggerated (Cammarata et al., Distill 2020)."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from ..imagining import RECIPES, Direction, imagine
from ..imagining.showing import How, Steps, colors, shown
from ..registry import Depth, Family, Need, Seed, explainer
from ..results import Tile, Tiles
from ..trace import Trace


@explainer(
    title="Caricature",
    family=Family.INSIDE,
    needs={Need.MAPS, Need.SLOPES, Need.COLORS},
    paper="https://distill.pub/2020/circuits/early-vision/",
    class_specific=False,
    passes=(67, 64),
    fills="inside.caricature",
)
def caricature(
    trace: Trace,
    *,
    depth: Depth = "late",
    exaggerate: Annotated[
        float, Field(ge=0, le=4, description="How much everything else is kept out; 0 only pushes along.")
    ] = 1.0,
    how: How = "fourier",
    steps: Steps = 64,
    seed: Seed = 0,
) -> Iterator[Tiles]:
    """What does a layer keep of this picture, exaggerated?

    Take the maps of the picture at a depth as a direction, and grow a new picture, from nothing, whose maps go as far
    that way as they can, place by place.
    Read it as: what is there was kept, and exaggerated; what is missing, the layer has lost or never cared for.
    Beware: colors and sizes are those that drive the channels most, not those of the picture.
    """
    site = trace.site(depth)
    objective = Direction(site, trace.maps(site), power=exaggerate)
    states = imagine(
        trace.classifier, objective, RECIPES[how].gentle(), steps=steps, seed=seed, spent=trace.spent, stop=trace.stop
    )
    yield from shown(
        states,
        lambda state: [f"after {state.step} steps"],
        unit="activation along the picture's own",
        beside=[Tile(colors(trace.pixels), "the picture")],
    )
