"""Inversion: a picture from what a layer keeps of one (Mahendran & Vedaldi, CVPR 2015; Fourier as in Distill 2017)."""

from collections.abc import Iterator

from ..imagining import RECIPES, Likeness, imagine
from ..imagining.showing import Count, How, Steps, colors, shown
from ..registry import Depth, Family, Need, Seed, explainer
from ..results import Tile, Tiles
from ..trace import Trace


@explainer(
    title="Inversion",
    family=Family.INSIDE,
    needs={Need.MAPS, Need.SLOPES, Need.COLORS},
    paper="https://arxiv.org/abs/1412.0035",
    class_specific=False,
    passes=(133, 128),
    fills="inside.inversion",
)
def invert(
    trace: Trace,
    *,
    depth: Depth = "middle",
    how: How = "fourier",
    steps: Steps = 64,
    pictures: Count = 2,
    seed: Seed = 0,
) -> Iterator[Tiles]:
    """How much of this picture is left at a depth: can it be drawn again from the maps alone?

    Grow pictures from random patterns until their maps at that depth are those of the picture.
    Read it as: what comes back was kept; where the pictures differ from each other and from the original, the layer
    does not tell the difference.
    Beware: what does not come back may be in the maps and only be hard to find from a random start.
    """
    site = trace.site(depth)
    states = imagine(
        trace.classifier, Likeness(site, trace.maps(site)), RECIPES[how].gentle(), count=pictures, steps=steps,
        seed=seed, spent=trace.spent, stop=trace.stop,
    )  # fmt: skip
    yield from shown(
        states,
        lambda state: [f"{100 * share:.0f} % of the maps" for share in state.scores.tolist()],
        unit="share of the maps that agrees",
        beside=[Tile(colors(trace.pixels), "the picture")],
    )
