"""Score-CAM (Wang, Wang, Du and others, CVPR workshops 2020)."""

from collections.abc import Iterator
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from ..baselines import Baseline
from ..ingredients.stretching import stretched
from ..ingredients.working import weighted_sum
from ..registry import Depth, Family, Need, explainer
from ..results import Heatmap
from ..trace import Trace


@explainer(
    title="Score-CAM",
    family=Family.CLASS_ACTIVATION,
    needs={Need.MAPS},
    paper="https://arxiv.org/abs/1910.01279",
    passes=(66, 0),
    classic=True,
)
def score_cam(
    trace: Trace,
    *,
    depth: Depth = "last",
    channels: Annotated[
        int, Field(ge=8, le=2048, description="How many channels are tried, those that vary most first.")
    ] = 64,
    cover: Baseline = "gray",
    softmax: Annotated[
        bool, Field(description="Weigh channels by a softmax over what each brings back: few channels, and no sign.")
    ] = False,
) -> Iterator[Heatmap]:
    """Which regions bring back the score of the chosen class, when only they are shown?

    Lay each map over the picture as a mask, so that only what it marks is seen, and weigh the map by how much of the
    score comes back, against the picture all covered. The paper also writes a softmax over the channels, which its
    authors' code leaves out, as this does: with logits, one channel would take nearly all.
    Read it as: no slope is used; a warm region is one that is enough by itself.
    Beware: it takes one pass for each channel, and a picture with most of it covered is nothing the network has seen.
    """
    maps = trace.maps(depth)  # (K, h, w)
    pixels, covered = trace.pixels, trace.baseline(cover)
    nothing = trace.score(covered[None])[0]
    low, high = maps.amin((1, 2)), maps.amax((1, 2))
    varied = torch.nonzero(high > low)[:, 0]  # a flat channel marks nothing
    order = varied[maps.var((1, 2), correction=0)[varied].argsort(descending=True, stable=True)][:channels]
    if not len(order):
        yield Heatmap(torch.zeros_like(maps[0]), unit=_UNIT, note="Every channel is flat, so none marks a place.")
        return
    weights, seen = torch.zeros_like(low), 0
    note = None if len(order) == len(varied) else f"The {len(order)} liveliest of {len(maps)} channels were tried."
    for part in torch.split(order, trace.at_once):
        raised = (maps[part] - low[part, None, None]) / (high - low)[part, None, None]
        masks = stretched(raised, pixels.shape[1:]).to(pixels)[:, None]
        weights[part] = (trace.score(covered + masks * (pixels - covered)) - nothing).to(weights)
        seen += len(part)
        if seen < len(order):
            heat = torch.einsum("k,khw->hw", _counted(weights, order[:seen], softmax), maps).relu()
        else:
            counted = _counted(weights, order, softmax)
            heat = weighted_sum(trace, maps, counted, weighs=_SHARES if softmax else _BACK)
        yield Heatmap(heat, unit=_ACTIVITY if softmax else _UNIT, note=note, done=seen / len(order))


def _counted(weights: Tensor, tried: Tensor, softmax: bool) -> Tensor:
    """What channels count for (K,): what each brought back, or its share by a softmax among those that were tried."""
    return torch.zeros_like(weights).index_copy(0, tried, weights[tried].softmax(0)) if softmax else weights


_UNIT = "logit points brought back, times activity"
_ACTIVITY = "activity"
_BACK = "the score that its places bring back by themselves"
_SHARES = "its share by a softmax over what each channel's places bring back"
