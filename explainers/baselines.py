"""What a picture is held against, and what covers a part of it: baselines, named in words."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as fn

from .pictures import Framing
from .shapes import Pixels

BaselineName = Literal["gray", "black", "white", "blur", "noise"]
BASELINES: tuple[BaselineName, ...] = get_args(BaselineName)

Baseline = Annotated[
    BaselineName,
    Field(
        description="What the picture is compared with: gray is the mean color of the network's training pictures, "
        "blur the picture itself out of focus, noise random pixels."
    ),
]
"""An option of the methods that compare the picture with one that has nothing in it."""

EDGE = 1e-3
"""Where on the way from a baseline its first slope is taken: on it many units may stand at a kink, and have none."""

BLUR_SHARE = 1 / 12
"""Standard deviation of the blur, as a share of the shorter side: nothing of an ordinary subject is left."""


def baseline(name: BaselineName, pixels: Pixels, framing: Framing, *, seed: int = 0) -> Pixels:
    """A picture (3, H, W) in [0, 1] with nothing in it, to hold `pixels` (3, H, W) against.

    Gray is what the network's own normalization takes to zero, or halfway gray where it knows of no mean. Raises
    `KeyError` for an unknown name.
    """
    match name:
        case "gray":
            known = framing.mean if any(framing.mean) else (0.5, 0.5, 0.5)
            mean = torch.tensor(known, dtype=pixels.dtype, device=pixels.device)  # as exact as what it is taken from
            return (mean.flip(0) if framing.channels == "bgr" else mean)[:, None, None].clamp(0, 1).expand_as(pixels)
        case "black":
            return torch.zeros_like(pixels)
        case "white":
            return torch.ones_like(pixels)
        case "blur":
            return blurred(pixels, BLUR_SHARE * min(pixels.shape[-2:]))
        case "noise":
            generator = torch.Generator().manual_seed(seed)
            return torch.rand(pixels.shape, generator=generator, dtype=pixels.dtype).to(pixels.device)
    raise KeyError(name)


def blurred(pixels: Tensor, deviation: float) -> Tensor:
    """Pixels (…, H, W) under a Gaussian of that standard deviation in pixels, mirrored at the edges."""
    for axis in (-1, -2):
        reach = min(int(3 * deviation + 0.5), pixels.shape[axis] - 1)
        if reach < 1:
            continue
        steps = torch.arange(-reach, reach + 1, dtype=pixels.dtype, device=pixels.device)
        kernel = torch.exp(-0.5 * (steps / deviation) ** 2)
        kernel = kernel / kernel.sum()
        rows = pixels.movedim(axis, -1)
        flat = fn.pad(rows.reshape(-1, 1, rows.shape[-1]), (reach, reach), mode="reflect")
        pixels = fn.conv1d(flat, kernel[None, None]).view(rows.shape).movedim(-1, axis)
    return pixels
