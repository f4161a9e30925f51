"""Random changes that a picture has to withstand while it is imagined: moved, turned, scaled, cut, with noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..shapes import Batch


@dataclass(frozen=True)
class Shaking:
    """How far each picture is moved at most in every step, each by itself.

    What comes out has the size that went in, which a network with a fixed input size needs; what lies outside the
    picture is its mirror image. Tokens of a transformer see every part of the picture at every place of their patch.
    """

    shift: float = 0.0
    """As a share of the side."""
    turn: float = 0.0
    """Degrees, either way."""
    closest: float = 1.0
    """The side of the smallest part that is cut out and enlarged, as a share of the picture's."""
    widest: float = 1.0
    """The same of the largest; above 1 the picture is seen from farther away."""
    noise: float = 0.0
    """Uniform noise, either way, on colors in [0, 1]."""

    def __call__(self, pictures: Batch, generator: torch.Generator, strength: float = 1.0) -> Batch:
        """The pictures (N, 3, H, W), each changed in its own way; `strength` 0 leaves them alone."""
        count, _, height, width = pictures.shape
        draws = torch.rand(count, 4, generator=generator).to(pictures)
        most = self.noise * strength
        noise = torch.empty(pictures.shape).uniform_(-most, most, generator=generator).to(pictures) if most else None
        if self.shift or self.turn or self.closest < 1 or self.widest > 1:
            angle = (2 * draws[:, 0] - 1) * math.radians(self.turn) * strength
            low, high = math.log(self.closest) * strength, math.log(self.widest) * strength
            side = (low + (high - low) * draws[:, 1]).exp()
            room = (1 - side).clamp(min=0)[:, None]  # a part that is cut out may lie anywhere
            moved = (2 * draws[:, 2:] - 1) * (2 * self.shift * strength + room)
            grid = _grid(_turned(angle, side, moved, height / width), height, width)
            pictures = torch.nn.functional.grid_sample(pictures, grid, padding_mode="reflection", align_corners=False)
        if noise is not None:
            pictures = pictures + noise
        return pictures


def _grid(maps: Tensor, height: int, width: int) -> Tensor:
    """(N, H, W, 2): where in [-1, 1] each pixel's center is taken from; torch's own takes five times as long."""
    columns = (2 * torch.arange(width, device=maps.device, dtype=maps.dtype) + 1) / width - 1
    rows = (2 * torch.arange(height, device=maps.device, dtype=maps.dtype) + 1) / height - 1
    along = columns[:, None] * maps[:, None, :, 0] + maps[:, None, :, 2]  # (N, W, 2)
    down = rows[:, None] * maps[:, None, :, 1]  # (N, H, 2)
    return along[:, None] + down[:, :, None]


def _turned(angle: Tensor, side: Tensor, moved: Tensor, aspect: float) -> Tensor:
    """(N, 2, 3): where each place of the result is taken from; a turn is one in pixels, not in shares of the sides."""
    sin, cos = side * angle.sin(), side * angle.cos()
    rows = [torch.stack([cos, -sin * aspect, moved[:, 0]], -1), torch.stack([sin / aspect, cos, moved[:, 1]], -1)]
    return torch.stack(rows, 1)
