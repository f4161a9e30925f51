"""AttCAT (Qiang, Pan, Li, Li, Jang and Zhu, NeurIPS 2022)."""

import torch

from ..ingredients.attending import together
from ..registry import Family, Need, explainer
from ..results import Heatmap
from ..trace import Trace
from ..trace.attention import blocks


@explainer(
    title="AttCAT",
    family=Family.ATTENTION,
    needs={Need.ATTENTION, Need.ONE_GRID, Need.BLOCKS},
    paper="https://openreview.net/forum?id=cA8Zor8wFr5",
    passes=(2, 1),
)
def att_cat(trace: Trace) -> Heatmap:
    """Which patches push the chosen class up or down, as far as they are attended to?

    After each block, multiply a patch's vector by the slope of the score there, add up its channels, and weigh the sum
    by what the class token (else the mean patch) gives to that patch in the block; then add up the blocks.
    Read it as: a warm patch carries evidence for the class and is attended to; a cold one speaks against it.
    Beware: a slope times a vector is a first-order guess. Where the class token alone is read and blocks normalize what
    comes in, the last two blocks add nothing: no slope reaches the patches, or none along their vectors.
    """
    sites, rows = blocks(trace), trace.attention()
    passed = trace.run(taps=[site.point for site in sites], start=sites[0].points)
    slopes = trace.backward(trace.asked.of(passed.output[0]), passed.taps)
    maps = [
        row.maps.mean(0) * torch.einsum("kyx,kyx->yx", site.maps(passed.taps).detach(), site.maps(slopes))
        for row, site in zip(rows, sites, strict=True)
    ]
    return Heatmap(together(maps, [1.0] * len(maps)), signed=True, unit="attention × logit points")
