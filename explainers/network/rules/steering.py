"""A gradient steered: what an operation puts out stays, and what it hands back is a multiplier instead of a slope."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import BackwardCFunction

Function = Callable[..., Tensor]
Back = Callable[[Tensor], tuple[Tensor | None, ...]]

CLOSE = {torch.float64: 1e-7, torch.float32: 1e-6}
"""Inputs nearer to each other than this have a slope and no quotient of differences that could be trusted."""


class Steered(torch.autograd.Function):
    """Puts out a value that was worked out already, and hands back what `back` makes of a multiplier."""

    @staticmethod
    def forward(ctx: Any, held: list[Tensor], back: Back, *_inputs: Tensor) -> Tensor:  # noqa: D102
        ctx.back = back
        return held.pop().detach()  # a name of its own: what `back` holds must not hold the graph that holds `back`

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:  # noqa: D102
        return (None, None, *ctx.back(grads[0]))


class Rectified(torch.autograd.Function):
    """max(x, 0), in place where it is asked for, whose slope is Δy/Δx against x′."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, x0: Tensor, within: bool) -> Tensor:  # noqa: D102
        larger = torch.maximum(x, x0)
        step = x0.sub_(x) if within else x0 - x  # within, x′ is a copy that nobody else holds
        ctx.slope = larger.div_(step.abs_().clamp_min_(tiny(x))).clamp_(0, 1)
        if not within:
            return torch.relu(x)
        ctx.mark_dirty(x)
        return torch.relu_(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:  # noqa: D102
        return grads[0] * ctx.slope, None, None


def steered(out: Tensor, back: Back, *inputs: Tensor) -> Tensor:
    """`out`, which hands back what `back` makes of a multiplier, for each of the inputs."""
    return cast(Tensor, Steered.apply([out], back, *inputs))


def named(back: Back, name: str) -> Back:
    """The same, known by the name of a function that has no rule."""
    back.without_rule = name  # type: ignore[attr-defined]
    return back


def behind(x: Tensor) -> str | None:
    """The name of a function without a rule that a tensor was made by, a few operations back."""
    nodes = [x.grad_fn]
    for _ in range(_NEAR):
        for node in nodes:
            if name := getattr(getattr(node, "back", None), "without_rule", None):
                return cast(str, name)
        nodes = [before for node in nodes if node is not None for before, _ in node.next_functions]
    return None


def strangers(x: Tensor) -> list[str]:
    """The names of all functions in a tensor's graph that are neither torch's nor of this file."""
    found: set[str] = set()
    seen, nodes = set(), [x.grad_fn]
    while nodes:
        node = nodes.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        nodes += [before for before, _ in node.next_functions]
        if isinstance(node, BackwardCFunction) and not isinstance(node, _OWN):
            found.add(type(node).__name__.removesuffix("Backward"))
    return sorted(found)


def slope_of(function: Function, x: Tensor, x0: Tensor, change: Tensor) -> Tensor:
    """Δf/Δx of a pointwise function, or its slope at x where Δx is nothing; 0 where that is none, as of a root at 0."""
    step = x - x0
    close = step.abs() < CLOSE.get(x.dtype, 1e-6)
    if not close.any():
        return change / step
    at = derivative(function, x)
    if not at.isfinite().all():
        steep = ~at.isfinite()
        at = torch.where(steep, torch.where(step == 0, 0, change / step), at)
    return torch.where(close, at, change / step.masked_fill_(close, 1))


def derivative(function: Function, x: Tensor) -> Tensor:
    """The slopes of a pointwise function, at every place: picking out those few that are wanted takes longer."""
    with torch.enable_grad():
        leaf = x.detach().requires_grad_()
        (slope,) = torch.autograd.grad(function(leaf).sum(), leaf)
    return slope


def spread(amount: Tensor, step: Tensor, dims: tuple[int, ...] = ()) -> Tensor:
    """Multipliers that give `amount` times `step`'s share, by squares, so that Σ m·step = amount along `dims` (all)."""
    step = step.nan_to_num(posinf=0, neginf=0)
    squares = step.abs().square().sum(dims or tuple(range(step.ndim)), keepdim=True)
    return torch.where(squares == 0, 0, amount / nonzero(squares)) * step


def same(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors hold the same numbers."""
    return a is b or torch.equal(a, b)


def tiny(x: Tensor) -> float:
    """The smallest number of the type that is as exact as any."""
    return float(torch.finfo(x.dtype).tiny)


def nonzero(x: Tensor) -> Tensor:
    """x, with the smallest number there is in the place of zeros."""
    return torch.where(x == 0, tiny(x), x)


# --- private ---------------------------------------------------------------------------------------------------------

_NEAR = 3
"""So many operations at most lie between a function in steps and what takes its slope away."""

_OWN = (Steered._backward_cls, Rectified._backward_cls)
