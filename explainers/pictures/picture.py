"""Knows how bytes, a path, an array, a tensor or a PIL image become a Picture within limits."""

from __future__ import annotations

import hashlib
import math
import os
import stat
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageCms, ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile
from torch import Tensor

from ..errors import PictureError
from .scaling import reduced

BYTES_LIMIT = 50_000_000
# What telephones take has 12, 48 or 50 megapixels (8192 x 6144). Reading takes seven bytes for each at most, Pillow's
# four and our three, so that a picture at the limit is read in 365 MB.
PIXELS_LIMIT = 52_000_000
SIDE_LIMIT = 65_535  # the longest side a JPEG can have; below 2**24, up to which Pillow's float32 boxes are exact

ON_WHITE = "Transparent parts were laid on white."
FIRST_FRAME = "First frame of an animation."
FROM_16_BITS = "16 bits per channel were scaled to 8, on the screen and for networks of colors."
TO_SRGB = "Colours were brought from the embedded profile to sRGB."


_Read = tuple[Image.Image, list[str], "npt.NDArray[np.float32] | None"]
"""What reading gives: RGB upright, what is to be said, and `Picture.deep`."""


@dataclass(frozen=True, eq=False)
class Picture:
    """An upright RGB image and its digest.

    `array` is uint8 (H, W, 3) and read-only; `digest` is the SHA-256 of size and pixels, in hex; `notes` say in plain
    words what was done to the image on the way in. `deep` is float32 (H, W, N) in [0, 1] where there is more than
    `array` can hold: gray of 16 bits or of floats (N = 1), or bands, three of which are in `array`.
    """

    array: npt.NDArray[np.uint8]
    digest: str
    notes: tuple[str, ...] = ()
    deep: npt.NDArray[np.float32] | None = None

    @classmethod
    def read(cls, source: PictureSource, *, show: tuple[int, int, int] | None = None) -> Picture:
        """Read a picture from anything that holds one, or raise a `PictureError` of one sentence.

        Files are JPEG, PNG or WebP. An array is (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), uint8, uint16 or float in
        [0, 1]; with another number of channels, or always with `show`, they are bands, of which `show` says which
        three stand for red, green and blue. A tensor is the same with its channels first, alone or in a batch of one.
        A `str` is a path, never an address. Orientation from EXIF is applied, transparency is laid on white, 16 bits
        are scaled to 8, an embedded colour profile is brought to sRGB; of an animation the first frame is taken.
        """
        if isinstance(source, Picture):
            return source
        if isinstance(source, (bytes, bytearray, memoryview)):
            return cls._of(*_from_bytes(bytes(source), "This file"))
        if isinstance(source, (str, os.PathLike)):
            return cls._of(*_from_path(source))
        if isinstance(source, Tensor):
            return cls._of(*_from_tensor(source, show))
        if isinstance(source, np.ndarray):
            return cls._of(*_from_array(source, show, "array"))
        if isinstance(source, Image.Image):
            return cls._of(*_from_image(source))
        raise PictureError(
            f"A picture cannot be read from a value of type {type(source).__name__}; "
            "give the bytes of a file, a path, a NumPy array, a tensor or a PIL image."
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

    @property
    def bands(self) -> int:
        """How many channels it has: 3, unless it came as an array of bands."""
        return 3 if self.deep is None or self.deep.shape[2] == 1 else self.deep.shape[2]

    def image(self) -> Image.Image:
        """Give the picture as a PIL image of its own, mode RGB."""
        return Image.fromarray(self.array)

    def thumbnail(self, longest: int) -> Image.Image:
        """Give a copy whose longer side is at most `longest`; never enlarged."""
        image = self.image()
        image.thumbnail((longest, longest))
        return image

    def reduced(self, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
        """The pixels of a copy of `size` (h, w), uint8 (h, w, 3); those of the picture itself where that is its own."""
        if size == self.size:
            return self.array
        return reduced(self.array, size)

    @classmethod
    def _of(cls, image: Image.Image, notes: list[str], deep: npt.NDArray[np.float32] | None = None) -> Picture:
        height, width = image.height, image.width
        pixels = np.empty((height, width, 3), np.uint8)
        for top in range(0, height, _STRIP):  # which takes half of the time of the whole at once
            pixels[top : top + _STRIP] = np.asarray(image.crop((0, top, width, min(top + _STRIP, height))))
        digest = hashlib.sha256(f"{height}x{width}:".encode())
        digest.update(pixels.data)
        if deep is not None:
            digest.update(deep.data)
            deep.setflags(write=False)
        # An array over read-only memory is that for good: nobody can switch writing on again.
        array = np.frombuffer(pixels.data.cast("B").toreadonly(), np.uint8).reshape(height, width, 3)
        return cls(array, digest.hexdigest(), tuple(notes), deep)


PictureSource = Picture | bytes | str | os.PathLike[str] | npt.NDArray[Any] | Image.Image | Tensor


_STRIP = 64  # rows that are copied at once

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


def _from_path(path: str | os.PathLike[str]) -> _Read:
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


def _from_bytes(data: bytes, name: str) -> _Read:
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
        return _upright(image, notes, sixteen=sixteen, bits=_significant(data) if sixteen else 16)
    except PictureError:
        raise
    except _DAMAGED:
        raise PictureError(
            f"{name} begins like {kind} but is damaged or cut short; open it elsewhere, save it again and retry."
        ) from None


_PNG_DEPTH = 24  # the byte of a PNG that holds the bits per channel
_PNG_CHUNKS = 8  # the byte where the first chunk begins: its length, its name, its data, a checksum


def _significant(data: bytes) -> int:
    """How many bits a PNG of 16 says are in use, by its chunk sBIT; 16 where it says nothing."""
    at = _PNG_CHUNKS
    while (name := data[at + 4 : at + 8]) not in (b"sBIT", b"IDAT", b""):
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    return data[at + 8] if name == b"sBIT" and 0 < data[at + 8] <= 16 else 16


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


def _from_tensor(tensor: Tensor, show: tuple[int, int, int] | None) -> _Read:
    shape = " x ".join(map(str, tensor.shape)) or "no axes"
    if tensor.ndim == 4 and len(tensor) != 1:
        raise PictureError(
            f"This tensor is {shape}: several pictures, where one is asked for; ex.look(model, batch) looks at each."
        )
    one = tensor[0] if tensor.ndim == 4 else tensor[None] if tensor.ndim == 2 else tensor
    if one.ndim != 3 or 0 in one.shape:
        raise PictureError(f"This tensor is {shape}; a picture is channels x height x width.")
    if show is None and one.shape[0] not in (1, 3, 4) and one.shape[2] in (1, 3, 4):
        raise PictureError(f"This tensor is {shape}; a tensor has its channels first: tensor.permute(2, 0, 1).")
    values = one.detach().to("cpu")
    values = values if values.dtype in (torch.uint8, torch.uint16, torch.float64) else values.float()
    if not (tensor.is_floating_point() or tensor.dtype in (torch.uint8, torch.uint16)):
        raise PictureError(f"This tensor has the type {tensor.dtype}; give uint8 from 0 to 255, or floats in [0, 1].")
    return _from_array(values.permute(1, 2, 0).numpy(), show, "tensor")


def _from_array(array: npt.NDArray[Any], show: tuple[int, int, int] | None, name: str) -> _Read:
    shape = " x ".join(map(str, array.shape)) or "no axes"
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.ndim not in (2, 3) or channels == 0:
        raise PictureError(f"This {name} is {shape}; a picture is height x width, or height x width x channels.")
    known = (1, 3, 4)
    if show is None and channels not in known and array.shape[0] in known:
        raise PictureError(f"This {name} is {shape}; move the channels last: array.transpose(1, 2, 0).")
    _check_size(array.shape[1], array.shape[0], f"This {name}")
    if array.dtype not in (np.uint8, np.uint16) and not np.issubdtype(array.dtype, np.floating):
        raise PictureError(
            f"This {name} has the type {array.dtype}; give uint8 or uint16, of which the largest value is white, or "
            "floats in [0, 1]."
        )
    if channels not in known or (show is not None and channels > 1):
        return _from_bands(array, show or (0, 1, min(2, channels - 1)), name)
    flat = array.reshape(array.shape[:2]) if channels == 1 else array
    if array.dtype == np.uint16:
        if channels == 1:
            return _upright(Image.fromarray(np.ascontiguousarray(flat)), [])
        return _upright(Image.fromarray(((flat.astype(np.uint32) + 128) // 257).astype(np.uint8)), [FROM_16_BITS])
    if array.dtype == np.uint8:
        return _upright(Image.fromarray(np.ascontiguousarray(flat)), [])
    floats = _in_range(flat, name)
    image, notes, _ = _upright(Image.fromarray(np.rint(floats * 255).astype(np.uint8)), [])
    return image, notes, floats[..., None].astype(np.float32) if channels == 1 else None


def _from_bands(array: npt.NDArray[Any], show: tuple[int, int, int], name: str) -> _Read:
    """Bands (H, W, N): their values in [0, 1], and three of them as colors."""
    count = array.shape[2]
    if max(show) >= count:
        raise PictureError(f"This {name} has {count} channels, and bands {_listed(show)}, from 0 on, are to be shown.")
    notes = []
    if np.issubdtype(array.dtype, np.floating):
        deep = _in_range(array, name).astype(np.float32)
    else:
        white = int(np.iinfo(array.dtype).max)
        deep = array.astype(np.float32) / np.float32(white)
        notes = [f"Its values were divided by {white}."] if array.dtype == np.uint16 else []
    shown = deep[..., show]
    low, high = float(shown.min()), float(shown.max())
    colors = (shown - low) * (255 / (high - low) if high > low else 255)
    notes.append(
        f"Of its {count} bands, {_listed(show)} (from 0 on) are shown as red, green and blue, brightened so that "
        "their smallest value is black and their largest white."
    )
    return Image.fromarray(np.rint(colors).astype(np.uint8)), notes, np.ascontiguousarray(deep)


def _in_range(array: npt.NDArray[Any], name: str) -> npt.NDArray[Any]:
    """Floats that were meant to lie in [0, 1], brought to it."""
    low, high = float(array.min()), float(array.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise PictureError(f"This {name} holds values that are not numbers (NaN or infinity); a picture has none.")
    if low < -_FLOAT_SLACK or high > 1 + _FLOAT_SLACK:
        raise PictureError(
            f"This {name} holds floats from {low:.4g} to {high:.4g}; they must lie in [0, 1]. Scale them, or give "
            "uint8 from 0 to 255. Where they are normalized as the network is fed them, say so: "
            "ex.look(model, tensor, framed=True)."
        )
    return array.clip(0, 1)


def _listed(numbers: tuple[int, ...]) -> str:
    return ", ".join(map(str, numbers[:-1])) + f" and {numbers[-1]}"


_FLOAT_SLACK = 1e-5  # rounding of float32 and bicubic filters that were meant to end at 0 or 1


def _from_image(image: Image.Image) -> _Read:
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


def _upright(image: Image.Image, notes: list[str], *, sixteen: bool = False, bits: int = 16) -> _Read:
    """Make a loaded image upright RGB: 16 bits scaled, profile to sRGB, transparency on white, orientation applied.

    `bits` are those that a file of 16 says it uses. Gray of 16 bits is kept beside, unless its values were changed.
    """
    orientation = _orientation(image.info.get("exif"))
    profile = image.info.get("icc_profile")
    deep: Image.Image | None = None
    if image.mode.startswith("I;16"):
        image, deep, said = _from_16_bits(image, bits)
        sixteen = True
        notes += said
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
            image, deep = managed, None
            notes.append(TO_SRGB)
    if image.mode != "RGB":  # converting RGB to RGB would copy it
        image = image.convert("RGB")
    if alpha is not None and alpha.getextrema() != (255, 255):
        image, deep = Image.composite(image, Image.new("RGB", image.size, "white"), alpha), None
        notes.append(ON_WHITE)
    turn = _TURNS.get(orientation)
    if turn is not None:
        image, deep = image.transpose(turn), deep and deep.transpose(turn)
    return image, notes, None if deep is None else np.array(deep, np.float32)[..., None]


_TWELVE = 4095  # the largest value of 12 bits


def _from_16_bits(image: Image.Image, bits: int) -> tuple[Image.Image, Image.Image, list[str]]:
    """Scale mode I;16 to L, or LA where one value stands for transparent; Pillow's own conversion clips at 255.

    Also given: the same with all its depth, mode F in [0, 1]. Detectors of 12 bits write their values into 16 as they
    are, and a picture whose brightest value is a sixteenth of white is more likely one of those than that dark.
    """
    values = np.asarray(image).astype(np.uint32)
    largest = int(values.max())
    white = 2**bits - 1 if largest < 2**bits else 2**16 - 1
    white = min(white, _TWELVE) if 0 < largest <= _TWELVE else white
    said = []
    if white < 2**16 - 1:
        bits = white.bit_length()
        said = [f"Its largest value is {largest}, so that its 16 bits are read as {bits}: {white} is white."]
    grey = Image.fromarray(((values * 255 + white // 2) // white).astype(np.uint8))  # rounds to nearest
    clear = image.info.get("transparency")
    if isinstance(clear, int):
        grey.putalpha(Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8)))
    return grey, Image.fromarray(values.astype(np.float32) / np.float32(white)), said


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
