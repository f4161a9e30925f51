"""DeepLIFT's rules by function (Shrikumar, Greenside and Kundaje, ICML 2017), so that any architecture sums.

A rule says how the difference Δy of an operation's output, against its output for a reference, comes from the
differences of its inputs: Δy = Σ mᵢ Δxᵢ, exactly. Multipliers m chain as slopes do, so autograd carries them: each
operation here puts out what it always does and hands back m in the place of its slope. What is affine needs no rule.

Two passes are compared: one on the reference, which keeps what went into and came out of each operation that has a
rule, and one on the picture, which meets the same operations in the same order. So nothing depends on modules, on
names, or on where a network keeps its batch axis.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple, cast

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from ..errors import DoesNotApply
from .functions import PLAIN, RULES, SPLIT
from .opened import opened

RuleName = Literal["rescale", "reveal_cancel"]

Function = Callable[..., Tensor]
Back = Callable[[Tensor], tuple[Tensor | None, ...]]

CLOSE = {torch.float64: 1e-7, torch.float32: 1e-6}
"""Inputs nearer to each other than this have a slope and no quotient of differences that could be trusted."""


class Differences(TorchFunctionMode):
    """Holds a picture's pass against a reference's: `with d.reference():` the one, then `with d.compared():` the other.

    A gradient of the second pass is a multiplier: times the difference of the pixels, it adds up to the difference of
    the scores. Both passes have to take the same course; `DoesNotApply` is raised where they do not. With
    `reveal_cancel`, what raises an activation and what lowers it are followed apart through each rectifier.
    """

    def __init__(self, rule: RuleName = "rescale") -> None:
        super().__init__()
        self._split = rule == "reveal_cancel"
        self._recording = False
        self._tape: list[list[Any]] = []
        self._at = 0
        self._held: dict[int, list[tuple[list[Any], int]]] = defaultdict(list)
        self._inverse: dict[int, Tensor] = {}
        self._parts: dict[int, _Parts] = {}

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
        with self._begun(), self:
            yield

    @contextmanager
    def _begun(self) -> Iterator[None]:
        self._at = 0
        try:
            yield
        finally:
            self._held.clear()
            self._inverse.clear()
            self._parts.clear()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name == "__get__" or not args:
            return func(*args, **kwargs)
        if body := opened(func):
            with self:
                return body(*args, **kwargs)
        changes = _changes(name) and isinstance(args[0], Tensor)
        if changes and self._recording:
            self._preserve(args[0])
        name = PLAIN.get(name, name.rstrip("_") if changes else name)
        rule = RULES.get(name) or (SPLIT.get(name) if self._split else None)
        if rule is None or not _floating(args):
            return func(*args, **kwargs)
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
        return changed

    # --- what both passes met --------------------------------------------------------------------------------------

    def met(self, *values: Tensor) -> list[Tensor] | None:
        """The reference's values at the same operation; None in the reference's own pass, which keeps these."""
        if self._recording:
            self._keep(*values)
            return None
        return self._kept(*values)

    def _keep(self, *values: Tensor) -> None:
        entry = [value.detach() for value in values]
        self._tape.append(entry)
        for slot, value in enumerate(entry):
            self._held[value.untyped_storage().data_ptr()].append((entry, slot))

    def _kept(self, *values: Tensor) -> list[Tensor]:
        if self._at >= len(self._tape) or [v.shape for v in self._tape[self._at]] != [v.shape for v in values]:
            raise DoesNotApply("The network takes another course on the reference, so that nothing can be compared.")
        known, self._tape[self._at] = self._tape[self._at], []  # let go of as the other pass grows
        self._at += 1
        return known

    def _preserve(self, changed: Tensor) -> None:
        """Copy what was kept of a tensor before something writes into it."""
        for entry, slot in self._held.pop(changed.untyped_storage().data_ptr(), ()):
            entry[slot] = entry[slot].clone()

    # --- the rules ---------------------------------------------------------------------------------------------------

    def pointwise(self, function: Function, x: Tensor, *, inverse: bool = False) -> Tensor:
        """Rescale: Δf/Δx, or f′ where the two inputs are one. An `inverse` is one that may be huge, as 1/x."""
        out = self._pointwise(function, x)
        if inverse:
            self._inverse[id(out)] = out
        return out

    def _pointwise(self, function: Function, x: Tensor) -> Tensor:
        out = function(x.detach())
        known = self.met(x, out)
        if known is None:
            return out
        x0, out0 = known
        if id(x) in self._parts:
            return self._revealed(function, x, x0, out)
        slope = _slope(function, x.detach(), x0, out - out0)
        return _steered(out, lambda g: (g * slope,), x)

    def rectified(self, x: Tensor, *, within: bool = False) -> Tensor:
        """Rescale for max(x, 0), without a quotient of differences; `within` x itself.

        With h the larger of x and x′, Δy/Δx is h/|x − x′|, cut off below 0 and above 1: which holds on either side of
        zero and across it, and where the two inputs are one it is the slope.
        """
        if self._recording:
            known = x.clone() if within else x
            self._keep(known)
            return torch.relu_(x) if within else torch.relu(x)
        (known,) = self._kept(x)
        return cast(Tensor, _Rectified.apply(x, known, within))

    def product(self, function: Function, a: Tensor, b: Tensor) -> Tensor:
        """Of anything bilinear: Δ(ab) = Δa·b̄ + ā·Δb with the midpoints ā, b̄, which splits it exactly and evenly."""
        known = self.met(a, b)
        if known is None:
            return function(a, b)
        a0, b0 = known
        if _same(a, a0) or _same(b, b0):
            return function(a, b)
        middle = torch.lerp(a0, a.detach(), 0.5), torch.lerp(b0, b.detach(), 0.5)

        def back(g: Tensor) -> tuple[Tensor, ...]:
            with torch.enable_grad():
                leaves = [each.requires_grad_() for each in middle]
                return torch.autograd.grad(function(*leaves), leaves, g)

        return _steered(function(a.detach(), b.detach()), back, a, b)

    def times(self, a: Tensor, b: Tensor) -> Tensor:
        """The product of two tensors, place by place; where one is an inverse, as the quotient that it is."""
        for factor, inverse in ((a, b), (b, a)):
            if id(inverse) in self._inverse:
                return self.scaled(factor, inverse)
        return self.product(torch.mul, a, b)

    def scaled(self, a: Tensor, r: Tensor) -> Tensor:
        """Δ(ar) = Δa(λr + (1−λ)r′) + Δr(λa′ + (1−λ)a) holds for any λ; this one lets no huge r or r′ through."""
        known = self.met(a, r)
        if known is None:
            return a * r
        a0, r0 = known
        x, s = a.detach(), r.detach()
        share = 1 / (1 + (s / _nonzero(r0)).square())
        for_a, for_r = share * s + (1 - share) * r0, share * a0 + (1 - share) * x
        return _steered(x * s, lambda g: ((g * for_a).sum_to_size(a.shape), (g * for_r).sum_to_size(r.shape)), a, r)

    def quotient(self, a: Tensor, b: Tensor) -> Tensor:
        """Δ(a/b) = ((b + b′)Δa − (by′ + b′y)Δb)/(b² + b′²): for two divisors far apart, Δa over the larger.

        So a small divisor, as the deviation of a plain reference, makes nothing large: where a′ is zero, too, all of
        it is Δa/b. The midpoint's 2Δa/(b + b′) would be twice that, and twice again in every layer.
        """
        known = self.met(a, b)
        if known is None:
            return a / b
        a0, b0 = known
        if _same(b, b0):
            return a / b
        x, d = a.detach(), b.detach()
        y, y0, squares = x / d, a0 / b0, d.square() + b0.square()
        for_a, for_b = (d + b0) / squares, -(d * y0 + b0 * y) / squares
        return _steered(y, lambda g: ((g * for_a).sum_to_size(a.shape), (g * for_b).sum_to_size(b.shape)), a, b)

    def normalized(self, x: Tensor, dims: tuple[int, ...], eps: float, *, centered: bool = True) -> Tensor:
        """A tensor over its root mean square, centered or not: a quotient, whose divisor comes from squares."""
        (y, r, at_center), known = _normalized(x.detach(), dims, eps, centered), self.met(x)
        if known is None:
            return y
        y0, r0, at_center0 = _normalized(known[0], dims, eps, centered)
        both, squares, around = r + r0, r.square() + r0.square(), at_center + at_center0
        mixed, product = r * y + r0 * y0, r * r0
        count = math.prod(x.shape[d] for d in dims)

        def back(g: Tensor) -> tuple[Tensor]:
            for_squares = -(g * mixed).sum(dims, keepdim=True) / squares * product.square() / both
            m = g * (product * both / squares) + for_squares * around / count
            return (m - m.mean(dims, keepdim=True) if centered else m,)

        return _steered(y, back, x)

    def softmax(self, x: Tensor, dim: int) -> Tensor:
        """Of the exponentials e and their sum s, as of any quotient.

        A constant added to a whole row changes nothing, so the rule looks at what is left without the mean.
        """
        known = self.met(x)
        if known is None:
            return torch.softmax(x, dim)
        rest, rest0 = _centered(dim, x.detach(), known[0])
        slope, s, s0 = _exponentials(rest, rest0, dim)
        out = torch.softmax(x.detach(), dim)
        mixed, squares = s * torch.softmax(known[0], dim) + s0 * out, s.square() + s0.square()

        def back(g: Tensor) -> tuple[Tensor]:
            m = (g * (s + s0) - (g * mixed).sum(dim, keepdim=True)) / squares * slope
            return (m if rest0 is known[0] else m - m.mean(dim, keepdim=True),)

        return _steered(out, back, x)

    def logsumexp(self, x: Tensor, dim: int) -> Tensor:
        """Of the mean, and of the exponentials of the rest and their sum s, kept as an axis of one: Δ log s / Δs."""
        out, known = torch.logsumexp(x.detach(), dim, keepdim=True), self.met(x)
        if known is None:
            return out
        rest, rest0 = _centered(dim, x.detach(), known[0])
        slope, s, s0 = _exponentials(rest, rest0, dim)
        change = torch.logsumexp(rest, dim, keepdim=True) - torch.logsumexp(rest0, dim, keepdim=True)
        over_sum = _slope(torch.log, s, s0, change)

        def back(g: Tensor) -> tuple[Tensor]:
            m = g * over_sum * slope
            return (m if rest0 is known[0] else m - m.mean(dim, keepdim=True) + g / x.shape[dim],)

        return _steered(out, back, x)

    def largest(self, x: Tensor, windows: Tensor, out: Tensor) -> Tensor:
        """Of maxima, each at a place `windows` (N, C, …) of the flattened rest of x (N, C, …): the winner's change.

        Where the picture's maximum is the larger one, or its place a winner for the reference, too (which is level
        there, as a rule), its own place carries the difference; else the reference's.
        """
        flat = x.flatten(2)
        known = self.met(flat, windows.flatten(2), out.flatten(2))
        if known is None:
            return out
        x0, windows0, out0 = known
        top, best = out.detach().flatten(2), flat.detach()
        own = windows.flatten(2)
        place = torch.where((top >= out0) | (x0.gather(2, own) == out0), own, windows0)
        change = best.gather(2, place) - x0.gather(2, place)
        close = change.abs() < CLOSE.get(x.dtype, 1e-6)
        share = torch.where(close, 1, (top - out0) / torch.where(close, 1, change))

        def back(g: Tensor) -> tuple[Tensor]:
            return (torch.zeros_like(best).scatter_add(2, place, g.flatten(2) * share).view(x.shape),)

        return _steered(out.detach(), back, x)

    # --- what raised a value and what lowered it, followed apart -----------------------------------------------------

    def _revealed(self, function: Function, x: Tensor, x0: Tensor, out: Tensor) -> Tensor:
        """RevealCancel: what raised x and what lowered it go through the function one after the other, both ways."""
        up, down, _ = self._parts[id(x)]
        rise, fall = up.detach(), down.detach()
        start, risen, fallen = function(x0), function(x0 + rise), function(x0 + fall)
        for_up = _slope(function, x0 + rise, x0, ((risen - start) + (out - fallen)) / 2)
        for_down = _slope(function, x0 + fall, x0, ((fallen - start) + (out - risen)) / 2)
        return _steered(out, lambda g: (g * for_up, g * for_down), up, down)

    def affine(self, function: Function, x: Tensor, weight: Tensor, out: Tensor) -> Tensor:
        """Sort the terms of a weighted sum, without its bias, into those that raise it and those that lower it."""
        known = self.met(x)
        if known is None:
            return self._tell(out, out, out)
        step = x - known[0]
        rises, falls = step.detach() > 0, step.detach() < 0
        raising, lowering = weight.clamp_min(0), weight.clamp_max(0)
        up = function(step * rises, raising) + function(step * falls, lowering)
        down = function(step * rises, lowering) + function(step * falls, raising)
        still = ~(rises | falls)
        if still.any():  # of no weight in any sum, but their multipliers are asked for
            half = function(step * still, weight) / 2
            up, down = up + half, down + half
        return self._tell(out, up, down)

    def scaled_parts(self, x: Tensor, scale: Tensor, out: Tensor) -> Tensor:
        """Parts through out = scale · x + constant: a negative scale makes of what raised what lowers."""
        if id(x) not in self._parts:
            return out
        up, down, _ = self._parts[id(x)]
        if self._recording:
            return self._tell(out, out, out)
        rising, falling = scale.clamp_min(0), scale.clamp_max(0)
        return self._tell(out, rising * up + falling * down, rising * down + falling * up)

    def added_parts(self, a: Tensor, b: Tensor, out: Tensor) -> Tensor:
        """Parts of a sum, where one of the two has parts; the other is sorted by its own sign."""
        if id(a) not in self._parts and id(b) not in self._parts:
            return out
        known = self.met(a, b)
        if known is None:
            return self._tell(out, out, out)
        (up, down), (more_up, more_down) = (self._sorted(x, x0) for x, x0 in zip((a, b), known, strict=True))
        return self._tell(out, up + more_up, down + more_down)

    def _sorted(self, x: Tensor, x0: Tensor) -> tuple[Tensor, Tensor]:
        if id(x) in self._parts:
            return self._parts[id(x)][:2]
        step = x - x0
        return step * (step.detach() > 0), step * (step.detach() <= 0)

    def _tell(self, out: Tensor, up: Tensor, down: Tensor) -> Tensor:
        self._parts[id(out)] = _Parts(up, down, out)
        return out

    def _pass_on(self, old: Tensor, new: Tensor) -> None:
        if parts := self._parts.pop(id(old), None):
            self._parts[id(new)] = parts._replace(owner=new)

    @property
    def splits(self) -> bool:
        """Whether what raises and what lowers is followed apart."""
        return self._split


class _Parts(NamedTuple):
    """What raised a tensor against the reference and what lowered it, each in the graph; the difference in two."""

    up: Tensor
    down: Tensor
    owner: Tensor
    """Kept, so that its number is not given to another tensor."""


# --- private: steering a gradient ------------------------------------------------------------------------------------


class _Steered(torch.autograd.Function):
    """Puts out a value that was worked out already, and hands back what `back` makes of a multiplier."""

    @staticmethod
    def forward(ctx: Any, held: list[Tensor], back: Back, *_inputs: Tensor) -> Tensor:
        ctx.back = back
        return held.pop().detach()  # a name of its own: what `back` holds must not hold the graph that holds `back`

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        return (None, None, *ctx.back(grads[0]))


class _Rectified(torch.autograd.Function):
    """max(x, 0), in place where it is asked for, whose slope is Δy/Δx against x′."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, x0: Tensor, within: bool) -> Tensor:
        larger = torch.maximum(x, x0)
        step = x0.sub_(x) if within else x0 - x  # within, x′ is a copy that nobody else holds
        ctx.slope = larger.div_(step.abs_().clamp_min_(_tiny(x))).clamp_(0, 1)
        if not within:
            return torch.relu(x)
        ctx.mark_dirty(x)
        return torch.relu_(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        return grads[0] * ctx.slope, None, None


def _steered(out: Tensor, back: Back, *inputs: Tensor) -> Tensor:
    return cast(Tensor, _Steered.apply([out], back, *inputs))


def _slope(function: Function, x: Tensor, x0: Tensor, change: Tensor) -> Tensor:
    """Δf/Δx of a pointwise function, or its slope at x where Δx is nothing."""
    step = x - x0
    close = step.abs() < CLOSE.get(x.dtype, 1e-6)
    if not close.any():
        return change / step
    return torch.where(close, _derivative(function, x), change / step.masked_fill_(close, 1))


def _derivative(function: Function, x: Tensor) -> Tensor:
    """The slopes of a pointwise function, at every place: picking out those few that are wanted takes longer."""
    with torch.enable_grad():
        leaf = x.detach().requires_grad_()
        (slope,) = torch.autograd.grad(function(leaf).sum(), leaf)
    return slope


def _same(a: Tensor, b: Tensor) -> bool:
    return a is b or torch.equal(a, b)


def _tiny(x: Tensor) -> float:
    return float(torch.finfo(x.dtype).tiny)


def _nonzero(x: Tensor) -> Tensor:
    return torch.where(x == 0, _tiny(x), x)


def _normalized(x: Tensor, dims: tuple[int, ...], eps: float, centered: bool) -> tuple[Tensor, Tensor, Tensor]:
    """(x − mean)·r, r = 1/√(mean square + eps), and x − mean."""
    at_center = x - x.mean(dims, keepdim=True) if centered else x
    r = torch.rsqrt(at_center.square().mean(dims, keepdim=True) + eps)
    return at_center * r, r, at_center


def _centered(dim: int, *both: Tensor) -> tuple[Tensor, ...]:
    """Both without the mean of each row; both as they are where a mask hides some of one."""
    if not all(bool(torch.isfinite(x).all()) for x in both):
        return both
    return tuple(x - x.mean(dim, keepdim=True) for x in both)


def _exponentials(x: Tensor, x0: Tensor, dim: int) -> tuple[Tensor, Tensor, Tensor]:
    """Δe/Δx of the exponentials e, shifted by the largest of both, so that one of the sums is 1 at least; the sums."""
    shift = torch.maximum(x.amax(dim, keepdim=True), x0.amax(dim, keepdim=True))
    shift = shift.nan_to_num(neginf=0.0)
    e, e0 = (x - shift).exp(), (x0 - shift).exp()
    hidden = torch.isinf(x) & torch.isinf(x0)  # masked in both
    step = (x - x0).masked_fill(hidden, 0)
    close = step.abs() < CLOSE.get(x.dtype, 1e-6)
    slope = torch.where(close, e, (e - e0) / step.masked_fill(close, 1))
    return slope, e.sum(dim, keepdim=True), e0.sum(dim, keepdim=True)


def _changes(name: str) -> bool:
    """Whether a function of this name writes into its first argument."""
    inplace = name.endswith("_") and not name.endswith("__")
    return inplace or name == "__setitem__" or (name.startswith("__i") and name in PLAIN)


def _floating(args: tuple[Any, ...]) -> bool:
    first = args[0] if isinstance(args[0], Tensor) else next((a for a in args if isinstance(a, Tensor)), None)
    return isinstance(args[0], str) or (first is not None and first.is_floating_point())


def _aside(func: Any) -> Function:
    """A function that writes into its first argument, made to write elsewhere."""
    if plain := getattr(torch, getattr(func, "__name__", "").rstrip("_"), None):
        return cast(Function, plain)
    return lambda first, *args, **kwargs: func(first.clone(), *args, **kwargs)
