"""Knows what can be swept: one parameter of one transform, from one end to the other, with all else held."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from ..errors import QuestionError
from .actions import Action
from .pipeline import Recipe
from .steps import Size

Make = Callable[[float, Size, torch.Generator], Sequence[Action]]


@dataclass(frozen=True)
class Sweep:
    """One parameter, in real units, and what it does to a picture at each value."""

    name: str
    title: str
    unit: str
    start: float
    end: float
    neutral: float
    """Where nothing is done."""
    make: Make
    random: bool = False
    """Whether something beside the parameter is drawn: the place of a crop, the noise itself."""

    def recipe(self, value: float, size: Size, seed: int = 0) -> Recipe:
        """What is done to a picture of a size (H, W) at a value; nothing at all at the neutral one."""
        if math.isclose(value, self.neutral, abs_tol=1e-9):
            return Recipe()
        return Recipe(tuple(self.make(value, size, torch.Generator().manual_seed(seed))))

    def values(self, points: int) -> list[float]:
        """So many values from end to end; the nearest to the neutral one is moved there, if that is on the way."""
        step = (self.end - self.start) / (points - 1)
        values = [self.start + step * place for place in range(points)]
        nearest = min(range(points), key=lambda place: abs(values[place] - self.neutral))
        if abs(values[nearest] - self.neutral) < abs(step):
            values[nearest] = self.neutral
        return values


def find_sweep(name: str) -> Sweep:
    """The sweep of that name. Raises `QuestionError` that names those there are."""
    if name not in SWEEPS:
        raise QuestionError(f"There is no sweep “{str(name)[:40]}”; there are {', '.join(SWEEPS)}.")
    return SWEEPS[name]


# --- private ---------------------------------------------------------------------------------------------------------


def _still(**changed: object) -> Action:
    values = {"angle": 0.0, "translate": [0, 0], "scale": 1.0, "shear": [0.0, 0.0], "interpolation": "bilinear"}
    return Action("affine", {**values, "fill": 0, **changed})


def _crop(value: float, size: Size, chance: torch.Generator) -> list[Action]:
    height, width = (max(1, round(side * math.sqrt(value))) for side in size)
    top, left = (
        int(torch.randint(side - cut + 1, (), generator=chance))
        for side, cut in zip(size, (height, width), strict=True)
    )
    return [
        Action(
            "resized_crop",
            {"top": top, "left": left, "height": height, "width": width, "size": list(size),
             "interpolation": "bilinear", "antialias": True},
        )
    ]  # fmt: skip


def _anywhere(cut: Size, size: Size, chance: torch.Generator) -> list[int]:
    """The upper left corner of a piece (h, w) of a picture (H, W), drawn at random."""
    return [int(torch.randint(whole - part + 1, (), generator=chance)) for part, whole in zip(cut, size, strict=True)]


def _slant(value: float, size: Size, chance: torch.Generator) -> list[Action]:
    from torchvision.transforms.functional import _get_perspective_coeffs

    height, width = size
    corners = [[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]]
    inward = torch.rand(4, 2, generator=chance) * value * torch.tensor([width / 2, height / 2])
    signs = torch.tensor([[1, 1], [-1, 1], [-1, -1], [1, -1]])
    ends = (torch.tensor(corners) + inward * signs).round().int().tolist()
    coefficients = _get_perspective_coeffs(corners, ends)
    return [Action("perspective", {"startpoints": None, "endpoints": None, "coefficients": coefficients,
                                   "interpolation": "bilinear", "fill": 0})]  # fmt: skip


def _erase(value: float, size: Size, chance: torch.Generator) -> list[Action]:
    h, w = (min(side, max(1, round(side * math.sqrt(value)))) for side in size)
    i, j = _anywhere((h, w), size, chance)
    return [Action("erase", {"i": i, "j": j, "h": h, "w": w, "v": [0.0]})]


def _noise(value: float, _size: Size, chance: torch.Generator) -> list[Action]:
    seed = int(torch.randint(2**31, (), generator=chance))
    return [Action("gaussian_noise", {"mean": 0.0, "sigma": value, "clip": True, "seed": seed, "words": 0})]


def _blur(value: float, size: Size, _chance: torch.Generator) -> list[Action]:
    reach = max(1, min(round(3 * value), min(size) - 1))
    return [Action("gaussian_blur", {"kernel_size": [2 * reach + 1] * 2, "sigma": [value, value]})]


def _shift(value: float, size: Size, _chance: torch.Generator) -> list[Action]:
    return [_still(translate=[round(value * size[1]), 0])]


def _solarize(value: float, _size: Size, _chance: torch.Generator) -> list[Action]:
    return [Action("solarize", {"threshold": value})] if value <= _WHITE else []


_WHITE = 255


def _color(what: str) -> Make:
    return _plainly(lambda value: Action(f"adjust_{what}", {f"{what}_factor": value}))


def _plainly(*actions: Callable[[float], Action]) -> Make:
    """What depends on the value alone."""
    return lambda value, _size, _chance: [action(value) for action in actions]


SWEEPS: dict[str, Sweep] = {
    each.name: each
    for each in (
        Sweep("nothing", "Nothing (control)", "", 0, 1, math.inf, _plainly()),
        Sweep(
            "rotation", "Rotation", "°", -45, 45, 0,
            _plainly(lambda v: Action("rotate", {"angle": v, "interpolation": "bilinear", "fill": 0})),
        ),
        Sweep("brightness", "Brightness", "times", 0.3, 2, 1, _color("brightness")),
        Sweep("contrast", "Contrast", "times", 0.2, 2, 1, _color("contrast")),
        Sweep("saturation", "Saturation", "times", 0, 2, 1, _color("saturation")),
        Sweep("hue", "Hue", "of the color wheel", -0.5, 0.5, 0, _color("hue")),
        Sweep("crop", "Crop", "of the area", 0.3, 1, 1, _crop, random=True),
        Sweep(
            "shift", "Shift to the side", "of the width", -0.3, 0.3, 0,
            _shift,
        ),
        Sweep("scale", "Scale", "times", 0.5, 2, 1, _plainly(lambda v: _still(scale=v))),
        Sweep("shear", "Shear", "°", -30, 30, 0, _plainly(lambda v: _still(shear=[v, 0.0]))),
        Sweep("perspective", "Perspective", "distortion", 0, 0.8, 0, _slant, random=True),
        Sweep("blur", "Blur", "px", 0, 5, 0, _blur),
        Sweep("noise", "Noise", "of the range", 0, 0.4, 0, _noise, random=True),
        Sweep(
            "solarize", "Solarize", "of 255", 0, 256, 256,
            _solarize,
        ),
        Sweep("posterize", "Posterize", "bits", 1, 8, 8, _plainly(lambda v: Action("posterize", {"bits": round(v)}))),
        Sweep("jpeg", "JPEG", "quality", 2, 100, math.inf, _plainly(lambda v: Action("jpeg", {"quality": round(v)}))),
        Sweep("erasing", "Erasing", "of the area", 0, 0.6, 0, _erase, random=True),
    )
}  # fmt: skip
"""Every one, the control first: what does nothing changes nothing, or something is wrong."""
