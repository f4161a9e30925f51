"""Tells a weighted sum of maps step by step, from the numbers that the method itself worked with."""

from __future__ import annotations

import torch
from torch import Tensor

from ..network.anatomy import ClassMaps
from ..shapes import Heat, Maps
from ..trace import Trace

TOLD = 8
"""How many channels are told one by one before the rest is added at once."""

FAINT = 0.02
"""A channel that adds less than this share of the strongest one changes nothing that can be seen."""


def weighted_sum(
    trace: Trace, maps: Maps, weights: Tensor, *, weighs: str, signed: bool = False, bias: float | None = None
) -> Heat:
    """Σ_k weights_k · maps_k (h, w), only what is above zero unless `signed`; told in steps where somebody asked.

    The steps come in this order, strongest channels first (by |weight| times mean |map|): for each, its map with its
    weight, then the sum of all so far; then the sum with all other channels at once; with `bias`, how the sum becomes
    the score; and last the heat that is given back.

    `weighs` ends the sentence “Its weight is +0.3, …”. With `bias`, the score is the mean of the sum over all places
    plus that, and `total` of each step with a sum says how much of the score has come together.
    """
    summed = torch.einsum("k,khw->hw", weights, maps)
    heat: Heat = summed if signed else summed.relu()
    if trace.working is not None:
        _tell(trace, maps, weights, weighs, summed, bias)
        trace.step(_last(summed, signed=signed), heat, signed=signed)
    return heat


# --- private ---------------------------------------------------------------------------------------------------------


def _tell(trace: Trace, maps: Maps, weights: Tensor, weighs: str, summed: Heat, bias: float | None) -> None:
    strength = weights.abs() * maps.abs().mean((1, 2))  # (K,)
    order = strength.argsort(descending=True, stable=True)[:TOLD].tolist()
    told = [k for k in order if strength[k] > FAINT * strength.max()]
    names = _names(trace, maps)
    running = torch.zeros_like(summed)
    for place, k in enumerate(told):
        first, both, weight = place == 0, bool((maps[k] < 0).any()), float(weights[k])
        trace.step(_shown(names, k, len(maps), weight, weighs, first, both), maps[k], signed=both, weight=weight)
        running = running + weights[k] * maps[k]
        average = None if bias is None else float(maps[k].mean())
        total = None if bias is None else float(running.mean())
        trace.step(_added(weight, first, both, average), running, total=total)
    rest = int((strength > 0).sum()) - len(told)
    if rest > 0:
        trace.step(_others(rest, names), summed, total=None if bias is None else float(summed.mean()))
    if bias is not None:
        trace.step(_averaged(summed, bias), summed, total=float(summed.mean()) + bias)


def _names(trace: Trace, maps: Maps) -> tuple[str, ...]:
    """The class that each map belongs to, where the network draws a map for every class; else nothing."""
    head, labels = trace.classifier.anatomy.head, trace.classifier.labels
    drawn = isinstance(head, ClassMaps) and head.site.grid == tuple(maps.shape[1:])
    return tuple(labels) if drawn and len(labels) == len(maps) else ()


def _shown(names: tuple[str, ...], k: int, count: int, weight: float, weighs: str, first: bool, both: bool) -> str:
    if names:
        opening = "This network draws a map for every class; this one is" if first else "Another of its maps,"
        what = f"{opening} bright where something speaks for “{names[k]}”."
    else:
        where = "is above zero where this map is warm, below it where the map is cold" if both else ""
        what = f"Channel {k}, one of {count}, {where or 'found what it responds to where this map is bright'}."
    return f"{what} Its weight is {_number(weight)}, {weighs}."


def _added(weight: float, first: bool, both: bool, average: float | None) -> str:
    times, part = _number(weight), "" if average is None else _number(weight * average)
    if first and part:
        return (
            f"The network averages this map to {average:.3g} and takes that times {times}: {part} of the score. "
            f"Multiply every place first and average last, and it is {part} again, but now each place shows how much "
            "of it lies there."
        )
    if first:
        cold = " and, since it is below zero, what was bright turns cold" if weight < 0 and not both else ""
        return f"Every place of the map is multiplied by {times}: its pattern stays{cold}."
    brings = f", which brings {part} of the score" if part else ""
    if weight < 0:
        grows = "where the map was warm the sum grows colder, where cold, warmer" if both else ""
        return f"Taken off the sum, place by place: {grows or 'where this map was bright, it grows colder'}{brings}."
    grows = "where the map was warm the sum grows warmer, where cold, colder" if both else ""
    return f"Laid on top of it, place by place: {grows or 'where this map was bright, the sum grows warmer'}{brings}."


def _others(rest: int, names: tuple[str, ...]) -> str:
    if names:
        return f"The maps of the {rest} other classes, each times its weight: what all classes share falls away."
    if rest == 1:
        return "One more channel, times its own weight, added in the same way: this is the whole sum."
    return f"The other {rest} channels, each times its own weight, added in the same way: this is the whole sum."


def _averaged(summed: Heat, bias: float) -> str:
    mean = float(summed.mean())
    score = f", plus {_number(bias)} that the class gets whatever the picture, is {mean + bias:.3g}" if bias else ""
    but = ", but for that constant" if bias else ""
    return (
        f"The average over all {summed.numel()} places, {mean:.3g}{score}: exactly the score that is asked "
        f"about. So this picture is the score itself{but}, laid out over the places it comes from."
    )


def _last(summed: Heat, *, signed: bool) -> str:
    if not summed.any():
        return "No channel counts for the class here, so the answer is blank."
    if not signed and not (summed > 0).any():
        return "Only what is above zero is kept, and nothing is: the answer is blank."
    kept = "Only what is above zero is kept. " if not signed and (summed < 0).any() else ""
    return f"{kept}Stretched to the size of the picture and laid over it, this is the answer."


def _number(value: float) -> str:
    return f"{value:+.2g}".replace("-", "−")
