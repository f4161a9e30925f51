"""FullGrad (Srinivas and Fleuret, NeurIPS 2019)."""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as fn

from ..anatomy import Anatomy
from ..registry import Family, Need, explainer
from ..results import Heatmap
from ..trace import Trace


@explainer(
    title="FullGrad",
    family=Family.GRADIENTS,
    needs={Need.PIXEL_SLOPES},
    paper="https://arxiv.org/abs/1905.00780",
    passes=(3, 2),
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
    network of linear pieces the two together are the score; the biases show where units are on.
    Read it as: where inputs and units that matter come together.
    Beware: the same function written with other biases gets another map.
    """
    framing, pixels = trace.classifier.framing, trace.pixels
    fed = framing.normalize(pixels)
    deviation = torch.tensor(framing.std).to(pixels)[:, None, None]
    slopes = trace.pixel_slopes()
    slopes = (slopes.flip(0) if framing.channels == "bgr" else slopes) * deviation  # of what the network is fed
    own = (fed * slopes).sum(0)  # (H, W)
    total, nowhere, layers = float(own.double().sum()), 0.0, [own]
    for part, last in trace.constant_parts():
        total += float(part.double().sum())
        placed = _placed(part, last, trace.classifier.anatomy)
        if placed is None:
            nowhere += float(part.double().sum())
        else:
            layers.append(placed)
    size = tuple(pixels.shape[1:])
    signed = shown == "signed"
    if not signed:
        layers = [layer.abs() / layer.abs().max().clamp_min(1e-12) for layer in layers]
    heat = torch.stack([_spread(layer, size, keep_sum=signed) for layer in layers]).sum(0)
    score = float(trace.score(pixels[None]))
    missed = abs(total - score) / max(abs(score), 1e-12)
    off = f"miss the score by {100 * missed:.2g} %" if missed > 1e-4 else "add up to the score"
    note = f"All parts together {off}"
    note += f"; {nowhere:+.2g} of it comes from constants that have no place in the picture." if nowhere else "."
    return Heatmap(heat, signed=signed, unit="logit points per pixel" if signed else "sum of shares", note=note)


def _placed(part: Tensor, last: bool, anatomy: Anatomy) -> Tensor | None:
    """A part (1, C, h, w), (1, h, w, C) or (1, tokens, C) as a map (h, w); None where it lies on no grid."""
    part = part.movedim(-1, 1) if last else part
    if part.ndim == 4 and part.shape[2] * part.shape[3] > 1 and len(part) == 1:
        return part[0].sum(0)
    if part.ndim == 3 and len(part) == 1:
        for layout in [site.layout for site in anatomy.trunk] + list(anatomy.loose.values()):
            h, w = layout.grid
            if part.shape[2] in (h * w, layout.prefix + h * w):
                return part[0, :, part.shape[2] - h * w :].sum(0).view(h, w)
    return None


def _spread(layer: Tensor, size: tuple[int, ...], *, keep_sum: bool) -> Tensor:
    """A map at the picture's size, with its heights or its sum kept."""
    share = layer.numel() / (size[0] * size[1]) if keep_sum else 1.0
    return fn.interpolate(layer[None, None], size, mode="bilinear", align_corners=False)[0, 0] * share
