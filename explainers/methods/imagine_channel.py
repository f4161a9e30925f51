"""Feature visualization of a channel or a neuron (Olah, Mordvintsev & Schubert, Distill 2017)."""

from collections.abc import Iterator

from ..imagining import RECIPES, Neuron, Objective, imagine
from ..imagining import Channel as WholeChannel
from ..imagining.showing import Channel, Count, How, Steps, natural_best, shown, site_of, worth
from ..network.classifier import Classifier
from ..registry import Cell, Depth, Family, Need, Seed, explainer
from ..results import Tiles
from ..trace import Asked


@explainer(
    title="Imagine a channel",
    family=Family.INSIDE,
    needs={Need.MAPS, Need.SLOPES, Need.COLORS},
    paper="https://distill.pub/2017/feature-visualization/",
    class_specific=False,
    passes=(230, 128),
    fills="inside.channel",
)
def imagine_channel(
    model: Classifier,
    asked: Asked,
    *,
    depth: Depth = "middle",
    channel: Channel = 0,
    place: Cell = None,
    how: How = "fourier",
    steps: Steps = 64,
    pictures: Count = 2,
    seed: Seed = 0,
) -> Iterator[Tiles]:
    """What does a channel respond to, as far as it can be driven?

    Start from a faint random pattern and follow the slope of the channel's mean activation at the picture, step by
    step, while the picture is shaken. With a place, only the one neuron there is raised.
    Read it as: a pattern that drives the channel far; beside it, natural pictures that drive it most, where the
    network's world is at hand.
    Beware: a channel may respond to several unlike things, of which one picture shows one; look at other seeds, and
    believe the natural pictures first.
    """
    site = site_of(model, depth)
    number = channel % site.channels
    objective: Objective = WholeChannel(site, number)
    recipe = RECIPES[how]
    if place is not None:
        cell = min(place[0], site.grid[0] - 1), min(place[1], site.layout.grid[1] - 1)
        objective, recipe = Neuron(site, number, cell), recipe.gentle()
    beside, natural = natural_best(model, objective, spent=asked.spent, stop=asked.stop)
    states = imagine(
        model, objective, recipe, count=pictures, steps=steps, seed=seed, spent=asked.spent, stop=asked.stop
    )
    yield from shown(
        states,
        lambda state: [f"channel {number}, {score:.2g}" for score in state.scores.tolist()],
        unit="activation",
        beside=beside,
        note=lambda state: worth(model, objective, state.pictures, natural, spent=asked.spent, stop=asked.stop),
    )
