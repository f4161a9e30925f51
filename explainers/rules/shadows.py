"""Shadows of tensors: a position for each number, and what each function of torch makes of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as fn

Shadow = Tensor
"""Complex, of the shape of the tensor that it belongs to: row + i · column in pixels; NaN: no place; ∞: padding."""

NEAR = 0.01
"""Positions nearer to each other than this, in pixels, are the same."""


def readable(shadow: Shadow) -> Tensor:
    """Rows and columns (…, 2) of a shadow as numbers that can be told apart by their differences."""
    return torch.view_as_real(shadow.resolve_conj()).nan_to_num(nan=-1e4, posinf=-2e4)


MOVES = {
    "T", "mT", "__getitem__", "cat", "chunk", "clone", "concat", "concatenate", "contiguous", "data", "detach",
    "expand", "flatten", "flip", "gather", "index_select", "movedim", "narrow", "permute", "pixel_shuffle",
    "pixel_unshuffle", "repeat", "repeat_interleave", "reshape", "roll", "rot90", "select", "split", "split_with_sizes",
    "squeeze", "stack", "swapaxes", "swapdims", "t", "take_along_dim", "tensor_split", "tile", "transpose", "unbind",
    "unflatten", "unsqueeze", "view", "view_as",
}  # fmt: skip
"""Functions that move numbers about and change none."""


def constantly(args: Any, kwargs: Any) -> bool:
    """Whether a call of `pad` puts a constant around."""
    return bool((args[2] if len(args) > 2 else kwargs.get("mode", "constant")) == "constant")


def padded(shadow: Shadow, pad: Any) -> Shadow:
    """The shadow with padding around it."""
    return _by_parts(shadow, lambda part: fn.pad(part, tuple(pad), value=math.inf))


def nowhere(x: Tensor) -> Shadow:
    """The shadow of what was not made of pixels."""
    return torch.full((1,), complex(math.nan, math.nan), device=x.device, dtype=torch.complex64).expand(x.shape)


def numbered(x: Tensor, dim: int) -> Shadow:
    """The index along an axis, as a shadow."""
    shape = [1] * x.ndim
    shape[dim] = -1
    return torch.arange(x.shape[dim], device=x.device).to(torch.complex64).view(shape).expand(x.shape)


def _by_parts(shadow: Shadow, change: Callable[[Tensor], Tensor]) -> Shadow:
    return torch.complex(change(shadow.real.contiguous()), change(shadow.imag.contiguous()))


def constant(shadow: Shadow, dim: int) -> Shadow | None:
    """The shadow with one entry along an axis along which it does not change; None where it does."""
    first = shadow.narrow(dim, 0, 1)
    if shadow.shape[dim] == 1 or shadow.stride(dim) == 0:
        return first
    parts, like = readable(shadow), readable(first)
    return first if bool((parts - like).abs().max() < NEAR) else None


def runs(along: Shadow, dim: int) -> bool:
    """Whether the softmax went along this axis."""
    numbers = numbered(along, dim)
    return along.shape[dim] > 1 and bool((along - numbers).abs().max() < NEAR)


def somewhere(shadow: Shadow) -> bool:
    """Whether anything in it has a place."""
    return bool(shadow.real.isfinite().any())


def mean(shadow: Shadow, dim: Any, keepdim: bool = False) -> Shadow:
    """The middle of the places along some axes, of those that have one."""
    dims = (dim,) if isinstance(dim, int) else tuple(dim)
    if all(shadow.stride(d) == 0 or shadow.shape[d] == 1 for d in dims):
        for d in dims:
            shadow = shadow.narrow(d, 0, 1)
        return shadow if keepdim else shadow.squeeze(dims)

    def middle(part: Tensor) -> Tensor:
        padding = part.isinf()
        mean = part.masked_fill(padding, math.nan).nanmean(dims, keepdim=keepdim)
        return mean.masked_fill(mean.isnan() & padding.any(dims, keepdim=keepdim), math.inf)

    return _by_parts(shadow, middle)


def spread(shadow: Shadow, shape: torch.Size) -> Shadow:
    """For a shape that differs in the last axis, where numbers were mixed, or that a shadow is stretched to."""
    if shadow.shape[:-1] == shape[:-1] or shadow.ndim == len(shape):
        mixed = shadow if shadow.shape[-1] in (1, shape[-1]) and shadow.shape != shape else mean(shadow, -1, True)
        return mixed.expand(shape)
    return shadow.expand(shape)


def _windowed(shadow: Shadow, out: Tensor, size: Any, stride: Any, padding: Any, dilation: Any) -> Shadow:
    """The middle of each window of a convolution or pooling over (N, C, H, W), alike for all channels."""
    at = mean(shadow, 1, True)
    for axis in (2, 3):
        k, s, d = (_pair(each)[axis - 2] for each in (size, stride, dilation))
        whole, length = at.shape[axis], out.shape[axis]
        pad = {"same": d * (k - 1) // 2, "valid": 0}[padding] if isinstance(padding, str) else _pair(padding)[axis - 2]
        middle = torch.arange(length, device=at.device) * s - pad + d * (k - 1) / 2
        low, high = (m.clamp(0, whole - 1).long() for m in (middle.floor(), middle.ceil()))
        as_they_are = torch.arange(length, device=at.device)
        if length != whole or not torch.equal(low, as_they_are) or not torch.equal(low, high):
            at = mean(torch.stack([at.index_select(axis, low), at.index_select(axis, high)]), 0)
    return at.expand(out.shape)


def _pair(value: Any) -> tuple[int, int]:
    if isinstance(value, int):
        return value, value
    first, *rest = value
    return first, rest[0] if rest else first


def _convolved(
    shadow: Shadow, out: Tensor, weight: Tensor, _bias: Any = None, stride: Any = 1, padding: Any = 0,
    dilation: Any = 1, *_: Any, **__: Any,
) -> Shadow:  # fmt: skip
    return _windowed(shadow, out, weight.shape[2:], stride, padding, dilation)


def _pooled(
    shadow: Shadow, out: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, *_: Any,
    **__: Any,
) -> Shadow:  # fmt: skip
    dilation = dilation if not isinstance(dilation, bool) else 1  # where average pooling has its `ceil_mode`
    return _windowed(shadow, out, kernel_size, stride or kernel_size, padding, dilation)


def _resized(shadow: Shadow, out: Tensor, *_: Any, **__: Any) -> Shadow:
    channel = mean(shadow, 1, True)
    return _by_parts(channel, lambda part: fn.adaptive_avg_pool2d(part, (out.shape[-2], out.shape[-1]))).expand(
        out.shape
    )


def _stretched(shadow: Shadow, out: Tensor, *_: Any, **__: Any) -> Shadow:
    channel = mean(shadow, 1, True)
    return _by_parts(channel, lambda part: fn.interpolate(part, out.shape[-2:], mode="bilinear")).expand(out.shape)


def _unfolded(
    shadow: Shadow, _out: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Shadow:
    high, wide = _pair(padding)
    wider = padded(shadow, (wide, wide, high, high))
    return _by_parts(wider, lambda part: fn.unfold(part, kernel_size, dilation, 0, stride))


def _reduced(shadow: Shadow, _out: Tensor, dim: Any = None, keepdim: bool = False, **kwargs: Any) -> Shadow:
    dim = kwargs.get("axis", dim) if dim is None else dim
    return mean(shadow, tuple(range(shadow.ndim)) if dim is None else dim, keepdim)


def _one_axis(shadow: Shadow, out: Tensor, *_: Any, **__: Any) -> Shadow:
    """A convolution over (N, C, L) that keeps the length."""
    return mean(shadow, 1, True).expand(out.shape)


CHANGES: dict[str, Callable[..., Shadow]] = {
    "conv2d": _convolved, "max_pool2d": _pooled, "avg_pool2d": _pooled, "adaptive_avg_pool2d": _resized,
    "adaptive_max_pool2d": _resized, "interpolate": _stretched, "conv_transpose2d": _stretched, "unfold": _unfolded,
    "mean": _reduced, "amax": _reduced, "amin": _reduced, "sum": _reduced, "conv1d": _one_axis,
}  # fmt: skip
