"""Kernel SHAP (Lundberg & Lee, NeurIPS 2017), with its two end points held exactly."""

from collections.abc import Iterator
from itertools import combinations
from math import comb
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from ..ingredients.covering import Cover, InPieces, Pieces
from ..registry import Family, Seed, explainer
from ..results import Heatmap, Sum
from ..trace import Trace


@explainer(
    title="Kernel SHAP",
    family=Family.PERTURBATION,
    paper="https://arxiv.org/abs/1705.07874",
    passes=(515, 0),
    sums=True,
)
def kernel_shap(
    trace: Trace,
    *,
    pieces: Pieces = "superpixels",
    count: Annotated[int, Field(ge=4, le=200, description="About how many pieces.")] = 40,
    samples: Annotated[int, Field(ge=32, le=8000, description="How many pictures with some pieces covered.")] = 512,
    cover: Cover = "gray",
    seed: Seed = 0,
) -> Iterator[Heatmap]:
    """What is each piece's fair share in the score of the chosen class?

    The fair share (Shapley) is what a piece adds on average over all orders in which the pieces could be shown one
    after the other. It is found by a weighted fit to the scores with some pieces covered; where all such pictures can
    be tried, it is exact.
    Read it as: all shares together are the score here minus the score with everything covered.
    Beware: most of these pictures show scattered pieces, which is nothing the network was trained on.
    """
    covered = InPieces(trace, cover, pieces, count)
    nothing, everything = covered.ends()
    whole, m = everything - nothing, covered.count
    floor = 0.05 * float(trace.logits.std(correction=0))
    shown, weights, drawn = _choices(m, samples, seed)
    for scores in covered.scored(shown) if len(shown) else [torch.empty(0, dtype=torch.float64)]:
        n = len(scores) - len(scores) % 2  # whole pairs
        random = max(0, n - len(shown) + drawn)
        shares, error = _fair(shown[:n].double(), scores[:n] - nothing, weights[:n], whole, (random, drawn))
        few = n < min(2 * m, 2**m - 2)
        yield Heatmap(
            covered.spread(shares), signed=True, unit=f"logit points per {'cell' if covered.on_grid else 'pixel'}",
            note=f"There are too few samples to tell {m} pieces apart." if few else None,
            error=covered.spread(error) if random and not few else None,
            adds_up=Sum(float(shares.sum()), whole, floor), done=n / len(shown) if len(shown) else 1.0,
        )  # fmt: skip


def _choices(m: int, samples: int, seed: int) -> tuple[Tensor, Tensor, int]:
    """Choices (N, m) of the pieces to show, their weights (N,), and how many of them, at the end, were drawn.

    Each is followed by its opposite. Sizes of which all choices fit into the samples are taken whole, from the ends,
    where the kernel is largest; the rest is drawn by the kernel, in pairs (Covert & Lee, AISTATS 2021).
    """
    generator = torch.Generator().manual_seed(seed)
    mass = [1 / (size * (m - size)) for size in range(1, m)]  # of the kernel, on all choices of that many pieces
    left, halves, weights = samples - samples % 2, [torch.zeros(0, m, dtype=torch.bool)], [torch.zeros(0).double()]
    size = 1
    while 2 * size <= m:
        middle, rest = 2 * size == m, sum(mass[size - 1 : m - size])
        number, share = comb(m, size) * (2 - middle), mass[size - 1] * (2 - middle) / rest
        if number > left * share and 2**m - 2 > samples:
            break
        rows = torch.tensor(list(combinations(range(m), size))[: number // 2])
        rows = rows[torch.randperm(len(rows), generator=generator)]
        halves.append(torch.zeros(len(rows), m, dtype=torch.bool).scatter_(1, rows, True))
        weights.append(torch.full((len(rows),), mass[size - 1] / comb(m, size), dtype=torch.float64))
        left, size = left - number, size + 1
    drawn = left if 2 * size <= m else 0
    if drawn:
        odds = torch.tensor(mass[size - 1 : m - size], dtype=torch.float64)
        sizes = torch.multinomial(odds, drawn // 2, replacement=True, generator=generator) + size
        order = torch.rand(len(sizes), m, generator=generator).argsort(1).argsort(1)
        halves.append(order < sizes[:, None])
        weights.append(torch.full((len(sizes),), float(odds.sum()) / drawn, dtype=torch.float64))
    half = torch.cat(halves)
    shown = torch.stack([half, ~half], 1).flatten(0, 1)
    return shown, torch.cat(weights).repeat_interleave(2), drawn


def _fair(
    shown: Tensor, gained: Tensor, weights: Tensor, whole: float, random: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """The weighted least squares fit of Σ shares = gained among shares that add up to `whole`, and standard errors.

    So many of the last choices are random, and stand for so many that will be there in the end.
    """
    (n, m), (few, many) = shown.shape, random
    weights = torch.cat([weights[: n - few], weights[n - few :] * (many / max(1, few))])
    weighted = shown * weights[:, None]
    inverse = torch.linalg.pinv(weighted.T @ shown, hermitian=True)  # there may be fewer choices than pieces
    step = inverse.sum(1) / inverse.sum() if n else torch.full((m,), 1 / m).double()
    free = inverse @ (weighted.T @ gained)
    shares = free - step * (free.sum() - whole)
    # What each random pair does to the shares: its spread is the error (White 1980), for those are drawn together.
    missed = weighted[n - few :] * (gained - shown @ shares)[n - few :, None]
    moves = missed.unflatten(0, (-1, 2)).sum(1) @ inverse if few else missed  # (pairs, M)
    moves = moves - moves.sum(1, keepdim=True) * step
    spread = (moves - moves.mean(0)).square().sum(0) if few else torch.zeros(m).double()
    return shares, (spread * n / max(1, n - m)).sqrt()
