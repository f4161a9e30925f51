"""Guided integrated gradients (Kapishnikov et al., CVPR 2021)."""

from collections.abc import Iterator
from typing import Annotated, Literal

import torch
from pydantic import Field

from ..baselines import EDGE, Baseline
from ..registry import Family, Need, explainer
from ..results import Heatmap, Sum
from ..shapes import Pixels
from ..trace import Trace

CLOSE = 0.02
"""A sum that misses by less than this needs no word."""


@explainer(
    title="Guided integrated gradients",
    family=Family.GRADIENTS,
    needs={Need.SLOPES},
    paper="https://arxiv.org/abs/2106.09788",
    passes=(53, 49),
)
def guided_integrated_gradients(
    trace: Trace,
    *,
    baseline: Baseline = "gray",
    fraction: Annotated[
        float,
        Field(
            ge=0.05, le=1, description="Share of the values that move next, those of least slope; 1 is a straight way."
        ),
    ] = 0.25,
    among: Annotated[
        Literal["free", "all"],
        Field(description="That share of the values that may still move, or of all values there are."),
    ] = "free",
    leash: Annotated[
        float, Field(ge=0, le=1, description="How far from the straight way any value may be, as a share of it.")
    ] = 0.1,
    steps: Annotated[int, Field(ge=8, le=256, description="Points on the way from the baseline to the picture.")] = 48,
) -> Iterator[Heatmap]:
    """How much does each pixel add to the score of the chosen class, on a way that avoids where the score is jumpy?

    As integrated gradients, but the picture is not faded in evenly: at each point the values with the least slope move
    first. The way keeps to regions where slopes are small, so less noise is picked up. The share that moves is one of
    the values that have not arrived; in the authors' code it is one of all, so that near the end the rest moves at once
    (`among="all"`, there with a `leash` of 0.02 and 200 steps).
    Read it as: the parts would add up to the score here minus the score of the baseline, if steps were small enough.
    Beware: with the steps one can afford, the sum often misses; and the way depends on the network and the class.
    """
    start, end = trace.baseline(baseline), trace.pixels
    first, last = trace.score(torch.stack([start, end])).tolist()
    floor = 0.05 * float(trace.logits.std(correction=0))
    at, heat = start.clone(), torch.zeros_like(start)
    slopes = trace.slopes_at((start + EDGE * (end - start))[None])[0][0]
    for step in range(1, steps + 1):
        moved = _moved(at, start, end, slopes.abs(), step / steps, leash, fraction, among)
        ahead = trace.slopes_at(moved[None])[0][0]
        heat = heat + (moved - at) * (slopes + ahead) / 2  # each stretch by the slopes at both of its ends
        at, slopes = moved, ahead
        if step % trace.at_once == 0 or step == steps:
            total = heat.sum(0)  # (H, W)
            note = _note(Sum(float(total.double().sum()), last - first, floor)) if step == steps else None
            yield Heatmap(total, signed=True, unit="logit points", note=note, done=step / steps)


def _note(sums: Sum) -> str | None:
    if sums.residual <= CLOSE:
        return None
    return (
        f"The parts miss what the score gains by {sums.residual:.0%}: the slopes change faster than the steps follow."
    )


def _moved(
    at: Pixels, start: Pixels, end: Pixels, size: Pixels, share: float, leash: float, fraction: float, among: str
) -> Pixels:
    """The next point (3, H, W): a `share` of the whole distance is behind it, moved where slopes have least `size`."""
    change = end - start
    nearest = start + max(share - leash, 0.0) * change
    farthest = start + min(share + leash, 1.0) * change
    behind = (at - nearest) * change.sign() < 0
    at = torch.where(behind, nearest, at)
    size = size.clone()
    for _ in range(at.numel()):
        to_go = float((end - at).abs().sum() - (1 - share) * change.abs().sum())
        size[(farthest - at) * change.sign() <= 0] = torch.inf  # what is at its limit stays
        free = size[size.isfinite()]
        if to_go <= 1e-6 * float(change.abs().sum()) or not free.numel():
            break
        count = round(fraction * free.numel()) if among == "free" else 1 + int(fraction * (size.numel() - 1))
        limit = free.kthvalue(min(max(1, count), free.numel())).values
        chosen = size <= limit
        room = float((farthest - at).abs()[chosen].sum())
        at = torch.where(chosen, at + (farthest - at) * min(1.0, to_go / max(room, 1e-12)), at)
        if room >= to_go:
            break
        size[chosen] = torch.inf
    return end.clone() if share == 1 else at
