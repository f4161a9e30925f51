"""Knows the transforms by name: what can be set, in real units and within bounds, and which of torchvision's it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ..errors import QuestionError
from .timms import POLICIES

Values = Mapping[str, Any]
Size = tuple[int, int]

RATIO = 4 / 3
"""How much longer than wide a crop may be by torchvision's default, and the other way round."""


@dataclass(frozen=True)
class Setting:
    """One thing to set about a transform."""

    name: str
    kind: Literal["number", "integer", "choice"]
    default: Any
    description: str
    minimum: float = 0
    maximum: float = 1
    choices: tuple[str, ...] = ()

    def check(self, title: str, value: Any) -> Any:
        """The value, of its kind and within its bounds. Raises `QuestionError` that names both."""
        if self.kind == "choice":
            if isinstance(value, str) and value in self.choices:
                return value
            raise QuestionError(f"“{self.name}” of {title} is one of {', '.join(self.choices)}, not “{value!s:.40}”.")
        whole = self.kind == "integer"
        fits = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
        if not fits or not self.minimum <= value <= self.maximum:
            kind = "a whole number" if whole else "a number"
            bounds = f"from {self.minimum:g} to {self.maximum:g}"
            raise QuestionError(f"“{self.name}” of {title} is {kind} {bounds}, not “{value!s:.40}”.")
        return value if whole else float(value)


@dataclass(frozen=True)
class Transform:
    """A transform that draws anew for each picture, and what torchvision calls it."""

    name: str
    title: str
    settings: tuple[Setting, ...]
    cls: str
    """The name of torchvision's class; empty where it is timm's."""
    arguments: Callable[[dict[str, Any], Size], dict[str, Any]]
    """The arguments of torchvision's class for the settings and the size (H, W) of the picture."""

    def check(self, values: Values) -> dict[str, Any]:
        """The settings, complete and within bounds. Raises `QuestionError` that names setting, limit and way out."""
        known = {setting.name: setting for setting in self.settings}
        for name in values:
            if name not in known:
                offer = f"it has {', '.join(known)}" if known else "it has none"
                raise QuestionError(f"{self.title} has no setting “{str(name)[:40]}”; {offer}.")
        checked = {
            name: setting.check(self.title, values.get(name, setting.default)) for name, setting in known.items()
        }
        for name in known:
            low, high = name, name.removesuffix("_from") + "_to"
            if name.endswith("_from") and checked[low] > checked[high]:
                raise QuestionError(
                    f"“{low}” of {self.title} is at most “{high}”, but {checked[low]:g} is above {checked[high]:g}."
                )
        return checked


def find_transform(name: str) -> Transform:
    """The transform of that name. Raises `QuestionError` that names those there are."""
    if name not in TRANSFORMS:
        raise QuestionError(f"There is no transform “{str(name)[:40]}”; there are {', '.join(TRANSFORMS)}.")
    return TRANSFORMS[name]


# --- private ---------------------------------------------------------------------------------------------------------


def _number(name: str, default: float, low: float, high: float, description: str) -> Setting:
    return Setting(name, "number", float(default), description, low, high)


def _whole(name: str, default: int, low: int, high: int, description: str) -> Setting:
    return Setting(name, "integer", default, description, low, high)


def _p(default: float) -> Setting:
    return _number("p", default, 0, 1, "How likely it is to be done at all.")


_FILL = _whole("fill", 0, 0, 255, "Gray of the parts that come in from outside, 0 is black.")


def _only_p(values: dict[str, Any], _size: Size) -> dict[str, Any]:
    return {"p": values["p"]}


def _range(values: dict[str, Any], name: str) -> tuple[Any, Any]:
    return values[f"{name}_from"], values[f"{name}_to"]


def _affine(v: dict[str, Any], _size: Size) -> dict[str, Any]:
    return {
        "degrees": v["degrees"], "translate": (v["translate"],) * 2, "scale": _range(v, "scale"),
        "shear": (-v["shear"], v["shear"]) * 2, "interpolation": "bilinear", "fill": v["fill"],
    }  # fmt: skip


def _blur(v: dict[str, Any], size: Size) -> dict[str, Any]:
    # Three deviations to either side, but no more than can be mirrored at the edge.
    reach = max(1, min(round(3 * v["sigma_to"]), min(size) - 1))
    return {"kernel_size": 2 * reach + 1, "sigma": _range(v, "sigma")}


def _crop(v: dict[str, Any], size: Size) -> dict[str, Any]:
    ratio = (1 / v["ratio"], v["ratio"])
    return {"size": size, "scale": _range(v, "scale"), "ratio": ratio, "antialias": True}


def _erasing(v: dict[str, Any], _size: Size) -> dict[str, Any]:
    ratio = (1 / v["ratio"], v["ratio"])
    return {"p": v["p"], "scale": _range(v, "scale"), "ratio": ratio, "value": v["fill"]}


def _jitter(v: dict[str, Any], _size: Size) -> dict[str, Any]:
    return {name: v[name] for name in ("brightness", "contrast", "saturation", "hue")}


_SEARCHED = ("imagenet", "cifar10", "svhn")

TRANSFORMS: dict[str, Transform] = {
    each.name: each
    for each in (
        Transform("horizontal_flip", "Horizontal flip", (_p(0.5),), "RandomHorizontalFlip", _only_p),
        Transform("vertical_flip", "Vertical flip", (_p(0.5),), "RandomVerticalFlip", _only_p),
        Transform(
            "rotation", "Rotation",
            (_number("degrees", 15, 0, 180, "Up to so many degrees, either way."), _FILL),
            "RandomRotation",
            lambda v, _: {"degrees": v["degrees"], "interpolation": "bilinear", "fill": v["fill"]},
        ),
        Transform(
            "color_jitter", "Color jitter",
            (
                _number("brightness", 0.2, 0, 1, "Brightness is multiplied by up to 1 ± this."),
                _number("contrast", 0.2, 0, 1, "Contrast is multiplied by up to 1 ± this."),
                _number("saturation", 0.2, 0, 1, "Saturation is multiplied by up to 1 ± this."),
                _number("hue", 0.1, 0, 0.5, "Hue is turned by up to this share of the color wheel, either way."),
            ),
            "ColorJitter", _jitter,
        ),
        Transform(
            "resized_crop", "Random resized crop",
            (
                _number("scale_from", 0.8, 0.05, 1, "Smallest share of the area that is kept."),
                _number("scale_to", 1, 0.05, 1, "Largest share of the area that is kept."),
                _number("ratio", RATIO, 1, 2, "Longer side over the shorter one, at most."),
            ),
            "RandomResizedCrop", _crop,
        ),
        Transform(
            "affine", "Affine",
            (
                _number("degrees", 0, 0, 180, "Rotation by up to so many degrees, either way."),
                _number("translate", 0.1, 0, 0.5, "Moved by up to this share of a side."),
                _number("scale_from", 0.9, 0.2, 3, "Smallest enlargement."),
                _number("scale_to", 1.1, 0.2, 3, "Largest enlargement."),
                _number("shear", 5, 0, 45, "Sheared by up to so many degrees, either way."),
                _FILL,
            ),
            "RandomAffine", _affine,
        ),
        Transform(
            "perspective", "Perspective",
            (_number("distortion", 0.5, 0, 1, "How far a corner comes in, as a share of half a side."), _p(0.5), _FILL),
            "RandomPerspective",
            lambda v, _: {
                "distortion_scale": v["distortion"], "p": v["p"], "interpolation": "bilinear", "fill": v["fill"]
            },
        ),
        Transform(
            "blur", "Blur",
            (
                _number("sigma_from", 0.1, 0.1, 5, "Least blur: σ in pixels."),
                _number("sigma_to", 2, 0.1, 5, "Most blur: σ in pixels."),
            ),
            "GaussianBlur", _blur,
        ),
        Transform(
            "noise", "Noise",
            (_number("sigma", 0.1, 0, 0.5, "Its spread, as a share of the way from black to white."),),
            "GaussianNoise", lambda v, _: {"sigma": v["sigma"]},
        ),
        Transform("grayscale", "Grayscale", (_p(0.1),), "RandomGrayscale", _only_p),
        Transform(
            "solarize", "Solarize",
            (_whole("threshold", 128, 0, 255, "What is at least so bright, of 255, is inverted."), _p(0.5)),
            "RandomSolarize", lambda v, _: {"threshold": v["threshold"], "p": v["p"]},
        ),
        Transform(
            "posterize", "Posterize",
            (_whole("bits", 4, 1, 8, "Bits that are kept of each channel's eight."), _p(0.5)),
            "RandomPosterize", lambda v, _: {"bits": v["bits"], "p": v["p"]},
        ),
        Transform("equalize", "Equalize", (_p(0.5),), "RandomEqualize", _only_p),
        Transform(
            "jpeg", "JPEG",
            (
                _whole("quality_from", 10, 1, 100, "Lowest quality."),
                _whole("quality_to", 60, 1, 100, "Highest quality."),
            ),
            "JPEG", lambda v, _: {"quality": _range(v, "quality")},
        ),
        Transform(
            "erasing", "Random erasing",
            (
                _p(0.5),
                _number("scale_from", 0.02, 0.01, 0.9, "Smallest share of the area."),
                _number("scale_to", 0.33, 0.01, 0.9, "Largest share of the area."),
                _number("ratio", 3.3, 1, 5, "Longer side over the shorter one, at most."),
                _FILL,
            ),
            "RandomErasing", _erasing,
        ),
        Transform(
            "rand_augment", "RandAugment",
            (
                _whole("num_ops", 2, 1, 8, "How many operations, one after the other."),
                _whole("magnitude", 9, 0, 30, "How strong each is, of 30."),
            ),
            "RandAugment", lambda v, _: {"num_ops": v["num_ops"], "magnitude": v["magnitude"]},
        ),
        Transform(
            "auto_augment", "AutoAugment",
            (Setting("policy", "choice", "imagenet", "What it was searched on.", choices=_SEARCHED),),
            "AutoAugment", lambda v, _: {"policy": v["policy"]},
        ),
        Transform("trivial_augment", "TrivialAugmentWide", (), "TrivialAugmentWide", lambda *_: {}),
        Transform(
            "timm", "timm's policy",
            (Setting("policy", "choice", POLICIES[0], "As timm's training names it.", choices=POLICIES),),
            "", lambda v, _: {"config": v["policy"]},
        ),
        Transform(
            "aug_mix", "AugMix",
            (
                _whole("severity", 3, 1, 10, "How strong each operation is at most, of 10."),
                _whole("width", 3, 1, 5, "How many treated copies are mixed."),
                _whole("depth", -1, -1, 3, "Operations to a copy; -1 draws one to three."),
                _number("alpha", 1, 0.1, 10, "How even the shares are: the larger, the more even."),
            ),
            "AugMix",
            lambda v, _: {
                "severity": v["severity"], "mixture_width": v["width"], "chain_depth": v["depth"], "alpha": v["alpha"]
            },
        ),
    )
}  # fmt: skip
