"""Tells a weighted sum of maps step by step, from the numbers that the method itself worked with."""

from __future__ import annotations

import torch
from torch import Tensor

from .shapes import Heat, Maps
from .trace import Trace

TOLD = 8
"""How many channels are told one by one before the rest is added at once."""


def weighted_sum(
    trace: Trace, maps: Maps, weights: Tensor, *, weighs: str, signed: bool = False, bias: float | None = None
) -> Heat:
    """Σ_k weights_k · maps_k (h, w), only what is above zero unless `signed`; told in steps where somebody asked.

    The steps come in this order, strongest channels first (by |weight| times mean |map|):
    for each, its map with its weight, then the sum of all so far; then the sum with all other channels at once; with
    `bias`, how the sum becomes the score; and last the heat that is given back.

    `weighs` ends the sentence “Its weight is +0.3, …”. With `bias`, the score is the mean of the sum over all places
    plus that, and `total` of each step with a sum says how much of the score has come together.
    """
    summed = torch.einsum("k,khw->hw", weights, maps)
    heat: Heat = summed if signed else summed.relu()
    if trace.working is not None:
        _tell(trace, maps, weights, weighs, summed, bias)
        above = "" if signed else "Only what is above zero is kept. "
        trace.step(f"{above}Stretched to the size of the picture and laid over it, this is the answer.", heat,
                   signed=signed)  # fmt: skip
    return heat


# --- private ---------------------------------------------------------------------------------------------------------


def _tell(trace: Trace, maps: Maps, weights: Tensor, weighs: str, summed: Heat, bias: float | None) -> None:
    strength = weights.abs() * maps.abs().mean((1, 2))  # (K,)
    strongest = [k for k in strength.argsort(descending=True, stable=True)[:TOLD].tolist() if strength[k] > 0]
    running = torch.zeros_like(summed)
    for place, k in enumerate(strongest):
        weight, signed = float(weights[k]), bool((maps[k] < 0).any())
        answers = f"Channel {k}, one of {len(maps)}, answers where this map is strong."
        trace.step(f"{answers} Its weight is {weight:+.2g}, {weighs}.", maps[k], signed=signed, weight=weight)
        running = running + weights[k] * maps[k]
        trace.step(_added(weight, first=place == 0, averaged=bias is not None), running, total=_mean(running, bias))
    rest = len(maps) - len(strongest)
    if rest:
        sentence = f"The other {rest} channels, each times its own weight, are added in the same way."
        trace.step(sentence, summed, total=_mean(summed, bias))
    if bias is not None:
        mean = float(summed.mean())
        trace.step(
            f"The average of this picture over its {summed.numel()} places is {mean:.3g}. With {bias:+.3g}, which the "
            f"class gets whatever the picture, that is the score, {mean + bias:.3g}: all of it lay in these places.",
            summed,
            total=mean + bias,
        )


def _added(weight: float, *, first: bool, averaged: bool) -> str:
    if first and averaged:
        return (
            "The network averages the map to one number and multiplies that by the weight. Multiply every place first "
            "and average last: it is the same number, but on the way each place shows its own part of it."
        )
    if first:
        return "Every place of the map is multiplied by that one weight, so the map keeps its shape."
    return f"{'Added to' if weight > 0 else 'Taken from'} the sum so far, place by place, as much as the weight says."


def _mean(running: Heat, bias: float | None) -> float | None:
    return None if bias is None else float(running.mean())
