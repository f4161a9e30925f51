"""Which of DeepLIFT's rules belongs to which function of torch, by whatever name it is called."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from .attention import attention

if TYPE_CHECKING:
    from .differences import Differences

Function = Callable[..., Tensor]

PLAIN = {
    "__mul__": "mul", "__rmul__": "mul", "__imul__": "mul", "multiply": "mul", "multiply_": "mul",
    "__truediv__": "div", "__itruediv__": "div", "__div__": "div", "__idiv__": "div", "true_divide": "div",
    "divide": "div", "__rtruediv__": "rdiv", "__rdiv__": "rdiv", "__matmul__": "matmul", "__pow__": "pow",
    "__ipow__": "pow", "__rpow__": "rpow", "__abs__": "abs", "__add__": "add", "__radd__": "add", "__iadd__": "add",
    "__isub__": "sub", "_softmax": "softmax", "absolute": "abs", "clip": "clamp", "vector_norm": "norm",
    "linalg_vector_norm": "norm",
}  # fmt: skip
"""Operators and other spellings, as the functions that they are."""

_POINTWISE = (
    "abs", "celu", "clamp", "clamp_max", "clamp_min", "cos", "elu", "erf", "exp", "exp2", "expm1", "gelu", "hardshrink",
    "hardsigmoid", "hardswish", "hardtanh", "leaky_relu", "log", "log10", "log1p", "log2", "log_sigmoid", "logsigmoid",
    "mish", "nan_to_num", "pow", "prelu", "reciprocal", "relu", "relu6", "rpow", "rrelu", "rsqrt", "selu", "sigmoid",
    "silu", "sin", "softplus", "softshrink", "softsign", "special_expit", "sqrt", "square", "tanh", "threshold",
)  # fmt: skip


def _pointwise(d: Differences, func: Any, x: Any, *args: Any, **kwargs: Any) -> Tensor:
    name, power = getattr(func, "__name__", ""), args[0] if args else 0
    negative = "pow" in name and not isinstance(power, Tensor) and power < 0
    return d.pointwise(lambda t: func(t, *args, **kwargs), x, inverse=negative or name in ("rsqrt", "reciprocal"))


def _relu(d: Differences, func: Any, x: Tensor, *_: Any, **__: Any) -> Tensor:
    return d.pointwise(func, x) if d.splits else d.rectified(x)


def _mul(d: Differences, func: Any, a: Any, b: Any, **kwargs: Any) -> Tensor:
    if _known(a) or _known(b) or kwargs:
        return cast(Tensor, func(a, b, **kwargs))
    return d.times(a, b)


def _div(d: Differences, func: Any, a: Any, b: Any, **kwargs: Any) -> Tensor:
    if not isinstance(b, Tensor) or kwargs.get("rounding_mode"):
        return cast(Tensor, func(a, b, **kwargs))
    return d.quotient(a if isinstance(a, Tensor) else torch.as_tensor(a).to(b), b)


def _rdiv(d: Differences, _func: Any, b: Tensor, a: Any) -> Tensor:
    out = d.pointwise(torch.reciprocal, b, inverse=True)
    return d.scaled(a, out) if isinstance(a, Tensor) else a * out


def _bilinear(d: Differences, func: Any, a: Any, *args: Any, **kwargs: Any) -> Tensor:
    """Convolutions, linear layers and products of matrices: without a rule where one side is a parameter."""
    named = next((name for name in _SECOND if name in kwargs), None)
    b, *args = (kwargs.pop(named), *args) if named else args  # type: ignore[assignment]
    bias = args[0] if args and isinstance(args[0], Tensor) else kwargs.get("bias")
    weighs = getattr(func, "__name__", "").startswith(("conv", "linear"))
    if weighs:  # the bias moves nothing, and would stand in every part
        rest, named_rest = args[1:], {k: v for k, v in kwargs.items() if k != "bias"}
        bare: Function = lambda x, w: func(x, w, None, *rest, **named_rest)  # noqa: E731
    else:
        bare = lambda x, y: func(x, y, *args, **kwargs)  # noqa: E731
    if _known(a) or _known(b):
        out = cast(Tensor, func(a, b, *args, **kwargs))
        return d.affine(bare, a, b, out) if d.splits and isinstance(b, Tensor) and not _known(a) else out
    out = d.product(bare, a, b)
    if not weighs or bias is None:
        return out
    return out + (bias if func.__name__ == "linear" else _by_channel(bias, out))


_SECOND = ("weight", "other", "mat2", "vec")
"""What the second factor is called where it is given by name."""


def _einsum(d: Differences, func: Any, equation: str, *operands: Any) -> Tensor:
    listed = operands[0] if len(operands) == 1 and isinstance(operands[0], list | tuple) else operands
    if len(listed) != 2 or _known(listed[0]) or _known(listed[1]):
        return cast(Tensor, func(equation, *operands))
    return d.product(lambda a, b: torch.einsum(equation, a, b), *listed)


def _addmm(d: Differences, func: Any, added: Tensor, a: Tensor, b: Tensor, **kwargs: Any) -> Tensor:
    if _known(a) or _known(b):
        return cast(Tensor, func(added, a, b, **kwargs))
    out: Tensor = kwargs.get("beta", 1) * added + kwargs.get("alpha", 1) * d.product(torch.matmul, a, b)
    return out


def _addcmul(d: Differences, _func: Any, added: Tensor, a: Tensor, b: Tensor, *, value: float = 1) -> Tensor:
    return added + value * _mul(d, torch.mul, a, b)


def _known(x: Any) -> bool:
    """Whether it is the same whatever the picture: a number or a parameter."""
    return not isinstance(x, Tensor) or isinstance(x, nn.Parameter) or not x.is_floating_point()


def _attention(d: Differences, _func: Any, *args: Any, **kwargs: Any) -> Tensor:
    with d:
        return attention(*args, **kwargs)


def _softmax(d: Differences, _func: Any, x: Tensor, dim: int | None = None, dtype: Any = None, **kw: Any) -> Tensor:
    dtype = dtype or kw.get("dtype")
    return d.softmax(x if dtype is None else x.to(dtype), -1 if dim is None else dim)


def _log_softmax(d: Differences, _func: Any, x: Tensor, dim: int = -1, dtype: Any = None, **kw: Any) -> Tensor:
    dtype = dtype or kw.get("dtype")
    x = x if dtype is None else x.to(dtype)
    return x - d.logsumexp(x, dim)


def _logsumexp(d: Differences, _func: Any, x: Tensor, dim: int, keepdim: bool = False) -> Tensor:
    out = d.logsumexp(x, dim)
    return out if keepdim else out.squeeze(dim)


def _layer_norm(
    d: Differences, _func: Any, x: Tensor, shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5, *_: Any
) -> Tensor:
    y = d.normalized(x, tuple(range(x.ndim - len(tuple(shape)), x.ndim)), eps)
    return _lifted(y, weight, bias)


def _rms_norm(
    d: Differences, _func: Any, x: Tensor, shape: Any, weight: Any = None, eps: float | None = None
) -> Tensor:
    dims = tuple(range(x.ndim - len(tuple(shape)), x.ndim))
    return _lifted(
        d.normalized(x, dims, torch.finfo(x.dtype).eps if eps is None else eps, centered=False), weight, None
    )


def _group_norm(
    d: Differences, _func: Any, x: Tensor, groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5, *_: Any
) -> Tensor:
    y = d.normalized(x.reshape(x.shape[0], groups, -1), (2,), eps).view(x.shape)
    return _lifted(y, _by_channel(weight, x), _by_channel(bias, x))


def _batch_norm(
    d: Differences, func: Any, x: Tensor, weight: Any, bias: Any, mean: Any, var: Any, training: bool, *rest: Any
) -> Tensor:
    if training or mean is None:
        dims = tuple(i for i in range(x.ndim) if i != 1)
        return _lifted(d.normalized(x, dims, float(rest[1])), _by_channel(weight, x), _by_channel(bias, x))
    out = cast(Tensor, func(x, weight, bias, mean, var, training, *rest))
    scale = (var + float(rest[1])).rsqrt() if weight is None else weight / (var + float(rest[1])).sqrt()
    return d.scaled_parts(x, _by_channel(scale, x), out) if d.splits else out


def _add(d: Differences, func: Any, a: Any, b: Any, **kwargs: Any) -> Tensor:
    out = cast(Tensor, func(a, b, **kwargs))
    if kwargs or not isinstance(a, Tensor) or not isinstance(b, Tensor):
        return out
    return d.added_parts(a, b, out)


def _lifted(y: Tensor, weight: Any, bias: Any) -> Tensor:
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def _by_channel(values: Any, x: Tensor) -> Any:
    return None if values is None else values.view(-1, *[1] * (x.ndim - 2))


def _max_pool(d: Differences, func: Any, x: Tensor, *args: Any, **kwargs: Any) -> Any:
    name = func.__name__
    plain = args[:1] if name.startswith("adaptive") else args[:5]
    kwargs = {key: value for key, value in kwargs.items() if key != "return_indices"}
    out, places = getattr(fn, f"{name}_with_indices")(x.detach(), *plain, **kwargs)
    return d.largest(x, places, out)


def _amax(d: Differences, _func: Any, x: Tensor, dim: Any = (), keepdim: bool = False) -> Tensor:
    dims = (dim,) if isinstance(dim, int) else tuple(dim) or tuple(range(x.ndim))
    dims = tuple(each % x.ndim for each in dims)
    rest = [i for i in range(x.ndim) if i not in dims]
    flat = x.permute(*rest, *dims).reshape(1, max(1, math.prod(x.shape[i] for i in rest)), -1)
    values, places = flat.detach().max(2, keepdim=True)
    out = d.largest(flat, places, values).view([x.shape[i] for i in rest])
    for i in sorted(dims) if keepdim else ():
        out = out.unsqueeze(i)
    return out


def _max(d: Differences, func: Any, x: Tensor, *args: Any, **kwargs: Any) -> Any:
    if args and isinstance(args[0], Tensor):
        return args[0] + d.pointwise(torch.relu, x - args[0])
    if not args and "dim" not in kwargs:
        return _amax(d, func, x)
    indices = x.detach().max(*args, **kwargs).indices
    out = _amax(d, func, x, *args, **kwargs)
    return torch.return_types.max((out, indices))


def _minimum(d: Differences, _func: Any, a: Tensor, b: Tensor) -> Tensor:
    return b - d.pointwise(torch.relu, b - a)


def _maximum(d: Differences, _func: Any, a: Tensor, b: Tensor) -> Tensor:
    return b + d.pointwise(torch.relu, a - b)


def _var(d: Differences, _func: Any, x: Tensor, dim: Any = None, *args: Any, **kwargs: Any) -> Tensor:
    unbiased = kwargs.get("unbiased", args[0] if args and isinstance(args[0], bool) else True)
    correction = kwargs.get("correction", 1 if unbiased else 0)
    dims = tuple(range(x.ndim)) if dim is None else ((dim,) if isinstance(dim, int) else tuple(dim))
    keepdim = kwargs.get("keepdim", args[1] if len(args) > 1 else False)
    squares = d.pointwise(torch.square, x - x.mean(dims, keepdim=True))
    degrees: int = math.prod(x.shape[i] for i in dims) - correction
    return squares.sum(dims, keepdim=keepdim) / degrees


def _std(d: Differences, func: Any, x: Tensor, dim: Any = None, *args: Any, **kwargs: Any) -> Tensor:
    return d.pointwise(torch.sqrt, _var(d, func, x, dim, *args, **kwargs))


def _var_mean(d: Differences, func: Any, x: Tensor, dim: Any = None, *args: Any, **kwargs: Any) -> Any:
    keepdim = kwargs.get("keepdim", args[1] if len(args) > 1 else False)
    return _var(d, func, x, dim, *args, **kwargs), x.mean(dim, keepdim=keepdim)


def _norm(
    d: Differences, func: Any, x: Tensor, p: Any = 2, dim: Any = None, keepdim: bool = False, **kw: Any
) -> Tensor:
    dims = tuple(range(x.ndim)) if dim is None else ((dim,) if isinstance(dim, int) else tuple(dim))
    match kw.get("ord", p):
        case 1 | 1.0:
            return d.pointwise(torch.abs, x).sum(dims, keepdim=keepdim)
        case 2 | 2.0 | "fro" | None:
            return d.pointwise(torch.sqrt, d.pointwise(torch.square, x).sum(dims, keepdim=keepdim))
    return cast(Tensor, func(x, p, dim, keepdim))


def _glu(d: Differences, _func: Any, x: Tensor, dim: int = -1) -> Tensor:
    value, gate = x.chunk(2, dim)
    return d.product(torch.mul, value, d.pointwise(torch.sigmoid, gate))


def _lerp(d: Differences, func: Any, a: Tensor, b: Tensor, weight: Any) -> Tensor:
    if _known(weight):
        return cast(Tensor, func(a, b, weight))
    return a + d.product(torch.mul, b - a, weight)


Rule = Callable[..., Any]
"""Takes the pair of passes, the function as called, and its arguments; gives what the function gives."""

RULES: dict[str, Rule] = {
    **dict.fromkeys(_POINTWISE, _pointwise),
    **dict.fromkeys(("matmul", "bmm", "mm", "mv", "linear"), _bilinear),
    **dict.fromkeys(("conv1d", "conv2d", "conv3d", "conv_transpose2d"), _bilinear),
    **dict.fromkeys(("max_pool1d", "max_pool2d", "max_pool3d", "adaptive_max_pool2d"), _max_pool),
    "relu": _relu, "mul": _mul, "div": _div, "rdiv": _rdiv, "einsum": _einsum, "addmm": _addmm, "baddbmm": _addmm,
    "addcmul": _addcmul, "lerp": _lerp, "glu": _glu, "scaled_dot_product_attention": _attention,
    "softmax": _softmax, "log_softmax": _log_softmax, "logsumexp": _logsumexp, "layer_norm": _layer_norm,
    "rms_norm": _rms_norm, "group_norm": _group_norm, "batch_norm": _batch_norm, "amax": _amax, "max": _max,
    "maximum": _maximum, "minimum": _minimum, "var": _var, "std": _std, "var_mean": _var_mean, "norm": _norm,
}  # fmt: skip

SPLIT: dict[str, Rule] = {"add": _add}
"""What is affine and has a rule all the same, where raising and lowering are followed apart."""
