"""Visualizing a direction among channels (Olah et al., The Building Blocks of Interpretability, Distill 2018)."""

from collections.abc import Iterator

from ..imagining import RECIPES, Direction, imagine
from ..imagining.showing import Count, How, Steps, natural_best, shown, worth
from ..registry import Depth, Family, Need, Seed, explainer
from ..results import Tiles
from ..trace import Trace


@explainer(
    title="Imagine a direction",
    family=Family.INSIDE,
    needs={Need.MAPS, Need.SLOPES, Need.COLORS},
    paper="https://distill.pub/2018/building-blocks/",
    passes=(230, 129),
)
def imagine_direction(
    trace: Trace,
    *,
    depth: Depth = "last",
    how: How = "fourier",
    steps: Steps = 64,
    pictures: Count = 2,
    seed: Seed = 0,
) -> Iterator[Tiles]:
    """Toward what would the channels have to go, from this picture, to raise the score of the chosen class?

    The score's slope at the maps, averaged over places, is a direction among channels: how much each should rise or
    fall. Then a picture is grown whose maps go that way and no other.
    Read it as: what the network would add for this class or, with a second class, what tells the two apart.
    Beware: it is the slope at this picture; at another picture a deep network may ask for something else.
    """
    site, model = trace.site(depth), trace.classifier
    objective = Direction(site, trace.slopes(site).mean((1, 2)))
    beside, natural = natural_best(model, objective, spent=trace.spent, stop=trace.stop)
    states = imagine(
        model, objective, RECIPES[how], count=pictures, steps=steps, seed=seed, spent=trace.spent, stop=trace.stop
    )
    yield from shown(
        states,
        lambda state: [f"{score:.2g}" for score in state.scores.tolist()],
        unit="activation along the direction",
        beside=beside,
        note=lambda state: worth(model, objective, state.pictures, natural, spent=trace.spent, stop=trace.stop),
    )
