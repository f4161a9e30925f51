"""Which of DeepLIFT's rules belongs to which function of torch, by whatever name it is called."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as fn
from torch.utils import _pytree as tree

from .attention import attention
from .choices import STEPS, cast_down, chosen_by, compared, discrete
from .multipliers import Multipliers
from .opened import WHOLE as POOLS
from .recurrent import cell, recurrent

Function = Callable[..., Tensor]

PLAIN = {
    "__mul__": "mul", "__rmul__": "mul", "__imul__": "mul", "multiply": "mul", "multiply_": "mul",
    "__truediv__": "div", "__itruediv__": "div", "__div__": "div", "__idiv__": "div", "true_divide": "div",
    "true_divide_": "div", "divide": "div", "divide_": "div", "__rtruediv__": "rdiv", "__rdiv__": "rdiv",
    "__matmul__": "matmul", "linalg_matmul": "matmul", "__rmatmul__": "rmatmul", "__pow__": "pow", "__ipow__": "pow",
    "__rpow__": "rpow", "__abs__": "abs", "__add__": "add", "__radd__": "add", "__iadd__": "add", "__isub__": "sub",
    "__sub__": "sub", "__rsub__": "rsub", "__neg__": "neg", "_softmax": "softmax", "special_softmax": "softmax",
    "_log_softmax": "log_softmax", "special_log_softmax": "log_softmax", "special_logsumexp": "logsumexp",
    "absolute": "abs", "absolute_": "abs", "clip": "clamp", "clip_": "clamp", "vector_norm": "linalg_vector_norm",
    "fmax": "maximum", "fmin": "minimum", "frobenius_norm": "linalg_vector_norm", "arctan2": "atan2", "ger": "outer",
    "linalg_vecdot": "vecdot", "concat": "cat", "concatenate": "cat",
    "__floordiv__": "floor_divide", "__ifloordiv__": "floor_divide", "__rfloordiv__": "rfloor_divide",
    "__mod__": "remainder", "__imod__": "remainder", "__rmod__": "rmod", "special_round": "round", "fix": "trunc",
    "fix_": "trunc", "sgn": "sign", "sgn_": "sign",
    "__gt__": "gt", "greater": "gt", "__ge__": "ge", "greater_equal": "ge", "__lt__": "lt", "less": "lt",
    "__le__": "le", "less_equal": "le", "__eq__": "eq", "__ne__": "ne", "not_equal": "ne",
    "__iand__": "logical_and", "__ior__": "logical_or", "__ixor__": "logical_xor", "bitwise_and_": "logical_and",
    "bitwise_or_": "logical_or", "bitwise_xor_": "logical_xor", "__and__": "logical_and",
    "bitwise_and": "logical_and", "__or__": "logical_or", "bitwise_or": "logical_or", "__xor__": "logical_xor",
    "bitwise_xor": "logical_xor", "__invert__": "logical_not", "bitwise_not": "logical_not",
    **{f"arc{name}": f"a{name}" for name in ("cos", "cosh", "sin", "sinh", "tan", "tanh")},
}  # fmt: skip
"""Operators and other spellings, as the functions that they are."""

_POINTWISE = (
    "abs", "acos", "acosh", "asin", "asinh", "atan", "atanh", "celu", "cos", "cosh", "digamma", "elu", "erf", "erfc",
    "erfinv", "exp", "exp2", "expm1", "gelu", "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "i0", "leaky_relu",
    "lgamma", "log", "log10", "log1p", "log2", "log_sigmoid", "logit", "logsigmoid", "mish", "nan_to_num", "polygamma",
    "pow", "prelu", "reciprocal", "relu", "relu6", "rpow", "rrelu", "rsqrt", "selu", "sigmoid", "silu", "sin", "sinc",
    "sinh", "softplus", "softshrink", "softsign", "special_digamma", "special_entr", "special_erf", "special_erfc",
    "special_erfcx", "special_erfinv", "special_exp2", "special_expit", "special_expm1", "special_gammaln",
    "special_i0", "special_i0e", "special_i1", "special_i1e", "special_log1p", "special_log_ndtr", "special_logit",
    "special_ndtr", "special_ndtri", "special_polygamma", "special_psi", "special_sinc", "tan", "tanh", "tanhshrink",
    "threshold",
)  # fmt: skip

LINEAR = frozenset({
    # affine in all that moves, or picking by nothing that moves
    "H", "T", "__getitem__", "__setitem__", "_upsample_bicubic2d_aa", "_upsample_bilinear2d_aa",
    "_upsample_nearest_exact1d", "_upsample_nearest_exact2d", "_upsample_nearest_exact3d", "adaptive_avg_pool1d",
    "adaptive_avg_pool2d", "adaptive_avg_pool3d", "add", "adjoint", "affine_grid", "affine_grid_generator",
    "alias_copy", "alpha_dropout", "as_strided", "as_strided_copy", "atleast_1d", "atleast_2d", "atleast_3d",
    "avg_pool1d", "avg_pool2d", "avg_pool3d", "bernoulli", "bfloat16", "binomial", "block_diag",
    "broadcast_tensors", "broadcast_to", "cat", "cauchy", "cdouble", "cfloat", "chalf", "channel_shuffle", "chunk",
    "clone", "col2im", "column_stack", "combinations", "complex", "conj", "conj_physical", "constant",
    "constant_pad_nd", "contiguous", "copy", "cpu", "cuda", "cumsum", "deg2rad", "detach_copy", "diag",
    "diag_embed", "diagflat", "diagonal", "diagonal_copy", "diagonal_scatter", "diff", "double", "dropout",
    "dropout1d", "dropout2d", "dropout3d", "dsplit", "dstack", "embedding", "empty_like", "expand", "expand_as",
    "expand_copy", "exponential", "feature_alpha_dropout", "feature_dropout", "fft_fft", "fft_fft2", "fft_fftn",
    "fft_fftshift", "fft_hfft", "fft_hfft2", "fft_hfftn", "fft_ifft", "fft_ifft2", "fft_ifftn", "fft_ifftshift",
    "fft_ihfft", "fft_ihfft2", "fft_ihfftn", "fft_irfft", "fft_irfft2", "fft_irfftn", "fft_rfft", "fft_rfft2",
    "fft_rfftn", "fill", "fill_diagonal", "flatten", "flip", "fliplr", "flipud", "float", "fold", "full_like",
    "gather", "geometric", "half", "hsplit", "hstack", "im2col", "imag", "index", "index_add", "index_copy",
    "index_fill", "index_put", "index_select", "interpolate", "istft", "linalg_diagonal", "log_normal", "mH", "mT",
    "masked_fill", "masked_scatter", "masked_select", "max_unpool1d", "max_unpool2d", "max_unpool3d", "mean",
    "meshgrid", "module_load", "moveaxis", "movedim", "multinomial", "nanmean", "nansum", "narrow", "narrow_copy",
    "native_channel_shuffle", "native_dropout", "neg", "negative", "new_empty", "new_full", "new_ones",
    "new_tensor", "new_zeros", "normal", "ones_like", "pad", "permute", "permute_copy", "pin_memory",
    "pixel_shuffle", "pixel_unshuffle", "poisson", "positive", "put", "rad2deg", "rand_like", "randn_like",
    "random", "ravel", "real", "repeat", "repeat_interleave", "requires_grad", "reshape", "reshape_as", "resize",
    "resize_as", "resolve_conj", "resolve_neg", "retain_grad", "roll", "rot90", "row_stack", "rsub", "scatter",
    "scatter_add", "select", "select_copy", "select_scatter", "set", "share_memory", "slice", "slice_copy",
    "slice_scatter", "split", "split_copy", "split_with_sizes", "split_with_sizes_copy", "squeeze", "squeeze_copy",
    "stack", "stft", "sub", "subtract", "sum", "sum_to_size", "swapaxes", "swapdims", "t", "t_copy", "take",
    "take_along_dim", "tensor_split", "tile", "to_dense", "trace", "transpose", "transpose_copy", "tril", "triu",
    "type_as", "unbind", "unbind_copy", "unflatten", "unfold", "unfold_copy", "uniform", "unsafe_chunk",
    "unsafe_split", "unsafe_split_with_sizes", "unsqueeze", "unsqueeze_copy", "upsample", "upsample_bicubic2d",
    "upsample_bilinear2d", "upsample_linear1d", "upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d",
    "upsample_trilinear3d", "view", "view_as", "view_as_complex", "view_as_complex_copy", "view_as_real",
    "view_as_real_copy", "view_copy", "vsplit", "vstack", "where", "zero", "zeros_like",
    # giving no numbers that could be followed
    "__contains__", "__deepcopy__", "__format__", "__get__", "__hash__", "__iter__", "__len__", "__repr__",
    "__reversed__", "__str__", "_is_view", "all", "allclose", "any", "backward", "data_ptr", "dense_dim", "dim",
    "dim_order", "element_size", "equal", "get_device", "is_complex", "is_conj", "is_contiguous",
    "is_floating_point", "is_inference", "is_neg", "is_nonzero", "is_same_size", "is_shared", "isfinite", "isinf",
    "isnan", "logical_and", "logical_not", "logical_or", "logical_xor", "ndimension", "nelement", "numel",
    "register_hook", "requires_grad_", "size", "storage", "storage_offset", "storage_type", "stride",
    "untyped_storage",
})  # fmt: skip
"""Functions that need no rule: their own slope is the multiplier."""


def integrated(d: Multipliers, func: Any, *args: Any, **kwargs: Any) -> Any:
    """Whatever has no rule of its own, of any number of tensors: its slope averaged between the two passes."""
    flat, shape = tree.tree_flatten((args, kwargs))
    at = [i for i, each in enumerate(flat) if _moves(each)]
    if not at:
        return func(*args, **kwargs)
    with torch.no_grad():
        plain = func(*args, **kwargs)
    outs = plain if isinstance(plain, tuple | list) else (plain,)
    if not any(_moves(out) for out in outs):
        return plain

    def called(*values: Tensor) -> Any:
        filled = list(flat)
        for i, value in zip(at, values, strict=True):
            filled[i] = value
        args, kwargs = tree.tree_unflatten(filled, shape)
        return func(*args, **kwargs)

    values = [flat[i] for i in at]
    if isinstance(plain, Tensor):
        return d.along(called, *values)
    made = [
        d.along(lambda *values, k=k: called(*values)[k], *values) if _moves(out) else out for k, out in enumerate(outs)
    ]
    return type(plain)(made)


def _moves(x: Any) -> bool:
    return isinstance(x, Tensor) and not isinstance(x, nn.Parameter) and (x.is_floating_point() or x.is_complex())


def _without(d: Multipliers, func: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
    if not isinstance(x, Tensor) or not x.is_floating_point():
        return func(x, *args, **kwargs)
    name = PLAIN.get(func.__name__, func.__name__.rstrip("_"))
    return d.unruled(
        {"rmod": "remainder", "rfloor_divide": "floor_divide"}.get(name, name), lambda t: func(t, *args, **kwargs), x
    )


def _outside(_d: Multipliers, func: Any, x: Tensor, *args: Any, **kwargs: Any) -> Any:
    return func(x.detach(), *args, **kwargs)


def _pointwise(d: Multipliers, func: Any, x: Any, *args: Any, **kwargs: Any) -> Tensor:
    name, power = getattr(func, "__name__", ""), args[0] if args else 0
    if any(_moves(each) for each in args):  # an exponent, or slopes, that are worked out, too
        return cast(Tensor, integrated(d, func, x, *args, **kwargs))
    if name in _SQUARES and type(power) in (int, float) and power == 2:
        return d.squared(x)
    negative = "pow" in name and not isinstance(power, Tensor) and power < 0
    return d.pointwise(lambda t: func(t, *args, **kwargs), x, inverse=negative or name in ("rsqrt", "reciprocal"))


_SQUARES = {"pow", "pow_", "__pow__", "__ipow__"}


def _relu(d: Multipliers, func: Any, x: Tensor, *_: Any, **__: Any) -> Tensor:
    return d.pointwise(func, x) if d.splits else d.rectified(x)


def _mul(d: Multipliers, func: Any, a: Any, b: Any, **kwargs: Any) -> Tensor:
    if _known(a) or _known(b) or kwargs:
        return cast(Tensor, func(a, b, **kwargs))
    return d.times(a, b)


def _div(d: Multipliers, func: Any, a: Any, b: Any, **kwargs: Any) -> Tensor:
    if kwargs.get("rounding_mode"):
        return cast(Tensor, integrated(d, func, a, b, **kwargs) if _moves(b) else _without(d, func, a, b, **kwargs))
    if not isinstance(b, Tensor):
        return cast(Tensor, func(a, b, **kwargs))
    return d.quotient(a if isinstance(a, Tensor) else torch.as_tensor(a).to(b), b)


def _rdiv(d: Multipliers, _func: Any, b: Tensor, a: Any) -> Tensor:
    out = d.pointwise(torch.reciprocal, b, inverse=True)
    return d.scaled(a, out) if isinstance(a, Tensor) else a * out


def _bilinear(d: Multipliers, func: Any, a: Any, *args: Any, **kwargs: Any) -> Tensor:
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
    return out + (bias if func.__name__ == "linear" else _by_channel(bias, b))


_SECOND = ("weight", "other", "mat2", "vec")
"""What the second factor is called where it is given by name."""


def _rmatmul(d: Multipliers, _func: Any, b: Tensor, a: Tensor) -> Tensor:
    return _bilinear(d, torch.matmul, a, b)


def _einsum(d: Multipliers, func: Any, equation: Any, *operands: Any) -> Tensor:
    if not isinstance(equation, str):
        return cast(Tensor, integrated(d, func, equation, *operands))
    listed = list(operands[0] if len(operands) == 1 and isinstance(operands[0], list | tuple) else operands)
    at = [i for i, each in enumerate(listed) if not _known(each)]

    def called(*values: Tensor) -> Tensor:
        filled = list(listed)
        for i, value in zip(at, values, strict=True):
            filled[i] = value
        return torch.einsum(equation, *filled)

    values = [listed[i] for i in at]
    return called(*values) if len(at) < 2 else d.product(called, *values) if len(at) == 2 else d.along(called, *values)


def _two_inputs(d: Multipliers, func: Any, a: Tensor, b: Tensor, weight: Tensor, bias: Any = None) -> Tensor:
    if _known(a) or _known(b) or not _known(weight):
        return cast(Tensor, integrated(d, func, a, b, weight, bias))
    out = d.product(lambda a, b: func(a, b, weight, None), a, b)
    return out if bias is None else out + bias


def _addmm(d: Multipliers, func: Any, added: Tensor, a: Tensor, b: Tensor, **kwargs: Any) -> Tensor:
    if _known(a) or _known(b):
        return cast(Tensor, func(added, a, b, **kwargs))
    out: Tensor = kwargs.get("beta", 1) * added + kwargs.get("alpha", 1) * d.product(torch.matmul, a, b)
    return out


def _addcdiv(d: Multipliers, _func: Any, added: Tensor, a: Tensor, b: Tensor, *, value: float = 1) -> Tensor:
    return added + value * d.quotient(a, b)


def _addmv(d: Multipliers, func: Any, added: Tensor, a: Tensor, b: Tensor, **kwargs: Any) -> Tensor:
    return _addmm(d, func, added, a, b, **kwargs)


def _addcmul(d: Multipliers, _func: Any, added: Tensor, a: Tensor, b: Tensor, *, value: float = 1) -> Tensor:
    return added + value * _mul(d, torch.mul, a, b)


def _known(x: Any) -> bool:
    """Whether it is the same whatever the picture: a number or a parameter."""
    return not isinstance(x, Tensor) or isinstance(x, nn.Parameter) or not x.is_floating_point()


def _attention(d: Multipliers, _func: Any, *args: Any, **kwargs: Any) -> Tensor:
    with d:
        return attention(*args, **kwargs)


def _softmax(d: Multipliers, _func: Any, x: Tensor, dim: int | None = None, dtype: Any = None, **kw: Any) -> Tensor:
    dtype = dtype or kw.get("dtype")
    return d.softmax(x if dtype is None else x.to(dtype), -1 if dim is None else dim)


def _log_softmax(d: Multipliers, _func: Any, x: Tensor, dim: int = -1, dtype: Any = None, **kw: Any) -> Tensor:
    dtype = dtype or kw.get("dtype")
    x = x if dtype is None else x.to(dtype)
    return x - d.logsumexp(x, dim)


def _logsumexp(d: Multipliers, _func: Any, x: Tensor, dim: Any, keepdim: bool = False) -> Tensor:
    dims = _dims(x, dim)
    out = d.logsumexp(x, dims)
    return out if keepdim else out.squeeze(dims)


def _layer_norm(
    d: Multipliers, _func: Any, x: Tensor, shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5, *_: Any
) -> Tensor:
    y = d.normalized(x, tuple(range(x.ndim - len(tuple(shape)), x.ndim)), eps)
    return _lifted(d, y, weight, bias)


def _rms_norm(
    d: Multipliers, _func: Any, x: Tensor, shape: Any, weight: Any = None, eps: float | None = None
) -> Tensor:
    dims = tuple(range(x.ndim - len(tuple(shape)), x.ndim))
    return _lifted(
        d, d.normalized(x, dims, torch.finfo(x.dtype).eps if eps is None else eps, centered=False), weight, None
    )


def _group_norm(
    d: Multipliers, _func: Any, x: Tensor, groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5, *_: Any
) -> Tensor:
    y = d.normalized(x.reshape(x.shape[0], groups, -1), (2,), eps).view(x.shape)
    return _lifted(d, y, _by_channel(weight, x), _by_channel(bias, x))


def _instance_norm(
    d: Multipliers, func: Any, x: Tensor, weight: Any, bias: Any, mean: Any, var: Any, own: bool, *rest: Any
) -> Tensor:
    if not own and mean is not None:
        return cast(Tensor, func(x, weight, bias, mean, var, own, *rest))
    return _group_norm(d, func, x, x.shape[1], weight, bias, float(rest[1]))


def _batch_norm(
    d: Multipliers, func: Any, x: Tensor, weight: Any, bias: Any, mean: Any, var: Any, training: bool, *rest: Any
) -> Tensor:
    if training or mean is None:
        dims = tuple(i for i in range(x.ndim) if i != 1)
        return _lifted(d, d.normalized(x, dims, float(rest[1])), _by_channel(weight, x), _by_channel(bias, x))
    out = cast(Tensor, func(x, weight, bias, mean, var, training, *rest))
    scale = (var + float(rest[1])).rsqrt() if weight is None else weight / (var + float(rest[1])).sqrt()
    return d.scaled_parts(x, _by_channel(scale, x), out) if d.splits else out


def _add(d: Multipliers, func: Any, a: Any, b: Any, **kwargs: Any) -> Tensor:
    out = cast(Tensor, func(a, b, **kwargs))
    if kwargs or not isinstance(a, Tensor) or not isinstance(b, Tensor):
        return out
    return d.added_parts(a, b, out)


def _lifted(d: Multipliers, y: Tensor, weight: Any, bias: Any) -> Tensor:
    if weight is not None:
        y = y * weight if _known(weight) else d.product(torch.mul, y, weight)
    return y if bias is None else y + bias


def _by_channel(values: Any, x: Tensor) -> Any:
    return None if values is None else values.view(-1, *[1] * (x.ndim - 2))


def _max_pool(d: Multipliers, func: Any, x: Tensor, *args: Any, **kwargs: Any) -> Any:
    name = func.__name__.removesuffix("_with_indices")
    sides = int(name[-2])
    plain = args[:1] if name.startswith("adaptive") else args[:5]
    asked = kwargs.pop("return_indices", len(args) > len(plain) and args[len(plain)]) or name != func.__name__
    out, places = getattr(fn, f"{name}_with_indices")(x.detach(), *plain, **kwargs)
    best = d.selected(x.flatten(-sides), places.flatten(-sides), out.flatten(-sides)).view(out.shape)
    return (best, chosen_by(d, places, x)) if asked else best


def _lp_pool(
    d: Multipliers,
    func: Any,
    x: Tensor,
    norm_type: float,
    kernel_size: Any,
    stride: Any = None,
    ceil_mode: bool = False,
) -> Tensor:
    """The root of a sum of powers; torch writes it with a sign, which would have no slope."""
    p, sides = norm_type, int(func.__name__[-2])
    area = kernel_size**sides if isinstance(kernel_size, int) else math.prod(kernel_size)
    pool = (fn.avg_pool1d, fn.avg_pool2d, fn.avg_pool3d)[sides - 1]
    powers = d.squared(x) if p == 2 else d.pointwise(lambda t: t**p, x)
    summed = pool(powers, kernel_size, stride, 0, ceil_mode).mul(area)
    return d.root(summed) if p == 2 else d.pointwise(lambda t: t ** (1 / p), summed)


def _dims(x: Tensor, dim: Any) -> tuple[int, ...]:
    """Axes as they are counted from the front; all of them where none are named."""
    named = (dim,) if isinstance(dim, int) else tuple(dim or ())
    return tuple(each % max(1, x.ndim) for each in named) or tuple(range(x.ndim))


def _extreme(d: Multipliers, x: Tensor, dim: Any, keepdim: bool, *, largest: bool) -> Tensor:
    dims = _dims(x, dim)
    rest = [i for i in range(x.ndim) if i not in dims]
    flat = x.permute((*rest, *dims)).reshape(*(x.shape[i] for i in rest), -1)
    values, places = flat.detach().max(-1, keepdim=True) if largest else flat.detach().min(-1, keepdim=True)
    out = d.selected(flat, places, values).squeeze(-1)
    for i in sorted(dims) if keepdim else ():
        out = out.unsqueeze(i)
    return out


def _amax(d: Multipliers, _func: Any, x: Tensor, dim: Any = (), keepdim: bool = False) -> Tensor:
    return _extreme(d, x, dim, keepdim, largest=True)


def _amin(d: Multipliers, _func: Any, x: Tensor, dim: Any = (), keepdim: bool = False) -> Tensor:
    return _extreme(d, x, dim, keepdim, largest=False)


def _aminmax(d: Multipliers, _func: Any, x: Tensor, *, dim: Any = (), keepdim: bool = False) -> Any:
    return torch.return_types.aminmax(
        (_extreme(d, x, dim, keepdim, largest=False), _extreme(d, x, dim, keepdim, largest=True))
    )


def _max(d: Multipliers, func: Any, x: Tensor, *args: Any, **kwargs: Any) -> Any:
    other, largest = kwargs.get("other", args[0] if args else None), func.__name__ == "max"
    if isinstance(other, Tensor):
        return _maximum(d, func, x, other) if largest else _minimum(d, func, x, other)
    if not args and "dim" not in kwargs:
        return _extreme(d, x, (), False, largest=largest)
    return _ranked(d, func, x, *args, **kwargs)


def _ranked(d: Multipliers, func: Any, x: Tensor, *args: Any, **kwargs: Any) -> Any:
    """Values and where they were, by their rank along an axis: the first, the last, the middle one, or all in order."""
    name = func.__name__
    at = 1 if name in ("topk", "kthvalue") else 0
    dim = kwargs.get("dim", args[at] if len(args) > at else None)
    if not x.ndim or (dim is None and name in ("median", "nanmedian")):
        return _ranked(d, func, x.flatten(), 0)[0] if x.ndim else func(x, *args, **kwargs)
    dim = -1 if dim is None else dim
    found = func(x.detach(), *args, **kwargs)
    values, places = found
    gone = values.ndim < x.ndim
    top, where = (each.unsqueeze(dim) if gone else each for each in (values, places))
    out = d.selected(x.movedim(dim, -1), where.movedim(dim, -1), top.movedim(dim, -1)).movedim(-1, dim)
    chosen_by(d, where, x, dim)
    if gone:
        out, stood = out.squeeze(dim), d.stood_for(where)
        d.stand_in(places, cast(Tensor, stood).squeeze(dim))
    return type(found)((out, places))


def _msort(d: Multipliers, _func: Any, x: Tensor) -> Tensor:
    return cast(Tensor, _ranked(d, torch.sort, x, 0)[0])


def _quantile(
    d: Multipliers, func: Any, x: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, **kwargs: Any
) -> Tensor:
    """Between two ranks: those that `q` falls between among the places 0 … n − 1."""
    axes = range(x.ndim) if dim is None else [dim % x.ndim]
    x, along = (x.flatten(), 0) if dim is None else (x, dim % x.ndim)
    ordered = _ranked(d, torch.sort, x, along)[0].movedim(along, -1)
    at = func(torch.arange(x.shape[along]).to(x), q, **kwargs)  # one place, or several
    share, low, high = at.frac(), at.floor().long(), at.ceil().long()
    picked = ordered[..., low] + share * (ordered[..., high] - ordered[..., low])
    out: Tensor = picked.movedim(-1, 0) if at.ndim else picked
    for axis in axes if keepdim else ():
        out = out.unsqueeze(axis + at.ndim)
    return out


def _minimum(d: Multipliers, _func: Any, a: Tensor, b: Tensor) -> Tensor:
    return b - d.pointwise(torch.relu, b - a)


def _maximum(d: Multipliers, _func: Any, a: Tensor, b: Tensor) -> Tensor:
    return b + d.pointwise(torch.relu, a - b)


def _clamp(d: Multipliers, func: Any, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    low, high = (*args, None, None)[:2] if func.__name__.strip("_") in ("clamp", "clip") else (None, None)
    low, high = kwargs.get("min", low), kwargs.get("max", high)
    name = func.__name__
    if "clamp_min" in name:
        low = kwargs.get("min", args[0] if args else None)
    if "clamp_max" in name:
        high = kwargs.get("max", args[0] if args else None)
    if not isinstance(low, Tensor) and not isinstance(high, Tensor):
        return d.pointwise(lambda t: func(t, *args, **kwargs), x)
    if low is not None:
        x = _maximum(d, func, x, low)
    return x if high is None else _minimum(d, func, x, high)


def _moments(x: Tensor, dim: Any = None, unbiased: Any = True, keepdim: bool = False, **kwargs: Any) -> Any:
    """Axes, what is taken off the count, and whether axes stay, by any of the ways to call `var` and its kin."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    correction = kwargs.get("correction", 1 if unbiased else 0)
    return _dims(x, kwargs.get("axis", dim)), 1 if correction is None else correction, keepdim


def _variance(d: Multipliers, x: Tensor, dims: tuple[int, ...], correction: float) -> Tensor:
    count = math.prod(x.shape[i] for i in dims)
    return d.squared(x - x.mean(dims, keepdim=True)).sum(dims, keepdim=True) / max(0, count - correction)


def _var(d: Multipliers, func: Any, x: Tensor, *args: Any, **kwargs: Any) -> Any:
    dims, correction, keepdim = _moments(x, *args, **kwargs)
    out = _variance(d, x, dims, correction)
    out = d.root(out) if func.__name__.startswith("std") else out
    out = out if keepdim else out.squeeze(dims)
    return (out, x.mean(dims, keepdim=keepdim)) if func.__name__.endswith("_mean") else out


def _norm(
    d: Multipliers, func: Any, x: Tensor, p: Any = None, dim: Any = None, keepdim: bool = False, **kw: Any
) -> Tensor:
    """Of vectors; those of matrices are integrated."""
    if func.__name__ == "frobenius_norm":
        p, dim, keepdim = 2, p, dim if isinstance(dim, bool) else keepdim
    p, dim, keepdim = kw.get("ord", p), kw.get("dim", dim), kw.get("keepdim", keepdim)
    axes = x.ndim if dim is None else 1 if isinstance(dim, int) else len(tuple(dim))
    matrix = func.__name__ == "linalg_norm" and p is not None and axes == 2
    if (isinstance(p, str) and p != "fro") or (matrix and p != "fro"):
        return cast(Tensor, integrated(d, func, x, p, dim, keepdim))
    x = x if kw.get("dtype") is None else x.to(kw["dtype"])
    dims = _dims(x, dim)
    return _length(d, x, 2.0 if p in (None, "fro") else float(p), dims, keepdim)


def _length(d: Multipliers, x: Tensor, p: float, dims: tuple[int, ...], keepdim: bool) -> Tensor:
    if p == 0:
        return d.unruled("norm", lambda t: torch.linalg.vector_norm(t, 0, dims, keepdim), x)
    if math.isinf(p):
        return _extreme(d, d.pointwise(torch.abs, x), dims, keepdim, largest=p > 0)
    if p < 0:
        return d.along(lambda t: torch.linalg.vector_norm(t, p, dims, keepdim), x)
    if p == 2:
        out = d.length(x, dims)
    elif p == 1:
        out = d.pointwise(torch.abs, x).sum(dims, keepdim=True)
    else:
        out = d.pointwise(lambda t: t ** (1 / p), d.pointwise(lambda t: t.abs() ** p, x).sum(dims, keepdim=True))
    return out if keepdim else out.squeeze(dims)


def _dist(d: Multipliers, _func: Any, a: Tensor, b: Tensor, p: float = 2) -> Tensor:
    return _length(d, a - b, float(p), tuple(range(max(a.ndim, b.ndim))), False)


def _pairwise_distance(
    d: Multipliers, _func: Any, a: Tensor, b: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Tensor:
    apart = a - b + eps
    return _length(d, apart, float(p), (apart.ndim - 1,), keepdim)


def _cosine(d: Multipliers, _func: Any, a: Tensor, b: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    shape = torch.broadcast_shapes(a.shape, b.shape)  # type: ignore[no-untyped-call]
    a, b = a.expand(shape), b.expand(shape)
    one, other = (d.quotient(x, d.pointwise(lambda t: t.clamp_min(eps), d.length(x, _dims(x, dim)))) for x in (a, b))
    return d.product(torch.mul, one, other).sum(dim)


def _glu(d: Multipliers, _func: Any, x: Tensor, dim: int = -1) -> Tensor:
    value, gate = x.chunk(2, dim)
    return d.product(torch.mul, value, d.pointwise(torch.sigmoid, gate))


def _lerp(d: Multipliers, func: Any, a: Tensor, b: Tensor, weight: Any) -> Tensor:
    if _known(weight):
        return cast(Tensor, func(a, b, weight))
    return a + d.product(torch.mul, b - a, weight)


Rule = Callable[..., Any]
"""Takes the pair of passes, the function as called, and its arguments; gives what the function gives."""

RULES: dict[str, Rule] = {
    **dict.fromkeys(_POINTWISE, _pointwise),
    **dict.fromkeys(("matmul", "bmm", "mm", "mv", "linear", "dot", "vdot", "inner", "outer", "kron"), _bilinear),
    **dict.fromkeys(("cross", "linalg_cross", "vecdot", "tensordot", "conv_tbc"), _bilinear),
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), _bilinear),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), _bilinear),
    **{name: _lp_pool if name.startswith("lp") else _max_pool for name in POOLS},
    **dict.fromkeys(("clamp", "clamp_min", "clamp_max"), _clamp),
    **dict.fromkeys(("var", "std", "var_mean", "std_mean"), _var),
    **dict.fromkeys(("norm", "linalg_norm", "linalg_vector_norm"), _norm),
    **dict.fromkeys(("sort", "topk", "kthvalue", "median", "nanmedian", "cummax", "cummin"), _ranked),
    **dict.fromkeys(("lstm", "gru", "rnn_tanh", "rnn_relu"), recurrent),
    **dict.fromkeys(("lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell"), cell),
    **dict.fromkeys(("gt", "ge", "lt", "le", "eq", "ne"), compared),
    **dict.fromkeys(("argmax", "argmin", "argsort", "bucketize", "count_nonzero", "nonzero"), discrete),
    **dict.fromkeys(("to", "type", "long", "int", "short", "byte", "bool"), cast_down),
    **dict.fromkeys(STEPS, _without),
    **dict.fromkeys(("__array__", "__bool__", "__float__", "__index__", "__int__", "item"), _outside),
    **dict.fromkeys(("numpy", "tolist"), _outside),
    "detach": lambda d, _func, x: d.cut(x),
    "relu": _relu, "mul": _mul, "div": _div, "rdiv": _rdiv, "rmatmul": _rmatmul, "einsum": _einsum, "addmm": _addmm,
    "baddbmm": _addmm, "addmv": _addmv, "addcmul": _addcmul, "addcdiv": _addcdiv, "bilinear": _two_inputs,
    "lerp": _lerp, "glu": _glu, "scaled_dot_product_attention": _attention,
    "square": lambda d, _func, x: d.squared(x), "sqrt": lambda d, _func, x: d.root(x),
    "softmax": _softmax, "log_softmax": _log_softmax, "logsumexp": _logsumexp, "layer_norm": _layer_norm,
    "rms_norm": _rms_norm, "group_norm": _group_norm, "instance_norm": _instance_norm, "batch_norm": _batch_norm,
    "amax": _amax, "amin": _amin, "aminmax": _aminmax, "max": _max, "min": _max, "msort": _msort,
    "quantile": _quantile, "nanquantile": _quantile, "maximum": _maximum, "minimum": _minimum,
    "cosine_similarity": _cosine, "pairwise_distance": _pairwise_distance, "dist": _dist,
}  # fmt: skip

SPLIT: dict[str, Rule] = {"add": _add}
"""What is affine and has a rule all the same, where raising and lowering are followed apart."""
