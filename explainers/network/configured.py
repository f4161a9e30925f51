"""What a module's own configuration says: what it is fed with, and what its classes are called."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ..errors import ModelError
from ..pictures import Framing, Picture
from .labels import Labels, told_apart

NO_PROCESSOR = "The framing is ImageNet's usual one, because the checkpoint has no image processor."
IMAGENET_ASSUMED = "Labels are ImageNet's, assumed from the number of classes, because the checkpoint carries none."
NO_STATISTICS = "The checkpoint has no image processor: a mean and a deviation of 0.5 are assumed for each channel."
AVERAGED = (
    "Its configuration has a mean and deviation for each of three colors; for its channels their average is taken."
)


@dataclass(frozen=True)
class Configured:
    """What a network is fed with, its labels where its configuration has them, and what is to be said of both."""

    framing: Framing
    labels: Labels | None = None
    notes: tuple[str, ...] = ()


def read(module: nn.Module) -> Configured:
    """What the module says of itself, or else one part of it that does: a network of timm or transformers.

    Where nothing is said, 224 × 224 pixels, or the size that the module names, with ImageNet's mean and deviation;
    and a note says that this is assumed.
    """
    found = [(name, _of(part)) for name, part in _carriers(module)]
    if found and all(each.framing == found[0][1].framing for _, each in found):
        name, first = found[0]
        whose = (f"What it is fed is read from the configuration of its part “{name}”.",) if name else ()
        return replace(first, labels=first.labels if len(found) == 1 else None, notes=(*whose, *first.notes))
    size = _sides(getattr(module, "image_size", None)) or _sides(getattr(module, "img_size", None)) or (224, 224)
    framing = Framing(size=size, channels=_channels(module))
    how = {"rgb": "normalized as ImageNet's", "gray": "in gray, with mean and deviation 0.5"}.get(
        str(framing.channels), f"of {framing.channels} channels, with mean and deviation 0.5"
    )
    return Configured(
        framing,
        notes=(
            f"Nothing says what it is fed with: a picture of {size[0]} × {size[1]}, {how}, is assumed; give framing= "
            "where it was trained otherwise.",
        ),
    )


def of_timm(module: nn.Module, *, side: int | None = None, sure: bool = False) -> Configured:
    """What timm's configuration of a module says, fed with pictures of `side` where that is given.

    Labels that are not in it are ImageNet's where the number of classes fits; unless `sure`, that is said.
    """
    from timm.data import resolve_input_data_config

    described: Any = module  # timm's own attributes, which nn.Module does not promise
    config: Mapping[str, Any] = getattr(described, "pretrained_cfg", None) or described.default_cfg
    averaged = _channels(module) != _COLORS and _is_of_colors(config.get("mean"))
    averages = {key: (sum(config[key]) / _COLORS,) for key in ("mean", "std")} if averaged else {}
    framing = Framing.from_timm(
        resolve_input_data_config(module, {"img_size": side, **averages}, pretrained_cfg=dict(config))
    )
    labels, notes = _named(config), (AVERAGED,) if averaged else ()
    if labels is None and (labels := _imagenets(getattr(described, "num_classes", 0))) and not sure:
        notes = (*notes, IMAGENET_ASSUMED)
    return Configured(framing, labels, notes)


def of_transformers(model: nn.Module, where: Path | None = None) -> Configured:
    """What the configuration of a model of transformers says, with the image processor in the folder `where`.

    Without a folder, the processor is looked for where the model says that it comes from, on this machine only.
    """
    described: Any = model
    config = described.config
    if isinstance(timms := getattr(config, "pretrained_cfg", None), Mapping) and timms:
        return Configured(_of_wrapped(model, timms), _texts(config))
    framing, notes = _processed(
        where or str(getattr(described, "name_or_path", "") or ""), config, _depth(model, config)
    )
    return Configured(framing, _texts(config), tuple(filter(None, (framing.note, *notes))))


# --- private ---------------------------------------------------------------------------------------------------------

_COLORS, _MOST_BANDS = 3, 32  # beyond, a first convolution is not the one that sees the picture


def _carriers(module: nn.Module, name: str = "") -> Iterator[tuple[str, nn.Module]]:
    """The outermost parts that carry a configuration, with their paths."""
    if _is_timms(module) or _is_transformers(module):
        yield name, module
        return
    for child, part in module.named_children():
        yield from _carriers(part, f"{name}.{child}".strip("."))


def _is_timms(module: nn.Module) -> bool:
    config = getattr(module, "pretrained_cfg", None) or getattr(module, "default_cfg", None)
    return isinstance(config, Mapping) and bool(config.get("input_size"))


def _is_transformers(module: nn.Module) -> bool:
    config = getattr(module, "config", None)
    return hasattr(config, "model_type") and hasattr(config, "to_dict")


def _of(module: nn.Module) -> Configured:
    return of_timm(module) if _is_timms(module) else of_transformers(module)


def _of_wrapped(model: nn.Module, timms: Mapping[str, Any]) -> Framing:
    """The framing of a timm network that transformers wraps, read as its TimmWrapperImageProcessor reads it."""
    from timm.data import resolve_data_config

    channels = _channels(model)
    given = {key: value for key, value in timms.items() if channels == _COLORS or key not in ("mean", "std")}
    resolved = resolve_data_config(given, model=None, verbose=False)
    resolved |= {key: timms[key] for key in ("mean", "std") if timms.get(key)}
    return Framing.from_timm(resolved | {"input_size": (channels, *resolved["input_size"][1:])})


def _processed(where: Path | str, config: Any, channels: int) -> tuple[Framing, tuple[str, ...]]:
    """The framing of an image processor that lies somewhere on this machine, or the usual one, and what to say."""
    from huggingface_hub.errors import StrictDataclassError
    from transformers import AutoImageProcessor

    file = Path(where) / "preprocessor_config.json"
    if where and (file.is_file() or not Path(where).is_dir()):
        try:
            processor = AutoImageProcessor.from_pretrained(where, trust_remote_code=False, local_files_only=True)
            own = {key: value for key, value in processor.to_dict().items() if _is_known(processor, key)}
            return _compared(processor, *_framed(own, channels))
        except ModelError:
            raise
        except (*_ERRORS, StrictDataclassError):
            if file.is_file():  # a processor that transformers does not know any more still says what it did
                return _framed(json.loads(file.read_text(encoding="utf-8")), channels)
    seeing = getattr(config, "vision_config", config)  # networks made for pictures and texts keep it apart
    framing = Framing(size=_sides(getattr(seeing, "image_size", None)) or (224, 224), channels=channels)
    return framing, (NO_PROCESSOR if framing.channels == "rgb" else NO_STATISTICS,)


def _is_known(processor: Any, option: str) -> bool:
    """Whether an option is one of the processor's; files of other versions may have switches that it does not read."""
    kind = type(processor)
    return not option.startswith("do_") or hasattr(kind, option) or option in signature(kind.__init__).parameters


def _framed(processor: Mapping[str, Any], channels: int) -> tuple[Framing, tuple[str, ...]]:
    averaged = channels == 1 and _is_of_colors(processor.get("image_mean"))
    return Framing.from_transformers(processor, channels=channels), (AVERAGED,) if averaged else ()


def _compared(processor: Any, framing: Framing, notes: tuple[str, ...]) -> tuple[Framing, tuple[str, ...]]:
    """The framing and notes as they are. Raises `ModelError` where the processor feeds something else than it.

    One picture that is smooth, so that half a pixel of difference in place, but not in rounding, shows.
    """
    if framing.note or framing.channels not in ("rgb", "bgr"):
        return framing, notes
    y, x = np.mgrid[: _TRIED[0], : _TRIED[1]]
    picture = Picture.read(np.stack([x * 255 // _TRIED[1], y * 255 // _TRIED[0], (x + y) % 256], -1).astype(np.uint8))
    fed = torch.as_tensor(processor(picture.image(), return_tensors="pt")["pixel_values"][0])
    own = framing.frame(picture)
    if own.shape != fed.shape or (own - framing.denormalize(fed.float())).abs().mean() > _ALIKE:
        raise ModelError(
            f"This network's image processor, {type(processor).__name__}, prepares pictures in a way that Sightglass "
            "does not follow; give the framing yourself: ex.wrap(module, framing=Framing(…))."
        )
    return framing, notes


_TRIED = (120, 170)  # height and width of a picture that is fed both ways
_ALIKE = 1 / 255
_ERRORS = (OSError, ValueError, TypeError, KeyError, AttributeError, ImportError, RuntimeError)


def _is_of_colors(mean: Any) -> bool:
    return isinstance(mean, Sequence) and len(mean) == _COLORS


def _depth(model: nn.Module, config: Any) -> int:
    """How many channels a model of transformers takes."""
    seeing = getattr(config, "vision_config", config)
    count = getattr(seeing, "num_channels", None)
    return count if isinstance(count, int) else _channels(model)


def _channels(module: nn.Module) -> int:
    """How many channels the first convolution takes, where that can be the one that sees the picture; else three."""
    taken = [part.in_channels for part in module.modules() if isinstance(part, nn.Conv2d)]
    if not taken or (_COLORS in taken and taken[0] != 1) or taken[0] > _MOST_BANDS:
        return _COLORS
    return taken[0]


def _sides(size: Any) -> tuple[int, int] | None:
    if isinstance(size, int) and not isinstance(size, bool):
        return size, size
    if isinstance(size, Sequence) and len(size) in (1, 2) and all(isinstance(side, int) for side in size):
        return size[0], size[-1]
    return None


def _texts(config: Any) -> Labels | None:
    """The labels in a configuration; None where they are LABEL_0, LABEL_1, …, transformers' numbers."""
    named: Mapping[Any, Any] = config.id2label or {}
    return None if all(str(label) == f"LABEL_{index}" for index, label in named.items()) else named


@cache
def _imagenets(count: int) -> tuple[str, ...] | None:
    """The labels of the ImageNet that has so many classes."""
    from timm.data import ImageNetInfo, infer_imagenet_subset

    subset = infer_imagenet_subset({"num_classes": count})
    info = ImageNetInfo(subset) if subset else None
    return info and told_apart(info.label_descriptions(), info.label_names())


def _named(config: Mapping[str, Any]) -> Labels | None:
    """The labels in a configuration: names in order or by number, with descriptions by name where there are some."""
    names, descriptions = config.get("label_names"), config.get("label_descriptions")
    if not names:
        return None
    words = descriptions if isinstance(descriptions, Mapping) else {}
    if isinstance(names, Mapping):
        return {index: words.get(name, name) for index, name in names.items()}
    if not isinstance(names, Sequence) or isinstance(names, str):
        return None
    return told_apart([str(words.get(name, name)) for name in names], names)
