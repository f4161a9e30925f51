"""Sentences and figures that the screen shows and the core has no reason to know."""

from __future__ import annotations

from ..explanation import Explanation
from ..render import percent
from ..scores import share_of_area
from .pictures import Mask

SCORE_WORDS = {
    "centered_logit": "rather than all others",
    "logit": "bare logit",
    "log_prob": "log probability",
    "probability": "probability",
}
"""Every score in plain words; the first is the default."""

UNEXPECTED = "Something went wrong here, and it is not your fault. Try again, or choose another network or method."
GONE = "This picture has left the memory. Upload it again."


def humanized(name: str) -> str:
    """A parameter's name as a label: “depth_from” is “Depth from”."""
    return name.replace("_", " ").capitalize()


def figure(answer: Explanation, truth: Mask | None) -> dict[str, str] | None:
    """One honest number about a map, and the sentence around it; None where nothing is raised.

    Only what is above zero counts, so that a method says the same of its map with and without the rest.
    Where the truth is known, how much more of the heat lies on what decides than chance would put there; elsewhere,
    how much room half of it takes.
    """
    heat = answer.heat.clip(0)
    total = float(heat.sum())
    if not total:
        return None
    if truth is not None:
        area, share = float(truth.mean()), float(heat[truth].sum()) / total
        if not area:
            return None
        there = f"{percent(share)} of it on {percent(area)} of the picture."
        return {
            "big": f"{share / area:.1f} ×",
            "words": f"as much heat on the parts that decide as chance would put there: {there}",
        }
    x0, y0, x1, y1 = (round(edge) for edge in answer.framing.box(answer.source.size))
    seen = heat[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)]
    return {"big": percent(share_of_area(seen, 0.5)), "words": "of what the network saw holds half of the heat."}


def resolution(answer: Explanation) -> str:
    """The method's own grid: “13 × 13 cells”."""
    height, width = answer.native.shape
    return f"{width} × {height} cells"


def seconds(value: float) -> str:
    """A duration as it is said while waiting."""
    return f"{value:.0f} s" if value >= 1 else "a moment"
