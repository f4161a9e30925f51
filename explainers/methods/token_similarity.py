"""How alike the patches are to one of them, by the cosine of their vectors."""

import torch
from torch.nn import functional as fn

from ..errors import QuestionError
from ..registry import Cell, Depth, Family, Need, explainer
from ..results import Heatmap
from ..trace import Trace


@explainer(
    title="Alike patches",
    family=Family.INSIDE,
    needs={Need.MAPS},
    paper="https://arxiv.org/abs/2104.14294",
    class_specific=False,
    passes=(1, 0),
)
def token_similarity(trace: Trace, *, depth: Depth = "last", query: Cell = None) -> Heatmap:
    """Which patches are alike to this one?

    Take the vector of one patch at this depth, the middle one where none is asked for, and the cosine of each patch's
    vector with it, all without the mean over the patches.
    Read it as: 1 is the patch itself or one like it, 0 has nothing in common with it, and below that lies the contrary.
    Beware: vectors carry position as well as content, so that neighbors look alike in early layers.
    """
    maps = trace.maps(depth)  # (K, h, w)
    rows, columns = maps.shape[1:]
    row, column = query or (rows // 2, columns // 2)
    if row >= rows or column >= columns:
        raise QuestionError(f"There are {rows} × {columns} patches from (0, 0) on, and none at {row, column}.")
    vectors = fn.normalize(maps - maps.mean((1, 2), keepdim=True), dim=0, eps=1e-12)
    heat = torch.einsum("k,khw->hw", vectors[:, row, column], vectors)
    return Heatmap(heat, signed=True, unit="cosine with the patch")
