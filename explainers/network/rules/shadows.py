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
    "T", "mT", "__getitem__", "broadcast_to", "cat", "channel_shuffle", "chunk", "clone", "column_stack", "concat",
    "concatenate", "contiguous", "data", "detach", "dsplit", "dstack", "expand", "expand_as", "flatten", "flip",
    "fliplr", "flipud", "gather", "hsplit", "hstack", "index_select", "moveaxis", "movedim", "narrow",
    "native_channel_shuffle", "permute", "pixel_shuffle", "pixel_unshuffle", "ravel", "repeat", "repeat_interleave",
    "reshape", "reshape_as", "roll", "rot90", "row_stack", "select", "split", "split_with_sizes", "squeeze", "stack",
    "swapaxes", "swapdims", "t", "take_along_dim", "tensor_split", "tile", "transpose", "unbind", "unflatten",
    "unsafe_chunk", "unsafe_split", "unsqueeze", "view", "view_as", "vsplit", "vstack",
}  # fmt: skip
"""Functions that move numbers about and change none."""

MIXES = {
    "cdist", "histc", "index_add", "index_copy", "index_put", "inverse", "masked_scatter", "matrix_exp", "msort", "put",
    "scatter", "scatter_add", "scatter_reduce", "sort",
}  # fmt: skip
"""Functions whose output may have the shape of what went in, and other places: they are not followed."""

SCATTERED = 0.25
"""Numbers that are summed and lie farther apart than this share of all places have no place together."""


def mixes(name: str) -> bool:
    """Whether a function sets numbers to other places than it found them at, in a way that is not followed."""
    return name.rstrip("_") in MIXES or name.startswith(("fft_", "linalg_"))


def narrowed(shadow: Shadow) -> Shadow:
    """The shadow with one entry along each axis along which it was only stretched."""
    for axis, stride in enumerate(shadow.stride()):
        if stride == 0 and shadow.shape[axis] > 1:
            shadow = shadow.narrow(axis, 0, 1)
    return shadow


def span(shadow: Shadow) -> tuple[float, float]:
    """How far rows and columns reach, of what has a place."""
    small = narrowed(shadow)
    found = []
    for part in (small.real, small.imag):
        kept = part[part.isfinite()]
        found.append(float(kept.max() - kept.min()) if len(kept) else 0.0)
    return found[0], found[1]


def farthest_apart(a: Shadow, b: Shadow) -> tuple[float, float]:
    """How far two shadows lie apart at most, in rows and in columns, where both have a place."""
    between = narrowed(a) - narrowed(b)
    rows, columns = (part[part.isfinite()].abs() for part in (between.real, between.imag))
    return float(rows.max()) if len(rows) else 0.0, float(columns.max()) if len(columns) else 0.0


def scattered(shadow: Shadow, dim: int) -> bool:
    """Whether numbers along an axis lie far apart from each other, measured by all places of the shadow."""
    small = narrowed(shadow)
    if small.shape[dim] == 1:
        return False
    for part, whole in zip((small.real, small.imag), span(small), strict=True):
        apart = part.nan_to_num(-math.inf, -math.inf, -math.inf).amax(dim) - part.nan_to_num(
            math.inf, math.inf, math.inf
        ).amin(dim)
        if whole > NEAR and float(apart.nan_to_num(0, 0, 0).max()) > SCATTERED * whole:
            return True
    return False


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
    if scattered(shadow, 1):
        return nowhere(out)
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


def _folded(
    shadow: Shadow,
    out: Tensor,
    output_size: Any,
    kernel_size: Any,
    dilation: Any = 1,
    padding: Any = 0,
    stride: Any = 1,
) -> Shadow:
    """The middle of all that is laid over one another."""

    def middle(part: Tensor) -> Tensor:
        known = part.isfinite()
        laid = [
            fn.fold(x.float(), output_size, kernel_size, dilation, padding, stride)
            for x in (part.masked_fill(~known, 0), known)
        ]
        return (laid[0] / laid[1]).to(part)

    return mean(_by_parts(shadow, middle), 1, True).expand(out.shape)


def _sampled(shadow: Shadow, out: Tensor, grid: Tensor, *_: Any, **__: Any) -> Shadow:
    """Pictures read at other places: positions are read there, too."""
    channel = mean(shadow, 1, True)
    laid = grid.detach().float()
    return _by_parts(
        channel, lambda part: fn.grid_sample(part.float(), laid, padding_mode="border", align_corners=False)
    ).expand(out.shape)


def _along(shadow: Shadow, out: Tensor, size: Any, stride: Any, padding: Any, dilation: Any) -> Shadow:
    """The middle of each window of a convolution or pooling over (N, C, L)."""
    size, stride, padding, dilation = (
        each[0] if isinstance(each, list | tuple) else each for each in (size, stride, padding, dilation)
    )
    pads = padding if isinstance(padding, str) else (0, padding)
    row = _windowed(shadow[:, :, None], out[:, :, None], (1, size), (1, stride), pads, (1, dilation))
    return row[:, :, 0]


def _convolved_along(
    shadow: Shadow, out: Tensor, weight: Tensor, _bias: Any = None, stride: Any = 1, padding: Any = 0,
    dilation: Any = 1, *_: Any, **__: Any,
) -> Shadow:  # fmt: skip
    return _along(shadow, out, weight.shape[2], stride, padding, dilation)


def _pooled_along(
    shadow: Shadow, out: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, *_: Any, **__: Any
) -> Shadow:
    return _along(shadow, out, kernel_size, stride or kernel_size, padding, 1)


def _resized_along(shadow: Shadow, out: Tensor, *_: Any, **__: Any) -> Shadow:
    channel = mean(shadow, 1, True)
    return _by_parts(channel, lambda part: fn.adaptive_avg_pool1d(part, out.shape[-1])).expand(out.shape)


CHANGES: dict[str, Callable[..., Shadow]] = {
    "conv2d": _convolved, "max_pool2d": _pooled, "avg_pool2d": _pooled, "adaptive_avg_pool2d": _resized,
    "adaptive_max_pool2d": _resized, "interpolate": _stretched, "conv_transpose2d": _stretched, "unfold": _unfolded,
    "mean": _reduced, "amax": _reduced, "amin": _reduced, "sum": _reduced, "conv1d": _convolved_along,
    "max_pool1d": _pooled_along, "avg_pool1d": _pooled_along, "adaptive_avg_pool1d": _resized_along,
    "adaptive_max_pool1d": _resized_along, "fold": _folded, "grid_sample": _sampled, "grid_sampler": _sampled,
}  # fmt: skip
