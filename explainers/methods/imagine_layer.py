"""Deep dream (Mordvintsev, Olah & Tyka, Google Research 2015)."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from ..imagining import RECIPES, Fourier, Layer, imagine
from ..imagining.showing import colors, shown
from ..registry import Depth, Family, Need, Seed, explainer
from ..results import Tile, Tiles
from ..trace import Trace


@explainer(
    title="Deep dream",
    family=Family.INSIDE,
    needs={Need.MAPS, Need.SLOPES, Need.COLORS},
    paper="https://research.google/blog/inceptionism-going-deeper-into-neural-networks/",
    class_specific=False,
    passes=(28, 25),
    fills="inside.dream",
)
def imagine_layer(
    trace: Trace,
    *,
    depth: Depth = "late",
    steps: Annotated[int, Field(ge=4, le=128, description="Steps from the picture: more of them dream farther.")] = 24,
    seed: Seed = 0,
) -> Iterator[Tiles]:
    """What does a layer find in this picture, drawn stronger and stronger?

    Start from the picture itself and follow the slope of half the mean square of all activations at a depth: what the
    layer found a little of, it is given more of.
    Read it as: what the layer reads into the picture. Shallow layers draw strokes and textures, deep ones parts of
    what the network knows.
    Beware: it shows what could be seen there, not what led to the answer.
    """
    site, model = trace.site(depth), trace.classifier
    canvas = Fourier.of(trace.pixels[None], model.framing)
    states = imagine(
        model, Layer(site), RECIPES["fourier"].gentle(), steps=steps, seed=seed, canvas=canvas, spent=trace.spent,
        stop=trace.stop,
    )  # fmt: skip
    yield from shown(
        states,
        lambda state: [f"after {state.step} steps"],
        unit="mean square of activations, halved",
        beside=[Tile(colors(trace.pixels), "the picture")],
    )
