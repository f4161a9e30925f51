"""Whether maps lie where their layout says: measured once, by changing strips of a picture and seeing what moves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from .shapes import Maps
from .sites import Site
from .taps import Point, run

STRIPS = 4
"""Strips across and strips down: each is one pass."""

AGREES = 0.5
"""Least correlation, along rows and along columns, of where cells are said to lie with what moves them.

A grid whose cells are shuffled, turned or folded has 0, give or take one over the root of their number.
"""

_CHANGE = 0.5
"""How strongly a strip is changed, in the deviations that a network's input is counted in."""

_NARROW = 1.25
"""Cells within so many strips are all moved by the same ones: it is asked whether by those that they lie in."""


def agreements(module: nn.Module, inputs: Tensor, sites: Sequence[Site]) -> list[float | None]:
    """For each site, how far the places of its cells agree with those whose pixels move them, at most 1.

    A strip of the picture `inputs` (1, C, H, W) is changed by noise at a time; of each cell, the middle of the strips
    is taken, weighed by how much its maps move, and held against where it is said to lie. The lower correlation of rows
    and columns is given; None where nothing moves. Pictures run one by one and with one seed, so that neither company
    nor chance takes part.
    """
    if not sites:
        return []
    points = tuple(dict.fromkeys(point for site in sites for point in site.points))
    still = _maps(module, inputs, sites, points)
    moved: list[list[list[Tensor]]] = [[[], []] for _ in sites]  # site, axis, strip: (h, w)
    for axis, changed in _changed(inputs):
        for each, before, after in zip(moved, still, _maps(module, changed, sites, points), strict=True):
            each[axis].append((after - before).square().sum(0))
    return [_lower(*(_along(torch.stack(strips), axis) for axis, strips in enumerate(each))) for each in moved]


# --- private ---------------------------------------------------------------------------------------------------------


def _maps(module: nn.Module, inputs: Tensor, sites: Sequence[Site], points: Sequence[Point]) -> list[Maps]:
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        try:
            outputs = run(module, inputs, taps=points, graph=False).taps
        except LookupError:  # fused layers hide what is inside them, unless a graph is recorded
            outputs = run(module, inputs, taps=points, start=points[:1]).taps
        return [site.maps(outputs).detach().double() for site in sites]


def _changed(inputs: Tensor) -> Iterator[tuple[int, Tensor]]:
    """The axis and the picture, for strips across (0) and strips down (1)."""
    noise = torch.randn(inputs.shape, generator=torch.Generator().manual_seed(2)).to(inputs) * _CHANGE
    for axis in (0, 1):
        length = inputs.shape[axis + 2]
        for strip in torch.arange(length).tensor_split(min(STRIPS, length)):
            changed, at = inputs.clone(), (..., strip, slice(None)) if axis == 0 else (..., strip)
            changed[at] += noise[at]
            yield axis, changed


def _along(moved: Tensor, axis: int) -> float | None:
    """Correlation of places with what moves them, from energies (strips, h, w); None where it says nothing."""
    strips, cells = moved.shape[0], moved.shape[axis + 1]
    total = moved.sum(0)
    counts = total > total.max() * torch.finfo(torch.float32).eps
    if strips < 2 or cells < 2:
        return 1.0
    if not bool(total.isfinite().all()) or int(counts.sum()) < cells:
        return None
    middle = torch.einsum("shw,s->hw", moved, torch.arange(strips).to(moved)) / total
    shape = (-1, 1) if axis == 0 else (1, -1)
    said = ((torch.arange(cells).to(moved) + 0.5) * strips / cells - 0.5).view(shape).expand_as(total)
    middle, said = middle[counts], said[counts]
    if float(said.max() - said.min()) <= _NARROW:  # only a part of the picture reaches the network
        return float((middle.mean() - said.mean()).abs() <= _NARROW)
    a, b = middle - middle.mean(), said - said.mean()
    length = float(a.norm() * b.norm())
    return float(a @ b) / length if length else 0.0


def _lower(rows: float | None, columns: float | None) -> float | None:
    return None if rows is None or columns is None else min(rows, columns)
