"""Knows how a network frames a picture, and how heat goes back onto it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Self, get_args

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from ..errors import ModelError
from .picture import Picture

Mode = Literal["crop", "squash"]
Resample = Literal["nearest", "bilinear", "bicubic", "lanczos"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)  # per channel, of RGB in [0, 1]; torchvision's and timm's default
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Framing:
    """The resize-and-crop a network wants, invertible, so that heat lands on the original picture.

    `size` is the (h, w) fed to the network. In mode "crop" the picture keeps its proportions: it is scaled until its
    shorter side is `resize` pixels (or until it covers `resize` = (h, w)), and the centre is cut out. Without `resize`
    the cut is `crop_share` of the scaled picture; 0.875 is 224 of 256. In mode "squash" it is scaled to `size`
    directly, or to `resize` and then cut. Where the cut is larger than the scaled picture, the rest is black before
    normalisation, as in torchvision.

    Coordinates are continuous (x, y): the pixel in row i, column j covers [j, j + 1] x [i, i + 1].
    """

    size: tuple[int, int]
    mode: Mode = "crop"
    crop_share: float = 0.875
    resample: Resample = "bilinear"
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    resize: int | tuple[int, int] | None = None
    odd: Literal["even", "down"] = "even"  # half a pixel at the cut: torchvision rounds to even, transformers down
    channels: Literal["rgb", "bgr"] = "rgb"  # the order the network was trained on; `frame` is always RGB

    def __post_init__(self) -> None:
        resize = self.size if self.resize is None else self.resize
        if (
            min(*self.size, *(resize if isinstance(resize, tuple) else (resize,))) < 1
            or not 0 < self.crop_share < math.inf
            or 0 in self.std
        ):
            raise ModelError(f"{self} frames nothing: sizes, crop share and deviations must be above zero.")
        if self.mode not in get_args(Mode) or self.resample not in get_args(Resample):
            raise ModelError(
                f"Framing by {self.mode!r} and {self.resample!r} is unknown; modes are {', '.join(get_args(Mode))}, "
                f"resampling is {', '.join(get_args(Resample))}."
            )

    @classmethod
    def from_timm(cls, config: Mapping[str, Any]) -> Self:
        """From the data config that timm resolves for a model: input_size, crop_pct, crop_mode, interpolation, ...

        Source: timm.data.transforms_factory.transforms_imagenet_eval. Mode "border", which no model of timm asks for,
        is read as the whole shorter side, cropped at the centre.
        """
        _, height, width = config["input_size"]
        share = float(config.get("crop_pct") or 0.875)
        mode = config.get("crop_mode") or "center"
        squash = mode == "squash"
        return cls(
            size=(height, width),
            mode="squash" if squash else "crop",
            crop_share=1.0 if mode == "border" else share,
            # timm's squash with a share below one still cuts a border off.
            resize=(math.floor(height / share), math.floor(width / share)) if squash else None,
            resample=_resample(config.get("interpolation") or "bicubic"),
            mean=_triple(config.get("mean") or IMAGENET_MEAN),
            std=_triple(config.get("std") or IMAGENET_STD),
        )

    @classmethod
    def from_torchvision(cls, preset: Any) -> Self:
        """From the `ImageClassification` preset that a torchvision weights entry carries in `.transforms`."""
        crop, resize = list(preset.crop_size), list(preset.resize_size)
        return cls(
            size=(crop[0], crop[-1]),
            resize=resize[0] if len(resize) == 1 else (resize[0], resize[1]),
            mode="crop" if len(resize) == 1 else "squash",
            resample=_resample(preset.interpolation.value),
            mean=_triple(preset.mean),
            std=_triple(preset.std),
        )

    @classmethod
    def from_transformers(cls, config: Mapping[str, Any]) -> Self:
        """From a transformers image processor's `to_dict()`, or its preprocessor_config.json.

        Raises `ModelError` where the size is not fixed.
        """
        size: Any = config.get("size") or config.get("crop_size")
        crop = _sides(config.get("crop_size")) if config.get("do_center_crop") else None
        exact = _sides(size)
        edge = size.get("shortest_edge") if hasattr(size, "get") else None
        if isinstance(size, int) and crop:  # older configurations: one number is the shorter side where a crop follows
            edge = size
        mode: Mode = "crop"
        resize: int | tuple[int, int] | None = edge
        if edge and config.get("crop_pct"):  # ConvNeXT's processor: it squashes from 384 pixels on
            crop = (edge, edge)
            resize = int(edge / config["crop_pct"])
            if edge >= _CONVNEXT_SQUASHES:
                mode, resize = "squash", None
        elif edge and "Levit" in str(config.get("image_processor_type") or config.get("feature_extractor_type")):
            resize = int(edge * 256 / 224)  # LeViT's processor adds this margin itself
        elif not edge:
            mode, resize = "squash", exact
        fed = crop or exact or ((edge, edge) if edge else None)
        if fed is None:
            raise ModelError("This network's image processor fixes no input size; give the framing yourself.")
        mean, std = _scaling(config)
        return cls(
            size=fed,
            mode=mode,
            resize=resize,
            resample=_resample("bilinear" if config.get("resample") is None else config["resample"]),
            mean=mean,
            std=std,
            odd="down",
            channels="bgr" if config.get("do_flip_channel_order") else "rgb",
        )

    def frame(self, picture: Picture) -> Tensor:
        """Give what the network is fed, before normalisation: float32 (3, h, w) in [0, 1], RGB."""
        y, x = self._axes(picture.size)
        # Only the part that the network sees is copied, so that a picture of 1 x 5000 is never blown up whole.
        top, bottom = y.needed()
        left, right = x.needed()
        seen = Image.fromarray(np.ascontiguousarray(picture.array[top:bottom, left:right]))
        (y0, y1), (x0, x1) = y.filled(), x.filled()
        seen = seen.resize(
            (x1 - x0, y1 - y0),
            Image.Resampling[self.resample.upper()],
            box=(x.low - left, y.low - top, x.high - left, y.high - top),
        )
        framed = np.zeros((*self.size, 3), np.uint8)
        framed[y0:y1, x0:x1] = np.asarray(seen)
        return torch.from_numpy(framed).permute(2, 0, 1).contiguous().float() / 255

    def normalize(self, pixels: Tensor) -> Tensor:
        """(pixels - mean) / std over (..., 3, h, w), in the network's channel order; differentiable."""
        mean = torch.tensor(self.mean, dtype=pixels.dtype, device=pixels.device)[:, None, None]
        std = torch.tensor(self.std, dtype=pixels.dtype, device=pixels.device)[:, None, None]
        if self.channels == "bgr":
            pixels = pixels.flip(-3)
        return (pixels - mean) / std

    def box(self, size: tuple[int, int]) -> tuple[float, float, float, float]:
        """(x0, y0, x1, y1) of what the network sees of a picture of `size` (H, W); never beyond the picture."""
        y, x = self._axes(size)
        return x.low, y.low, x.high, y.high

    def to_picture(self, points: npt.ArrayLike, size: tuple[int, int]) -> npt.NDArray[np.float64]:
        """Framed coordinates (..., 2), as (x, y), in the coordinates of a picture of `size` (H, W)."""
        y, x = self._axes(size)
        points = np.asarray(points, np.float64)
        return np.stack([x.to_picture(points[..., 0]), y.to_picture(points[..., 1])], -1)

    def to_frame(self, points: npt.ArrayLike, size: tuple[int, int]) -> npt.NDArray[np.float64]:
        """Invert `to_picture`; points that the network did not see land outside [0, w] x [0, h]."""
        y, x = self._axes(size)
        points = np.asarray(points, np.float64)
        return np.stack([x.to_frame(points[..., 0]), y.to_frame(points[..., 1])], -1)

    def unframe(
        self, heat: npt.NDArray[Any], size: tuple[int, int], *, keep_sum: bool = False
    ) -> npt.NDArray[np.float32]:
        """Heat of any resolution (h', w') laid on a picture of `size`: float32 (H, W), zero where nothing was seen.

        Linear between the centres of the cells and flat beyond the outermost ones (`align_corners=False`); averaged
        where the heat is finer than the picture. A pixel counts as seen where its centre is. With `keep_sum`, each
        cell spreads its value over its pixels, so that the sum stays instead of the height; what lies on black
        padding is lost.
        """
        y, x = self._axes(size)
        rows, columns = y.weights(heat.shape[0], keep_sum), x.weights(heat.shape[1], keep_sum)
        laid = np.zeros(size, np.float32)
        laid[slice(*y.seen()), slice(*x.seen())] = rows @ heat.astype(np.float32) @ columns.T
        return laid

    def _axes(self, size: tuple[int, int]) -> tuple[_Axis, _Axis]:
        height, width = self._scaled(size)
        return _Axis(size[0], height, self.size[0], self.odd), _Axis(size[1], width, self.size[1], self.odd)

    def _scaled(self, size: tuple[int, int]) -> tuple[int, int]:
        """(height, width) of the whole picture after resizing; computed, never allocated."""
        height, width = size
        target = self.resize
        if self.mode == "squash":
            target = target or self.size
            return target if isinstance(target, tuple) else (target, target)
        if target is None:
            target = (
                max(1, math.floor(self.size[0] / self.crop_share)),
                max(1, math.floor(self.size[1] / self.crop_share)),
            )
        if isinstance(target, tuple) and target[0] == target[1]:
            target = target[0]
        if isinstance(target, int):  # the longer side is rounded down, as in torchvision.transforms.Resize
            longer = int(target * max(size) / min(size))
            return (target, longer) if height < width else (longer, target)
        ratio = min(height / target[0], width / target[1])  # rounded to nearest, as in timm's ResizeKeepRatio
        return round(height / ratio), round(width / ratio)


class _Axis(NamedTuple):
    """One side of a framing: `length` pixels of the picture become `scaled`, of which `framed` are kept or padded."""

    length: int
    scaled: int
    framed: int
    odd: Literal["even", "down"]

    @property
    def start(self) -> int:
        """The first framed pixel's place among the scaled ones; negative where there is padding."""
        spare = self.scaled - self.framed
        if spare < 0:
            return -(-spare // 2)
        return spare // 2 if self.odd == "down" else round(spare / 2)

    def filled(self) -> tuple[int, int]:
        """Framed pixels that show the picture; the others are padding."""
        return max(0, -self.start), min(self.framed, self.scaled - self.start)

    @property
    def low(self) -> float:
        return float(self.to_picture(self.filled()[0]))

    @property
    def high(self) -> float:
        return float(self.to_picture(self.filled()[1]))

    def to_picture(self, at: Any) -> Any:
        return (at + self.start) * self.length / self.scaled

    def to_frame(self, at: Any) -> Any:
        return at * self.scaled / self.length - self.start

    def needed(self) -> tuple[int, int]:
        """Pixels of the picture that the resampling filter can reach."""
        reach = _WIDEST_FILTER * max(1.0, self.length / self.scaled) + 1
        return max(0, math.floor(self.low - reach)), min(self.length, math.ceil(self.high + reach))

    def seen(self) -> tuple[int, int]:
        """Pixels of the picture whose centre was seen; the nearest one where the cut falls between two centres."""
        first, end = math.ceil(self.low - 0.5), math.ceil(self.high - 0.5)
        if first < end:
            return first, end
        nearest = min(int((self.low + self.high) / 2), self.length - 1)
        return nearest, nearest + 1

    def weights(self, cells: int, keep_sum: bool) -> npt.NDArray[np.float32]:
        """(seen pixels, cells): how much of each cell a pixel takes; rows add up to one, or columns with `keep_sum`."""
        per_pixel = self.scaled / self.length * cells / self.framed
        at = self.to_frame(np.arange(*self.seen()) + 0.5) * cells / self.framed - 0.5
        distance = np.abs(at.clip(0, cells - 1)[:, None] - np.arange(cells))
        share: npt.NDArray[np.float64] = (1 - distance / max(1.0, per_pixel)).clip(0)
        share /= share.sum(1, keepdims=True)
        if keep_sum:
            total = share.sum(0)
            share /= np.where(total > 0, total, 1)
        return share.astype(np.float32)


_WIDEST_FILTER = 3  # Lanczos reaches three pixels to each side
_CONVNEXT_SQUASHES = 384  # pixels; transformers' ConvNextImageProcessor


def _resample(named: Any) -> Resample:
    numbered = {kind.value: kind.name for kind in Image.Resampling}
    name = numbered.get(named, str(named)).lower()
    match name:
        case "nearest" | "bilinear" | "bicubic" | "lanczos" as known:
            return known
        case "random":  # timm's word for training-time choice
            return "bilinear"
    raise ModelError(f"Resampling {name!r} is unknown; known are {', '.join(get_args(Resample))}.")


def _triple(values: Any) -> tuple[float, float, float]:
    listed = [float(value) for value in np.atleast_1d(np.asarray(values, np.float64))]
    if len(listed) == 1:
        listed *= 3
    if len(listed) != 3:
        raise ModelError(f"This network wants {len(listed)} channels; Sightglass feeds the three of an RGB picture.")
    return listed[0], listed[1], listed[2]


def _sides(size: Any) -> tuple[int, int] | None:
    if isinstance(size, int):
        return size, size
    if hasattr(size, "get"):
        return (size["height"], size["width"]) if size.get("height") and size.get("width") else None
    return (int(size[0]), int(size[1])) if size else None


def _scaling(config: Mapping[str, Any]) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Mean and deviation for RGB in [0, 1] from a processor's chain: times a factor, minus one, normalise."""
    factor = 255 * float(config.get("rescale_factor") or 1 / 255) if config.get("do_rescale", True) else 255.0
    # MobileViT's processor, the one that flips channels, lists a mean but normalises only where it says so.
    silent = "image_mean" in config and "do_flip_channel_order" not in config
    normalized = bool(config.get("do_normalize", silent))
    if normalized and not (config.get("image_mean") and config.get("image_std")):
        raise ModelError("This network's image processor normalises, but does not say how; give the framing yourself.")
    mean = np.array(_triple(config["image_mean"]) if normalized else (0.0, 0.0, 0.0))
    std = np.array(_triple(config["image_std"]) if normalized else (1.0, 1.0, 1.0))
    offset = 1.0 if config.get("rescale_offset") else 0.0
    mean = (mean + offset) / factor
    if config.get("include_top"):  # EfficientNet's processor divides by the deviation once more
        std = std * np.array(_triple(config["image_std"]))
    return _triple(mean), _triple(std / factor)
