"""Sentences and figures that the screen shows and the core has no reason to know."""

from __future__ import annotations

import numpy as np

from ..explanation import Explanation
from ..results import Heatmap
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


def on_what_decides(answer: Explanation, truth: Mask) -> str:
    """How much more of the heat lies on what decides than chance would put there; empty where nothing is raised.

    Only what is above zero counts, so that a method says the same of its map with and without the rest.
    """
    heat = answer.heat.clip(0)
    total, area = float(heat.sum()), float(truth.mean())
    if not total or not area:
        return ""
    share = float(heat[truth].sum()) / total
    there = f"{percent(share)} of it on {percent(area)} of the picture."
    return f"{share / area:.1f} × as much heat on the parts that decide as chance would put there: {there}"


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
