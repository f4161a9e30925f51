"""How far, how evenly and where to the heads of each layer attend (Dosovitskiy et al., ICLR 2021)."""

from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from ..ingredients.attending import notes
from ..network.rules.attended import NO_PLACE, Seen
from ..registry import Family, Need, explainer
from ..results import Curve, Curves, Mark
from ..trace import Trace
from ..trace.attention import attention_over


@explainer(
    title="Attention by layer",
    family=Family.ATTENTION,
    needs={Need.ATTENTION},
    paper="https://arxiv.org/abs/2010.11929",
    class_specific=False,
)
def attention_by_layer(
    trace: Trace,
    *,
    measure: Annotated[
        Literal["distance", "entropy", "tokens"],
        Field(description="How far a head attends, how evenly, or how much goes to tokens without a place."),
    ] = "distance",
) -> Curves:
    """How far do the heads of each layer attend?

    For each head, the mean over all patches: the distance from a patch to what it attends to, as a share of the
    picture's diagonal; or the entropy of its attention, 1 where it is even; or what goes to tokens without a place.
    Read it as: low on the left and high on the right means that early layers see near patches, late ones all of them.
    Beware: a head that attends far away need not carry anything from there.
    """
    read = {"distance": _distance, "entropy": _entropy, "tokens": _tokens}[measure]
    heads = [values.cpu().numpy() for values in attention_over(trace, read)]
    lines = (
        Curve("mean over the heads", _each(heads, np.mean), _each(heads, np.min), _each(heads, np.max)),
        Curve("nearest head", _each(heads, np.min)),
        Curve("farthest head", _each(heads, np.max)),
    )
    unit = {
        "distance": "share of the picture's diagonal",
        "entropy": "share of the largest entropy",
        "tokens": "share of attention",
    }[measure]
    names = {"distance": ("nearest head", "farthest head"), "entropy": ("most peaked head", "most even head")}
    low, high = names.get(measure, ("least", "most"))
    lines = (lines[0], Curve(low, lines[1].values), Curve(high, lines[2].values))
    alone = [i for i, layer in enumerate(trace.classifier.anatomy.attention) if layer.grid is None]
    said = f"In layer {', '.join(map(str, alone))} only the class token asks." if alone else ""
    marks = tuple(Mark(float(i), "only the class token asks") for i in alone)
    along = np.arange(len(heads), dtype=np.float32)
    return Curves(along, lines, along_unit="layer", unit=unit, marks=marks, note=notes(said))


def _each(heads: list[np.ndarray], of: object) -> np.ndarray:
    assert callable(of)
    return np.array([of(values) for values in heads], np.float32)


def _distance(seen: Seen) -> Tensor:
    """The mean distance from a query to its keys (heads,), in shares of the diagonal; 0 where no query has a place."""
    layer = seen.layer
    if layer.grid is None:
        return torch.zeros(layer.heads)
    queries, keys = _centers(layer.queries, layer.grid), _centers(layer.keys, layer.key_grid)
    far = torch.cdist(queries, keys) / 2**0.5  # (windows, queries, keys)
    asked, known = layer.queries >= 0, layer.keys >= 0
    matrix = seen.matrix() * known[:, None, None]
    per_query = torch.einsum("whqk,wqk->whq", matrix, far.to(matrix)) / matrix.sum(-1).clamp_min(1e-12)
    return torch.einsum("whq,wq->h", per_query, asked.to(matrix)) / asked.sum()


def _centers(cells: Tensor, grid: tuple[int, int]) -> Tensor:
    """Where cells lie, in shares of the picture's sides (…, 2)."""
    return torch.stack([(cells // grid[1] + 0.5) / grid[0], (cells % grid[1] + 0.5) / grid[1]], -1)


def _entropy(seen: Seen) -> Tensor:
    matrix = seen.matrix()
    entropy: Tensor = torch.special.entr(matrix).sum(-1).mean((0, 2)) / float(np.log(matrix.shape[-1]))
    return entropy


def _tokens(seen: Seen) -> Tensor:
    """What patches, or who else asks, give to tokens without a place (heads,)."""
    away = (seen.layer.keys == NO_PLACE).to(seen.tensors[0].dtype)
    asked = seen.layer.queries >= 0 if seen.layer.grid else seen.layer.queries == NO_PLACE
    shares = torch.einsum("whqk,wk,wq->h", seen.matrix(), away.to(seen.matrix()), asked.to(seen.matrix()))
    return shares / asked.sum()
