"""What the constants of a network add on the way: every bias, and what batch norms subtract, recorded by function."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from .opened import opened

CHANNELS_FIRST = {"conv1d", "conv2d", "conv3d", "conv_transpose2d", "batch_norm", "group_norm", "instance_norm"}
CHANNELS_LAST = {"linear", "layer_norm"}


class Biases(TorchFunctionMode):
    """While it lasts, in this thread, keeps what came out of each operation with a constant, and the constant.

    A copy goes downstream, so that nothing in place changes what was kept; the values are what they always are.
    """

    def __init__(self) -> None:
        super().__init__()
        self.outputs: list[Tensor] = []
        self.constants: list[Tensor] = []
        """Shaped to be multiplied with the outputs (N, C, …) or (N, …, C)."""
        self.channels_last: list[bool] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if body := opened(func):
            with self:
                return body(*args, **kwargs)
        out = func(*args, **kwargs)
        name = getattr(func, "__name__", "")
        if name not in CHANNELS_FIRST | CHANNELS_LAST or not isinstance(out, Tensor):
            return out
        constant = _constant(name, args, kwargs)
        if constant is None:
            return out
        last = name in CHANNELS_LAST
        self.outputs.append(out)
        self.constants.append(constant.detach() if last else constant.detach().view(-1, *[1] * (out.ndim - 2)))
        self.channels_last.append(last)
        return out.clone()


def _constant(name: str, args: Any, kwargs: Any) -> Tensor | None:
    """The constant that an operation adds, (C,); None where it adds none."""

    def given(place: int, word: str) -> Any:
        return args[place] if len(args) > place else kwargs.get(word)

    if name == "batch_norm":  # (input, weight, bias, mean, variance, training, momentum, eps)
        weight, bias, mean, variance, training = args[1:6]
        if training or mean is None:
            return None if bias is None else bias
        shift = mean / torch.sqrt(variance + args[7])
        shift = shift if weight is None else weight * shift
        constant: Tensor = -shift if bias is None else bias - shift
        return constant
    place = {"layer_norm": 3, "group_norm": 3, "instance_norm": 4}.get(name, 2)
    bias = given(place, "bias")
    return bias if isinstance(bias, Tensor) else None
