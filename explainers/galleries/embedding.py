"""What a network makes of pictures: one vector for each, at any depth, pooled over the grid."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from ..errors import DoesNotApply, QuestionError
from ..network.classifier import Classifier
from ..network.sites import Outputs, Site
from ..pictures import Framing
from ..trace import Billed, Spent

ReadAt = Literal["pooled", "late", "middle", "early", "pixels"]
"""Where the vectors are read: what the head is fed with, the average of the maps at a depth, or the pixels themselves.

The pixels are what the network's vectors are to be held against: the framed picture, reduced to 8 × 8 colors.
"""

_PIXEL_CELLS = 8

READ_AT: tuple[ReadAt, ...] = get_args(ReadAt)


@dataclass(frozen=True, eq=False)
class Embedded:
    """N pictures as a network has them: vectors (N, D) at each of `READ_AT`, the class they are called, how surely."""

    vectors: dict[str, Tensor]
    predicted: Tensor
    """(N,) int64, among the decisions of the network's head; −1 for a backbone and for a regression."""
    confidence: Tensor
    """(N,) how probable that is called; 0 for a backbone."""


def embed(
    model: Classifier,
    pixels: Tensor,
    read_at: Sequence[str] = READ_AT,
    *,
    spent: Spent | None = None,
    stop: Callable[[], bool] | None = None,
) -> Embedded:
    """The vectors of pictures (N, 3, H, W) in [0, 1], framed for the network; one forward pass, no graph.

    It stands on the bill `spent`. Raises `DoesNotApply` where the network has neither a head that is fed with a vector
    nor maps over a grid.
    """
    wanted = {each: _site(model, each) for each in read_at if each != "pixels"}
    head = model.anatomy.embedding
    taps = [point for found in wanted.values() if found is not None for point in found.points]
    fed = [head] if head is not None and any(found is None for found in wanted.values()) else []
    billed = Billed(model, spent or Spent(), stop)
    with torch.no_grad():
        passed = billed.pass_by(billed.framed(pixels), taps, fed=fed)
        vectors = {}
        for each, found in wanted.items():
            if found is None:
                assert head is not None
                vectors[each] = passed.fed[head].detach().flatten(1).float().cpu()
            else:
                vectors[each] = pooled(found, passed.taps).float().cpu()
        if "pixels" in read_at:
            vectors["pixels"] = nn.functional.adaptive_avg_pool2d(pixels, _PIXEL_CELLS).flatten(1).float().cpu()
        logits = passed.output.detach().float().cpu()
    if not model.has_classes:
        none = torch.zeros(len(logits))
        return Embedded(vectors, none.long() - 1, none)
    return Embedded(vectors, *model.head.decided(logits))


def pooled(site: Site, outputs: Outputs) -> Tensor:
    """The plain average over the grid (N, K) of what came out at a site for N pictures."""
    return site.batch(outputs).detach().mean((2, 3))


def averages(model: Classifier) -> bool:
    """Whether the pooled vector is the plain average of the last maps, so that it falls apart by place exactly."""
    return model.anatomy.embedding is None or getattr(model.anatomy.head, "weight", None) is not None


def fingerprint(model: Classifier) -> str:
    """Tells networks of one name apart: a digest of the names, shapes and ends of all weights."""
    digest = hashlib.sha256()
    for name, tensor in model.module.state_dict().items():
        flat = tensor.detach().flatten()
        ends = torch.cat([flat[:64], flat[-64:]]).float().cpu().numpy()
        digest.update(f"{name}{tuple(tensor.shape)}".encode() + ends.tobytes())
    digest.update(_spelled(model.framing).encode())
    return digest.hexdigest()[:16]


def scale(largest: float) -> float:
    """A power of two to divide vectors by before half precision takes them; 1 where it holds them as they are."""
    if not math.isfinite(largest) or largest == 0 or _SMALL <= largest <= _LARGE:
        return 1.0
    return 2.0 ** math.floor(math.log2(largest))


# --- private ---------------------------------------------------------------------------------------------------------

_ALWAYS = {"size", "mode", "crop_share", "resample", "mean", "std", "resize", "odd", "channels"}


def _spelled(framing: Framing) -> str:
    """A framing as it was always spelled; what it could not say before counts where it says something."""
    told = [(each.name, getattr(framing, each.name), each.default) for each in fields(framing)]
    kept = [f"{name}={value!r}" for name, value, usual in told if name in _ALWAYS or value != usual]
    return f"Framing({', '.join(kept)})"


_SMALL, _LARGE = 0.01, 30_000.0  # between them half precision keeps three digits of all that matters in a vector


def _site(model: Classifier, read_at: str) -> Site | None:
    """The site to average over; None for the vector that the head is fed with."""
    if read_at not in READ_AT:
        raise QuestionError(f"Pictures are embedded at {', '.join(READ_AT)}, not at “{str(read_at)[:40]}”.")
    if read_at == "pooled":
        if model.anatomy.embedding is not None:
            return None
        read_at = "last"
    try:
        return model.anatomy.site(read_at)
    except LookupError as error:
        raise DoesNotApply(f"{model.name} gives pictures no vector to compare them by: {error}") from error
