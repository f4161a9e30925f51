"""Pipelines as lines of Python to train with: torchvision's `Compose`, and timm's arguments."""

from __future__ import annotations

from typing import Any

from . import timms
from .actions import adds_noise_to_bytes
from .pipeline import Pipeline, Step
from .steps import Size

_WORDS = {"policy": "v2.AutoAugmentPolicy.{}", "interpolation": "v2.InterpolationMode.{}"}


def torchvision_code(pipeline: Pipeline, size: Size, *, name: str = "train") -> str:
    """Lines that build the pipeline for pictures of a size (H, W): from a PIL image or tensor to a tensor in [0, 1].

    After `torch.manual_seed(seed)` it gives the very picture that the pipeline gives for that seed; with a policy of
    timm's in it, `random.seed` and `np.random.seed` are called as well.
    """
    lines = [f"    {call}," for step in pipeline.steps for call in _calls(step, size)]
    by_timm = any(not step.kind.cls for step in pipeline.steps)
    return "\n".join(
        [
            "import torch",
            *(["from timm.data import auto_augment"] if by_timm else []),
            "from torchvision.transforms import v2",
            "",
            f"{name} = v2.Compose([",
            "    v2.ToImage(),",
            *lines,
            "    v2.ToDtype(torch.float32, scale=True),",
            "])",
            "",
        ]
    )


def timm_arguments(pipeline: Pipeline, size: Size) -> tuple[dict[str, Any], list[str]]:
    """Arguments of `timm.data.create_transform` that come nearest, and what of the pipeline timm has no place for.

    timm has an order of its own (crop, flip, policy or color, erasing), and draws from Python's random numbers.
    """
    arguments: dict[str, Any] = {
        "input_size": (3, *size), "is_training": True, "scale": (1.0, 1.0), "ratio": (1.0, 1.0), "hflip": 0.0,
        "vflip": 0.0, "color_jitter": None, "interpolation": "bilinear",
    }  # fmt: skip
    left_out = []
    for step in pipeline.steps:
        found = _for_timm(step, size)
        if found is None or found.keys() & (arguments.keys() - _OPEN):
            left_out.append(str(step))
        else:
            arguments |= found
    if "auto_augment" in arguments and arguments["color_jitter"]:  # timm then leaves the jitter out by itself
        left_out += [str(step) for step in pipeline.steps if step.transform == "color_jitter"]
        arguments["color_jitter"] = None
    return arguments, left_out


def timm_code(pipeline: Pipeline, size: Size, *, name: str = "train") -> str:
    """Lines that build timm's nearest; what it has no place for stands in a comment."""
    arguments, left_out = timm_arguments(pipeline, size)
    lines = [f"    {key}={value!r}," for key, value in arguments.items()]
    about = [f"# timm's training transform has no place for {each}" for each in left_out]
    return "\n".join(
        [*about, "from timm.data import create_transform", "", f"{name} = create_transform(", *lines, ")", ""]
    )


def mixing_code(kind: str, classes: int) -> str:
    """Lines that mix whole batches as training does: `kind` is “cutmix” or “mixup”; the labels become shares."""
    name = {"cutmix": "CutMix", "mixup": "MixUp"}[kind]
    return (
        "from torchvision.transforms import v2\n\n"
        f"mix = v2.{name}(alpha=1.0, num_classes={classes})\n"
        "# pictures (N, 3, H, W) as floats, labels (N,): pictures, shares = mix(pictures, labels)\n"
    )


# --- private ---------------------------------------------------------------------------------------------------------

_OPEN = {"scale", "ratio", "hflip", "vflip", "color_jitter"}
"""What is given in any case, so that timm's own defaults do not creep in."""


def _calls(step: Step, size: Size) -> list[str]:
    if not step.kind.cls:
        return timms.code(step.values["policy"], size)
    arguments = step.kind.arguments(dict(step.values), size)
    words = [f"{name}={_WORDS.get(name, '{}').format(_value(name, value))}" for name, value in arguments.items()]
    call = f"v2.{step.kind.cls}({', '.join(words)})"
    if step.transform == "noise" and not adds_noise_to_bytes():
        return ["v2.ToDtype(torch.float32, scale=True)", call, "v2.ToDtype(torch.uint8, scale=True)"]
    return [call]


def _value(name: str, value: Any) -> str:
    return str(value).upper() if name in _WORDS else repr(value)


def _for_timm(step: Step, size: Size) -> dict[str, Any] | None:
    values = step.values
    match step.transform:
        case "horizontal_flip":
            return {"hflip": values["p"]}
        case "vertical_flip":
            return {"vflip": values["p"]}
        case "resized_crop":
            return {key: step.kind.arguments(dict(values), size)[key] for key in ("scale", "ratio")}
        case "color_jitter":
            return {"color_jitter": tuple(values[each] for each in ("brightness", "contrast", "saturation", "hue"))}
        case "grayscale":
            return {"grayscale_prob": values["p"]}
        case "erasing":
            return {"re_prob": values["p"]}  # timm's box has bounds of its own
        case "rand_augment":
            # Of 30 at torchvision, of 10 at timm.
            return {"auto_augment": f"rand-m{values['magnitude'] / 3:g}-n{values['num_ops']}-inc1"}
        case "timm":
            return {"auto_augment": values["policy"]}
        case "auto_augment" if values["policy"] == "imagenet":
            return {"auto_augment": "original"}
        case "aug_mix":
            depth = f"-d{values['depth']}" if values["depth"] > 0 else ""
            return {"auto_augment": f"augmix-m{values['severity']}-w{values['width']}{depth}-a{values['alpha']:g}"}
    return None
