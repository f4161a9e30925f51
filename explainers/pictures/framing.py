"""Knows how a network frames a picture, and how heat goes back onto it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, Literal, NamedTuple, cast, get_args

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from ..errors import ModelError, PictureError
from .laying import laid
from .picture import Picture
from .processors import prepared, resampling
from .scaling import scaled

Mode = Literal["crop", "squash", "cut", "zoom"]
Resample = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]
Channels = Literal["rgb", "bgr", "gray"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)  # per channel, of RGB in [0, 1]; torchvision's and timm's default
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Framing:
    """The resize-and-crop a network wants, invertible, so that heat lands on the original picture.

    `size` is the (h, w) fed to the network. In mode "crop" the picture keeps its proportions: it is scaled until its
    shorter side is `resize` pixels (or until it covers `resize` = (h, w)), and the centre is cut out. Without `resize`
    the cut is `crop_share` of the scaled picture; 0.875 is 224 of 256. In mode "squash" it is scaled to `size`
    directly, or to `resize` and then cut. In mode "cut" nothing is scaled, and the middle pixels are cut out. In mode
    "zoom" the same share as in "crop" is cut out first, and that is scaled. Where the cut is larger than the scaled
    picture, the rest is black before normalisation, as in torchvision.

    `channels` are those that the network takes: "rgb", "bgr", "gray", or a number of bands. Gray is the luminance of
    ITU-R 601 (0.299 red, 0.587 green, 0.114 blue, Pillow's mode L), or the picture's own gray of 16 bits; bands come
    from arrays only, and `show` says which three of them, from 0 on, stand for red, green and blue on the screen.
    `mean` and `std` have one number for each channel, or one for all; by default those of ImageNet for three channels,
    and 0.5 for others. `note` is what the network's user should know about this framing.

    Numbers and lists, as JSON has them, are taken for tuples: `Framing(size=224)`.

    Coordinates are continuous (x, y): the pixel in row i, column j covers [j, j + 1] x [i, i + 1].
    """

    size: tuple[int, int]
    mode: Mode = "crop"
    crop_share: float = 0.875
    resample: Resample = "bilinear"
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    resize: int | tuple[int, int] | None = None
    odd: Literal["even", "down"] = "even"  # half a pixel at the cut: torchvision rounds to even, transformers down
    channels: Channels | int = "rgb"  # what the network was trained on; `frame` of "bgr" is RGB
    show: tuple[int, int, int] = field(default=(0, 1, 2), repr=False)  # what the network is fed with is the same
    note: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        for name, known in _CHOICES.items():
            if getattr(self, name) not in known:
                raise ModelError(f"A framing's {name} is one of {', '.join(known)}, not {getattr(self, name)!r}.")
        if self.channels not in _NAMED_CHANNELS:
            if isinstance(self.channels, str):
                names = ", ".join(_NAMED_CHANNELS)
                raise ModelError(f"A framing's channels are {names}, or a number of bands, not {self.channels!r}.")
            count = _whole("channels", self.channels)
            self._set("channels", {1: "gray", 3: "rgb"}.get(count, count))
        self._set("size", _pair("size", self.size))
        if self.resize is not None:
            single = not hasattr(self.resize, "__len__")
            self._set("resize", _whole("resize", self.resize) if single else _pair("resize", self.resize))
        colors = self.channel_count == len(IMAGENET_MEAN)
        self._set("mean", self._each("mean", self.mean, IMAGENET_MEAN if colors else (0.5,)))
        self._set("std", self._each("std", self.std, IMAGENET_STD if colors else (0.5,)))
        if not all(value > 0 for value in self.std):
            raise ModelError(f"A framing's std is above zero in every channel, not {self.std}.")
        share = self.crop_share
        if isinstance(share, bool) or not isinstance(share, Real) or not 0 < share < math.inf:
            raise ModelError(f"A framing's crop_share is a number above zero, not {share!r}.")
        self._set("show", tuple(_whole("show", each, least=0) for each in _listed("show", self.show)))
        if self.channels == 2 and self.show == (0, 1, 2):  # the default, of two: the second stands for two colors
            self._set("show", (0, 1, 1))
        if len(self.show) != len(IMAGENET_MEAN) or (isinstance(self.channels, int) and max(self.show) >= self.channels):
            raise ModelError(f"A framing's show names three of its {self.channels} bands, from 0 on, not {self.show}.")

    @property
    def channel_count(self) -> int:
        """How many channels the network takes."""
        return self.channels if isinstance(self.channels, int) else 1 if self.channels == "gray" else 3

    @property
    def bands(self) -> tuple[int, int, int] | None:
        """The bands that are shown of a picture with so many of them; None for networks of colors or gray."""
        return self.show if isinstance(self.channels, int) else None

    @classmethod
    def from_timm(cls, config: Mapping[str, Any]) -> Framing:
        """From the data config that timm resolves for a model: input_size, crop_pct, crop_mode, interpolation, ...

        Source: timm.data.transforms_factory.transforms_imagenet_eval. Mode "border", which no model of timm asks for,
        is read as the whole shorter side, cropped at the centre.
        """
        channels, height, width = config["input_size"]
        share = float(config.get("crop_pct") or 0.875)
        mode = config.get("crop_mode") or "center"
        squash = mode == "squash"
        mean, std = (
            statistics(config.get(name) or usual, channels)
            for name, usual in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD))
        )
        return cls(
            size=(height, width),
            mode="squash" if squash else "crop",
            crop_share=1.0 if mode == "border" else share,
            # timm's squash with a share below one still cuts a border off.
            resize=(math.floor(height / share), math.floor(width / share)) if squash else None,
            resample=_resample(config.get("interpolation") or "bicubic"),
            mean=mean,
            std=std,
            channels=channels,
        )

    @classmethod
    def from_torchvision(cls, preset: Any) -> Framing:
        """From the `ImageClassification` preset that a torchvision weights entry carries in `.transforms`."""
        crop, resize = list(preset.crop_size), list(preset.resize_size)
        return cls(
            size=(crop[0], crop[-1]),
            resize=resize[0] if len(resize) == 1 else (resize[0], resize[1]),
            mode="crop" if len(resize) == 1 else "squash",
            resample=_resample(preset.interpolation.value),
            mean=preset.mean,
            std=preset.std,
        )

    @classmethod
    def from_transformers(cls, config: Mapping[str, Any], *, channels: int = 3) -> Framing:
        """From a transformers image processor's `to_dict()`, or its preprocessor_config.json.

        `channels` are those of its network. Where the processor keeps proportions without a cut, so that the size
        varies, the whole picture is squeezed, and `note` says so. Raises `ModelError` that names the option where
        the size is not fixed or something else is done that a framing cannot do.
        """
        fields = prepared(config, channels)._asdict()
        return cls(**fields | {"resample": _resample(fields["resample"])}, odd="down")

    def frame(self, picture: Picture, dtype: torch.dtype = torch.float32) -> Tensor:
        """Give what the network is fed, before normalisation: (C, h, w) in [0, 1]; of colors, RGB.

        Raises `PictureError` where the picture does not have the bands that the network takes.
        """
        self.check(picture)
        y, x = self._axes(picture.size)
        # Only the part that the network sees is copied, so that a picture of 1 x 5000 is never blown up whole.
        top, bottom = y.needed()
        left, right = x.needed()
        (y0, y1), (x0, x1) = y.filled(), x.filled()
        kind = Image.Resampling[self.resample.upper()]
        box = (x.low - left, y.low - top, x.high - left, y.high - top)

        def fed(part: npt.NDArray[Any], mode: str = "") -> npt.NDArray[Any]:
            return scaled(part[top:bottom, left:right], (y1 - y0, x1 - x0), kind, box, mode)

        if self.channel_count == len(IMAGENET_MEAN) or picture.deep is None:
            framed = np.zeros((*self.size, self.channel_count), np.uint8)
            gray = "L" if self.channels == "gray" else ""
            framed[y0:y1, x0:x1] = fed(picture.array, gray).reshape(y1 - y0, x1 - x0, -1)
            return torch.from_numpy(framed).permute(2, 0, 1).contiguous().to(dtype) / 255
        deep = np.zeros((self.channel_count, *self.size), np.float32)
        for band in range(self.channel_count):
            deep[band, y0:y1, x0:x1] = fed(picture.deep[..., band])
        return torch.from_numpy(deep).to(dtype).clamp_(0, 1)  # which wide filters overshoot, as they do in 8 bits

    def check(self, picture: Picture) -> None:
        """Raise `PictureError` where the picture does not have the bands that the network takes."""
        given = picture.bands
        if isinstance(self.channels, int) and given != self.channels:
            raise PictureError(
                f"This network takes {self.channels} channels, and this picture has {given}; give an array of height "
                f"x width x {self.channels}."
            )
        if not isinstance(self.channels, int) and picture.deep is not None and picture.deep.shape[2] > 1:
            takes = "one channel of gray" if self.channels == "gray" else "the three channels of colors"
            raise PictureError(f"This network takes {takes}, and this array has {given}; give those, chosen by you.")

    def normalize(self, pixels: Tensor) -> Tensor:
        """(pixels - mean) / std over (..., C, h, w), in the network's channel order; differentiable."""
        mean, std = self._statistics(pixels)
        if self.channels == "bgr":
            pixels = pixels.flip(-3)
        return (pixels - mean) / std

    def denormalize(self, fed: Tensor) -> Tensor:
        """Pixels (..., C, h, w), of colors RGB, of what a network is fed: `normalize` undone, up to rounding."""
        mean, std = self._statistics(fed)
        pixels = fed * std + mean
        return pixels.flip(-3) if self.channels == "bgr" else pixels

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

    def extent(self, size: tuple[int, int]) -> tuple[float, float, float, float]:
        """(x0, y0, x1, y1) of the whole frame on a picture of `size` (H, W), black padding beyond it included."""
        y, x = self._axes(size)
        return (
            float(x.to_picture(0)),
            float(y.to_picture(0)),
            float(x.to_picture(x.framed)),
            float(y.to_picture(y.framed)),
        )

    def unframe(
        self,
        heat: npt.NDArray[Any],
        size: tuple[int, int],
        *,
        at: tuple[int, int] | None = None,
        keep_sum: bool = False,
    ) -> npt.NDArray[np.float32]:
        """Heat of any resolution (h', w') laid on a picture of `size`: float32 (H, W), zero where nothing was seen.

        As `laid` lays it over the frame; `at` (h, w) asks for fewer pixels.
        """
        return laid(heat, self.extent(size), size, at=at, keep_sum=keep_sum)

    def _statistics(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and deviation (C, 1, 1) in the network's channel order, of the type and on the device of `like`."""
        mean = torch.tensor(self.mean, dtype=like.dtype, device=like.device)
        std = torch.tensor(self.std, dtype=like.dtype, device=like.device)
        return mean[:, None, None], std[:, None, None]

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def _each(self, name: str, values: Any, usual: tuple[float, ...]) -> tuple[float, ...]:
        """One finite number for each channel, from one for each or one for all; from none, the usual ones."""
        numbers = [_number(name, value) for value in _listed(name, values)] or list(usual)
        if len(numbers) not in (1, self.channel_count):
            raise ModelError(
                f"A framing's {name} has one number for each of its {self.channel_count} channels, or one for all; "
                f"{values!r} has {len(numbers)}."
            )
        return tuple(numbers * self.channel_count if len(numbers) == 1 else numbers)

    def _axes(self, size: tuple[int, int]) -> tuple[_Axis, _Axis]:
        if self.mode == "zoom":
            return self._zoomed(size, 0), self._zoomed(size, 1)
        y, x = (
            _Axis.of(length, scaled, framed, self.odd)
            for length, scaled, framed in zip(size, self._scaled(size), self.size, strict=True)
        )
        return y, x

    def _zoomed(self, size: tuple[int, int], axis: int) -> _Axis:
        """The side that is cut before it is scaled: so much of the picture's shorter side as `size` is of `resize`."""
        shorter, framed = min(size), self.size[axis]
        whole = self.resize[axis] if isinstance(self.resize, tuple) else self.resize
        share = self.crop_share if whole is None else framed / whole
        kept = max(1, min(size[axis], int(share * shorter)))
        start = (size[axis] - kept) // 2 if self.odd == "down" else round((size[axis] - kept) / 2)
        return _Axis(size[axis], framed * size[axis] / kept, framed, 0, cut=(start, start + kept))

    def _scaled(self, size: tuple[int, int]) -> tuple[int, int]:
        """(height, width) of the whole picture after resizing; computed, never allocated."""
        height, width = size
        if self.mode == "cut":
            return size
        target = self.resize
        if self.mode == "squash":
            target = target or self.size
            return target if isinstance(target, tuple) else (target, target)
        if target is None:
            across, down = (max(1, math.floor(side / self.crop_share)) for side in self.size)
            target = across if across == down else (across, down)
        if isinstance(target, int):  # the longer side is rounded down, as in torchvision.transforms.Resize
            longer = int(target * max(size) / min(size))
            return (target, longer) if height < width else (longer, target)
        ratio = min(height / target[0], width / target[1])  # rounded to nearest, as in timm's ResizeKeepRatio
        return round(height / ratio), round(width / ratio)


class _Axis(NamedTuple):
    """One side of a framing: `length` pixels of the picture become `scaled`, of which `framed` are kept or padded."""

    length: int
    scaled: float
    framed: int
    start: float
    """The first framed pixel's place among the scaled ones; negative where there is padding."""
    cut: tuple[int, int] | None = None
    """Pixels of the picture beyond which the filter does not reach, where the cut comes before the scaling."""

    @classmethod
    def of(cls, length: int, scaled: int, framed: int, odd: Literal["even", "down"]) -> _Axis:
        """The side whose scaled pixels are cut, or padded, around their middle."""
        spare = scaled - framed
        if spare < 0:
            return cls(length, scaled, framed, -(-spare // 2))
        return cls(length, scaled, framed, spare // 2 if odd == "down" else round(spare / 2))

    def filled(self) -> tuple[int, int]:
        """Framed pixels that show the picture; the others are padding."""
        if self.cut:
            return 0, self.framed
        return max(0, -int(self.start)), min(self.framed, int(self.scaled - self.start))

    @property
    def low(self) -> float:
        return float(self.to_picture(self.filled()[0]))

    @property
    def high(self) -> float:
        return float(self.to_picture(self.filled()[1]))

    def to_picture(self, at: Any) -> Any:
        if self.cut:
            return self.cut[0] + at * (self.cut[1] - self.cut[0]) / self.framed
        return (at + self.start) * self.length / self.scaled

    def to_frame(self, at: Any) -> Any:
        if self.cut:
            return (at - self.cut[0]) * self.framed / (self.cut[1] - self.cut[0])
        return at * self.scaled / self.length - self.start

    def needed(self) -> tuple[int, int]:
        """Pixels of the picture that the resampling filter can reach."""
        if self.cut:
            return self.cut
        reach = _WIDEST_FILTER * max(1.0, self.length / self.scaled) + 1
        return max(0, math.floor(self.low - reach)), min(self.length, math.ceil(self.high + reach))


_WIDEST_FILTER = 3  # Lanczos reaches three pixels to each side
_CHOICES = {"mode": get_args(Mode), "resample": get_args(Resample), "odd": ("even", "down")}
_NAMED_CHANNELS = get_args(Channels)


def statistics(values: Any, channels: int) -> tuple[float, ...]:
    """Mean or deviation for so many channels: those of a network of colors are averaged for one of gray."""
    numbers = tuple(float(value) for value in np.atleast_1d(np.asarray(values, np.float64)))
    return (sum(numbers) / len(numbers),) if channels == 1 else numbers


def _resample(named: Any) -> Resample:
    name = resampling(named)
    if name not in get_args(Resample):
        raise ModelError(f"Resampling {name!r} is unknown; known are {', '.join(get_args(Resample))}.")
    return cast("Resample", name)


def _listed(name: str, values: Any) -> list[Any]:
    """The values of a pair, list or array, or the one value."""
    if isinstance(values, (str, bytes, Mapping, Set)):
        raise ModelError(f"A framing's {name} is given by numbers, not {values!r}.")
    return list(values) if isinstance(values, Iterable) else [values]


def _pair(name: str, values: Any) -> tuple[int, int]:
    listed = [_whole(name, value) for value in _listed(name, values)]
    if len(listed) not in (1, 2):
        raise ModelError(f"A framing's {name} is (height, width), or one number for both, not {values!r}.")
    return listed[0], listed[-1]


def _whole(name: str, value: Any, least: int = 1) -> int:
    """A whole number of at least `least`; 224.0 is one, as JSON may have it."""
    number = _number(name, value)
    if number != int(number) or number < least:
        raise ModelError(f"A framing's {name} is a whole number of at least {least}, not {value!r}.")
    return int(number)


def _number(name: str, value: Any) -> float:
    if isinstance(value, (bool, str, bytes)) or not hasattr(value, "__float__") or not math.isfinite(float(value)):
        raise ModelError(f"A framing's {name} is a finite number, not {value!r}.")
    return float(value)
