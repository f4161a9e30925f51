"""Robustness to every transform in a bar each, with a control that does nothing."""

from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from ..augmenting import NOTHING, SWEEPS, Trial, answered, picture_of, put
from ..registry import Family, Need, Seed, explainer
from ..results import Bars
from ..trace import Trace


@explainer(
    title="Weak spots",
    family=Family.AUGMENTATION,
    needs={Need.NO_BANDS},
    paper="https://arxiv.org/abs/1903.12261",
    passes=(157, 0),
    fills="augment.bars",
)
def weak_spots(
    trace: Trace,
    *,
    measure: Annotated[
        Literal["change", "flips"],
        Field(description="The mean change of the score, or the share of the values at which another class wins."),
    ] = "change",
    points: Annotated[int, Field(ge=2, le=25, description="How many values of each transform are tried.")] = 9,
    seed: Seed = 0,
) -> Iterator[Bars]:
    """Which transforms move the chosen class most?

    Sweep each transform from end to end and put every picture to the network; a bar for the mean change of the score,
    or for the share of pictures to which the network gives another answer than to the original.
    Read it as: a long bar is a weak spot. The control does nothing to the picture, so its bar is exactly zero.
    Beware: the ends are those of the sweeps here, so bars compare strengths that somebody chose.
    """
    (original,) = answered(trace, [(picture_of(trace), NOTHING)])
    size, labels, values = (trace.pixels.shape[-2], trace.pixels.shape[-1]), [], []
    for sweep in SWEEPS.values():
        recipes = [sweep.recipe(value, size, seed) for value in sweep.values(points)]
        trials = [trial for batch in put(trace, recipes) for trial in batch]
        values.append(np.mean([_change(trace, trial, original, measure) for trial in trials]))
        labels.append(sweep.title)
        unit = trace.target.points if measure == "change" else "share of pictures"
        yield Bars(np.array(values, np.float32), tuple(labels), unit, done=len(labels) / len(SWEEPS))


def _change(trace: Trace, trial: Trial, original: Trial, measure: str) -> float:
    if bool((trial.picture == original.picture).all()):
        return 0.0  # what was left as it was: any difference would be the rounding of another batch
    if measure == "flips":
        now, before = (trace.classifier.head.decided(each.logits)[0] for each in (trial, original))
        return float(now != before)
    return trial.score - original.score
