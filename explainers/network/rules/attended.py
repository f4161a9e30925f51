"""Attention read by function, beside the call that a network makes: rows, matrices, slopes, and silenced heads."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as fn
from torch.overrides import TorchFunctionMode

from ...errors import QuestionError
from ...shapes import full
from .opened import opened
from .places import FUSED, SOFTMAX, Found
from .shadows import NEAR, Shadow, readable

Grid = tuple[int, int]


NO_PLACE, PADDING = -1, -2
"""In the place of a cell: a token that was not made of pixels, and what stands where there are none."""

MOST_AT_ONCE = 1 << 24
"""Numbers of a matrix that are held at once where only a sum over its rows is wanted."""


@dataclass(frozen=True, eq=False)
class AttentionLayer:
    """One attention of a network: how its matrix lies over the picture.

    The matrix of a picture is held as (windows, heads, queries, keys). Without windows there is one.
    """

    call: int
    """Which softmax or fused call of a pass it is."""
    fused: bool
    heads: int
    grid: Grid | None
    """The grid of the queries; None where no query is a place on the picture."""
    key_grid: Grid
    queries: Tensor = field(repr=False)
    """(windows, queries): the cell of `grid`; -1 for tokens without a place (class, registers), -2 for padding."""
    keys: Tensor = field(repr=False)
    """(windows, keys): the cell of `key_grid`; -1 for tokens without a place, -2 for padding."""
    batch: tuple[int, ...] = field(repr=False)
    """The axes before queries and keys."""
    order: tuple[int, ...] = field(repr=False)
    """Those axes in another order: first windows, then heads."""
    merged: bool = field(repr=False, default=False)
    """Windows and heads lie in one axis."""

    @property
    def windows(self) -> int:
        """How many windows the tokens are split into."""
        return len(self.queries)

    @property
    def prefix(self) -> int:
        """Queries without a place: class, distillation and register tokens, or the query of a pooling head."""
        return int((self.queries == NO_PLACE).sum()) if self.windows == 1 else 0

    @property
    def key_prefix(self) -> int:
        """Keys without a place."""
        return int((self.keys == NO_PLACE).sum()) if self.windows == 1 else 0

    def arranged(self, x: Tensor) -> Tensor:
        """A tensor (…, a, b) with this layer's axes before the last two, as (windows, heads, a, b)."""
        full = x.expand(*self.batch, *x.shape[-2:])
        if self.merged:
            return full.reshape(self.windows, self.heads, *x.shape[-2:])
        turned = full.permute(*self.order, full.ndim - 2, full.ndim - 1)
        return turned.reshape(self.windows, self.heads, *x.shape[-2:])

    def one_head(self, head: int, like: Tensor) -> Tensor:
        """Ones (…, 1, 1) that multiply a tensor with this layer's axes, with zeros for one head."""
        ones = torch.ones(self.windows, self.heads, device=like.device, dtype=like.dtype)
        ones[:, head] = 0
        if not self.merged:
            ones = ones.reshape([self.batch[i] for i in self.order]).permute(_inverse(self.order))
        return ones.reshape(*self.batch, 1, 1)

    def of_cell(self, row: int, column: int) -> Tensor:
        """The rows (R, 2), window and query, of one cell of the grid; several where windows overlap."""
        assert self.grid is not None
        return (self.queries == row * self.grid[1] + column).nonzero()

    def of_prefix(self, which: Sequence[int]) -> Tensor:
        """The rows (R, 2), window and query, of some of the tokens without a place, by their order."""
        return (self.queries == NO_PLACE).nonzero()[list(which)]

    def placed(self, values: Tensor, windows: Tensor, weights: Tensor | None = None) -> Row:
        """Rows (R, heads, keys) of some windows (R,), put together on the grid: their mean, or a weighted sum (R,)."""
        heads, (h, w) = values.shape[1], self.key_grid
        cells = self.keys[windows]  # (R, K)
        index = torch.where(cells < 0, h * w, cells)[:, None].expand_as(values)
        weights = values.new_full((len(values),), 1 / len(values)) if weights is None else weights
        weighted = values * weights[:, None, None]
        flat = values.new_zeros(len(values), heads, h * w + 1).scatter_add_(2, index, weighted).sum(0)
        tokens, padding = self.keys[0] == NO_PLACE, (self.keys == PADDING).any()
        rest = weighted.sum(0)[:, tokens] if self.key_prefix else flat[:, -1:]
        if self.key_prefix and padding:
            rest = torch.cat([rest, flat[:, -1:] - rest.sum(1, keepdim=True)], 1)
        return Row(flat[:, :-1].reshape(heads, h, w), rest if self.key_prefix or padding else rest[:, :0])


class Row(NamedTuple):
    """What a query's attention goes to, for each head; all of a head's shares add up to 1."""

    maps: Tensor
    """(heads, h, w), over the grid of the keys."""
    rest: Tensor
    """(heads, P): each of the keys without a place, and then, where there is padding, all that goes there."""


def layer_of(found: Found) -> AttentionLayer | None:
    """How an attention lies over the picture; None where its tokens lie on no grid."""
    *batch, queries, keys = found.shape
    at_keys = found.keys.expand(*batch, keys)
    nowhere = torch.full((1,), complex(math.nan, math.nan), device=at_keys.device, dtype=at_keys.dtype)
    at_queries = (nowhere if found.queries is None else found.queries).expand(*batch, queries)
    windowed = [i for i in range(len(batch)) if batch[i] > 1 and (_varies(at_keys, i) or _varies(at_queries, i))]
    heads = [i for i in range(len(batch)) if i not in windowed]
    order = (*windowed, *heads)
    at_q, at_k = (each.permute(*order, each.ndim - 1) for each in (at_queries, at_keys))
    for _ in heads:  # the same for all heads
        at_q, at_k = (each.select(len(windowed), 0) for each in (at_q, at_k))
    at_q, at_k = at_q.reshape(-1, queries), at_k.reshape(-1, keys)
    count, merged = math.prod(batch[i] for i in heads), False
    if len(windowed) == len(batch) == 1 and (share := _repeats(at_q, at_k)) > 1:
        at_q, at_k, count, merged = at_q[::share], at_k[::share], share, True
    (key_grid, key_cells), (grid, cells) = _cells(at_k), _cells(at_q)
    if key_grid is None:
        return None
    return AttentionLayer(found.call, found.fused, count, grid, key_grid, cells, key_cells, tuple(batch), order, merged)


@dataclass(eq=False)
class Seen:
    """What went into one attention, with this layer's axes: q and k of a fused call, or the matrix itself."""

    layer: AttentionLayer
    tensors: tuple[Tensor, ...]
    """(q, k, v) with the heads of q, or (matrix,)."""
    mask: Tensor | None = None
    causal: bool = False
    scale: float | None = None
    out: Tensor | None = None
    """What came out, in the graph, where slopes were asked for."""

    def rows(self, which: Tensor) -> Tensor:
        """The attention (R, heads, keys) of rows (R, 2) alone, in single precision at least."""
        windows, queries = which.unbind(1)
        if len(self.tensors) == 1:
            return full(self.layer.arranged(self.tensors[0])[windows, :, queries])
        q, k = (self.layer.arranged(full(t)) for t in self.tensors[:2])
        asked, near = q[windows, :, queries] * self._scale, "hkd" if self.layer.windows == 1 else "rhkd"
        scores = torch.einsum(f"rhd,{near}->rhk", asked, k[0] if self.layer.windows == 1 else k[windows])
        if self.causal:
            keys = torch.arange(k.shape[2], device=k.device)
            scores = scores.masked_fill(keys > queries[:, None, None], -math.inf)
        if self.mask is not None:
            scores = _masked(scores, self.layer.arranged(self._wide_mask())[windows, :, queries])
        return scores.softmax(-1)

    def matrix(self) -> Tensor:
        """All of it (windows, heads, queries, keys), in single precision at least."""
        if len(self.tensors) == 1:
            return full(self.layer.arranged(self.tensors[0]))
        q, k = (self.layer.arranged(full(t)) for t in self.tensors[:2])
        scores = torch.matmul(q * self._scale, k.mT)
        if self.causal:
            seen = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).tril()
            scores = scores.masked_fill(~seen, -math.inf)
        if self.mask is not None:
            scores = _masked(scores, self.layer.arranged(self._wide_mask()))
        return scores.softmax(-1)

    def received(self, row: int, column: int) -> Tensor:
        """Who attends to a cell of the keys' grid, and how much (heads, h, w), over the grid of the queries."""
        rows, columns = self.layer.key_grid
        if self.layer.grid is None or not (0 <= row < rows and 0 <= column < columns):
            raise QuestionError(f"This layer has {rows} × {columns} patches to attend to, and none at {row, column}.")
        windows, keys = (self.layer.keys == row * self.layer.key_grid[1] + column).nonzero().unbind(1)
        shares, (h, w) = self.matrix()[windows, :, :, keys], self.layer.grid  # (R, heads, Q)
        cells = self.layer.queries[windows][:, None].expand_as(shares)
        index = torch.where(cells < 0, h * w, cells)
        flat = shares.new_zeros(*shares.shape[:2], h * w + 1).scatter_add_(2, index, shares).sum(0)
        return flat[:, :-1].reshape(-1, h, w)

    def mean(self) -> tuple[Tensor, Tensor]:
        """The mean over the queries with a place, for each window (W, heads, keys), and each window's share (W,)."""
        has = self.layer.queries >= 0  # (W, Q)
        if self.layer.windows > 1 or len(self.tensors) == 1:
            total = torch.einsum("whqk,wq->whk", self.matrix(), has.to(full(self.tensors[0]).dtype))
        else:
            parts = torch.split(has.nonzero(), max(1, MOST_AT_ONCE // (self.layer.heads * self.layer.keys.shape[1])))
            total = torch.stack([self.rows(part).sum(0) for part in parts]).sum(0)[None]
        count = has.sum(1).to(total)
        return total / count.clamp_min(1)[:, None, None], count / count.sum()

    def slopes(self, arriving: Tensor) -> Tensor:
        """The gradient with respect to the matrix, from that at what came out of the call: G vᵀ for a fused one."""
        if len(self.tensors) == 1:
            return full(self.layer.arranged(arriving))
        return torch.matmul(self.layer.arranged(full(arriving)), self.layer.arranged(full(self.tensors[2])).mT)

    def kept(self) -> Seen:
        """The same without its graph and what came out."""
        mask = None if self.mask is None else self.mask.detach()
        tensors = tuple(t.detach() for t in self.tensors)
        return Seen(self.layer, tensors, mask, self.causal, self.scale)

    @cached_property
    def _scale(self) -> float:
        return 1 / math.sqrt(self.tensors[0].shape[-1]) if self.scale is None else self.scale

    def _wide_mask(self) -> Tensor:
        assert self.mask is not None
        q, k = self.tensors[:2]
        return self.mask.expand(*self.mask.shape[:-2], q.shape[-2], k.shape[-2])


class Attending(TorchFunctionMode):
    """While it lasts, in this thread, hands what goes into each of `layers` to `see`; nothing else changes.

    With `graph`, the graph begins at what comes out of the first of them, and `Seen.out` is in it. `silent` is a head
    that puts out nothing: (index among the layers, head).
    """

    def __init__(
        self,
        layers: Mapping[int, AttentionLayer],
        see: Callable[[int, Seen], None],
        *,
        graph: bool = False,
        silent: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        self._layers = {layer.call: (index, layer) for index, layer in layers.items()}
        self._see, self._graph, self._silent, self._calls = see, graph, silent, 0

    @property
    def silences(self) -> bool:
        """Whether the network gives something else under it."""
        return self._silent is not None

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is fn.multi_head_attention_forward and (body := opened(func)):  # which has the attention inside
            with self:
                return body(*args, **kwargs)
        out = func(*args, **kwargs)
        if func is not FUSED and func not in SOFTMAX:
            return out
        call, self._calls = self._calls, self._calls + 1
        if call not in self._layers:
            return out
        index, layer = self._layers[call]
        if self._silent is not None:
            return out * layer.one_head(self._silent[1], out) if self._silent[0] == index else out
        handed = out
        if self._graph:
            if not (torch.is_grad_enabled() and out.requires_grad):
                torch.set_grad_enabled(True)  # from here on a graph is wanted, until the pass restores the mode
                out = out.detach().requires_grad_()
            handed = out.clone()  # the next operation may be in place
        with torch.no_grad():
            self._see(index, _seen(layer, func, out, args, kwargs))
        return handed


# --- private ---------------------------------------------------------------------------------------------------------


def _seen(layer: AttentionLayer, func: Any, out: Tensor, args: Any, kwargs: Any) -> Seen:
    if func is not FUSED:
        return Seen(layer, (out,), out=out)
    names = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal", "scale", "enable_gqa")
    given = dict(zip(names, args, strict=False)) | kwargs
    q, k, v = given["query"], given["key"], given["value"]
    if given.get("enable_gqa"):
        k, v = (each.repeat_interleave(q.shape[-3] // each.shape[-3], -3) for each in (k, v))
    return Seen(layer, (q, k, v), given.get("attn_mask"), bool(given.get("is_causal")), given.get("scale"), out)


def _masked(scores: Tensor, mask: Tensor) -> Tensor:
    return scores.masked_fill(~mask, -math.inf) if mask.dtype == torch.bool else scores + mask


def _inverse(order: Sequence[int]) -> list[int]:
    return [order.index(i) for i in range(len(order))]


def _varies(at: Shadow, axis: int) -> bool:
    parts = readable(at)
    return bool(((parts - parts.narrow(axis, 0, 1)).abs() > NEAR).any())


def _repeats(*all_at: Shadow) -> int:
    """Of how many rows in turn (W · n, tokens) the positions are the same."""
    rows = len(all_at[0])
    for share in range(rows, 1, -1):
        if rows % share == 0 and not any(_varies(at.reshape(-1, share, at.shape[-1]), 1) for at in all_at):
            return share
    return 1


def _cells(at: Shadow) -> tuple[Grid | None, Tensor]:
    """The grid that positions (W, tokens) lie on, and the cell of each; -1 for those without one."""
    somewhere = at.real.isfinite()
    nowhere = torch.where(at.real.isinf(), PADDING, NO_PLACE)
    if not somewhere.any():
        return None, nowhere
    rows, row = _steps(at.real[somewhere])
    columns, column = _steps(at.imag[somewhere])
    cells = row * columns + column
    if rows * columns < 2 or 2 * len(torch.unique(cells)) < rows * columns:
        return None, nowhere
    nowhere[somewhere] = cells
    return (rows, columns), nowhere


def _steps(values: Tensor) -> tuple[int, Tensor]:
    """How many different values there are, and which of them each is."""
    levels, which = torch.unique((values / NEAR / 4).round(), return_inverse=True)
    return len(levels), which
