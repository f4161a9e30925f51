"""Knows what can be done to a picture, with every number given: how it is carried out and how it is said."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from io import BytesIO
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..errors import QuestionError
from . import timms
from .seeded import seeded_after


@dataclass(frozen=True)
class Action:
    """One thing done to a picture: a function of torchvision's and all its arguments, as JSON has them."""

    name: str
    values: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return _SAID[self.name](self.values)

    def apply(self, picture: Tensor) -> Tensor:
        """The picture (3, H, W), uint8, after it. The same picture gives the same one, bit for bit."""
        match self.name:
            case "mix":
                return _mixed(picture, self.values)
            case "timm":
                return timms.applied(picture, self.values)
            case "jpeg":
                return _compressed(picture, self.values["quality"])
            case "gaussian_noise":
                values = {k: v for k, v in self.values.items() if k not in ("seed", "words")}
                with seeded_after(self.values["seed"], self.values["words"]):
                    return noisy(picture, values)
            case "erase":
                value = torch.tensor(self.values["v"])[:, None, None]
                return _carried_out(picture, self.name, {**self.values, "v": value})
        return _carried_out(picture, self.name, self.values)

    def as_data(self) -> dict[str, Any]:
        """The action as JSON has it."""
        if self.name == "mix":
            chains = [[action.as_data() for action in chain] for chain in self.values["chains"]]
            return {"name": "mix", **self.values, "chains": chains}
        return {"name": self.name, **self.values}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Action:
        """Invert `as_data`. Raises `QuestionError` for a name that is none."""
        values = dict(data)
        name = values.pop("name", None)
        if name not in _SAID:
            raise QuestionError(f"A recipe holds no action “{str(name)[:40]}”; there are {', '.join(_SAID)}.")
        if name == "mix":
            values["chains"] = [[cls.from_data(action) for action in chain] for chain in values["chains"]]
        return cls(name, values)


def recorded(name: str, values: Mapping[str, Any]) -> Action:
    """The action with those arguments of a function of torchvision's, in the form that JSON has."""
    return Action(name, {key: _plain(value) for key, value in values.items()})


# --- private ---------------------------------------------------------------------------------------------------------


def noisy(picture: Tensor, values: Mapping[str, Any]) -> Tensor:
    """The picture (3, H, W), uint8, with noise drawn here and now."""
    if adds_noise_to_bytes():
        return _carried_out(picture, "gaussian_noise", values)
    floats = _carried_out(picture, "to_dtype", {"dtype": torch.float32, "scale": True})
    floats = _carried_out(floats, "gaussian_noise", values)
    return _carried_out(floats, "to_dtype", {"dtype": picture.dtype, "scale": True})


@cache
def adds_noise_to_bytes() -> bool:
    """Whether this release of torchvision does: until 0.23 it added noise to floats alone.

    Asked by what it objects to first, so that nothing is drawn.
    """
    try:
        _carried_out(torch.zeros(3, 1, 1, dtype=torch.uint8), "gaussian_noise", {"sigma": -1.0})
    except ValueError as error:
        return "float" not in str(error)
    return True


def _carried_out(picture: Tensor, name: str, values: Mapping[str, Any]) -> Tensor:
    from torchvision.transforms.v2 import InterpolationMode, functional

    values = dict(values)
    if "interpolation" in values:
        values["interpolation"] = InterpolationMode(values["interpolation"])
    done: Tensor = getattr(functional, name)(picture, **values)
    return done


def _mixed(picture: Tensor, values: Mapping[str, Any]) -> Tensor:
    """Several treated copies and the picture itself, added up with weights, as AugMix does it (in single precision)."""
    mix = torch.tensor(values["own"]) * picture
    for weight, chain in zip(values["weights"], values["chains"], strict=True):
        copy = picture
        for action in chain:
            copy = action.apply(copy)
        mix = mix + torch.tensor(weight) * copy
    return mix.to(picture.dtype)


def _compressed(picture: Tensor, quality: int) -> Tensor:
    """As torchvision's own, to the bit; but it warns aloud that it is to go, and a warning belongs to the process."""
    file, array = BytesIO(), picture.permute(1, 2, 0).numpy()
    Image.fromarray(array[..., 0] if array.shape[2] == 1 else array).save(file, "JPEG", quality=quality)
    return torch.from_numpy(np.atleast_3d(np.array(Image.open(file)))).permute(2, 0, 1).contiguous()


def _plain(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.flatten().tolist()
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return getattr(value, "value", value)  # of an enumeration


def _number(value: float, places: int = 2) -> str:
    said = f"{value:.0f}" if abs(value) >= 10**places else f"{value:.{places}g}"
    return said.replace("-", "−")


def _turned(degrees: float) -> str:
    return f"rotated by {_number(abs(degrees))}° {'counterclockwise' if degrees >= 0 else 'clockwise'}"


def _affine(values: Mapping[str, Any]) -> str:
    across, down = values["translate"]
    shear_x, shear_y = values["shear"]
    moved = [f"{abs(by):g} px {way}" for by, way in _ways(across, down) if by]
    parts = [
        _turned(-values["angle"]) if values["angle"] else "",
        f"moved {' and '.join(moved)}" if moved else "",
        f"scaled to {_number(100 * values['scale'], 3)} %" if values["scale"] != 1 else "",
        f"sheared by {_number(shear_x)}° across" if shear_x else "",
        f"sheared by {_number(shear_y)}° down" if shear_y else "",
    ]
    return ", ".join(part for part in parts if part) or "left in place"


def _ways(across: float, down: float) -> list[tuple[float, str]]:
    return [(across, "right" if across > 0 else "left"), (down, "down" if down > 0 else "up")]


def _mix(values: Mapping[str, Any]) -> str:
    chains = zip(values["weights"], values["chains"], strict=True)
    parts = [f"{100 * weight:.0f} % {', '.join(map(str, chain)) or 'as it is'}" for weight, chain in chains]
    return f"mixed: {100 * values['own']:.0f} % as it is; {'; '.join(parts)}"


def _by_timm(values: Mapping[str, Any]) -> str:
    (number,) = values["arguments"] or (0,)
    match values["op"]:
        case "rotate":
            return _turned(number)
        case "shear_x" | "shear_y":
            return f"sheared by {_number(math.degrees(math.atan(number)))}° {_AXES[values['op'][-1]]}"
        case "translate_x_rel" | "translate_y_rel":
            return f"moved by {_number(-100 * number)} % {_AXES[values['op'][-5]]}"
        case "translate_x_abs" | "translate_y_abs":
            return f"moved by {_number(-number)} px {_AXES[values['op'][-5]]}"
        case "solarize_add":
            return f"brightness below 128 raised by {number} of 255"
    name = _TIMMS.get(values["op"], values["op"])
    key = {"adjust": f"{name.removeprefix('adjust_')}_factor"}.get(name.partition("_")[0])
    return _SAID[name]({key or {"posterize": "bits", "solarize": "threshold"}.get(name, ""): number})


_AXES = {"x": "across", "y": "down"}
_TIMMS = {"auto_contrast": "autocontrast", "color": "adjust_saturation"}
_TIMMS |= {name: f"adjust_{name}" for name in ("contrast", "brightness", "sharpness")}


def _cropped(values: Mapping[str, Any]) -> str:
    place = f"{values['left']}, {values['top']}"
    return f"cut to {values['width']} × {values['height']} px from ({place}) and stretched"


def _slant(values: Mapping[str, Any]) -> str:
    across, down = (_number(1e4 * each, 2) for each in values["coefficients"][6:])
    return f"seen at a slant (over 100 px the scale changes by {across} % across, {down} % down)"


def _times(what: str, key: str) -> Callable[[Mapping[str, Any]], str]:
    return lambda v: f"{what} × {_number(v[key])}"


def _always(words: str) -> Callable[[Mapping[str, Any]], str]:
    return lambda _: words


_SAID: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "horizontal_flip": _always("flipped left to right"),
    "vertical_flip": _always("flipped top to bottom"),
    "rotate": lambda v: _turned(v["angle"]),
    "affine": _affine,
    "perspective": _slant,
    "resized_crop": _cropped,
    "adjust_brightness": _times("brightness", "brightness_factor"),
    "adjust_contrast": _times("contrast", "contrast_factor"),
    "adjust_saturation": _times("saturation", "saturation_factor"),
    "adjust_sharpness": _times("sharpness", "sharpness_factor"),
    "adjust_hue": lambda v: f"hue turned by {_number(360 * v['hue_factor'])}°",
    "gaussian_blur": lambda v: f"blurred with σ = {_number(v['sigma'][0])} px",
    "gaussian_noise": lambda v: f"noise of σ = {_number(100 * v['sigma'])} % added",
    "rgb_to_grayscale": _always("turned gray"),
    "solarize": lambda v: f"inverted from brightness {_number(v['threshold'], 3)} of 255 on",
    "posterize": lambda v: f"posterized to {v['bits']} {'bit' if v['bits'] == 1 else 'bits'}",
    "equalize": _always("brightness equalized"),
    "autocontrast": _always("contrast stretched to the full range"),
    "invert": _always("inverted"),
    "jpeg": lambda v: f"saved as JPEG of quality {v['quality']}",
    "erase": lambda v: f"{v['w']} × {v['h']} px at ({v['j']}, {v['i']}) erased",
    "mix": _mix,
    "timm": _by_timm,
}
