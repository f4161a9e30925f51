"""Whether maps lie where their layout says: measured once, by noise that grows along a picture and what it moves."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from ..shapes import Maps
from .sites import Site
from .taps import Point, pass_by, run

AGREES = 0.5
"""Least correlation, along rows and along columns, of where cells are said to lie with what moves them, for a guess.

A grid whose cells are shuffled, turned or folded has 0, give or take one over the root of their number.
"""

DISAGREES = 0.25
"""Below this, what moves the cells is held against where they are known to lie: they mix the whole picture."""

_NOISE = 1 / 32
"""The strongest noise, in the deviations that a network's input is counted in: few networks bend within it."""

_TELLING = 9
"""With fewer cells that move, no correlation tells anything."""


def agreements(
    module: nn.Module, inputs: Tensor, sites: Sequence[Site], least: float = DISAGREES
) -> list[float | None]:
    """For each site, how far the places of its cells agree with those whose pixels move them, at most 1.

    To the picture `inputs` (1, C, H, W) noise is added: everywhere alike, and then the same noise with a strength that
    grows as the root of the row, and of the column. By how much less that moves a cell is the mean row, or column, of
    the pixels that move it; it is held against where the cell is said to lie. The lower correlation of rows and columns
    is given; None where nothing moves. Four passes, one by one and with one seed, so that neither company nor chance
    takes part; where that gives less than `least`, more noises are drawn, lest a single one decide.
    """
    found: list[float | None] = [0.0] * len(sites)
    for seeds in _DRAWS:
        doubtful = [k for k, agreement in enumerate(found) if agreement is not None and agreement < least]
        if doubtful:
            again = _measured(module, inputs, [sites[k] for k in doubtful], seeds)
            for k, agreement in zip(doubtful, again, strict=True):
                found[k] = agreement
    return found


# --- private ---------------------------------------------------------------------------------------------------------

_DRAWS = (range(1), range(1, 3), range(3, 11))
"""Seeds of noise: the first, and those that follow where it disagrees."""


def _measured(module: nn.Module, inputs: Tensor, sites: Sequence[Site], seeds: range) -> list[float | None]:
    points = tuple(dict.fromkeys(point for site in sites for point in site.points))
    still = _maps(module, inputs, sites, points)
    moved: list[list[Tensor | float]] = [[0.0, 0.0, 0.0] for _ in sites]
    for seed in seeds:
        noise = torch.randn(inputs.shape, generator=torch.Generator().manual_seed(seed)).to(inputs) * _NOISE
        strengths = (torch.ones_like(_grows(inputs, -1)), _grows(inputs, -2), _grows(inputs, -1))
        for which, strength in enumerate(strengths):
            for k, maps in enumerate(_maps(module, inputs + noise * strength, sites, points)):
                moved[k][which] = moved[k][which] + (maps - still[k]).square().sum(0)
    found: list[float | None] = []
    for even, *growing in moved:
        along = [_correlation(torch.as_tensor(even), torch.as_tensor(each), axis) for axis, each in enumerate(growing)]
        found.append(None if None in along else min(each for each in along if each is not None))
    return found


def _grows(inputs: Tensor, axis: int) -> Tensor:
    length = inputs.shape[axis]
    shape = (-1, 1) if axis == -2 else (1, -1)
    return ((torch.arange(length).to(inputs) + 0.5) / length).sqrt().view(shape)


def _maps(module: nn.Module, inputs: Tensor, sites: Sequence[Site], points: Sequence[Point]) -> list[Maps]:
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.default_generator.manual_seed(0)  # torch.manual_seed would also queue a seed for every GPU to come
        outputs = pass_by(partial(run, module), inputs, points).taps
        return [site.maps(outputs).detach().double() for site in sites]


def _correlation(even: Tensor, growing: Tensor, axis: int) -> float | None:
    """Of where cells (h, w) are said to lie along an axis with the ratio of what moves them; None for no answer."""
    cells = even.shape[axis]
    if cells < 2:
        return 1.0
    counts = even > even.max() * torch.finfo(torch.float32).eps
    if not bool(even.isfinite().all()) or int(counts.sum()) < _TELLING:
        return None
    shape = (-1, 1) if axis == 0 else (1, -1)
    said = torch.arange(cells).to(even).view(shape).expand_as(even)[counts]
    measured = (growing / even)[counts]
    a, b = measured - measured.mean(), said - said.mean()
    length = float(a.norm() * b.norm())
    return float(a @ b) / length if length else None
