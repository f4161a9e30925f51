"""Multipliers: how the difference of what an operation puts out comes from the differences of what goes in."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any, Literal, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from ...errors import DoesNotApply
from .steering import CLOSE, Function, Rectified, behind, named, nonzero, same, slope_of, steered

RuleName = Literal["rescale", "reveal_cancel"]


class Multipliers(TorchFunctionMode):
    """What two passes met, operation by operation, and the arithmetic that holds one against the other.

    Functions say by these what they do; which function says what stands elsewhere, and so does the order of passes.
    What is computed `with` it goes by the rules in turn.
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
        self._stand_ins: dict[int, tuple[Tensor, Tensor]] = {}
        self.missed: defaultdict[str, float] = defaultdict(float)
        """What the slopes of functions without a rule miss of the score, by the function's name."""

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
        slope = slope_of(function, x.detach(), x0, out - out0)
        return steered(out, lambda g: (g * slope,), x)

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
        return cast(Tensor, Rectified.apply(x, known, within))

    def product(self, function: Function, a: Tensor, b: Tensor) -> Tensor:
        """Of anything bilinear: Δ(ab) = Δa·b̄ + ā·Δb with the midpoints ā, b̄, which splits it exactly and evenly."""
        known = self.met(a, b)
        if known is None:
            return function(a, b)
        a0, b0 = known
        if same(a, a0) or same(b, b0):
            return function(a, b)
        middle = torch.lerp(a0, a.detach(), 0.5), torch.lerp(b0, b.detach(), 0.5)

        def back(g: Tensor) -> tuple[Tensor, ...]:
            with torch.enable_grad():
                leaves = [each.requires_grad_() for each in middle]
                return torch.autograd.grad(function(*leaves), leaves, g)

        return steered(function(a.detach(), b.detach()), back, a, b)

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
        share = 1 / (1 + (s / nonzero(r0)).square())
        for_a, for_r = share * s + (1 - share) * r0, share * a0 + (1 - share) * x
        return steered(x * s, lambda g: ((g * for_a).sum_to_size(a.shape), (g * for_r).sum_to_size(r.shape)), a, r)

    def quotient(self, a: Tensor, b: Tensor) -> Tensor:
        """Δ(a/b) = ((b + b′)Δa − (by′ + b′y)Δb)/(b² + b′²): for two divisors far apart, Δa over the larger.

        So a small divisor, as the deviation of a plain reference, makes nothing large: where a′ is zero, too, all of
        it is Δa/b. The midpoint's 2Δa/(b + b′) would be twice that, and twice again in every layer.
        """
        known = self.met(a, b)
        if known is None:
            return a / b
        a0, b0 = known
        if same(b, b0):
            return a / b
        x, d = a.detach(), b.detach()
        y, y0, squares = x / d, a0 / b0, d.square() + b0.square()
        for_a, for_b = (d + b0) / squares, -(d * y0 + b0 * y) / squares
        return steered(y, lambda g: ((g * for_a).sum_to_size(a.shape), (g * for_b).sum_to_size(b.shape)), a, b)

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

        return steered(y, back, x)

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

        return steered(out, back, x)

    def logsumexp(self, x: Tensor, dim: int | tuple[int, ...]) -> Tensor:
        """Of the mean, and of the exponentials of the rest and their sum s, kept as an axis of one: Δ log s / Δs."""
        out, known = torch.logsumexp(x.detach(), dim, keepdim=True), self.met(x)
        if known is None:
            return out
        rest, rest0 = _centered(dim, x.detach(), known[0])
        slope, s, s0 = _exponentials(rest, rest0, dim)
        change = torch.logsumexp(rest, dim, keepdim=True) - torch.logsumexp(rest0, dim, keepdim=True)
        over_sum = slope_of(torch.log, s, s0, change)

        def back(g: Tensor) -> tuple[Tensor]:
            m = g * over_sum * slope
            return (m if rest0 is known[0] else m - m.mean(dim, keepdim=True) + g * out.numel() / x.numel(),)

        return steered(out, back, x)

    def squared(self, x: Tensor) -> Tensor:
        """Δx² = (x + x′)Δx."""
        out: Tensor = x.detach().square()
        known = self.met(x)
        if known is None:
            return out
        both = x.detach() + known[0]
        return steered(out, lambda g: (g * both,), x)

    def root(self, squares: Tensor) -> Tensor:
        """Δ√s = Δs/(√s + √s′), and nothing where both are zero: a slope there would have no end."""
        out: Tensor = squares.detach().sqrt()
        known = self.met(squares)
        if known is None:
            return out
        both = out + known[0].sqrt()
        slope = torch.where(both == 0, 0, 1 / nonzero(both))
        return steered(out, lambda g: (g * slope,), squares)

    def length(self, x: Tensor, dims: tuple[int, ...]) -> Tensor:
        """The root of a sum of squares along `dims`, kept as axes of one: Δn = Σ (x + x′)Δx/(n + n′)."""
        out: Tensor = torch.linalg.vector_norm(x.detach(), 2, dims, keepdim=True)
        known = self.met(x)
        if known is None:
            return out
        both = out + torch.linalg.vector_norm(known[0], 2, dims, keepdim=True)
        slope = torch.where(both == 0, 0, (x.detach() + known[0]) / nonzero(both))
        return steered(out, lambda g: (g * slope,), x)

    def along(self, function: Function, *inputs: Tensor) -> Tensor:
        """Of anything smooth: its slope, averaged on the straight way from the reference's inputs (Aumann & Shapley).

        What the few points on the way miss is spread by the squares of the inputs' changes, so that the sum is exact.
        """
        out = function(*(x.detach() for x in inputs))
        known = self.met(*inputs, out)
        if known is None:
            return out
        *befores, out0 = known
        moved = [i for i, (x, x0) in enumerate(zip(inputs, befores, strict=True)) if not same(x, x0)]
        if not moved:
            return function(*inputs)
        heres, ways = [x.detach() for x in inputs], [inputs[i].detach() - befores[i] for i in moved]

        def back(g: Tensor) -> tuple[Tensor | None, ...]:
            found = [torch.zeros_like(way) for way in ways]
            for at, weight in _WAY:
                with torch.enable_grad():
                    leaves = [(befores[i] + at * way).requires_grad_() for i, way in zip(moved, ways, strict=True)]
                    values = list(heres)
                    for i, leaf in zip(moved, leaves, strict=True):
                        values[i] = leaf
                    slopes = torch.autograd.grad(function(*values), leaves, g, allow_unused=True)
                found = [
                    m if slope is None else m + weight * slope.nan_to_num(0, 0, 0)
                    for m, slope in zip(found, slopes, strict=True)
                ]
            steps = [way.nan_to_num(0, 0, 0) for way in ways]
            whole = _paired(g, (out - out0).nan_to_num(0, 0, 0))
            missed = whole - sum(_paired(m, step) for m, step in zip(found, steps, strict=True))
            squares = torch.stack([_paired(step, step) for step in steps]).sum()
            made = {i: m + missed / nonzero(squares) * step for i, m, step in zip(moved, found, steps, strict=True)}
            return tuple(made.get(i) for i in range(len(inputs)))

        return steered(out, back, *inputs)

    def unruled(self, name: str, function: Function, x: Tensor) -> Tensor:
        """Of a function in steps: its own slope; and `missed` takes down what that misses of the score."""
        out = function(x.detach())
        known = self.met(x, out)
        if known is None:
            return out
        change, step, here = out - known[1], x.detach() - known[0], x.detach()

        def back(g: Tensor) -> tuple[Tensor]:
            m = None
            if "floor_divide" not in name:  # of which torch knows no slope
                with torch.enable_grad():
                    leaf = here.requires_grad_()
                    (m,) = torch.autograd.grad(function(leaf), leaf, g, allow_unused=True)
            m = torch.zeros_like(here) if m is None else m
            self.missed[name] += _paired(g, change).item() - _paired(m, step).item()
            return (m,)

        return steered(out, named(back, name), x)

    def cut(self, x: Tensor) -> Tensor:
        """A copy without a graph: nothing goes back, and `missed` takes down what that is of the score.

        It bears the name of the function in steps that it hides, where there is one: rounding with a slope of one, say.
        """
        known = self.met(x)
        if known is None:
            return x.detach()
        change, name = x.detach() - known[0], behind(x) or "detach"

        def back(g: Tensor) -> tuple[None]:
            self.missed[name] += _paired(g, change).item()
            return (None,)

        return steered(x.detach(), back, x)

    def selected(self, x: Tensor, places: Tensor, out: Tensor) -> Tensor:
        """Of values (…, K) picked by their rank at `places` of rows x (…, n): the change of one that went all the way.

        Where a rank's value rises, some value stood at it or below and now stands at it or above, or two changed
        places; its change is as large at least. That of the picture's place is taken if it is such a one, then that of
        the reference's place, and else the one that moved most.
        """
        known = self.met(x, places, out)
        if known is None:
            return out
        x0, places0, out0 = known
        best, top = x.detach(), out.detach()
        change = top - out0

        def carries(value: Tensor, value0: Tensor, top: Tensor, top0: Tensor) -> Tensor:
            rose = (value0 <= top0) & (value >= top)
            return torch.where(top > top0, rose, (value0 >= top0) & (value <= top))

        place, found = places, carries(best.gather(-1, places), x0.gather(-1, places), top, out0)
        if not found.all():
            other = carries(best.gather(-1, places0), x0.gather(-1, places0), top, out0)
            place, found = torch.where(found, places, places0), found | other | (change == 0)
        if not found.all():
            place, n = place.clone(), x.shape[-1]
            rows = torch.arange(found[..., 0].numel(), device=x.device).view(*found.shape[:-1], 1).expand_as(found)
            at = (~found).nonzero(as_tuple=True)
            for first in range(0, len(at[0]), max(1, _AT_ONCE // n)):
                where = tuple(axis[first : first + max(1, _AT_ONCE // n)] for axis in at)
                value, value0 = (each.reshape(-1, n)[rows[where]] for each in (best, x0))
                carry = carries(value, value0, top[where][:, None], out0[where][:, None])
                place[where] = torch.where(carry, (value - value0).abs(), -1).argmax(-1)
        moved = best.gather(-1, place) - x0.gather(-1, place)
        close = moved.abs() < CLOSE.get(x.dtype, 1e-6)
        share = torch.where(close, 1, change / torch.where(close, 1, moved))
        return steered(top, lambda g: (torch.zeros_like(best).scatter_add(-1, place, g * share),), x)

    def stood_for(self, value: Tensor) -> Tensor | None:
        """What stands in for a mask or an index: its numbers in the graph, if they come from values that differ."""
        held = self._stand_ins.get(id(value))
        return None if held is None else held[1]

    def stand_in(self, value: Tensor, numbers: Tensor) -> Tensor:
        """Let `numbers`, the same ones in the graph, stand in for a mask or an index from here on."""
        self._stand_ins[id(value)] = (value, numbers)  # the value is kept, so that its id is not given to another
        return value

    # --- what raised a value and what lowered it, followed apart -----------------------------------------------------

    def _revealed(self, function: Function, x: Tensor, x0: Tensor, out: Tensor) -> Tensor:
        """RevealCancel: what raised x and what lowered it go through the function one after the other, both ways."""
        up, down, _ = self._parts[id(x)]
        rise, fall = up.detach(), down.detach()
        start, risen, fallen = function(x0), function(x0 + rise), function(x0 + fall)
        for_up = slope_of(function, x0 + rise, x0, ((risen - start) + (out - fallen)) / 2)
        for_down = slope_of(function, x0 + fall, x0, ((fallen - start) + (out - risen)) / 2)
        return steered(out, lambda g: (g * for_up, g * for_down), up, down)

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
        if self._stand_ins and (numbers := self.stood_for(old)) is not None:
            self.stand_in(new, numbers)

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


# --- private ---------------------------------------------------------------------------------------------------------


_POINTS, _WEIGHTS = np.polynomial.legendre.leggauss(16)
_WAY = tuple(zip(((_POINTS + 1) / 2).tolist(), (_WEIGHTS / 2).tolist(), strict=True))
"""Where slopes are taken on a straight way, and how each counts (Gauss): exact for polynomials up to degree 31."""

_AT_ONCE = 1 << 22
"""How many candidates are looked at together for the value that carries a rank's change."""


def _paired(a: Tensor, b: Tensor) -> Tensor:
    """Σ a·b, for complex numbers as slopes count them."""
    return (a.conj() * b).real.sum() if a.is_complex() or b.is_complex() else (a * b).sum()


def _normalized(x: Tensor, dims: tuple[int, ...], eps: float, centered: bool) -> tuple[Tensor, Tensor, Tensor]:
    """(x − mean)·r, r = 1/√(mean square + eps), and x − mean."""
    at_center = x - x.mean(dims, keepdim=True) if centered else x
    r = torch.rsqrt(at_center.square().mean(dims, keepdim=True) + eps)
    return at_center * r, r, at_center


def _centered(dim: int | tuple[int, ...], *both: Tensor) -> tuple[Tensor, ...]:
    """Both without the mean of each row; both as they are where a mask hides some of one."""
    if not all(bool(torch.isfinite(x).all()) for x in both):
        return both
    return tuple(x - x.mean(dim, keepdim=True) for x in both)


def _exponentials(x: Tensor, x0: Tensor, dim: int | tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor]:
    """Δe/Δx of the exponentials e, shifted by the largest of both, so that one of the sums is 1 at least; the sums."""
    shift = torch.maximum(x.amax(dim, keepdim=True), x0.amax(dim, keepdim=True))
    shift = shift.nan_to_num(neginf=0.0)
    e, e0 = (x - shift).exp(), (x0 - shift).exp()
    hidden = torch.isinf(x) & torch.isinf(x0)  # masked in both
    step = (x - x0).masked_fill(hidden, 0)
    close = step.abs() < CLOSE.get(x.dtype, 1e-6)
    slope = torch.where(close, e, (e - e0) / step.masked_fill(close, 1))
    return slope, e.sum(dim, keepdim=True), e0.sum(dim, keepdim=True)
