"""The rules of guided backpropagation and of the deconvnet: what a rectified unit hands back, by function.

A rectifier is recognized by the function that is called, so functional calls, in-place variants and reused modules
are all seen. Where nothing rectifies, the ordinary gradient flows; `covered` and `others` say how much that is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

GuideName = Literal["guided", "deconvnet"]

RECTIFIERS = frozenset({"relu", "relu6", "threshold"})
"""Names of functions that rectify whatever their arguments, in `torch`, `torch.nn.functional` and `Tensor` alike."""

CLAMPS = frozenset({"clamp", "clamp_min", "clip", "hardtanh"})
"""Names of functions that rectify where their lower limit is zero."""

_SMOOTH = frozenset({"gelu", "silu", "mish", "hardswish", "hardsigmoid", "sigmoid", "tanh", "softplus"})
_LEAKY = frozenset({"elu", "selu", "celu", "leaky_relu", "prelu", "rrelu"})
_MIXING = frozenset(
    {"glu", "softmax", "log_softmax", "scaled_dot_product_attention", "multi_head_attention_forward"}
)  # fmt: skip
OTHERS = _SMOOTH | _LEAKY | _MIXING
"""Names of further functions that bend: the rules say nothing about them."""


def rectifies(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether this call is a rectifier: ReLU by whatever name, limited above or not."""
    name = _name(function)
    if name in RECTIFIERS:
        return True
    low = kwargs.get("min", kwargs.get("min_val", args[1] if len(args) > 1 else None))
    return name in CLAMPS and isinstance(low, int | float) and low == 0


class Guided(TorchFunctionMode):
    """While it lasts, in this thread, rectified units hand back only what would raise the score.

    As "guided", a unit hands back the positive part of what comes to it, where it was active itself (Springenberg et
    al., 2015); as "deconvnet", wherever it is (Zeiler & Fergus, 2014). What comes out on the way forward is the same
    to the bit. The rule is fixed when a graph is recorded, and stays with that graph alone.
    """

    def __init__(self, rule: GuideName) -> None:
        super().__init__()
        self._everywhere = rule == "deconvnet"
        self.covered = 0
        """How many calls have rectified."""
        self.others = 0
        """How many calls bend in another way."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        name = _name(func)
        self.others += name in OTHERS
        if not rectifies(func, args, kwargs):
            return func(*args, **kwargs)
        self.covered += 1
        given = args[0] if args else kwargs.pop("input")
        if not (isinstance(given, Tensor) and given.requires_grad and torch.is_grad_enabled()):
            return func(given, *args[1:], **kwargs)
        with torch.enable_grad():
            leaf = given.detach().requires_grad_()
            result = func(leaf.clone(), *args[1:], **kwargs)
            own = None if self._everywhere else torch.autograd.grad(result.sum(), leaf)[0]
        result = _Rectified.apply(given, result.detach(), own)
        # In place means that whoever holds the tensor sees the change, and that the graph goes on from it.
        in_place = func.__name__.endswith("_") or kwargs.get("inplace") or _positional_in_place(name, args)
        return given.copy_(result) if in_place else result

    @property
    def note(self) -> str | None:
        """What has to be known where other functions bend, too; None where all of them rectify."""
        if not self.others:
            return None
        return (
            f"{self.covered} of the {self.covered + self.others} functions that bend in this network are rectified "
            "units; through the others the ordinary gradient flows."
        )


# --- private ---------------------------------------------------------------------------------------------------------

_IN_PLACE_AT = {"relu": 1, "relu6": 1, "threshold": 3, "hardtanh": 3}
"""Where `inplace` stands among the positional arguments in `torch.nn.functional`."""


class _Rectified(torch.autograd.Function):
    """What a rectifier put out on the way forward, and the rule on the way back."""

    @staticmethod
    def forward(ctx: Any, _given: Tensor, result: Tensor, own: Tensor | None) -> Tensor:
        ctx.own = own
        return result.clone()

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None, None]:
        handed = slope.clamp(min=0)
        return (handed if ctx.own is None else handed * ctx.own), None, None


def _name(function: Callable[..., Any]) -> str:
    return str(getattr(function, "__name__", "")).strip("_")


def _positional_in_place(name: str, args: tuple[Any, ...]) -> bool:
    at = _IN_PLACE_AT.get(name)
    return at is not None and len(args) > at and args[at] is True
