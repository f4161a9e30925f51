"""Attention of one picture: its rows, matrices and slopes, as passes go by; what is asked often is remembered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor

from ..errors import DoesNotApply, QuestionError
from ..network.classifier import Classifier
from ..network.rules.attended import Attending, AttentionLayer, Row, Seen
from ..network.sites import Site
from ..network.taps import Pass
from .passes import Passes
from .target import Target

T = TypeVar("T")

Query = tuple[int, int] | Literal["read", "patches"]
"""Whose attention: a cell (row, column), the tokens that the scores are read from, or the mean over all patches."""

KEPT_ROWS = 2048
"""Rows of attention that are remembered, one for each layer and query; each takes heads × tokens numbers."""


@runtime_checkable
class Asking(Protocol):
    """Who asks: a trace."""

    classifier: Classifier
    passes: Passes

    @property
    def asked(self) -> Target:
        """The target with its class."""
        ...


def attentions(trace: Asking, layers: Iterable[int] | None = None) -> dict[int, AttentionLayer]:
    """The layers asked for, or all, by number; negative ones count from the end.

    Raises `DoesNotApply` for a network without attention, and `QuestionError` for a layer that it does not have.
    """
    model, anatomy = trace.classifier, trace.classifier.anatomy
    if not anatomy.attention:
        raise DoesNotApply(f"{model.name} {anatomy.without_attention or anatomy.without_maps}.")
    count = len(anatomy.attention)
    chosen = range(count) if layers is None else [int(index) for index in layers]
    for index in chosen:
        if not -count <= index < count:
            raise QuestionError(f"{model.name} has attention in layers 0 to {count - 1}; not in {index}.")
    return {index % count: anatomy.attention[index] for index in chosen}


def blocks(trace: Asking) -> tuple[Site, ...]:
    """Where each block of attention puts out its tokens. Raises `DoesNotApply` where the head could not read them."""
    sites = trace.classifier.anatomy.blocks
    if not sites:
        raise DoesNotApply(f"{trace.classifier.name} has no tokens after each of its blocks that its head could read.")
    return tuple(sites)


def attention_rows(
    trace: Asking, layers: Iterable[int] | None = None, *, query: Query | Mapping[int, Query] = "read"
) -> tuple[Row, ...]:
    """What a query's attention goes to, in some layers or all, for each head; only that is kept, of one pass.

    A cell (row, column) is one of the layer's own grid; each layer may have a query of its own. "read" is the class
    token, or what else the scores are read from; for a network that averages its patches, the mean over them.
    Raises `QuestionError` or `DoesNotApply`.
    """
    chosen = attentions(trace, layers)
    asked = {index: query[index] if isinstance(query, Mapping) else query for index in chosen}
    with trace.passes.turn():
        rows = trace.passes.kept(_Kept).rows
        while len(rows) > KEPT_ROWS:
            del rows[next(iter(rows))]
        for index, layer in chosen.items():
            if isinstance(cell := asked[index], tuple):
                _check_cell(layer, index, cell)
        missing = {index: layer for index, layer in chosen.items() if (index, asked[index]) not in rows}

        def see(index: int, seen: Seen) -> None:
            rows[index, asked[index]] = _row(trace, seen, asked[index])

        _attend(trace, missing, see)
        return tuple(rows[index, asked[index]] for index in chosen)


def attention_over(trace: Asking, read: Callable[[Seen], T], layers: Iterable[int] | None = None) -> list[T]:
    """What `read` makes of each layer's attention while one pass goes by; nothing else is kept."""
    found: dict[int, T] = {}
    chosen = attentions(trace, layers)
    with trace.passes.turn():
        _attend(trace, chosen, lambda index, seen: found.__setitem__(index, read(seen)))
        return [found[index] for index in chosen]


def attention_slopes(
    trace: Asking, layers: Iterable[int] | None = None
) -> Iterator[tuple[AttentionLayer, Tensor, Tensor]]:
    """Each layer's matrix (windows, heads, queries, keys) and the gradient of the score with respect to it.

    One pass whose graph begins at the first of the layers, and one way back, for all of them.
    """
    chosen = attentions(trace, layers)
    with trace.passes.turn():
        kept = trace.passes.kept(_Kept)
        if trace.passes.fresh:
            _linked(trace, chosen)  # first, so that finding the winning class takes no pass of its own
        target = trace.asked
        if any((index, target) not in kept.slopes for index in chosen):
            passed, linked = _linked(trace, chosen)
            outs = {index: seen.out for index, seen in linked.items() if seen.out is not None}
            found = trace.passes.backward(target.of(passed.output[0]), outs, keep=True)
            kept.slopes |= {(index, target): slope for index, slope in found.items()}
        seen_by = kept.linked[1] if kept.linked else {}
        known = [(layer, seen_by[index], kept.slopes[index, target]) for index, layer in chosen.items()]
    for layer, seen, slope in known:
        with torch.no_grad():
            yield layer, seen.matrix().detach(), seen.slopes(slope)


def silenced(trace: Asking, layer: int, head: int) -> Attending:
    """For a pass to run under: one head of one attention puts out nothing."""
    ((index, known),) = attentions(trace, [layer]).items()
    if not 0 <= head < known.heads:
        raise QuestionError(f"Layer {index} has heads 0 to {known.heads - 1}; {head} is not one of them.")
    return Attending({index: known}, lambda *_: None, silent=(index, head))


def hold(trace: Asking) -> None:
    """Keep what every attention is made from, so that any row can be asked for without another pass."""
    chosen = attentions(trace)
    with trace.passes.turn():
        kept = trace.passes.kept(_Kept)
        if not kept.held:
            held: dict[int, Seen] = {}
            _attend(trace, chosen, lambda index, seen: held.__setitem__(index, seen.kept()))
            kept.held = held


def drop(trace: Asking) -> None:
    """Let go of what `hold` keeps; rows that were asked for stay."""
    with trace.passes.turn():
        trace.passes.kept(_Kept).held = {}


# --- private ---------------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class _Kept:
    """What is remembered of a picture's attention."""

    rows: dict[tuple[int, Query], Row] = field(default_factory=dict)
    held: dict[int, Seen] = field(default_factory=dict)
    linked: tuple[Pass, dict[int, Seen]] | None = None
    slopes: dict[tuple[int, Target], Tensor] = field(default_factory=dict)
    """At what comes out of each attention; the matrices' own are made from them as they are asked for."""

    def release(self) -> None:
        """Forget what has a graph."""
        self.linked = None
        self.slopes.clear()


def _attend(trace: Asking, layers: dict[int, AttentionLayer], see: Callable[[int, Seen], None]) -> None:
    """Show each layer's attention: what is held, or what a pass brings by."""
    kept, passes = trace.passes.kept(_Kept), trace.passes
    held = kept.held | (kept.linked[1] if kept.linked else {})
    with torch.no_grad():
        for index in layers.keys() & held.keys():
            see(index, held[index])
    missing = {index: layer for index, layer in layers.items() if index not in held}
    if missing and passes.fresh:
        with Attending(missing, see):
            passes.any()
    elif missing:
        passes.once(graph=False, under=Attending(missing, see))


def _linked(trace: Asking, layers: dict[int, AttentionLayer]) -> tuple[Pass, dict[int, Seen]]:
    """A pass whose graph begins at the first of these attentions, and what went into each of them."""
    kept = trace.passes.kept(_Kept)
    known = kept.linked
    if known is None or not layers.keys() <= known[1].keys():
        linked: dict[int, Seen] = {}
        under = Attending(layers, linked.__setitem__, graph=True)
        known = kept.linked = trace.passes.once(graph=False, under=under), linked
        kept.slopes.clear()
    return known


def _row(trace: Asking, seen: Seen, query: Query) -> Row:
    layer, pooled = seen.layer, trace.classifier.anatomy.pooled
    if isinstance(query, tuple):
        rows = layer.of_cell(*query)
    elif query == "read" and layer.prefix and (layer.grid is None or (pooled and max(pooled) < layer.prefix)):
        rows = layer.of_prefix(pooled if pooled and max(pooled) < layer.prefix else range(layer.prefix))
    elif layer.grid is None:
        rows = layer.of_prefix(range(layer.prefix))
    else:
        values, shares = seen.mean()
        return layer.placed(values, torch.arange(layer.windows, device=values.device), shares)
    return layer.placed(seen.rows(rows), rows[:, 0])


def _check_cell(layer: AttentionLayer, index: int, cell: Sequence[int]) -> None:
    if layer.grid is None:
        raise QuestionError(f"In layer {index} no patch asks, only the class token; leave `query` out.")
    rows, columns = layer.grid
    if not (0 <= cell[0] < rows and 0 <= cell[1] < columns):
        raise QuestionError(f"Layer {index} has {rows} × {columns} patches from (0, 0) on, and none at {tuple(cell)}.")
