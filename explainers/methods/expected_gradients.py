"""Expected gradients (Erion et al., Nature Machine Intelligence 2021), over baselines that are drawn at random."""

from collections.abc import Iterator
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Generator

from ..ingredients.running_mean import RunningMean
from ..registry import Family, Need, Seed, explainer
from ..results import Heatmap, Sum
from ..shapes import Batch, Pixels
from ..trace import Trace

Kind = Literal["colors", "noise", "shuffled"]


@explainer(
    title="Expected gradients",
    family=Family.GRADIENTS,
    needs={Need.SLOPES},
    paper="https://arxiv.org/abs/1906.10670",
    passes=(82, 64),
    sums=True,
)
def expected_gradients(
    trace: Trace,
    *,
    baselines: Annotated[
        Kind,
        Field(
            description="What the picture is compared with: plain pictures of random colors, random pixels, or its own "
            "pixels in random order."
        ),
    ] = "colors",
    draws: Annotated[int, Field(ge=1, le=128, description="How many baselines are drawn.")] = 16,
    steps: Annotated[int, Field(ge=1, le=64, description="Points on the way from each baseline to the picture.")] = 4,
    seed: Seed = 0,
) -> Iterator[Heatmap]:
    """How much does each pixel add to the score of the chosen class, whichever baseline one starts from?

    As integrated gradients, averaged over many baselines, so that no single color is the one that counts for nothing.
    The baselines are made up, not other photographs. Where on the way the slopes are taken is drawn at random, too.
    Read it as: the parts add up to the score here minus the mean score of the baselines, but for chance.
    Beware: few draws leave noise in the map; its standard error says how much.
    """
    generator, parts, scores = Generator().manual_seed(seed), RunningMean(), RunningMean()
    here, floor = float(trace.score(trace.pixels[None])[0]), 0.05 * float(trace.logits.std(correction=0))
    shifts = (torch.randperm(draws, generator=generator) + torch.rand(draws, generator=generator)) / draws
    together = max(1, trace.at_once // steps)
    for first in range(0, draws, together):
        count = min(together, draws - first)
        starts = drawn(baselines, trace.pixels, count, generator)  # (N, 3, H, W)
        shares = (torch.arange(steps) + shifts[first : first + count, None]) / steps  # all together, an even grid
        changes = trace.pixels - starts
        ways = starts[:, None] + shares.to(starts)[:, :, None, None, None] * changes[:, None]  # (N, steps, 3, H, W)
        slopes = trace.slopes_at(ways.flatten(0, 1))[0].view_as(ways)
        parts.add(torch.einsum("nschw,nchw->nhw", slopes, changes) / steps)
        scores.add(trace.score(starts))
        adds_up = Sum(float(parts.mean.sum()), here - float(scores.mean), floor)
        yield Heatmap(
            parts.mean, signed=True, unit="logit points", adds_up=adds_up, error=parts.error, done=parts.count / draws
        )


def drawn(kind: Kind, pixels: Pixels, count: int, generator: Generator) -> Batch:
    """So many baselines (N, C, H, W) in [0, 1] for a picture (C, H, W)."""
    if kind == "shuffled":
        flat = pixels.flatten(1)
        orders = torch.stack([torch.randperm(flat.shape[1], generator=generator) for _ in range(count)])
        return flat[:, orders.to(flat.device)].movedim(1, 0).reshape(count, *pixels.shape)
    shape = (count, len(pixels), 1, 1) if kind == "colors" else (count, *pixels.shape)
    values = torch.rand(shape, generator=generator, dtype=pixels.dtype).to(pixels.device)
    return values.expand(count, *pixels.shape)
