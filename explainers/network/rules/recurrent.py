"""Recurrent layers spelled out: a fused call as linear layers, gates and products, step by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as fn

from ...errors import DoesNotApply
from .multipliers import Multipliers
from .steering import steered

State = tuple[Tensor, ...]
Cell = Callable[[Tensor, State, Sequence[Any]], State]
"""What comes of the input's part of the gates (N, …), the state before, and the weights of one layer and direction."""


def recurrent(d: Multipliers, func: Any, *args: Any) -> Any:
    """`lstm`, `gru`, `rnn_tanh` and `rnn_relu`, as torch calls them. Raises `DoesNotApply` for packed sequences.

    What comes out is what the fused call gives; the multipliers are those of the cells.
    """
    x, state, weights, biased, layers, _dropout, _training, both_ways, batch_first = _arguments(args)
    fused = func(*args)
    states = tuple(state) if isinstance(state, list | tuple) else (state,)
    with d:
        made = _layers(_CELLS[func.__name__], x, states, weights, biased, layers, both_ways, batch_first)
    outs = [steered(own.detach(), lambda g: (g,), cell) for own, cell in zip(fused, made, strict=True)]
    return tuple(outs)


def cell(d: Multipliers, func: Any, x: Tensor, state: Any, *weights: Any) -> Any:
    """`lstm_cell`, `gru_cell`, `rnn_tanh_cell` and `rnn_relu_cell`."""
    fused = func(x, state, *weights)
    states = tuple(state) if isinstance(state, list | tuple) else (state,)
    w_in, w_state, b_in, b_state = (*weights, None, None)[:4]
    with d:
        made = _CELLS[func.__name__.removesuffix("_cell")](fn.linear(x, w_in, b_in), states, (w_state, b_state))
    if isinstance(fused, tuple):
        return tuple(steered(own.detach(), lambda g: (g,), each) for own, each in zip(fused, made, strict=True))
    return steered(fused.detach(), lambda g: (g,), made[0])


# --- private ---------------------------------------------------------------------------------------------------------


def _arguments(args: tuple[Any, ...]) -> tuple[Any, ...]:
    if isinstance(args[3], list | tuple):  # (data, batch sizes, state, weights, …)
        raise DoesNotApply("DeepLIFT has no rule for a packed sequence; feed the recurrent layer a padded tensor.")
    return args


def _layers(
    step: Cell, x: Tensor, states: State, weights: Sequence[Any], biased: bool, layers: int, both_ways: bool,
    batch_first: bool,
) -> list[Tensor]:  # fmt: skip
    ways, given = 2 if both_ways else 1, x
    x = x.transpose(0, 1) if batch_first else x  # (T, N, …)
    each = len(weights) // (layers * ways)
    last: list[State] = []
    for layer in range(layers):
        outs = []
        for way in range(ways):
            at = layer * ways + way
            w_in, w_state, *rest = weights[at * each : (at + 1) * each]
            b_in, b_state = (rest[0], rest[1]) if biased else (None, None)
            projection = rest[2:] if biased else rest
            fed = fn.linear(x, w_in, b_in)
            state, told = tuple(s[at] for s in states), []
            for t in reversed(range(len(x))) if way else range(len(x)):
                state = step(fed[t], state, (w_state, b_state, *projection))
                told.append(state[0])
            outs.append(torch.stack(told[::-1] if way else told))
            last.append(state)
        x = torch.cat(outs, -1) if both_ways else outs[0]
    assert given.ndim == x.ndim
    ends = [torch.stack(parts) for parts in zip(*last, strict=True)]
    return [x.transpose(0, 1) if batch_first else x, *ends]


def _lstm(fed: Tensor, state: State, weights: Sequence[Any]) -> State:
    before, kept = state
    entry, forget, new, show = (fed + fn.linear(before, *weights[:2])).chunk(4, -1)
    kept = torch.sigmoid(forget) * kept + torch.sigmoid(entry) * torch.tanh(new)
    shown = torch.sigmoid(show) * torch.tanh(kept)
    return (fn.linear(shown, weights[2]) if len(weights) > 2 else shown), kept


def _gru(fed: Tensor, state: State, weights: Sequence[Any]) -> State:
    (before,) = state
    (r, z, n), (r_state, z_state, n_state) = fed.chunk(3, -1), fn.linear(before, *weights[:2]).chunk(3, -1)
    stay = torch.sigmoid(z + z_state)
    new = torch.tanh(n + torch.sigmoid(r + r_state) * n_state)
    return (new + stay * (before - new),)


def _rnn(bend: Callable[[Tensor], Tensor]) -> Cell:
    return lambda fed, state, weights: (bend(fed + fn.linear(state[0], *weights[:2])),)


_CELLS: dict[str, Cell] = {"lstm": _lstm, "gru": _gru, "rnn_tanh": _rnn(torch.tanh), "rnn_relu": _rnn(torch.relu)}
