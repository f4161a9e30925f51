"""CutMix (Yun et al., ICCV 2019): which of two pictures the heat lies on."""

from collections.abc import Iterator

import numpy as np
import torch

from ..augmenting import cut_mix, heat_in_box, over_share, pixels_of_second
from ..augmenting.options import Across, Down, ExplainedBy, Points
from ..registry import Family, explainer, heat_method, heat_of
from ..results import Curves
from ..trace import Second, Trace


@explainer(
    title="CutMix",
    family=Family.AUGMENTATION,
    paper="https://arxiv.org/abs/1905.04899",
    passes=(14, 12),
    fills="augment.cutmix",
)
def cutmix(
    trace: Trace,
    second: Second,
    *,
    points: Points = 11,
    across: Across = 0.5,
    down: Down = 0.5,
    explained_by: ExplainedBy = "",
) -> Iterator[Curves]:
    """On which of two pictures does the heat for the chosen class lie, when one is pasted into the other?

    Paste a box of the second picture into this one, from all of it (λ = 0) to nothing (λ = 1), and measure which share
    of the heat lies in the box, beside the box's share of the area and the probabilities of both classes.
    Read it as: heat that stays out of the box while its area grows keeps to what is left of the first picture.
    Beware: training takes λ for the label, whatever the box covers; a box over the background changes little.
    """
    by, other = heat_method(explained_by, trace.classifier), pixels_of_second(trace, second)
    shares = np.linspace(0, 1, points).tolist()
    mixed = [cut_mix(trace.pixels, other, share=share, center=(across, down)) for share in shares]
    rival = int(trace.classifier.head.winner(trace.logits_at(other[None])[0]))
    views = trace.all_elsewhere(torch.stack([each.pixels for each in mixed]), by.start(by.check({})))
    rows: list[tuple[float, ...]] = []
    for each, view in zip(mixed, views, strict=True):
        chances = trace.classifier.head.readings(view.logits)
        heat = heat_in_box(heat_of(view, by), each)
        rows.append((heat, 1 - each.share, float(chances[trace.class_index]), float(chances[rival])))
        if len(rows) > 1 and (len(rows) % trace.at_once == 0 or len(rows) == points):
            yield over_share(trace, rival, mixed, ("heat in the box", "area of the box, 1 − λ"), rows)
