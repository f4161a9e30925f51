"""DeepLIFT through what has no slope: masks by comparison, and indices of what is largest.

Such a value changes in steps, and what is done with it changes, too. So each has a stand-in: the same numbers in the
graph, whose difference is carried by the values that were compared. What is made of a mask or an index is made of its
stand-in as well, until it shows or hides, or picks, what has a slope again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils import _pytree as tree

from .multipliers import Multipliers
from .steering import nonzero, spread, steered

Rule = Callable[..., Any]


def compared(d: Multipliers, func: Any, a: Any, b: Any) -> Tensor:
    """A mask by comparison: where it changed, a − b crossed a line, and its change carries that."""
    mask = cast(Tensor, func(a, b))
    apart = a - b if not isinstance(b, Tensor) or b.dtype != torch.bool else a - b.to(a)
    return stepped(d, mask, apart) if apart.is_floating_point() else mask


def stepped(d: Multipliers, value: Tensor, x: Tensor) -> Tensor:
    """What changes in steps as x does, place by place: the quotient of the two differences."""
    known, numbers = d.met(value, x), value.to(x.dtype)
    if known is None:
        return d.stand_in(value, numbers)
    change = numbers - known[0].to(numbers)
    slope = torch.where(change == 0, 0, change / nonzero(x.detach() - known[1]))
    return d.stand_in(value, steered(numbers, lambda g: (g * slope,), x))


def chosen_by(d: Multipliers, choice: Tensor, x: Tensor, dim: int | None = None) -> Tensor:
    """An index or a mask that came from x in any way, for each place along the other axes of x than `dim`.

    What it changes is carried by the changes of x, by their squares.
    """
    known, numbers = d.met(choice, x), choice.to(x.dtype)
    if known is None:
        return d.stand_in(choice, numbers)
    change, step = numbers - known[0].to(numbers), x.detach() - known[1]

    def back(g: Tensor) -> tuple[Tensor]:
        amount = g * change
        if dim is None or amount.ndim != x.ndim:
            return (spread(amount.sum(), step),)
        return (spread(amount.sum(dim, keepdim=True), step, (dim,)),)

    return d.stand_in(choice, steered(numbers, back, x))


def discrete(d: Multipliers, func: Any, x: Tensor, *args: Any, **kwargs: Any) -> Any:
    """A function of numbers that gives none: where its largest is, in which bin it falls."""
    out = func(x, *args, **kwargs)
    dim = kwargs.get("dim", args[0] if args else -1 if func.__name__ == "argsort" else None)
    if type(dim) is not int or not x.ndim:
        chosen_by(d, out, x)
    elif out.ndim == x.ndim:
        chosen_by(d, out, x, dim)
    else:
        kept = chosen_by(d, out.unsqueeze(dim), x, dim)
        d.stand_in(out, cast(Tensor, d.stood_for(kept)).squeeze(dim))
    return out


def cast_down(d: Multipliers, func: Any, x: Tensor, *args: Any, **kwargs: Any) -> Any:
    """Another type; whole numbers and masks lose their slope."""
    out = func(x, *args, **kwargs)
    return out if not isinstance(out, Tensor) or out.is_floating_point() or out.is_complex() else stepped(d, out, x)


def touched(name: str, d: Multipliers, func: Any, *args: Any, **kwargs: Any) -> Any:
    """Any function of a mask or an index that has a stand-in."""
    if name in ("where", "masked_fill"):
        mask: Any = args[0] if name == "where" else kwargs.get("mask", args[1] if len(args) > 1 else None)
        if (shown := d.stood_for(mask)) is not None and len(args) + len(kwargs) == 3:
            last = kwargs.get("value", kwargs.get("other", args[-1]))
            return _either(d, shown, args[1], last) if name == "where" else _either(d, shown, last, args[0])
    flat, shape = tree.tree_flatten((args, kwargs))
    at = [i for i, each in enumerate(flat) if isinstance(each, Tensor) and d.stood_for(each) is not None]
    if name in PICKING:
        return _picked(d, name, func, flat, shape, at)
    out = func(*args, **kwargs)
    if not isinstance(out, Tensor):
        return out
    numbers = [cast(Tensor, d.stood_for(flat[i])) for i in at]
    if name in STEPS and len(at) == 1 and numbers[0].shape == out.shape:
        return stepped(d, out, numbers[0])
    if name in LOGIC:
        others = [each for each in flat if isinstance(each, Tensor) and d.stood_for(each) is None]
        made = _logic(d, name, [*numbers, *(each.to(numbers[0]) for each in others)])
    elif name in CASTS:
        made = numbers[0].to(out.dtype) if out.is_floating_point() else numbers[0]
    else:
        made = _again(d, _ANY.get(name, func), flat, shape, dict(zip(at, numbers, strict=True)))
    if not isinstance(made, Tensor) or made.shape != out.shape:
        return out
    if out.is_floating_point():
        return made.to(out.dtype)
    standing = made if made.is_floating_point() else d.stood_for(made)
    return out if standing is None else d.stand_in(out, standing)


STEPS = (
    "ceil", "fake_quantize_per_channel_affine", "fake_quantize_per_tensor_affine", "floor", "floor_divide", "fmod",
    "frac", "heaviside", "remainder", "rfloor_divide", "rmod", "round", "sign", "trunc",
)  # fmt: skip
"""Functions in steps. Of whole numbers each step is exact; of others, there is no rule."""

LOGIC = {"logical_and", "logical_or", "logical_xor", "logical_not"}
CASTS = {"to", "float", "double", "half", "bfloat16", "type", "type_as", "long", "int", "short", "byte", "bool"}
PICKING = {
    "gather", "take_along_dim", "index_select", "__getitem__", "take", "embedding", "masked_select", "__setitem__",
    "scatter", "scatter_add", "scatter_reduce", "index_add", "index_copy", "index_fill", "index_put", "one_hot",
    "max_unpool1d", "max_unpool2d", "max_unpool3d", "masked_scatter", "repeat_interleave", "where", "masked_fill",
}  # fmt: skip
"""Functions that take an index, or a mask that is one, and are linear in the rest."""


# --- private ---------------------------------------------------------------------------------------------------------


_ANY: dict[str, Any] = {"any": torch.amax, "all": torch.amin}


def _again(d: Multipliers, func: Any, flat: list[Any], shape: Any, instead: dict[int, Tensor]) -> Any:
    """The same function, by its rules, of numbers instead of what they stand in for."""
    args, kwargs = tree.tree_unflatten([instead.get(i, each) for i, each in enumerate(flat)], shape)
    with d:
        return func(*args, **kwargs)


def _either(d: Multipliers, shown: Tensor, a: Any, b: Any) -> Tensor:
    """A where shown, else b: b + shown · (a − b), which is a product."""
    a, b = (torch.as_tensor(each, dtype=shown.dtype, device=shown.device) for each in (a, b))
    known = d.met(shown, a, b)
    numbers = shown.detach()
    out = torch.where(numbers != 0, a.detach(), b.detach())
    if known is None:
        return out
    shown0, a0, b0 = known
    middle, change = (numbers + shown0) / 2, numbers - shown0
    apart = ((a.detach() - b.detach() + a0 - b0) / 2).nan_to_num(0, 0, 0)  # what is hidden for a softmax is infinite

    def back(g: Tensor) -> tuple[Tensor, ...]:
        by_mask = torch.where(change == 0, 0, g * apart)
        parts = (by_mask, g * middle, g * (1 - middle))
        return tuple(m.sum_to_size(each.shape) for m, each in zip(parts, (shown, a, b), strict=True))

    return steered(out, back, shown, a, b)


def _picked(d: Multipliers, name: str, func: Any, flat: list[Any], shape: Any, at: list[int]) -> Any:
    """What is picked by an index: half by what the values changed, at either index; half by what the index changed."""
    floats = [i for i, each in enumerate(flat) if isinstance(each, Tensor) and each.is_floating_point()]
    values, indices = [flat[i] for i in floats], [flat[i] for i in at]
    numbers = [cast(Tensor, d.stood_for(each)) for each in indices]

    def called(values: list[Tensor], indices: list[Tensor]) -> Tensor:
        filled = list(flat)
        for i, each in zip([*floats, *at], [*values, *indices], strict=True):
            filled[i] = each
        args, kwargs = tree.tree_unflatten(filled, shape)
        return cast(Tensor, func(*args, **kwargs))

    here = [each.detach() for each in values]
    out = called(here, indices)
    made = out.to(numbers[0].dtype) if not out.is_floating_point() else out
    known = d.met(*values, *indices, *numbers, made)
    if known is None:
        return made if made is out else d.stand_in(out, made)
    count, more = len(values), len(indices)
    befores, indices0, numbers0, made0 = known[:count], known[count : count + more], known[count + more : -1], known[-1]
    # Σ over values of (at this index + at the other)/2 and what is left of the change by the index, place by place
    by_index = (
        (called(here, indices) - called(here, indices0) + called(befores, indices) - made0) / 2
        if count
        else made - made0
    )

    def back(g: Tensor) -> tuple[Tensor, ...]:
        found = [torch.zeros_like(each) for each in here]
        with torch.enable_grad():
            leaves = [each.detach().requires_grad_() for each in here]
            for index in (indices, indices0) if leaves else ():
                slopes = torch.autograd.grad(called(leaves, index), leaves, g / 2, allow_unused=True)
                found = [m if slope is None else m + slope for m, slope in zip(found, slopes, strict=True)]
        amount = g * by_index
        steps = [number.detach() - number0 for number, number0 in zip(numbers, numbers0, strict=True)]
        at_its_place = name in ("gather", "take_along_dim") or indices[0].dtype == torch.bool
        if at_its_place and len(steps) == 1 and steps[0].shape == amount.shape:
            return (*found, torch.where(steps[0] == 0, 0, amount / nonzero(steps[0])))
        moved = sum(bool(step.any()) for step in steps)
        return (*found, *(spread(amount.sum() / max(1, moved), step) for step in steps))

    result = steered(made, back, *values, *numbers)
    return result if made is out else d.stand_in(out, result)


def _logic(d: Multipliers, name: str, numbers: list[Tensor]) -> Tensor:
    if name == "logical_not":
        return 1 - numbers[0]
    a, b = numbers
    both = d.product(torch.mul, a, b)
    return {"logical_and": both, "logical_or": a + b - both, "logical_xor": a + b - 2 * both}[name]
