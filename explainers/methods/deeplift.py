"""DeepLIFT (Shrikumar, Greenside and Kundaje, ICML 2017), and DeepSHAP over several references."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Literal

import torch
from pydantic import Field

from ..baselines import BASELINES
from ..network.rules.differences import Differences
from ..registry import Family, Need, explainer
from ..results import Heatmap, Sum
from ..trace import Trace


@explainer(
    title="DeepLIFT",
    family=Family.DIFFERENCES,
    needs={Need.PIXEL_SLOPES, Need.IN_SIGHT},
    paper="https://arxiv.org/abs/1704.02685",
    passes=(3, 1),
    sums=True,
    classic=True,
)
def deeplift(
    trace: Trace,
    *,
    reference: Annotated[
        Literal["gray", "black", "white", "blur", "noise", "all"],
        Field(description="The picture with nothing in it that this one is held against; all averages over the five."),
    ] = "gray",
    rule: Annotated[
        Literal["rescale", "reveal_cancel"],
        Field(description="Reveal-cancel follows what raises and what lowers a unit apart; it takes longer."),
    ] = "rescale",
) -> Iterator[Heatmap]:
    """What does each pixel add to the score of the chosen class, against a picture with nothing in it?

    Run both pictures, and hand the difference of the scores back through each operation in proportion to the
    differences that went into it. Nothing is lost on the way, whatever the network is made of, but for functions in
    steps, as rounding, and those of the network's own; where much passes through one of these, it is named.
    Read it as: all values together are the score here minus the score of the reference.
    Beware: another reference is another question, and gets another map.
    """
    pixels = trace.pixels
    trace = replace(trace, target=trace.asked)  # before the passes are compared
    total, parts, whole = torch.zeros_like(pixels[0]), 0.0, 0.0
    missed: Counter[str] = Counter()
    references = BASELINES if reference == "all" else (reference,)
    for done, name in enumerate(references, 1):
        nothing, passes = trace.baseline(name), Differences(rule)
        with passes.reference():
            before = trace.score(nothing[None])
        multipliers, after = trace.slopes_at(pixels[None], rule=passes.compared())
        shares = multipliers[0] * (pixels - nothing)  # (3, H, W)
        total, parts, whole = total + shares.sum(0), parts + float(shares.double().sum()), whole + float(after - before)
        missed.update(_missed(passes, float(after - before) - float(shares.double().sum())))
        trace.step(f"What differs from the {name} picture, red, green and blue together.", (pixels - nothing).sum(0))
        trace.step("What a unit of that difference is worth: the multiplier.", multipliers[0].sum(0))
        trace.step("Difference times multiplier: what each pixel adds to the score.", shares.sum(0), total=parts / done)
        adds_up = Sum(parts / done, whole / done, floor=_FLOOR * float(trace.logits.std(correction=0)))
        yield Heatmap(
            total / done, signed=True, unit="logit points per pixel", note=_note(missed, adds_up, done),
            adds_up=adds_up, done=done / len(references),
        )  # fmt: skip


_FLOOR = 0.05
"""Share of the logits' spread below which a difference of scores is too small to be a measure."""

_MUCH = 0.05
"""Share of the difference that has to be said when it passes through a function that has no rule."""


def _missed(passes: Differences, whole: float) -> dict[str, float]:
    """What the map misses of the score, by the functions that it passes through; what is left is the network's own."""
    known = dict(passes.missed)
    if passes.strangers:
        known["`, `".join(passes.strangers)] = whole - sum(known.values())
    return known


def _note(missed: Counter[str], adds_up: Sum, done: int) -> str | None:
    least = max(abs(adds_up.whole), adds_up.floor, 1e-12)
    shares = {name: abs(amount) / done / least for name, amount in missed.most_common()}
    told = [
        f"{_percent(share)} of the difference passes through `{name}`, for which there is no rule."
        for name, share in shares.items()
        if share > _MUCH
    ]
    return " ".join(told) or None


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share < 1.005 else "More than all"
