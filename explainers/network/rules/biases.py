"""What the constants of a network count for: every bias times the slope where it is added, recorded by function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from .opened import opened

Mark = Callable[[Tensor], None]

_CHANNELS_FIRST = {"conv1d": 2, "conv2d": 2, "conv3d": 2, "conv_transpose2d": 2, "group_norm": 3}
_CHANNELS_LAST = {"linear": 2, "layer_norm": 3}
"""Functions that add a constant for each channel, and the place of that constant among their arguments."""

_BY_STATISTICS = ("batch_norm", "instance_norm")
"""Functions of (input, weight, bias, mean, variance, whether the input's own are taken, momentum, eps)."""


class Biases(TorchFunctionMode):
    """While it lasts, in this thread, marks where a constant is added; a backward pass fills in what it counts for.

    A batch norm in eval mode adds beta − mu · gamma / sigma, which is a bias like any other. Nothing flows in another
    way: what comes out, and every gradient, are what they always are.
    """

    def __init__(self) -> None:
        super().__init__()
        self.signed: list[Tensor] = []
        """Constant times slope, summed over channels, (N, …) over places; the last operation first."""
        self.sizes: list[Tensor] = []
        """The same with each channel's size, as a share of the largest of the operation."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if body := opened(func):
            with self:
                return body(*args, **kwargs)
        out = func(*args, **kwargs)
        name = getattr(func, "__name__", "")
        constant = _constant(name, args, kwargs)
        if constant is None or not isinstance(out, Tensor) or not out.requires_grad:
            return out
        channels = -1 if name in _CHANNELS_LAST else 1
        shape = [1] * out.ndim
        shape[channels] = -1
        # Of a tensor that is written into afterwards, the hook gets the slope with respect to what it was before.
        out.register_hook(self._filled_in(constant.detach().view(shape), channels))  # type: ignore[no-untyped-call]
        return out

    def _filled_in(self, constant: Tensor, channels: int) -> Mark:
        def mark(slope: Tensor) -> None:
            part = (constant * slope).to(torch.promote_types(slope.dtype, torch.float32))
            size = part.abs()
            self.signed.append(part.sum(channels))
            self.sizes.append(size.sum(channels) / size.max().clamp_min(torch.finfo(size.dtype).tiny))

        return mark


def _constant(name: str, args: Any, kwargs: Any) -> Tensor | None:
    """The constant (C,) that an operation adds; None where it adds none."""
    if name in _BY_STATISTICS:
        weight, bias, mean, variance, own, _, eps = args[1:8]
        if own or mean is None:
            return bias if isinstance(bias, Tensor) else None
        shift = mean / torch.sqrt(variance + eps)
        shift = shift if weight is None else weight * shift
        constant: Tensor = -shift if bias is None else bias - shift
        return constant
    place = (_CHANNELS_FIRST | _CHANNELS_LAST).get(name)
    if place is None:
        return None
    bias = args[place] if len(args) > place else kwargs.get("bias")
    return bias if isinstance(bias, Tensor) else None
