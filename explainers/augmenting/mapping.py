"""Maps carried back: where each place of the original went, and what a treated picture's heat says about it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as fn

from .actions import Action
from .pipeline import Recipe
from .steps import Size

FINEST = 56
"""A map is compared over at most so many cells along a side: as fine as any map here is, and quick to rank."""


def invertible(recipe: Recipe) -> bool:
    """Whether every place of the original went to one place; not where several moved copies lie over each other."""
    mixes = [action for action in recipe.actions if action.name == "mix"]
    return not any(
        matrix(each, (1, 1)) is not None for mix in mixes for chain in mix.values["chains"] for each in chain
    )


def whereto(recipe: Recipe, points: Tensor, size: Size) -> tuple[Tensor, Tensor]:
    """Where points (…, 2), as (x, y), of the original (H, W) went, and whether they are still to be seen (…).

    Coordinates are continuous: the pixel in row i, column j covers [j, j + 1] × [i, i + 1]. A point that ever left the
    picture, or was erased, is lost for good, even where a later action would bring its place back in.
    """
    height, width = size
    points = points.double()
    seen = torch.ones(points.shape[:-1], dtype=torch.bool)
    limits = points.new_tensor([width, height])
    for action in recipe.actions:
        if action.name == "erase":
            corner = points.new_tensor([action.values["j"], action.values["i"]])
            extent = points.new_tensor([action.values["w"], action.values["h"]])
            seen &= ~((points >= corner) & (points < corner + extent)).all(-1)
        elif (moves := matrix(action, size)) is not None:
            if action.name in _FILLED:  # the outermost pixels are blended with what comes in from outside
                seen &= ((points >= 1) & (points <= limits - 1)).all(-1)
            moved = torch.cat([points, torch.ones_like(points[..., :1])], -1) @ moves.mT
            ahead = moved[..., 2] > 0  # behind the eye is nowhere, in a perspective
            points = moved[..., :2] / torch.where(ahead, moved[..., 2], 1.0)[..., None]
            seen &= ahead & ((points >= 0) & (points <= limits)).all(-1)
    return points, seen


def carried_back(heat: Tensor, recipe: Recipe, size: Size, grid: Size | None = None) -> tuple[Tensor, Tensor]:
    """Heat (h, w) over a treated picture, as heat (gh, gw) over the original of `size`; and where it is known.

    What the treated picture does not show is not known, and is zero here, never a guess. Between the centers of
    cells the heat is linear, and flat beyond the outermost ones.
    """
    rows, columns = grid or finest(size)
    y, x = torch.meshgrid(
        (torch.arange(rows) + 0.5) / rows * size[0], (torch.arange(columns) + 0.5) / columns * size[1], indexing="ij"
    )
    points, seen = whereto(recipe, torch.stack([x, y], -1), size)
    places = points / points.new_tensor([size[1], size[0]]) * 2 - 1
    sampled = fn.grid_sample(
        heat[None, None].double(), places[None], mode="bilinear", padding_mode="border", align_corners=False
    )
    return torch.where(seen, sampled[0, 0], 0.0).to(heat), seen


def finest(size: Size) -> Size:
    """The grid (gh, gw) on which maps over a picture of a size (H, W) are compared."""
    share = min(1.0, FINEST / max(size))
    return max(1, round(size[0] * share)), max(1, round(size[1] * share))


def matrix(action: Action, size: Size) -> Tensor | None:
    """The homography (3, 3) from places before the action to places after it; None where it leaves them alone."""
    height, width = size
    values = action.values
    match action.name:
        case "horizontal_flip":
            return _of([-1, 0, width], [0, 1, 0])
        case "vertical_flip":
            return _of([1, 0, 0], [0, -1, height])
        case "rotate":
            return _about((width / 2, height / 2), _leaning(-values["angle"], 1.0, (0.0, 0.0)))
        case "affine":
            center = values.get("center") or (width / 2, height / 2)
            across, down = values["translate"]
            return _of([1, 0, across], [0, 1, down]) @ _about(
                center, _leaning(values["angle"], values["scale"], values["shear"])
            )
        case "perspective":  # given from places after to places before
            a, b, c, d, e, f, g, h = values["coefficients"]
            back = torch.tensor([[a, b, c], [d, e, f], [g, h, 1.0]], dtype=torch.float64)
            return _in_front(torch.linalg.inv(back), back, size)
        case "timm":
            return _by_timm(values["op"], values["arguments"], size)
        case "resized_crop":
            to_height, to_width = values["size"]
            wider, higher = to_width / values["width"], to_height / values["height"]
            return _of([wider, 0, -values["left"] * wider], [0, higher, -values["top"] * higher])
    return None


# --- private ---------------------------------------------------------------------------------------------------------

_FILLED = {"rotate", "affine", "perspective", "timm"}


def _by_timm(op: str, arguments: Sequence[float], size: Size) -> Tensor | None:
    """The same for an operation of timm's, whose numbers say where a place after it came from."""
    (number,) = arguments or (0.0,)
    match op:
        case "rotate":
            return _about((size[1] / 2, size[0] / 2), _leaning(-number, 1.0, (0.0, 0.0)))
        case "shear_x":
            return _of([1, -number, 0], [0, 1, 0])
        case "shear_y":
            return _of([1, 0, 0], [-number, 1, 0])
        case "translate_x_rel" | "translate_x_abs":
            return _of([1, 0, -number * (size[1] if op.endswith("rel") else 1)], [0, 1, 0])
        case "translate_y_rel" | "translate_y_abs":
            return _of([1, 0, 0], [0, 1, -number * (size[0] if op.endswith("rel") else 1)])
    return None


def _of(*rows: Sequence[float]) -> Tensor:
    return torch.tensor([*rows, [0, 0, 1]], dtype=torch.float64)


def _about(center: Sequence[float], turn: Tensor) -> Tensor:
    x, y = center
    return _of([1, 0, x], [0, 1, y]) @ turn @ _of([1, 0, -x], [0, 1, -y])


def _leaning(degrees: float, scale: float, shear: Sequence[float]) -> Tensor:
    """Shear across, then down, then rotate (clockwise, since y points down) and scale, as torchvision composes them."""
    turn, x, y = (math.radians(each) for each in (degrees, *shear))
    rotation = _of([math.cos(turn), -math.sin(turn), 0], [math.sin(turn), math.cos(turn), 0])
    across, down = _of([1, -math.tan(x), 0], [0, 1, 0]), _of([1, 0, 0], [-math.tan(y), 1, 0])
    return rotation @ _of([scale, 0, 0], [0, scale, 0]) @ down @ across


def _in_front(forth: Tensor, back: Tensor, size: Size) -> Tensor:
    """The same homography, scaled so that what lies before the eye has a third coordinate above zero."""
    middle = torch.tensor([size[1] / 2, size[0] / 2, 1.0], dtype=torch.float64)
    before = back @ middle
    return forth * torch.sign((forth @ (before / before[2]))[2])
