"""MixUp (Zhang et al., ICLR 2018): which of two pictures the map keeps to, as they are blended."""

from collections.abc import Iterator
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from ..augmenting import NOTHING, colors_of, compared, mix_up, pixels_of_second
from ..registry import Family, explainer, heat_of, map_method
from ..results import Curve, Curves, Mark
from ..trace import Second, Trace


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
    points: Annotated[int, Field(ge=3, le=41, description="How many values of λ are tried.")] = 11,
    explained_by: Annotated[
        str, Field(max_length=60, description="The method whose maps are compared, by its id; empty for a quick one.")
    ] = "",
) -> Iterator[Curves]:
    """Whose map does the chosen class keep, when two pictures are blended?

    Blend the second picture into this one, from all of it (λ = 0) to nothing (λ = 1), and compare the map of each blend
    with that of the first picture alone and of the second alone, by rank correlation, beside both probabilities.
    Read it as: where the lines cross, the reason changes hands; training asks for a probability of λ.
    Beware: a blend has no border, so the map cannot be split between the two; only what it resembles is told.
    """
    by, other = map_method(explained_by, trace.classifier), pixels_of_second(trace, second)
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
            told = [(each.share, colors_of(each.pixels)) for each in mixed[: len(rows)]]
            yield _curves(trace, rival, told, rows, len(rows) / points)


def _curves(
    trace: Trace, rival: int, told: list[tuple[float, NDArray[np.uint8]]], rows: list[tuple[float, ...]], done: float
) -> Curves:
    labels, reading = trace.classifier.labels, trace.classifier.head.reading
    names = ["agreement with the first alone", "agreement with the second alone"]
    names += [f"{reading} of {labels[trace.class_index]}"]
    names += [f"{reading} of {labels[rival]}"] if rival != trace.class_index else []
    lines = [Curve(name, np.array(values)) for name, values in zip(names, zip(*rows, strict=True), strict=False)]
    places = sorted({0, len(rows) // 4, len(rows) // 2, 3 * len(rows) // 4, len(rows) - 1})
    marks = [Mark(told[place][0], f"λ = {told[place][0]:.2f}", told[place][1]) for place in places]
    along = np.array([share for share, _ in told])
    return Curves(along, tuple(lines), "λ, the share of the first picture", "share", tuple(marks), done=done)
