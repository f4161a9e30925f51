"""Augmented variants of the picture, by torchvision's transforms, with what the network says to each."""

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import Field

from ..augmenting import NOTHING, Pipeline, Trial, answered, picture_of
from ..augmenting.options import Transforms
from ..registry import Family, Need, Seed, explainer
from ..results import Tile, Tiles
from ..trace import Trace


@explainer(
    title="Augmented variants",
    family=Family.AUGMENTATION,
    needs={Need.NO_BANDS},
    paper="https://arxiv.org/abs/1909.13719",
    passes=(14, 0),
    fills="augment.variants",
)
def augment(
    trace: Trace,
    *,
    pipeline: Transforms = "classic",
    samples: Annotated[int, Field(ge=1, le=64, description="How many variants are drawn.")] = 12,
    seed: Seed = 0,
) -> Iterator[Tiles]:
    """What does augmentation do to the picture, and to the score of the chosen class?

    Draw variants of what the network sees, as training would, and put each to the network. Beside each stands what was
    really done, the class that wins, and by how much the score moved.
    Read it as: a variant that people still read alike, and whose score falls far, shows what the network leans on.
    Beware: the variants are of the framed picture, so a crop loses what a crop of the original might have kept.
    """
    ready, picture = Pipeline.parse(pipeline).at(trace.pixels.shape[-2:]), picture_of(trace)
    (original,) = answered(trace, [(picture, NOTHING)])
    tiles = [_tile(trace, original, original, "original")]
    for first in range(0, samples, trace.at_once):
        seeds = range(seed + first, seed + min(samples, first + trace.at_once))
        trials = answered(trace, [ready.sample(picture, each) for each in seeds])
        tiles += [_tile(trace, t, original, f"variant {s}", seed=s) for t, s in zip(trials, seeds, strict=True)]
        yield Tiles(tuple(tiles), unit=trace.target.points, done=(len(tiles) - 1) / samples)


def _tile(trace: Trace, trial: Trial, original: Trial, key: str, **facts: Any) -> Tile:
    facts |= trial.facts(trace) | {"actions": [action.as_data() for action in trial.recipe.actions]}
    facts["flipped"] = facts["label"] != original.predicted(trace).label
    caption = f"{facts['label']} {facts['told']}: {facts['recipe']}"
    return Tile(trial.colors, caption, trial.score - original.score, key=key, facts=facts)
