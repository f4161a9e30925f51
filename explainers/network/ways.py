"""The ways from the picture to the scores: followed function by function, to see where slopes are cut, or mended."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

from .taps import passing


class Ways(TorchFunctionMode):
    """While it lasts, in this thread, follows what is computed from `pixels`, a leaf, in a pass with its graph."""

    def __init__(self, pixels: Tensor) -> None:
        super().__init__()
        self._pixels = pixels
        self._known: Any = WeakIdKeyDictionary()
        self._known[pixels] = False  # and for each tensor whether something that lets no slope through went into it
        self._left = False
        self.cut = ""
        """The first thing seen that slopes do not pass, as the end of “the network …”; empty where there is none."""
        self.linked = False
        """Whether the output is joined to the pixels by a graph."""
        self.lost = False
        """Whether something reaches the output that no slope can follow, whatever is mended."""
        self.stops = False
        """Whether a graph leads into an operation without derivative, of which torch warns on the way back."""
        self.exported = False
        """Whether operations are called as an exported program calls them, by no function of torch."""
        self.unseen: set[str] = set()
        """Operations that ran inside no function that a mode sees, by name; told from outside."""
        self.inside = 0
        """How many functions are under way."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        self.exported |= isinstance(func, torch._ops.OpOverload | torch._ops.OpOverloadPacket)
        given = [t for t in _valued(func, args, kwargs) if t in self._known]
        self.inside += 1
        try:
            out = func(*args, **kwargs)
        finally:
            self.inside -= 1
        name = _name(func)
        if not given or name in _SHAPED:
            return out
        if name in _LEAVING:
            self._notice(f"takes part of what it computes out of torch (.{name}())")
            self._left = True
        severed = any(self._known[t] for t in given)
        for each in tree_leaves(out):
            if _counts(each):
                ends = (not each.requires_grad or _underivable(each.grad_fn)) and any(t.requires_grad for t in given)
                if ends and not torch.is_grad_enabled():
                    mode = "inference_mode" if torch.is_inference_mode_enabled() else "no_grad"
                    self._notice(f"runs part of itself under torch.{mode}()")
                elif ends and name in _DETACHING:
                    self._notice("detaches part of what it computes")
                elif ends:
                    self.stops |= each.requires_grad
                    self._notice(f"computes part of itself by {name}, which lets no gradient through")
                    severed = True
                if each not in self._known or severed:
                    self._known[each] = severed
        return out

    def end(self, output: Any) -> None:
        """Tell what came out at last."""
        if isinstance(output, Tensor):
            self.linked = _joined(output, self._pixels)
            self.lost = self._left or bool(self._known.get(output, False))

    def _notice(self, what: str) -> None:
        self.cut = self.cut or what


class Mended(TorchFunctionMode):
    """While it lasts, in this thread, passes record their graph through `detach` and `no_grad`, as if there were none.

    A derivative of the author's own, in an `autograd.Function`, stays the author's own.
    """

    def __init__(self) -> None:
        super().__init__()
        self._severed: Any = WeakIdKeyDictionary()

    def lost(self, output: Tensor) -> bool:
        """Whether something went into this that has no derivative to mend."""
        return output in self._severed

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        given = _valued(func, args, kwargs)
        out = self._mended(func, args, kwargs, linked=any(t.requires_grad for t in given))
        severed = any(t in self._severed for t in given)
        if (severed or any(t.requires_grad for t in given)) and passing() and _name(func) not in _SHAPED:
            for each in tree_leaves(out):
                if _counts(each) and (severed or not each.requires_grad or _underivable(each.grad_fn)):
                    self._severed[each] = True
        return out

    def _mended(self, func: Any, args: Any, kwargs: Any, *, linked: bool) -> Any:
        if not passing() or not linked:
            with torch.inference_mode(mode=False) if torch.is_inference_mode_enabled() else nullcontext():
                return func(*args, **kwargs)
        name = _name(func)
        if name in _DETACHING:
            return args[0] if name == "detach_" else args[0].view_as(args[0])
        if name in _LEAVING:
            with torch._C.DisableTorchFunction():
                return func(args[0].detach(), *args[1:], **kwargs)
        inference = torch.is_inference_mode_enabled()
        with torch.inference_mode(mode=False) if inference else nullcontext(), torch.enable_grad():
            return func(*args, **kwargs)


# --- private ---------------------------------------------------------------------------------------------------------

_DETACHING = {"detach", "detach_", "data"}
_LEAVING = {"numpy", "tolist", "item", "__array__", "__float__"}
_SHAPED = {
    "empty_like", "full_like", "new_empty", "new_full", "new_ones", "new_tensor", "new_zeros", "ones_like",
    "rand_like", "randn_like", "zeros_like", "grad", "grad_fn", "requires_grad_", "register_hook", "retain_grad",
}  # fmt: skip
"""Functions that take no value from what they are given."""


_ALIKE = {"expand_as", "reshape_as", "to", "type_as", "view_as"}
"""Functions that make their first tensor like another, of which they take the form only."""


def _valued(func: Any, args: Any, kwargs: Any) -> list[Tensor]:
    """The tensors whose values go into a call."""
    return [t for t in tree_leaves(args[:1] if _name(func) in _ALIKE else (args, kwargs)) if isinstance(t, Tensor)]


def _name(func: Any) -> str:
    name = str(getattr(func, "__name__", ""))
    return str(getattr(func.__self__, "__name__", "")) if name == "__get__" else name


def _counts(value: Any) -> bool:
    """Whether something can have slopes, or could have had: numbers of places and of yes or no cannot."""
    return isinstance(value, Tensor) and (value.is_floating_point() or value.is_complex() or value.is_quantized)


def _underivable(node: Any) -> bool:
    """Whether a node stands for an operation that has no derivative, which torch finds out on the way back only."""
    return node is not None and "NotImplemented" in node.name()


def _joined(output: Tensor, pixels: Tensor) -> bool:
    """Whether a graph leads from the output to the pixels."""
    seen, waiting = set(), [output.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen or _underivable(node):
            continue
        if getattr(node, "variable", None) is pixels:
            return True
        seen.add(node)
        waiting.extend(before for before, _ in node.next_functions)
    return False
