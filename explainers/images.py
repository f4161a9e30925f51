"""Knows how bytes, a path, an array or a PIL image become a Picture within limits, and how a network frames it."""

from __future__ import annotations

import hashlib
import math
import os
import stat
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self, get_args

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageCms, ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile
from torch import Tensor

from .errors import ModelError, PictureError

Mode = Literal["crop", "squash"]
Resample = Literal["nearest", "bilinear", "bicubic", "lanczos"]

BYTES_LIMIT = 50_000_000
PIXELS_LIMIT = 40_000_000
SIDE_LIMIT = 65_535  # the longest side a JPEG can have; below 2**24, up to which Pillow's float32 boxes are exact

IMAGENET_MEAN = (0.485, 0.456, 0.406)  # per channel, of RGB in [0, 1]; torchvision's and timm's default
IMAGENET_STD = (0.229, 0.224, 0.225)

ON_WHITE = "Transparent parts were laid on white."
FIRST_FRAME = "First frame of an animation."
FROM_16_BITS = "16 bits per channel were scaled to 8."
TO_SRGB = "Colours were brought from the embedded profile to sRGB."


@dataclass(frozen=True, eq=False)
class Picture:
    """An upright RGB image and its digest.

    `array` is uint8 (H, W, 3) and read-only; `digest` is the SHA-256 of size and pixels, in hex; `notes` say in plain
    words what was done to the image on the way in.
    """

    array: npt.NDArray[np.uint8]
    digest: str
    notes: tuple[str, ...] = ()

    @classmethod
    def read(cls, source: Picture | bytes | str | os.PathLike[str] | npt.NDArray[Any] | Image.Image) -> Picture:
        """Read a picture from anything that holds one, or raise a `PictureError` of one sentence.

        Files are JPEG, PNG or WebP. An array is (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), uint8 or float in [0, 1].
        A `str` is a path, never an address. Orientation from EXIF is applied, transparency is laid on white, 16 bits
        are scaled to 8, an embedded colour profile is brought to sRGB; of an animation the first frame is taken.
        """
        if isinstance(source, Picture):
            return source
        if isinstance(source, (bytes, bytearray, memoryview)):
            return cls._of(*_from_bytes(bytes(source), "This file"))
        if isinstance(source, (str, os.PathLike)):
            return cls._of(*_from_path(source))
        if isinstance(source, np.ndarray):
            return cls._of(*_from_array(source))
        if isinstance(source, Image.Image):
            return cls._of(*_from_image(source))
        raise PictureError(
            f"A picture cannot be read from a value of type {type(source).__name__}; "
            "give the bytes of a file, a path, a NumPy array or a PIL image."
        )

    @property
    def width(self) -> int:
        """Pixels from left to right."""
        return int(self.array.shape[1])

    @property
    def height(self) -> int:
        """Pixels from top to bottom."""
        return int(self.array.shape[0])

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.height, self.width

    def image(self) -> Image.Image:
        """Give the picture as a PIL image of its own, mode RGB."""
        return Image.fromarray(self.array)

    def thumbnail(self, longest: int) -> Image.Image:
        """Give a copy whose longer side is at most `longest`; never enlarged."""
        image = self.image()
        image.thumbnail((longest, longest))
        return image

    @classmethod
    def _of(cls, image: Image.Image, notes: list[str]) -> Picture:
        pixels = image.tobytes()
        height, width = image.height, image.width
        digest = hashlib.sha256(f"{height}x{width}:".encode())
        digest.update(pixels)
        # An array over `bytes` is read-only for good: nobody can switch writing on again.
        array = np.frombuffer(pixels, np.uint8).reshape(height, width, 3)
        return cls(array, digest.hexdigest(), tuple(notes))


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


# What reading damaged data may raise inside Pillow; `Warning`, for who turns warnings into errors.
_DAMAGED = (
    OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, AttributeError, AssertionError,
    ArithmeticError, MemoryError, NotImplementedError, struct.error, zlib.error, Warning,
)  # fmt: skip


class _Jpeg(JpegImageFile):
    """A JPEG whose EXIF Pillow leaves alone: it would look for a resolution there, and warn where it is broken."""

    def getexif(self) -> Image.Exif:
        return Image.Exif()


# Built directly, not through `Image.open`: that one checks for decompression bombs with a warning, and whether a
# warning is an error is a setting of the whole process. The size is looked at here instead, before anything is decoded.
_READERS: dict[str, Callable[[BytesIO], ImageFile.ImageFile]] = {
    "a JPEG": _Jpeg,
    "a PNG": PngImageFile,
    "a WebP": WebPImageFile,
}

_SIGNATURES = (  # (offset, bytes, what it is)
    (0, b"\xff\xd8\xff", "a JPEG"),
    (0, b"\x89PNG\r\n\x1a\n", "a PNG"),
    (8, b"WEBP", "a WebP"),
    (0, b"GIF8", "a GIF"),
    (0, b"II*\0", "a TIFF"),
    (0, b"MM\0*", "a TIFF"),
    (0, b"II+\0", "a TIFF"),
    (0, b"MM\0+", "a TIFF"),
    (0, b"BM", "a BMP"),
    (0, b"%PDF", "a PDF"),
    (4, b"ftypavif", "an AVIF"),
    (4, b"ftyphei", "a HEIC photograph"),
    (4, b"ftypmif1", "a HEIC photograph"),
    (4, b"ftyp", "a video"),
    (0, b"8BPS", "a Photoshop file"),
    (0, b"\0\0\1\0", "an icon"),
    (0, b"\0\0\0\x0cjP  ", "a JPEG 2000"),
    (0, b"\0\0\0\x0cJXL ", "a JPEG XL"),
    (0, b"\xff\x0a", "a JPEG XL"),
    (0, b"PK\3\4", "a ZIP archive"),
)
_SNIFFED = 512  # bytes looked at to tell a text from a picture


def _kind(data: bytes) -> str:
    for offset, signature, kind in _SIGNATURES:
        if data.startswith(signature, offset):
            return kind
    head = data[:_SNIFFED]
    if b"<svg" in head.lower():
        return "an SVG drawing"
    if not any(byte < ord("\t") for byte in head) and head.decode(errors="ignore").encode() in (head, head[:-1]):
        return "a text"
    return "no picture that Sightglass knows"


def _from_path(path: str | os.PathLike[str]) -> tuple[Image.Image, list[str]]:
    text = os.fsdecode(path)
    if "://" in text or text.startswith("data:"):
        raise PictureError("This is an address, and Sightglass fetches nothing; save the picture and give its path.")
    name = f'"{Path(text).name}"'
    try:
        found = Path(text).stat()
        regular = stat.S_ISREG(found.st_mode)  # a pipe or a device could keep us reading for ever
        data = Path(text).read_bytes() if regular and found.st_size <= BYTES_LIMIT else b""
    except FileNotFoundError:
        raise PictureError(f"There is no file {name}; check its path and try again.") from None
    except (OSError, ValueError):  # no permission; a null byte in the name
        raise PictureError(f"{name} cannot be opened; check its path and permissions and try again.") from None
    if not regular:
        raise PictureError(f"{name} is not a file; give the path of a JPEG, PNG or WebP.")
    _check_bytes(found.st_size, name)
    return _from_bytes(data, name)


def _from_bytes(data: bytes, name: str) -> tuple[Image.Image, list[str]]:
    _check_bytes(len(data), name)
    if not data:
        raise PictureError(f"{name} is empty; save the picture again as JPEG, PNG or WebP.")
    kind = _kind(data)
    if kind not in _READERS:
        raise PictureError(f"{name} is {kind}; Sightglass reads JPEG, PNG and WebP. Save it as PNG and try again.")
    try:
        if kind == "a WebP":  # libwebp allocates the whole canvas on opening
            _check_size(*_webp_size(data), name)
        image = _READERS[kind](BytesIO(data))
        _check_size(*image.size, name)
        image.load()
        notes = [FIRST_FRAME] if getattr(image, "is_animated", False) else []
        sixteen = kind == "a PNG" and data[_PNG_DEPTH] == 16
        return _upright(image, notes, sixteen=sixteen)
    except PictureError:
        raise
    except _DAMAGED:
        raise PictureError(
            f"{name} begins like {kind} but is damaged or cut short; open it elsewhere, save it again and retry."
        ) from None


_PNG_DEPTH = 24  # the byte of a PNG that holds the bits per channel
_WEBP_HEADER = 30  # bytes up to the end of the size in a lossy WebP


def _webp_size(data: bytes) -> tuple[int, int]:
    """(width, height) from a WebP's header. Source: the container's specification, RFC 9649, sections 2.5 to 2.7."""
    number = int.from_bytes
    match data[12:16]:
        case b"VP8X":
            return number(data[24:27], "little") + 1, number(data[27:30], "little") + 1
        case b"VP8L":
            bits = number(data[21:25], "little")
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8 " if len(data) >= _WEBP_HEADER:
            return number(data[26:28], "little") & 0x3FFF, number(data[28:30], "little") & 0x3FFF
    raise SyntaxError("no header of a WebP")


def _from_array(array: npt.NDArray[Any]) -> tuple[Image.Image, list[str]]:
    shape = " x ".join(map(str, array.shape)) or "no axes"
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.ndim not in (2, 3) or channels not in (1, 3, 4):
        hint = ""
        if array.ndim == 3 and array.shape[0] in (1, 3, 4):
            hint = " Move the channels last: array.transpose(1, 2, 0)."
        raise PictureError(f"This array is {shape}; a picture is height x width, or height x width x 1, 3 or 4.{hint}")
    _check_size(array.shape[1], array.shape[0], "This array")
    if np.issubdtype(array.dtype, np.floating):
        low, high = float(array.min()), float(array.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            raise PictureError("This array holds values that are not numbers (NaN or infinity); a picture has none.")
        if low < -_FLOAT_SLACK or high > 1 + _FLOAT_SLACK:
            raise PictureError(
                f"This array holds floats from {low:.4g} to {high:.4g}; they must lie in [0, 1]. "
                "Scale them, or give uint8 from 0 to 255."
            )
        array = np.rint(array.clip(0, 1) * 255).astype(np.uint8)
    if array.dtype != np.uint8:
        raise PictureError(f"This array has the type {array.dtype}; give uint8 from 0 to 255, or floats in [0, 1].")
    flat = array.reshape(array.shape[:2]) if channels == 1 else array
    return _upright(Image.fromarray(np.ascontiguousarray(flat)), [])


_FLOAT_SLACK = 1e-5  # rounding of float32 and bicubic filters that were meant to end at 0 or 1


def _from_image(image: Image.Image) -> tuple[Image.Image, list[str]]:
    if image.format not in (None, "JPEG", "MPO", "PNG", "WEBP"):
        raise PictureError(
            f"This image was opened from a {image.format} file; Sightglass reads JPEG, PNG and WebP. "
            'Save it as PNG, or call .convert("RGB") on it, and try again.'
        )
    _check_size(*image.size, "This image")
    if image.mode in ("I", "F"):
        raise PictureError(
            f"This image has the mode {image.mode}, whose values have no fixed range; "
            "give a NumPy array of floats in [0, 1] instead."
        )
    try:
        image.load()
        animated = getattr(image, "is_animated", False) and image.format != "MPO" and image.tell() == 0
        return _upright(image, [FIRST_FRAME] if animated else [])
    except _DAMAGED:
        raise PictureError("This image cannot be decoded: its file is damaged or was closed; open it again.") from None


def _check_bytes(count: int, name: str) -> None:
    if count > BYTES_LIMIT:
        raise PictureError(
            f"{name} has {count / 1e6:.1f} MB; at most {BYTES_LIMIT / 1e6:.0f} MB are read. "
            "Save it smaller and try again."
        )


def _check_size(width: int, height: int, name: str) -> None:
    if min(width, height) < 1:
        raise PictureError(f"{name} has no pixels; a picture has at least one.")
    if width * height > PIXELS_LIMIT:
        raise PictureError(
            f"{name} has {width} x {height} = {width * height / 1e6:.1f} megapixels; "
            f"at most {PIXELS_LIMIT / 1e6:.0f} are read. Scale it down and try again."
        )
    if max(width, height) > SIDE_LIMIT:
        raise PictureError(
            f"{name} is {max(width, height)} pixels long; a side has at most {SIDE_LIMIT}. Cut it and try again."
        )


def _upright(image: Image.Image, notes: list[str], *, sixteen: bool = False) -> tuple[Image.Image, list[str]]:
    """Make a loaded image upright RGB: 16 bits scaled, profile to sRGB, transparency on white, orientation applied."""
    orientation = _orientation(image.info.get("exif"))
    profile = image.info.get("icc_profile")
    if image.mode.startswith("I;16"):
        image, sixteen = _from_16_bits(image), True
    if sixteen:
        notes.append(FROM_16_BITS)
    if image.mode == "La":
        image = image.convert("LA")
    alpha = None
    if image.has_transparency_data:
        if sixteen and image.mode == "RGB":  # Pillow reduced the pixels to 8 bits, but not the transparent colour
            image = image.copy()
            image.info["transparency"] = tuple(value >> 8 for value in image.info["transparency"])
        image = image.convert("RGBA")
        alpha = image.getchannel("A")
        image = image.convert("RGB")
    elif image.mode not in ("RGB", "CMYK", "L"):
        image = image.convert("RGB")
    if profile:
        managed = _to_srgb(image, profile)
        if managed is not None:
            image = managed
            notes.append(TO_SRGB)
    if image.mode != "RGB":  # converting RGB to RGB would copy it
        image = image.convert("RGB")
    if alpha is not None and alpha.getextrema() != (255, 255):
        image = Image.composite(image, Image.new("RGB", image.size, "white"), alpha)
        notes.append(ON_WHITE)
    turn = _TURNS.get(orientation)
    return (image if turn is None else image.transpose(turn)), notes


def _from_16_bits(image: Image.Image) -> Image.Image:
    """Scale mode I;16 to L, or LA where one value stands for transparent; Pillow's own conversion clips at 255."""
    values = np.asarray(image).astype(np.uint32)
    grey = Image.fromarray(((values + 128) // 257).astype(np.uint8))  # 65535 = 257 * 255; rounds to nearest
    clear = image.info.get("transparency")
    if isinstance(clear, int):
        grey.putalpha(Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8)))
    return grey


_SPACES = {"RGB": "RGB", "CMYK": "CMYK", "L": "GRAY"}  # Pillow's modes and the names in an ICC profile


def _to_srgb(image: Image.Image, data: bytes) -> Image.Image | None:
    """Bring the image to sRGB; None where its profile already is sRGB, does not fit or is broken."""
    try:
        profile = ImageCms.ImageCmsProfile(BytesIO(data))
        described = profile.profile.profile_description or ""
        # Nearly every profile is sRGB under some name; left alone, the pixels are those that other libraries feed.
        if profile.profile.xcolor_space.strip() != _SPACES[image.mode] or "srgb" in described.lower():
            return None
        return ImageCms.profileToProfile(
            image,
            profile,
            ImageCms.createProfile("sRGB"),
            # Colours that sRGB has stay as they are, and black ink is black: what photo editors do by default.
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, ImportError, *_DAMAGED):
        return None


# EXIF's orientations, and what brings each upright. Source: Exif 2.32, section 4.6.4.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ORIENTATION, _SHORT = 0x0112, 3


def _orientation(exif: object) -> int:
    """Find the orientation in EXIF data, 1 where there is none or it is broken; Pillow would warn aloud."""
    if not isinstance(exif, bytes):
        return 1
    tiff = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2], "<")
    try:
        (directory,) = struct.unpack_from(f"{order}I", tiff, 4)
        (entries,) = struct.unpack_from(f"{order}H", tiff, directory)
        for entry in range(entries):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", tiff, directory + 2 + 12 * entry)
            if tag == _ORIENTATION:
                return int(value) if kind == _SHORT else 1
    except struct.error:
        pass
    return 1
