"""FullGrad (Srinivas and Fleuret, NeurIPS 2019)."""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from ..ingredients.stretching import stretched
from ..network.anatomy import Anatomy
from ..network.rules.biases import Biases
from ..registry import Family, Need, explainer
from ..results import Heatmap
from ..trace import Trace


@explainer(
    title="FullGrad",
    family=Family.GRADIENTS,
    needs={Need.PIXEL_SLOPES, Need.IN_SIGHT},
    paper="https://arxiv.org/abs/1905.00780",
    passes=(2, 1),
)
def full_grad(
    trace: Trace,
    *,
    shown: Annotated[
        Literal["sizes", "signed"],
        Field(description="Sizes, each layer brought to a maximum of one, as the paper has it; or the signed parts."),
    ] = "sizes",
) -> Heatmap:
    """What do the pixels and all constants of the network add to the score of the chosen class?

    Multiply each pixel, as the network is fed it, by its slope, and each bias by the slope where it is added. On a
    network of linear pieces the two together are the score. As sizes, what all places have alike is taken off.
    Read it as: where pixels that matter and units that are on come together.
    Beware: the same function written with other biases gets another map; and sizes tell no raising from lowering.
    """
    pixels, biases = trace.pixels, Biases()
    slopes, scores = trace.slopes_at(pixels[None], rule=biases)
    part = _above_mean(trace) * slopes[0]  # (3, H, W)
    total, nowhere = float(part.double().sum()), 0.0
    signed = shown == "signed"
    layers = [part.sum(0) if signed else part.abs().sum(0) / part.abs().max().clamp_min(1e-30)]
    for added, size in zip(biases.signed, biases.sizes, strict=True):
        counts = float(added.double().sum())
        total += counts
        placed = _placed(added if signed else size, trace.classifier.anatomy)
        if placed is None:
            nowhere += counts
        else:
            layers.append(placed)
    heat = sum(_spread(layer, pixels.shape[1:], keep_sum=signed) for layer in layers)
    assert isinstance(heat, Tensor)
    heat = heat if signed else heat - heat.min()
    unit = "logit points per pixel" if signed else "sum of shares"
    return Heatmap(heat, signed=signed, unit=unit, note=_told(total, nowhere, float(scores[0])))


def _above_mean(trace: Trace) -> Tensor:
    """The pixels as the network is fed them, (pixels − mean) / deviation, in the unit of their slopes: undivided."""
    framing, pixels = trace.classifier.framing, trace.pixels
    mean = torch.tensor(framing.mean, dtype=pixels.dtype, device=pixels.device)
    return pixels - (mean.flip(0) if framing.channels == "bgr" else mean)[:, None, None]


def _told(total: float, nowhere: float, score: float) -> str:
    missed = abs(total - score) / max(abs(score), 1e-12)
    held = "add up to the score" if missed < _EXACT else f"miss the score by {100 * missed:.3g} %"
    rest = f"; {nowhere:+.2g} of it comes from constants that have no place in the picture" if nowhere else ""
    return f"All parts together {held}{rest}."


_EXACT = 1e-4


def _placed(part: Tensor, anatomy: Anatomy) -> Tensor | None:
    """A part (1, h, w) or (1, tokens) as a map (h, w); None where it lies on no grid."""
    if len(part) != 1:
        return None
    if part.ndim == 3 and part.numel() > 1:
        return part[0]
    if part.ndim == 2:
        for layout in [site.layout for site in (*anatomy.trunk, *anatomy.loose.values())]:
            if part.shape[1] == len(layout.order) + layout.extra:
                return part[0, list(layout.order)].view(layout.grid)
    return None


def _spread(layer: Tensor, size: torch.Size, *, keep_sum: bool) -> Tensor:
    """A map at the picture's size, with its heights or its sum kept."""
    wide = stretched(layer, size)
    if not keep_sum:
        return wide
    wide = wide * (layer.numel() / wide.numel())
    return wide + (layer.sum() - wide.sum()) / wide.numel()  # what stretching by a broken number gains or loses
