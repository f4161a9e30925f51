"""Tells a weighted sum of maps step by step, from the numbers that the method itself worked with."""

from __future__ import annotations

import torch
from torch import Tensor

from .shapes import Heat, Maps
from .trace import Trace

TOLD = 6
"""How many maps are shown one by one before the rest is added at once."""


def weighted_sum(trace: Trace, maps: Maps, weights: Tensor, *, bias: float | None = None) -> Heat:
    """Σ_k weights_k · maps_k (h, w), signed; told map by map where somebody asked for the working.

    For each of the strongest maps (by how much it adds anywhere), one step shows the map itself with its weight, and
    the next the sum so far. With `bias`, the score is the mean of the sum plus that, and each sum says so.
    """
    heat = torch.einsum("k,khw->hw", weights, maps)
    if trace.working is None:
        return heat
    strength = weights.abs() * maps.abs().mean((1, 2))  # (K,)
    strongest = strength.argsort(descending=True)[:TOLD].tolist()
    running = torch.zeros_like(heat)
    for position, k in enumerate(strongest):
        weight = float(weights[k])
        where = "is active in these places" if position else "answers to something it found in these places"
        trace.step(f"Map {k} of {len(maps)} {where}. For this class it counts {weight:+.2g}.", maps[k], weight=weight)
        running = running + weights[k] * maps[k]
        raises = "raises" if weight > 0 else "lowers"
        trace.step(
            f"Where the map is strong, it {raises} the class by weight times map. Added to the sum, place by place.",
            running,
            total=_total(running, bias),
        )
    rest = len(maps) - len(strongest)
    if rest:
        trace.step(
            f"The other {rest} maps, each with its own weight, added in the same way.", heat, total=_total(heat, bias)
        )
    if bias is not None:
        trace.step(
            "The mean of this picture over all places, and a constant of the class, are the score: it is spread over "
            "the places here, and nothing was lost.",
            heat,
            total=_total(heat, bias),
        )
    return heat


def _total(heat: Heat, bias: float | None) -> float | None:
    return None if bias is None else float(heat.mean()) + bias
