"""Knows how the image processors of transformers prepare a picture, in terms of a framing."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from ..errors import ModelError

Numbers = tuple[float, ...]


class Prepared(NamedTuple):
    """What a processor does, as the fields of a `Framing`; `note` is a sentence where it cannot be done exactly."""

    size: tuple[int, int]
    mode: str
    resize: int | tuple[int, int] | None
    resample: str
    mean: Numbers
    std: Numbers
    channels: str | int
    note: str


def prepared(config: Mapping[str, Any], channels: int = 3) -> Prepared:
    """What the processor with this configuration, `to_dict()` or preprocessor_config.json, does to a picture.

    `channels` are those of its network. Raises `ModelError` that names the option that cannot be followed.
    """
    kind = str(config.get("image_processor_type") or config.get("feature_extractor_type") or "")
    for option, value in config.items():
        if value is True and option.startswith("do_") and option not in _FOLLOWED:
            raise _unfollowed(option)
    if config.get("max_num_patches"):  # it cuts the picture into a list of patches, and feeds that
        raise _unfollowed("max_num_patches")
    size, mode, resize, varies = _geometry(config, kind)
    mean, std = scaling(config, channels)
    flipped = config.get("do_flip_channel_order") or "PPLCNet" in kind  # which turns them always
    order: str | int = channels if channels != _RGB else "bgr" if flipped else "rgb"
    if flipped and "PPLCNet" in kind:  # it turns them after it has normalized
        mean, std = mean[::-1], std[::-1]
    return Prepared(
        size, mode, resize, resampling("bilinear" if config.get("resample") is None else config["resample"]),
        mean, std, order, _VARIES.format(*size) if varies else "",
    )  # fmt: skip


def resampling(named: Any) -> str:
    """The name of a filter, given by name or by Pillow's number."""
    numbered = {kind.value: kind.name for kind in Image.Resampling}
    name = numbered.get(named, str(named)).lower()
    return "bilinear" if name == "random" else name  # timm's word for training-time choice


def sides(size: Any) -> tuple[int, int] | None:
    """(height, width) where a size says both, as a number, a pair or a mapping."""
    if isinstance(size, int):
        return size, size
    if hasattr(size, "get"):
        return (size["height"], size["width"]) if size.get("height") and size.get("width") else None
    return (int(size[0]), int(size[1])) if size else None


def scaling(config: Mapping[str, Any], channels: int) -> tuple[Numbers, Numbers]:
    """Mean and deviation for pixels in [0, 1] from a processor's chain: times a factor, minus one, normalize."""
    rescaled = config.get("do_rescale", True)
    factor = 255 * float(config.get("rescale_factor") or 1 / 255) if rescaled else 255.0
    # MobileViT's processor, the one that flips channels, lists a mean but normalizes only where it says so.
    silent = "image_mean" in config and "do_flip_channel_order" not in config
    normalized = bool(config.get("do_normalize", silent))
    given = [config.get(name) for name in ("image_mean", "image_std")]
    if normalized and any(value is None for value in given):
        raise ModelError("This network's image processor normalizes, but does not say how; give the framing yourself.")
    mean, std = (_each(value, channels) for value in given) if normalized else (np.zeros(channels), np.ones(channels))
    offset = 1.0 if rescaled and config.get("rescale_offset") else 0.0
    mean = (mean + offset) / factor
    if config.get("include_top"):  # EfficientNet's processor divides by the deviation once more
        std = std * _each(config["image_std"], channels)
    return tuple(mean.tolist()), tuple((std / factor).tolist())


# --- private ---------------------------------------------------------------------------------------------------------

_RGB = 3
_CONVNEXT_SQUASHES = 384  # pixels; transformers' ConvNextImageProcessor
_FOLLOWED = {
    "do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_convert_rgb", "do_flip_channel_order", "do_pad",
    "do_reduce_labels",
}  # fmt: skip
"""Options that are read here, and one that concerns maps of labels only."""
_VARIES = (
    "Its image processor keeps each picture's proportions and cuts nothing off, so that sizes vary; here the whole "
    "picture is squeezed to {} × {}, so nothing is cut off either, but shapes are distorted."
)


_Geometry = tuple[tuple[int, int], str, int | tuple[int, int] | None, bool]
"""What is fed, mode and `resize` of the framing, and whether the size that is fed varies from picture to picture."""


def _unfollowed(option: str) -> ModelError:
    return ModelError(
        f"This network's image processor prepares pictures by “{option}”, which Sightglass does not follow; give the "
        "framing yourself: ex.wrap(module, framing=Framing(…))."
    )


def _each(values: Any, channels: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """One number for each channel; of three for a network with one channel, the average."""
    listed = np.atleast_1d(np.asarray(values, np.float64))
    if len(listed) == _RGB and channels == 1:
        listed = listed.mean(keepdims=True)
    if len(listed) not in (1, channels):
        raise ModelError(
            f"This network wants {channels} channels, but its image processor has {len(listed)} means or deviations; "
            "give the framing yourself."
        )
    return np.broadcast_to(listed, (channels,))


def _geometry(config: Mapping[str, Any], kind: str) -> _Geometry:
    crop = sides(config.get("crop_size")) if config.get("do_center_crop") else None
    size: Any = config.get("size") or config.get("crop_size")
    share = config.get("crop_pct")
    if isinstance(size, int) and (crop or share) and "Perceiver" not in kind:
        size = {"shortest_edge": size}  # older configurations: one number is the shorter side where a crop follows
    edge, exact = size.get("shortest_edge") if hasattr(size, "get") else None, sides(size)
    if not config.get("do_resize", True):
        if crop is None:
            raise ModelError(
                "This network's image processor neither resizes nor cuts (do_resize and do_center_crop are off), so "
                "it fixes no input size; give the framing yourself."
            )
        return _unpadded(config, crop), "cut", None, False
    if "Perceiver" in kind and crop and exact:  # it cuts a share of the shorter side, and scales that
        if exact[0] > crop[0] or exact[1] > crop[1]:
            raise _unfollowed("crop_size")
        return _unpadded(config, exact), "zoom", crop, False
    if share and "PoolFormer" not in kind and edge:  # ConvNeXT's processor cuts by itself
        if crop not in (None, (edge, edge)):
            raise _unfollowed("crop_size")
        squashed = edge >= _CONVNEXT_SQUASHES
        return _unpadded(config, (edge, edge)), *(("squash", None) if squashed else ("crop", int(edge / share))), False
    edge, exact = _enlarged(config, kind, edge, exact)
    short, divisor = config.get("resize_short"), config.get("size_divisor") or 1
    if short and crop:  # PP-LCNet's, which rounds the longer side to nearest
        if divisor > 1:
            raise _unfollowed("size_divisor")
        return _unpadded(config, crop), "crop", (short, short), False
    if exact and not config.get("keep_aspect_ratio"):
        fed = crop or exact
        if config.get("do_pad") and _multiples(fed, divisor, math.ceil) != fed:
            raise _unfollowed("do_pad")
        return _unpadded(config, fed), "squash", exact, False
    return _unfixed(config, edge, exact, crop, divisor)


def _enlarged(
    config: Mapping[str, Any], kind: str, edge: int | None, exact: tuple[int, int] | None
) -> tuple[int | None, tuple[int, int] | None]:
    """The shorter side or both sides that are scaled to, with what some processors make of those in `size`."""
    if share := config.get("crop_pct"):  # PoolFormer's enlarges by the share
        if exact and exact[0] == exact[1]:
            edge, exact = exact[0], None
        edge = edge and int(edge / share)
        exact = exact and (int(exact[0] / share), int(exact[1] / share))
    if edge and "Levit" in kind:
        edge = int(256 / 224 * edge)  # LeViT's adds this margin itself
    if exact and (config.get("ensure_multiple_of") or 1) > 1:
        exact = _multiples(exact, config["ensure_multiple_of"], round)
    return edge, exact


def _unfixed(
    config: Mapping[str, Any],
    edge: int | None,
    exact: tuple[int, int] | None,
    crop: tuple[int, int] | None,
    divisor: int,
) -> _Geometry:
    """The geometry where the proportions of the picture are kept."""
    size: Any = config.get("size")
    told = size if hasattr(size, "get") else {}
    limits = (told["max_height"], told["max_width"]) if told.get("max_height") and told.get("max_width") else None
    options = {
        "keep_aspect_ratio": exact, "longest_edge": told.get("longest_edge"), "max_height": limits,
        "size_divisor": divisor > 1,
    }  # fmt: skip
    other = next((name for name, there in options.items() if there), "")
    if crop and other:
        raise _unfollowed(other)
    if crop and edge:
        return _unpadded(config, crop), "crop", edge, False
    padded = sides(config.get("pad_size")) if config.get("do_pad") else None
    fed = padded or exact or limits or ((edge, edge) if edge else None)
    if fed is None:
        raise ModelError(
            f"This network's image processor fixes no input size (its “size” is “{size}”); give the framing yourself: "
            "ex.wrap(module, framing=Framing(…))."
        )
    return _multiples(fed, divisor, math.ceil), "squash", None, True


def _multiples(size: tuple[int, int], divisor: int, rounded: Callable[[float], int]) -> tuple[int, int]:
    return rounded(size[0] / divisor) * divisor, rounded(size[1] / divisor) * divisor


def _unpadded(config: Mapping[str, Any], fed: tuple[int, int]) -> tuple[int, int]:
    """What is fed, where padding leaves it as it is."""
    if config.get("do_pad") and sides(config.get("pad_size")) not in (None, fed):
        raise _unfollowed("pad_size")
    return fed
