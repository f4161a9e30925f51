"""DeepLIFT's rules by function (Shrikumar, Greenside and Kundaje, ICML 2017), so that any architecture sums.

A rule says how the difference Δy of an operation's output, against its output for a reference, comes from the
differences of its inputs: Δy = Σ mᵢ Δxᵢ, exactly. Multipliers m chain as slopes do, so autograd carries them: each
operation here puts out what it always does and hands back m in the place of its slope. What is affine needs no rule;
what has none of its own, but a slope, is integrated between the two passes; of what has neither, as rounding, it is
taken down how much of the score it carries.

Two passes are compared: one on the reference, which keeps what went into and came out of each operation that has a
rule, and one on the picture, which meets the same operations in the same order. So nothing depends on modules, on
names, or on where a network keeps its batch axis.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor

from ...errors import DoesNotApply
from .choices import touched
from .functions import LINEAR, PLAIN, RULES, SPLIT, integrated
from .multipliers import Multipliers, RuleName
from .opened import opened
from .steering import Function, strangers


class Differences(Multipliers):
    """Holds a picture's pass against a reference's: `with d.reference():` the one, then `with d.compared():` the other.

    A gradient of the second pass is a multiplier: times the difference of the pixels, it adds up to the difference of
    the scores. Both passes have to take the same course; `DoesNotApply` is raised where they do not. With
    `reveal_cancel`, what raises an activation and what lowers it are followed apart through each rectifier.
    """

    def __init__(self, rule: RuleName = "rescale") -> None:
        super().__init__(rule)
        self._last: Any = None
        self.strangers: list[str] = []
        """Functions of the network's own (`torch.autograd.Function`): what they do with a difference is not known."""

    @contextmanager
    def reference(self) -> Iterator[None]:
        """What runs in here is the pass on the reference; what it kept before is forgotten."""
        self._recording, self._tape = True, []
        try:
            with self._begun(), self, torch.no_grad():
                yield
        finally:
            self._recording = False

    @contextmanager
    def compared(self) -> Iterator[None]:
        """What runs in here is held against the reference, once: what was kept of it is let go of on the way."""
        with self._begun():
            with self:
                yield
            if isinstance(self._last, Tensor):
                self.strangers = strangers(self._last)

    @contextmanager
    def _begun(self) -> Iterator[None]:
        self._at = 0
        try:
            yield
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:  # such as of a network that takes a gradient on its way
            told = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
            raise DoesNotApply(f"The network does not run under the rules of DeepLIFT ({told}).") from error
        finally:
            self._held.clear()
            self._inverse.clear()
            self._parts.clear()
            self._stand_ins.clear()
            self._last = None

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self._last = out = self._called(func, types, args, kwargs or {})
        return out

    def _called(self, func: Any, types: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        name = getattr(func, "__name__", "")
        if name == "__get__":
            return func(*args, **kwargs)
        if body := opened(func):
            with self:
                return body(*args, **kwargs)
        if not args or "out" in kwargs:
            return self._respelled(func, types, args, kwargs)
        changes = _changes(name) and isinstance(args[0], Tensor)
        if changes and self._recording:
            self._preserve(args[0])
        name = PLAIN.get(name, name.rstrip("_") if changes and name != "__setitem__" else name)
        rule = RULES.get(name) or (SPLIT.get(name) if self._split else None)
        if rule is None and name not in LINEAR:
            rule = integrated
        if self._stand_ins and self._standing_in(args, kwargs):
            rule = partial(touched, name)
        elif rule is None or not _floating(args):
            if rule is None or not _complex(args):
                return func(*args, **kwargs)
            rule = integrated
        if not changes:
            return rule(self, func, *args, **kwargs)
        changed, *rest = args
        if name == "relu" and not self._split and not changed._is_view():
            return self.rectified(changed, within=True)
        before = changed.clone()
        self._pass_on(changed, before)
        result = rule(self, _aside(func), before, *rest, **kwargs)
        changed.copy_(result)
        self._pass_on(result, changed)
        return None if name == "__setitem__" else changed

    def _respelled(self, func: Any, types: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        """A call with its first argument by name, or with a place for what comes out."""
        out = kwargs.get("out")
        rest = {key: value for key, value in kwargs.items() if key != "out" or args}
        if not args:
            return self._called(func, types, (rest.pop("input"),), rest) if "input" in rest else func(**rest)
        del rest["out"]
        made = self._called(func, types, args, rest)
        if not isinstance(out, Tensor):
            return made if out is None else func(*args, **kwargs)
        if self._recording:
            self._preserve(out)
        return out.resize_(made.shape).copy_(made)

    def _standing_in(self, args: Any, kwargs: dict[str, Any]) -> bool:
        known = self._stand_ins
        for each in (*args, *kwargs.values()):
            if id(each) in known or (type(each) in (tuple, list) and any(id(one) in known for one in each)):
                return True
        return False


# --- private ---------------------------------------------------------------------------------------------------------


def _changes(name: str) -> bool:
    """Whether a function of this name writes into its first argument."""
    inplace = name.endswith("_") and not name.endswith("__")
    return inplace or name == "__setitem__" or (name.startswith("__i") and name in PLAIN and name != "__invert__")


def _floating(args: tuple[Any, ...]) -> bool:
    first = args[0] if isinstance(args[0], Tensor) else next((a for a in args if isinstance(a, Tensor)), None)
    return isinstance(args[0], str | list | tuple) or (first is not None and first.is_floating_point())


def _complex(args: tuple[Any, ...]) -> bool:
    return isinstance(args[0], Tensor) and args[0].is_complex()


def _aside(func: Any) -> Function:
    """A function that writes into its first argument, made to write elsewhere."""
    if func.__name__ == "__setitem__":
        return _with_items
    if plain := getattr(torch, getattr(func, "__name__", "").rstrip("_"), None):
        return cast(Function, plain)
    return lambda first, *args, **kwargs: func(first.clone(), *args, **kwargs)


def _with_items(first: Tensor, index: Any, value: Any) -> Tensor:
    out = first.clone()
    out[index] = value
    return out
