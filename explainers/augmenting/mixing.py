"""CutMix and MixUp: two pictures in one, by torchvision, with the box and the share known."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from ..errors import QuestionError
from .seeded import Seeded

Box = tuple[int, int, int, int]
"""x0, y0, x1, y1 in pixels."""

Mixing = Literal["cutmix", "mixup"]
"""Paste a box, or blend."""


@dataclass(frozen=True, eq=False)
class Mixed:
    """One picture out of two."""

    pixels: Tensor
    """(3, H, W) in [0, 1]."""
    share: float
    """λ: how much of the label belongs to the first picture."""
    box: Box | None = None
    """Where the second picture was pasted, for CutMix."""

    def __str__(self) -> str:
        if self.box is None:
            return f"{self.share:.0%} of the first picture and {1 - self.share:.0%} of the second, blended"
        x0, y0, x1, y1 = self.box
        return f"{x1 - x0} × {y1 - y0} px of the second picture pasted at ({x0}, {y0}): λ = {self.share:.2f}"

    @property
    def label(self) -> tuple[float, float]:
        """What the label is made of: the share of the first picture's class, and of the second's."""
        return self.share, 1 - self.share


def cut_mix(
    first: Tensor,
    second: Tensor | None,
    *,
    share: float | None = None,
    center: tuple[float, float] = (0.5, 0.5),
    box: Box | None = None,
    alpha: float = 1.0,
    seed: int = 0,
) -> Mixed:
    """The second picture (3, H, W) pasted into the first one.

    With `box`, there; with `share` (λ), a box of the remaining area around `center`, as shares of width and height,
    pushed inside where it would stick out; with neither, as in training: λ from Beta(α, α) and the box anywhere, cut
    off at the edge, drawn as torchvision does after `manual_seed(seed)`. Raises `QuestionError` in words.
    """
    batch, transform = _both(first, second, "cut_mix", alpha)
    height, width = batch.shape[-2:]
    if box is not None:
        box = _inside(box, height, width)
    elif share is not None:
        box = box_of(share, center, (height, width))
    else:
        with Seeded(seed):
            box = transform.make_params([batch])["box"]
    x0, y0, x1, y1 = box
    left = 1.0 - (x1 - x0) * (y1 - y0) / (width * height)
    mixed = transform.transform(batch, {"labels": None, "batch_size": 2, "box": box, "lam_adjusted": left})
    return Mixed(mixed[0], left, box)


def mix_up(
    first: Tensor, second: Tensor | None, *, share: float | None = None, alpha: float = 1.0, seed: int = 0
) -> Mixed:
    """Both pictures (3, H, W) blended, λ of the first: given as `share`, or from Beta(α, α) as torchvision draws it."""
    batch, transform = _both(first, second, "mix_up", alpha)
    if share is None:
        with Seeded(seed):
            share = transform.make_params([batch])["lam"]
    share = _share(share)
    mixed = transform.transform(batch, {"labels": None, "batch_size": 2, "lam": share})
    return Mixed(mixed[0], share)


def mixed(
    kind: Mixing, first: Tensor, second: Tensor, *, share: float, center: tuple[float, float] = (0.5, 0.5)
) -> Mixed:
    """Two pictures (3, H, W) in one, λ of the first; the box around `center` is CutMix's."""
    return mix_up(first, second, share=share) if kind == "mixup" else cut_mix(first, second, share=share, center=center)


def box_of(share: float, center: tuple[float, float], size: tuple[int, int]) -> Box:
    """A box with sides in proportion to the picture's (H, W) that leaves λ = `share` of it, as near as pixels allow."""
    height, width = size
    side = math.sqrt(1 - _share(share))
    wide, high = round(side * width), round(side * height)
    x, y = (min(max(each, 0.0), 1.0) for each in center)
    left = min(max(round(x * width - wide / 2), 0), width - wide)
    top = min(max(round(y * height - high / 2), 0), height - high)
    return left, top, left + wide, top + high


# --- private ---------------------------------------------------------------------------------------------------------


def _both(first: Tensor, second: Tensor | None, kind: Literal["cut_mix", "mix_up"], alpha: float) -> tuple[Tensor, Any]:
    title = {"cut_mix": "CutMix", "mix_up": "MixUp"}[kind]
    if second is None:
        raise QuestionError(f"{title} takes two pictures, and this is one; give a second picture.")
    if first.shape != second.shape:
        sizes = " and ".join(f"{each.shape[-1]} × {each.shape[-2]}" for each in (first, second))
        raise QuestionError(f"{title} takes two pictures of one size, not {sizes} pixels; frame both for one network.")
    if not 0 < alpha <= _MOST_EVEN:
        raise QuestionError(f"“alpha” of {title} is above 0 and at most {_MOST_EVEN:g}, not “{alpha:g}”.")
    from torchvision.transforms import v2

    return torch.stack([first, second]), {"CutMix": v2.CutMix, "MixUp": v2.MixUp}[title](alpha=alpha, num_classes=2)


_MOST_EVEN = 100.0
"""Beyond it, Beta(α, α) is a half and nothing else."""


def _share(share: float) -> float:
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
        raise QuestionError(f"λ, the share of the first picture, is a number from 0 to 1, not “{share!s:.40}”.")
    return float(share)


def _inside(box: Box, height: int, width: int) -> Box:
    if len(box) != 4 or not (0 <= box[0] <= box[2] <= width and 0 <= box[1] <= box[3] <= height):
        raise QuestionError(
            f"The box is x0, y0, x1, y1 within the picture's {width} × {height} pixels, not {', '.join(map(str, box))}."
        )
    return box
