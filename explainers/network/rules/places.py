"""Where on the picture each token came from: positions carried along a pass, function by function.

A shadow of each tensor holds a position for each of its numbers: row and column of the pixels that it was made of, as
one complex number; NaN for what was not made of pixels (class tokens, registers), infinite for padding. What moves
numbers about moves the shadow alike; so windows, shifted or not, coarser keys, prefix tokens wherever they stand, and
channels that take the part of tokens are all told apart without knowing a single network.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as fn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakTensorKeyDictionary

from .opened import opened
from .shadows import (
    CHANGES,
    MOVES,
    SCATTERED,
    Shadow,
    constant,
    constantly,
    farthest_apart,
    mixes,
    nowhere,
    numbered,
    padded,
    runs,
    somewhere,
    span,
    spread,
)

SOFTMAX = (torch.softmax, fn.softmax, Tensor.softmax)
FUSED = fn.scaled_dot_product_attention


@dataclass(frozen=True, eq=False)
class Place:
    """What is known of a tensor: where its numbers came from, and, behind a softmax, along which axis that went."""

    at: Shadow
    along: Shadow | None = None
    call: int = -1
    softmax: torch.Size | None = None
    """The shape in which that softmax was taken."""
    crossed: bool = False
    """The places are those of keys alone: it came from a product with queries that have none."""
    gathered: bool = False
    """Made by a product of tensors, as attention is, for the places of its rows: it brings news from elsewhere."""


@dataclass(frozen=True, eq=False)
class Found:
    """One attention of a pass: the `call`-th softmax or fused call, with the positions of its queries and keys."""

    call: int
    fused: bool
    shape: tuple[int, ...]
    """Of the matrix (…, queries, keys)."""
    queries: Shadow | None
    """(…, queries); None where no query has a place on the picture."""
    keys: Shadow
    """(…, keys)"""


class Places(TorchFunctionMode):
    """While it lasts, in this thread, follows `pixels` (1, 3, H, W) through what is computed from them."""

    def __init__(self, pixels: Tensor) -> None:
        super().__init__()
        height, width = pixels.shape[-2:]
        rows, columns = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
        self._known: Any = WeakTensorKeyDictionary()
        self._known[pixels] = Place(torch.complex(rows, columns).to(pixels.device).expand(pixels.shape))
        self._moved: Any = WeakTensorKeyDictionary()
        """Every tensor that was made from pixels, with a place or without; what is chosen by one has no fixed place."""
        self._moved[pixels] = True
        self.calls = 0
        """Softmax and fused calls so far, of whatever kind."""
        self.found: list[Found] = []
        self.without = 0
        """Products that mix tokens, or channels, with no matrix of tokens: linear attention and its kin."""
        self.lost: dict[str, str] = {}
        """Functions behind which places are not known any more, and the first reason for each."""

    def at(self, x: Tensor) -> Shadow | None:
        """Where the numbers of a tensor of this pass came from; None where that was not followed."""
        place = self._place(x)
        return None if place is None else place.at

    def __enter__(self) -> Places:
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is fn.multi_head_attention_forward and (body := opened(func)):  # which has the attention inside
            with self:
                return body(*args, **kwargs)
        call = self.calls
        self.calls += func in SOFTMAX or func is FUSED
        out = func(*args, **kwargs)
        given = [each for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)]
        if any(each in self._moved for each in given):
            for each in tree_leaves(out):
                if isinstance(each, Tensor):
                    self._moved[each] = True
        if any(self._place(each) for each in given):
            why = "it mixes numbers of many places, or no rule says where its numbers come from"
            with torch._C.DisableTorchFunction():
                try:
                    self._follow(func, out, args, kwargs, call)
                except (RuntimeError, IndexError, TypeError, ValueError, KeyError) as error:
                    # A form of the function that is not known here: what comes out has no place.
                    why = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else 'no words'}"
            if any(isinstance(each, Tensor) and self._place(each) is None for each in tree_leaves(out)):
                self.lost.setdefault(_name(func), why)
        return out

    def _place(self, x: Any) -> Place | None:
        return self._known.get(x) if isinstance(x, Tensor) else None

    def _follow(self, func: Any, out: Any, args: Any, kwargs: Any, call: int) -> None:
        name = _name(func)
        if mixes(name):
            return
        if name in _CHOOSES and any(each in self._moved for each in _chosen_by(args, kwargs)):
            for each in tree_leaves(out):  # which numbers come here depends on the picture
                self._tell(each, Place(nowhere(each)))
        elif func is FUSED:
            self._fused(out, call, *args[:3], **kwargs)
        elif name == "__setitem__":
            self._written(*args)
        elif name in MOVES or func is Tensor.unfold or (name == "pad" and constantly(args, kwargs)):
            self._move(func, out, args, kwargs, name)
        elif name in ("matmul", "bmm", "__matmul__"):
            self._tell(out, self._product(out.shape, *(args[:2] if len(args) > 1 else (args[0], *kwargs.values()))))
        elif name == "baddbmm":
            self._tell(out, self._product(out.shape, args[1], args[2]))
        elif name == "einsum":
            self._einsum(out, *args)
        elif isinstance(out, Tensor):
            self._change(func, out, args, kwargs, name, call)

    def _change(self, func: Any, out: Tensor, args: Any, kwargs: Any, name: str, call: int) -> None:
        """What is computed number by number, or by windows."""
        place = self._together(out, args)
        if place is None:
            return
        change = CHANGES.get(name)
        if func in SOFTMAX:
            dim = args[1] if len(args) > 1 else kwargs.get("dim", -1)
            place = replace(place, along=numbered(out, dim), call=call, softmax=out.shape)
        elif name == "linear" or (change is None and place.at.shape != out.shape):
            place = _each(place, lambda s: spread(s, out.shape))
        elif change is not None:
            place = _each(place, lambda s: change(s, out, *args[1:], **kwargs))
        self._tell(out, place)

    def _tell(self, out: Any, place: Place | None) -> None:
        if place is not None and isinstance(out, Tensor) and out.shape == place.at.shape:
            self._known[out] = place

    def _together(self, out: Tensor, args: Any) -> Place | None:
        """The place of what is made of several tensors, number by number: of the one that reaches farthest.

        Beside it, what was pooled and spread out again moves nothing, nor does what attention brings to a token; but
        where another one reaches as far and lies elsewhere, as a mirrored copy does, the two have no place together.
        """
        places = [p for each in tree_leaves(args) if (p := self._place(each))]
        alike = [p for p in places if p.at.shape == out.shape]
        if len(alike) < 2:
            first = self._place(args[0]) if args else None
            return first if first and not alike else next(iter(alike or places), None)
        spans = [span(p.at) for p in alike]
        best = max(range(len(alike)), key=lambda i: (not alike[i].gathered, spans[i][0] + spans[i][1]))
        farthest = alike[best]
        for other, reach in zip(alike, spans, strict=True):
            as_far = all(r >= 0.5 * whole for r, whole in zip(reach, spans[best], strict=True))
            if other is not farthest and other.gathered == farthest.gathered and as_far and any(reach):
                apart = farthest_apart(other.at, farthest.at)
                if any(a > SCATTERED * whole for a, whole in zip(apart, spans[best], strict=True)):
                    return Place(nowhere(out))
        return farthest

    def _move(self, func: Any, out: Any, args: Any, kwargs: Any, name: str) -> None:
        if name in ("view", "view_as"):  # of a shadow, whose strides are its own
            func, args, kwargs = Tensor.reshape, (args[0], *out.shape), {}
        if name in ("clone", "contiguous"):  # a copy of a shadow would fill the axes that it is only stretched along
            return self._tell(out, self._place(args[0]))
        if name == "pad":
            func, args, kwargs = padded, (args[0], args[1] if len(args) > 1 else kwargs["pad"]), {}
        first = next(p for each in tree_leaves((args, kwargs)) if (p := self._place(each)))
        moved = []
        for which in ("at", "along"):
            if getattr(first, which) is None:
                continue
            shadows = [
                nowhere(each) if (p := self._place(each)) is None else getattr(p, which) for each in _sources(args)
            ]
            moved.append(func(*_given(args, shadows), **kwargs))
        outs, ats = tree_leaves(out), tree_leaves(moved[0])
        alongs = tree_leaves(moved[1]) if len(moved) > 1 else [None] * len(ats)
        for each, at, along in zip(outs, ats, alongs, strict=True):
            self._tell(each, replace(first, at=at, along=along))
        return None

    def _written(self, whole: Tensor, index: Any, value: Any) -> None:
        place = self._place(value)
        if place is not None:
            known = self._place(whole)
            at = (nowhere(whole) if known is None else known.at).clone()
            at[index] = place.at
            self._known[whole] = Place(at)

    def _fused(self, out: Tensor, call: int, query: Tensor, key: Tensor, value: Tensor, **_: Any) -> None:
        q, k, v = (self._place(each) for each in (query, key, value))
        queries, keys = (constant(p.at, -1) if p else None for p in (q, k))
        if keys is not None and (q is None or queries is not None) and somewhere(keys):
            shape = (*query.shape[:-1], key.shape[-2])
            within = None if queries is None else queries[..., 0]
            self.found.append(Found(call, True, shape, within, _regrouped(keys[..., 0], shape)))
        elif q is not None and v is not None and (channels := constant(v.at, -2)) is not None:
            self.without += 1
            self._tell(out, Place(channels.expand(out.shape), gathered=True))
            return
        if queries is not None:
            self._tell(out, Place(queries.expand(out.shape), gathered=True))

    def _product(self, shape: torch.Size, a: Tensor, b: Tensor) -> Place | None:
        """Of (…, n, k) and (…, k, m): the places of rows, or of columns where rows have none."""
        p, q = self._place(a), self._place(b)
        if min(a.ndim, b.ndim) < 2 or (p is None and q is None):
            return None
        rows = None if p is None else constant(p.at, -1)
        columns = None if q is None else constant(q.at, -2)
        if p is not None and p.along is not None and q is not None and runs(p.along, -1):
            return self._attended(shape, p, rows, constant(q.at, -1), a.shape)
        if q is not None and q.along is not None and p is not None and runs(q.along, -2):
            turned = None if columns is None else columns.mT
            keys = constant(p.at, -2)
            return self._attended(shape, q, turned, None if keys is None else keys.mT, b.mT.shape, turn=True)
        if p is not None and q is not None and rows is None:
            self.without += 1
        if p is not None and rows is not None:
            along = None if p.along is None or q is not None else constant(p.along, -1)  # heads mixed by a constant
            at = rows.expand(shape)
            return Place(at, gathered=True) if along is None else replace(p, at=at, along=along.expand(shape))
        if columns is None:
            return None
        return Place(columns.expand(shape), crossed=p is None and not isinstance(a, nn.Parameter), gathered=True)

    def _attended(
        self, shape: torch.Size, soft: Place, rows: Shadow | None, keys: Shadow | None, matrix: torch.Size,
        turn: bool = False,
    ) -> Place | None:  # fmt: skip
        """A softmax over keys meets their values."""
        if keys is None or not somewhere(keys):
            return None if rows is None else Place((rows.mT if turn else rows).expand(shape), gathered=True)
        if rows is None and not soft.crossed:  # a softmax of keys over the tokens, for no query in particular
            self.without += 1
            return None
        queries = None if rows is None else rows[..., 0]
        if soft.softmax == matrix:  # else its axes were turned since, which is not followed back
            self.found.append(Found(soft.call, False, tuple(matrix), queries, keys[..., 0]))
        return None if rows is None else Place((rows.mT if turn else rows).expand(shape), gathered=True)

    def _einsum(self, out: Tensor, equation: str, *operands: Any) -> None:
        given = operands[0] if len(operands) == 1 and isinstance(operands[0], list | tuple) else operands
        if len(given) == 1 and (place := self._place(given[0])):
            left, _, right = equation.replace(" ", "").partition("->")
            if sorted(left) == sorted(right):  # axes that change places
                self._tell(out, _each(place, lambda s: torch.einsum(equation, s)))
            return
        if len(given) != 2 or "." in equation or "->" not in equation:
            return
        left, right, result = equation.replace(" ", "").replace("->", ",").split(",")
        batch = [c for c in left if c in right and c in result]
        n, m = ([c for c in one if c not in other and c in result] for one, other in ((left, right), (right, left)))
        k = [c for c in left if c in right and c not in result]
        size = dict(zip(left + right, (*given[0].shape, *given[1].shape), strict=True))
        flat = []
        for x, labels, groups in ((given[0], left, (batch, n, k)), (given[1], right, (batch, k, m))):
            flat.append(_ordered(x, labels, groups))
            if (place := self._place(x)) is not None:
                self._known[flat[-1]] = Place(
                    _ordered(place.at, labels, groups),
                    None if place.along is None else _ordered(place.along, labels, groups),
                    place.call, place.softmax, place.crossed,
                )  # fmt: skip
        shape = [*(size[c] for c in batch), math.prod(size[c] for c in n), math.prod(size[c] for c in m)]
        if (place := self._product(torch.Size(shape), *flat)) is not None:
            turned = [*batch, *n, *m]
            at = place.at.reshape([size[c] for c in turned]).permute([turned.index(c) for c in result])
            self._tell(out, replace(place, at=at))


# --- private ---------------------------------------------------------------------------------------------------------

_CHOOSES = {"__getitem__", "gather", "index_select", "take_along_dim", "grid_sample", "grid_sampler"}
"""Functions that are told by a tensor which numbers to take."""


def _name(func: Any) -> str:
    """What a function is called; of a property of tensors, such as T, the property."""
    name = str(getattr(func, "__name__", ""))
    return str(getattr(func.__self__, "__name__", "")) if name == "__get__" else name


def _chosen_by(args: Any, kwargs: Any) -> list[Tensor]:
    return [each for each in tree_leaves((args[1:], kwargs)) if isinstance(each, Tensor)]


def _sources(args: Any) -> list[Tensor]:
    """The tensors whose numbers a movement moves: the first argument, or all of them where it is a list."""
    return list(args[0]) if isinstance(args[0], list | tuple) else [args[0]]


def _given(args: Any, shadows: list[Tensor]) -> tuple[Any, ...]:
    return (shadows if isinstance(args[0], list | tuple) else shadows[0], *args[1:])


def _each(place: Place, change: Callable[[Shadow], Shadow]) -> Place:
    return replace(place, at=change(place.at), along=None if place.along is None else change(place.along))


def _regrouped(keys: Shadow, shape: tuple[int, ...]) -> Shadow:
    """Positions of keys (…, keys) for each head, of which a group may share them."""
    if keys.ndim > 1 and keys.shape[-2] not in (1, shape[-3]):
        keys = keys.repeat_interleave(shape[-3] // keys.shape[-2], -2)
    return keys


def _ordered(x: Tensor, labels: str, groups: tuple[list[str], ...]) -> Tensor:
    """An operand of einsum as (batch…, first, second)."""
    turned = x.permute([labels.index(c) for group in groups for c in group])
    batch, first, second = ([x.shape[labels.index(c)] for c in group] for group in groups)
    return turned.reshape([*batch, math.prod(first), math.prod(second)])
