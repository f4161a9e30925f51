"""Ablation-CAM (Desai and Ramaswamy, WACV 2020)."""

from collections.abc import Iterator
from typing import Annotated

import torch
from pydantic import Field

from ..ingredients.working import weighted_sum
from ..registry import Depth, Family, Need, explainer
from ..results import Heatmap
from ..trace import Trace


@explainer(
    title="Ablation-CAM",
    family=Family.CLASS_ACTIVATION,
    needs={Need.MAPS, Need.MAP_SLOPES},
    paper="https://openaccess.thecvf.com/content_WACV_2020/html/Desai_Ablation-CAM_Visual_Explanations_for_Deep_Convolutional_Network_via_Gradient-free_Localization_WACV_2020_paper.html",
    passes=(2050, 1),
)
def ablation_cam(
    trace: Trace,
    *,
    depth: Depth = "last",
    channels: Annotated[
        int, Field(ge=8, le=4096, description="How many channels are taken away in turn, the strongest first.")
    ] = 2048,
) -> Iterator[Heatmap]:
    """Which regions does the chosen class lose most without?

    Set one channel of the maps to zero after the other, let the network run on from there, and weigh each channel by
    how far the score falls. The paper also divides them all by the score, which may be near zero or below; not here.
    Read it as: the fall is measured, not guessed from a slope, so a map that has saturated still counts.
    Beware: channels are taken away one at a time; what two of them say alike is counted for neither.
    """
    maps = trace.maps(depth)  # (K, h, w)
    own = trace.score_from(maps[None], depth)[0]
    # The order only decides what is seen first, and what is left out where there are more channels than asked for.
    guess = torch.einsum("khw,khw->k", trace.slopes(depth), maps).abs()
    order = guess.argsort(descending=True, stable=True)[:channels]
    note = None if len(order) == len(maps) else f"The {len(order)} strongest of {len(maps)} channels were taken away."
    weights, seen = torch.zeros_like(guess), 0
    for part in torch.split(order, trace.at_once_from(depth)):
        without = maps.repeat(len(part), 1, 1, 1)
        without[torch.arange(len(part), device=maps.device), part] = 0
        weights[part] = (own - trace.score_from(without, depth)).to(weights)
        seen += len(part)
        if seen < len(order):
            heat = torch.einsum("k,khw->hw", weights, maps).relu()
        else:
            heat = weighted_sum(trace, maps, weights, weighs="by how much the score falls without it")
        yield Heatmap(heat, unit="logit points lost, times activity", note=note, done=seen / len(order))
