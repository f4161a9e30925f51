"""MixUp (Zhang et al., ICLR 2018): which of two pictures the map keeps to, as they are blended."""

from collections.abc import Iterator

import numpy as np
import torch

from ..augmenting import NOTHING, compared, mix_up, over_share, pixels_of_second
from ..augmenting.options import ExplainedBy, Points
from ..registry import Family, explainer, heat_method, heat_of
from ..results import Curves
from ..trace import Second, Trace

NAMES = ("agreement with the first alone", "agreement with the second alone")


@explainer(
    title="MixUp",
    family=Family.AUGMENTATION,
    paper="https://arxiv.org/abs/1710.09412",
    passes=(15, 13),
    fills="augment.mixup",
)
def mixup(
    trace: Trace,
    second: Second,
    *,
    points: Points = 11,
    explained_by: ExplainedBy = "",
) -> Iterator[Curves]:
    """Whose map does the chosen class keep, when two pictures are blended?

    Blend the second picture into this one, from all of it (λ = 0) to nothing (λ = 1), and compare the map of each blend
    with that of the first picture alone and of the second alone, by rank correlation, beside both probabilities.
    Read it as: where the lines cross, the reason changes hands; training asks for a probability of λ.
    Beware: a blend has no border, so the map cannot be split between the two; only what it resembles is told.
    """
    by, other = heat_method(explained_by, trace.classifier), pixels_of_second(trace, second)
    mixed = [mix_up(trace.pixels, other, share=share) for share in np.linspace(0, 1, points).tolist()]
    pixels = torch.stack([trace.pixels, other, *(each.pixels for each in mixed)])
    views = trace.all_elsewhere(pixels, by.start(by.check({})))
    first = heat_of(next(views), by)
    alone = next(views)
    rival, last = int(trace.classifier.head.winner(alone.logits)), heat_of(alone, by)
    size, rows = trace.pixels.shape[-2:], list[tuple[float, ...]]()
    for view in views:
        chances, heat = trace.classifier.head.readings(view.logits), heat_of(view, by)
        alike = [compared(heat, each, NOTHING, size).agreement for each in (first, last)]
        rows.append((*alike, float(chances[trace.class_index]), float(chances[rival])))
        if len(rows) > 1 and (len(rows) % trace.at_once == 0 or len(rows) == points):
            yield over_share(trace, rival, mixed, NAMES, rows)
