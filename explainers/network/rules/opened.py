"""Functions of torch that are written in Python, made to show what they call."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

_WRITTEN_IN_PYTHON = ("torch.nn.functional", "torch.functional")
WHOLE = {
    *(
        f"{kind}max_pool{n}d{places}"
        for kind in ("", "adaptive_")
        for n in (1, 2, 3)
        for places in ("", "_with_indices")
    ),
    *(f"lp_pool{n}d" for n in (1, 2, 3)),
}
"""What has a rule as it is, and would show less inside."""

_bodies: dict[Any, Callable[..., Any] | None] = {}


def opened(func: Any) -> Callable[..., Any] | None:
    """The body of a function of `torch.nn.functional`, each call of which a mode sees; None for anything else.

    Such a function asks first whether a mode is active, and hands itself over whole. The body given back is a copy
    that is always told "no"; torch's own function is left as it is.
    """
    if func not in _bodies:
        body = None
        written = isinstance(func, types.FunctionType) and func.__module__ in _WRITTEN_IN_PYTHON
        # Where another function asks in its stead, the copy would only hand itself over again, for ever.
        asks = written and any(name.startswith("has_torch_function") for name in func.__code__.co_names)
        if asks and func.__name__ not in WHOLE:
            told = {name: _no for name in func.__globals__ if name.startswith("has_torch_function")}
            names = {**func.__globals__, **told}
            body = types.FunctionType(func.__code__, names, func.__name__, func.__defaults__, func.__closure__)
            body.__kwdefaults__ = func.__kwdefaults__
        _bodies[func] = body
    return _bodies[func]


def _no(*_args: Any) -> bool:
    return False
