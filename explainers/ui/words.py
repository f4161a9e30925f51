"""Sentences and figures that the screen shows and the core has no reason to know."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..explanation import IN_WORDS, Explanation
from ..results import Heatmap
from ..scores import share_of_area
from ..showing.render import percent
from .pictures import Mask

SCORE_WORDS = {
    "centered_logit": "rather than all others",
    "logit": "bare logit",
    "log_prob": "log probability",
    "probability": "probability",
    "output": "the output as it stands",
}
"""Every score in plain words; the first is the default of exclusive classes, and stands for that of other heads."""

UNEXPECTED = "Something went wrong here, and it is not your fault. Try again, or choose another network or method."
GONE = "This picture has left the memory. Upload it again."


NOTHING, LOST = 0.002, 0.3
"""Standard errors, as shares of the strongest cell, below which nobody sees them, and above which they are the map."""


def humanized(name: str) -> str:
    """A parameter's name as a label: “depth_from” is “Depth from”."""
    return name.replace("_", " ").capitalize()


def figure(answer: Explanation, truth: Mask | None) -> dict[str, Any] | None:
    """One honest number about a map, and the sentence around it; None where nothing is raised.

    Only what is above zero counts, so that a method says the same of its map with and without the rest.
    Where the truth is known, how much more of the heat lies on what decides than chance would put there; elsewhere,
    how much room half of it takes. `rank` is larger for the better map, by this measure.
    """
    heat = (answer.laid(IN_WORDS) if truth is None else answer.heat).clip(0)
    total = float(heat.sum())
    if not total:
        return None
    if truth is not None:
        area, share = float(truth.mean()), float(heat[truth].sum()) / total
        if not area:
            return None
        there = f"{percent(share)} of it on {percent(area)} of the picture."
        return {
            "rank": share / area,
            "big": f"{share / area:.1f} ×",
            "words": f"as much heat on the parts that decide as chance would put there: {there}",
        }
    smaller = max(heat.shape) / max(answer.picture_asked.size)
    x0, y0, x1, y1 = (round(edge * smaller) for edge in answer.framing.box(answer.picture_asked.size))
    seen = heat[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)]
    half = share_of_area(seen, 0.5)
    return {"rank": 1 - half, "big": percent(half), "words": "of what the network saw holds half of the heat."}


def unsure(answer: Explanation) -> str:
    """How far chance moves the map, for a method that draws at random; empty for any other."""
    heat = answer.result
    if not isinstance(heat, Heatmap) or heat.error is None or heat.blank:
        return ""
    error, top = heat.error, float(np.abs(heat.heat).max())
    typical = float(np.sqrt(np.mean(np.square(error)))) / top
    if typical < NOTHING:
        return "Drawn at random, but settled: other draws would give the same map."
    share = percent(typical) if typical >= 0.01 else f"{100 * typical:.1f} %"
    if typical > LOST:
        return f"Drawn at random, and not settled: other draws move a cell by about {share} of the strongest value."
    return (
        f"Drawn at random: other draws would move a cell by about {share} of the strongest value, so smaller "
        "differences mean nothing."
    )


def stopped(done: float) -> str:
    """What is said of a map that somebody did not want to wait for."""
    return f"Stopped at {percent(done)}: the map is less sharp than it would be."


def resolution(answer: Explanation) -> str:
    """The method's own grid: “13 × 13 cells”."""
    height, width = answer.native.shape
    return f"{width} × {height} cells"


def seconds(value: float) -> str:
    """A duration as it is said while waiting."""
    return f"{value:.0f} s" if value >= 1 else "a moment"
