"""Torchvision's transforms, drawing as ever, but telling each action that they take with all its numbers."""

from __future__ import annotations

import copy
import math
from typing import Any

from torch import Tensor

from .actions import Action, noisy, recorded
from .seeded import Seeded


def recording(transform: Any, actions: list[Action], seeded: Seeded) -> Any:
    """A copy of torchvision's transform that draws as ever, and keeps each action that it takes, with its numbers."""
    from torchvision.transforms import v2

    transform = copy.copy(transform)
    if isinstance(transform, v2.AugMix):
        return _AugMix(transform, actions)

    def policy(picture: Tensor, name: str, magnitude: float, interpolation: Any, **_: Any) -> Tensor:
        done = _operations(name, magnitude, interpolation)
        actions.extend(done)
        for action in done:
            picture = action.apply(picture)
        return picture

    def kernel(function: Any, picture: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if args:  # the blur's kernel size
            kwargs = {"kernel_size": args[0], **kwargs}
        kwargs.pop("inplace", None)
        if function.__name__ == "gaussian_noise":  # drawn here and now, and again from this place in a replay
            actions.append(recorded(function.__name__, {**kwargs, "seed": seeded.seed, "words": seeded.words}))
            return noisy(picture, kwargs)
        actions.append(recorded(function.__name__, kwargs))
        return actions[-1].apply(picture)

    transform._apply_image_or_video_transform = policy
    transform._call_kernel = kernel
    return transform


# --- private ---------------------------------------------------------------------------------------------------------


class _AugMix:
    """AugMix that keeps what went into the mixture."""

    def __init__(self, transform: Any, actions: list[Action]) -> None:
        self._actions, self._chains = actions, list[list[Action]]()
        self._first: Tensor | None = None
        self._weights: list[Tensor] = []
        self._transform, self._draw = transform, transform._sample_dirichlet
        transform._sample_dirichlet = self._weigh
        transform._apply_image_or_video_transform = self._apply

    def __call__(self, picture: Tensor) -> Tensor:
        mixed: Tensor = self._transform(picture)
        own, treated = self._weights[0][0]  # (2,), in single precision, as the products are
        weights = (self._weights[1] * treated)[0].tolist()
        self._actions.append(Action("mix", {"own": float(own), "weights": weights, "chains": self._chains}))
        return mixed

    def _weigh(self, evenness: Tensor) -> Tensor:
        drawn: Tensor = self._draw(evenness)
        self._weights.append(drawn)
        return drawn

    def _apply(self, picture: Tensor, name: str, magnitude: float, interpolation: Any, **_: Any) -> Tensor:
        self._first = picture if self._first is None else self._first
        if picture is self._first:  # every copy starts from the picture itself
            self._chains.append([])
        done = _operations(name, magnitude, interpolation)
        self._chains[-1].extend(done)
        for action in done:
            picture = action.apply(picture)
        return picture


def _operations(name: str, magnitude: float, interpolation: Any) -> list[Action]:
    """What an operation of a policy is, in numbers. Source: torchvision.transforms.v2, `_auto_augment.py`."""
    how = {"interpolation": interpolation, "fill": None}
    still = {"angle": 0.0, "translate": [0, 0], "scale": 1.0, "shear": [0.0, 0.0]}
    lean = math.degrees(math.atan(magnitude))
    match name:
        case "Identity":
            return []
        case "ShearX":
            return [recorded("affine", {**still, "shear": [lean, 0.0], "center": [0, 0], **how})]
        case "ShearY":
            return [recorded("affine", {**still, "shear": [0.0, lean], "center": [0, 0], **how})]
        case "TranslateX":
            return [recorded("affine", {**still, "translate": [int(magnitude), 0], **how})]
        case "TranslateY":
            return [recorded("affine", {**still, "translate": [0, int(magnitude)], **how})]
        case "Rotate":
            return [recorded("rotate", {"angle": magnitude, **how})]
        case "Posterize":
            return [recorded("posterize", {"bits": int(magnitude)})]
        case "Solarize":
            return [recorded("solarize", {"threshold": 255 * magnitude})]
        case "AutoContrast" | "Equalize" | "Invert":
            return [recorded(name.lower(), {})]
    word = {"Color": "saturation"}.get(name, name.lower())
    return [recorded(f"adjust_{word}", {f"{word}_factor": 1.0 + magnitude})]
