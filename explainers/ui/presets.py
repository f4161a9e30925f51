"""Which methods are asked together with one click: chosen by what they are and what they take, never by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..registry import Family, Method

MOST = 12
"""Maps at once: three rows of four, which is what an eye still compares."""
QUICK_PASSES = 6
"""A forward counts one, a backward two: what a method may take to be part of a quick look."""
QUICK_MOST = 8
AT_ONCE = 1.0
"""Seconds that the one method of its kind may take to be part of a quick look all the same."""
LONG = 20.0
"""Seconds from which a method waits until it is asked for by itself."""


@dataclass(frozen=True)
class Preset:
    """A choice of methods: its button, and the line that says what is in it."""

    id: str
    words: str
    line: str


QUICK = Preset("quick", "Quick look", "Fast methods, one of each kind at least where it can be fast.")
CLASSICS = Preset("classics", "Compare the classics", "What papers hold new methods against.")
CAREFUL = Preset(
    "careful", "Ask carefully", "Maps that add up to the score, and maps that only cover the picture and ask again."
)
PRESETS = (QUICK, CLASSICS, CAREFUL)


def chosen(preset: str, fitting: Sequence[Method], first: Method | None, pace: float) -> list[Method]:
    """The methods of a preset among those that apply, cheapest first; `pace` is the seconds of one forward pass."""
    if preset == CLASSICS.id:
        found = [method for method in fitting if method.classic]
    elif preset == CAREFUL.id:
        found = [method for method in fitting if method.sums or method.family is Family.PERTURBATION]
    else:
        quick = [m for m in fitting if (m.classic or m is first) and takes(m) <= QUICK_PASSES]
        for family in Family:
            own = [method for method in fitting if method.family is family and method.class_specific]
            cheapest = min(own, key=takes, default=None)
            if cheapest and not any(m.family is family for m in quick) and takes(cheapest) * pace <= AT_ONCE:
                quick.append(cheapest)
        # The one that is asked first and whole families stay; of one kind, the dearest go.
        return sorted(sorted(quick, key=lambda m: m is not first)[:QUICK_MOST], key=takes)
    return sorted(found, key=takes)[:MOST]


def takes(method: Method) -> int:
    """What it takes at most, in forward passes; a backward counts for two."""
    forwards, backwards = method.passes
    return forwards + 2 * backwards
