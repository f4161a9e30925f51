"""What methods about attention share: which layer and head, whose attention, and layers one after another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from ..network.rules.attended import NO_PLACE, AttentionLayer, Row
from ..shapes import Heat
from ..trace import Query, Trace
from .stretching import stretched

MOST_LAYERS, MOST_HEADS = 96, 64

Layer = Annotated[
    int,
    Field(
        ge=-MOST_LAYERS,
        le=MOST_LAYERS - 1,
        description="Which layer of attention: 0 is the first one, -1 the last one.",
    ),
]
Head = Annotated[
    int, Field(ge=-1, le=MOST_HEADS - 1, description="Which head of the layer, from 0 on; -1 is the mean over all.")
]

TOKENS = "tokens without a place on the picture (class token, registers)"


def layer_at(trace: Trace, layer: int) -> tuple[int, str]:
    """The layer of that number, from the end where negative, and a sentence where there are not so many."""
    count = len(trace.classifier.anatomy.attention)
    index = layer + count if layer < 0 else layer
    within = min(max(index, 0), count - 1)
    said = f"There are {count} layers of attention, from 0 to {count - 1}; this is layer {within}."
    return within, "" if within == index else said


def head_at(layer: AttentionLayer, head: int) -> tuple[int, str]:
    """The head of that number (-1: all), and a sentence where there are not so many."""
    within = min(head, layer.heads - 1)
    said = f"There are {layer.heads} heads in this layer, from 0 to {layer.heads - 1}; this is head {within}."
    return within, "" if within == head else said


def fused(values: Tensor, head: int) -> Tensor:
    """One head of (heads, …), or the mean over all of them."""
    return values.mean(0) if head < 0 else values[head]


def notes(*sentences: str) -> str | None:
    """Those that say something, one after another."""
    return " ".join(sentence for sentence in sentences if sentence) or None


def elsewhere(share: float) -> str:
    """How much of it is not on the map, where that is worth a word."""
    return f"{share:.0%} of it goes to {TOKENS}." if share > 0.005 else ""


def asked(trace: Trace, layer: int, query: tuple[int, int] | None) -> Query:
    """Whose attention, for a cell of the last layer's grid: the cell that lies there on this layer's own grid."""
    layers = trace.classifier.anatomy.attention
    grid, like = layers[layer].grid, next((each.grid for each in layers[::-1] if each.grid), None)
    if query is None or grid is None or like is None:
        return "read"
    row, column = (int((q + 0.5) * own / last) for q, own, last in zip(query, grid, like, strict=True))
    return row, column


def together(maps: Iterable[Heat], weights: Iterable[float]) -> Heat:
    """Maps on grids of several sizes, added up on the finest one; each keeps its sum."""
    known = list(maps)
    size = max((each.shape for each in known), key=lambda shape: shape[0] * shape[1])
    total = known[0].new_zeros(size)
    for each, weight in zip(known, weights, strict=True):
        total += weight * stretched(each, size) * (each.numel() / total.numel())
    return total


def whole(row: Row) -> Tensor:
    """What is on the map for each head (heads,), of 1."""
    return row.maps.sum((1, 2))


# --- layers one after another ----------------------------------------------------------------------------------------


def squared(layers: Sequence[AttentionLayer], layer: AttentionLayer, matrix: Tensor, *, alone: float) -> Tensor:
    """A layer's matrix (…, queries, keys) over all tokens (…, T, T): first those without a place, then the cells.

    A token that asks nothing in this layer has `alone` on the diagonal.
    """
    first = max(max(each.prefix, each.key_prefix) for each in layers)
    (rows, columns), cells = layer.key_grid, layer.key_grid[0] * layer.key_grid[1]
    assert rows * columns == cells
    queries, keys = (_numbered(each[0], first) for each in (layer.queries, layer.keys))
    full = alone * torch.eye(first + cells, device=matrix.device, dtype=matrix.dtype)
    full = full.expand(*matrix.shape[:-2], -1, -1).clone()
    full[..., queries, :] = 0
    full[..., queries[:, None], keys[None, :]] = matrix
    return full


def read_through(trace: Trace, steps: Sequence[Tensor]) -> Heat:
    """The row (h, w) of the product of all steps (T, T), the last one first, for the tokens that the scores read."""
    anatomy = trace.classifier.anatomy
    grid = anatomy.attention[-1].key_grid
    cells = grid[0] * grid[1]
    row = steps[0].new_zeros(len(steps[0]))
    first = len(row) - cells
    read = list(anatomy.pooled) if anatomy.pooled else list(range(first, len(row)))
    row[read] = 1 / len(read)
    for step in reversed(steps):
        row = row @ step
    return row[first:].reshape(grid)


def _numbered(cells: Tensor, first: int) -> Tensor:
    """Where each token of one layer stands among all: tokens without a place by their order, then the cells."""
    nowhere = cells == NO_PLACE
    return torch.where(nowhere, nowhere.long().cumsum(0) - 1, cells + first)
