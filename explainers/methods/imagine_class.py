"""Feature visualization of a class (Olah, Mordvintsev & Schubert, Distill 2017; MACO: Fel et al., NeurIPS 2023)."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated

from pydantic import Field

from ..imagining import RECIPES, ClassScore, imagine
from ..imagining.showing import Count, How, Steps, faded, natural_best, shown, worth
from ..network.classifier import Classifier
from ..registry import Family, Need, Seed, explainer
from ..results import Tiles
from ..trace import Asked


@explainer(
    title="Imagine a class",
    family=Family.INSIDE,
    needs={Need.SLOPES, Need.COLORS},
    paper="https://distill.pub/2017/feature-visualization/",
    passes=(290, 192),
    fills="inside.class",
)
def imagine_class(
    model: Classifier,
    asked: Asked,
    *,
    how: How = "fourier",
    steps: Steps = 96,
    pictures: Count = 2,
    apart: Annotated[
        float, Field(ge=0, le=10, description="How strongly the pictures are driven apart, in points of the score.")
    ] = 0.0,
    fade: Annotated[bool, Field(description="Fade what the slopes hardly ever fell on.")] = False,
    seed: Seed = 0,
) -> Iterator[Tiles]:
    """What would a picture look like that the network is as sure of as it can be: the chosen class and nothing else?

    Start from a faint random pattern, follow the slope of the score at the picture, and repeat. At each step the
    picture is shaken, so that only what survives being moved, turned and blurred by noise can grow.
    Read it as: what raises the score most, often several times over in one picture; beside it, natural pictures that
    raise it most, where the network's world is at hand.
    Beware: it shows what suffices for the score, not what pictures of the class look like, and it may hold much that no
    natural picture has.
    """
    objective = ClassScore(asked.target)
    beside, natural = natural_best(model, objective, spent=asked.spent, stop=asked.stop)
    states = imagine(
        model, objective, RECIPES[how], count=pictures, steps=steps, seed=seed, diversity=apart, spent=asked.spent,
        stop=asked.stop,
    )  # fmt: skip
    yield from shown(
        (replace(state, pictures=faded(state)) if fade else state for state in states),
        lambda state: [f"{score:.1f}" for score in state.scores.tolist()],
        unit=asked.target.points,
        beside=beside,
        note=lambda state: worth(
            model, objective, state.pictures, natural, spent=asked.spent, stop=asked.stop
        ),
    )  # fmt: skip
