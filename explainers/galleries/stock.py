"""Where the pictures of a gallery come from: a folder, a zip, arrays, torchvision's sets, or the hub's."""

from __future__ import annotations

import os
import re
import stat
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import PictureError, QuestionError
from ..pictures import BYTES_LIMIT, Picture

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
MOST_PICTURES = 100_000
MOST_BYTES = 20_000_000_000
"""What all pictures of a zip may take once unpacked."""

MOST_SQUEEZED = 200
"""A file that unpacks to more than so many times its size, beyond the first megabyte, is no photograph."""


@dataclass(frozen=True)
class Entry:
    """A picture that is not read yet: its name, its label where there is one, and how to read it."""

    name: str
    label: str
    read: Callable[[], Picture]


@dataclass(frozen=True)
class Stock:
    """Pictures in a fixed order, so that a build that was cut off goes on where it was."""

    name: str
    entries: Sequence[Entry]

    def __post_init__(self) -> None:
        if len(self.entries) > MOST_PICTURES:
            raise QuestionError(
                f"{self.name} has {len(self.entries):,} pictures; a gallery holds {MOST_PICTURES:,}. Take a part of it."
            )


def stock(source: str | os.PathLike[str], *, limit: int | None = None, data: Path | None = None) -> Stock:
    """The pictures that `source` names: a folder, a .zip, torchvision:cifar10, or hub:owner/name.

    `limit` takes the first so many, evenly from all of it; `data` is where torchvision keeps what it fetches.
    Raises `QuestionError` with a sentence that says what is in the way.
    """
    text = os.fspath(source)
    kind, _, name = text.partition(":")
    if kind == "torchvision" and name:
        found = from_torchvision(name, data or Path.home() / ".cache" / "sightglass")
    elif kind == "hub" and name:
        found = from_hub(name)
    elif text.lower().endswith(".zip"):
        found = from_zip(Path(text))
    else:
        found = from_folder(Path(text))
    if limit is None or limit >= len(found.entries):
        return found
    if limit < 1:
        raise QuestionError("A gallery has one picture at least, so the limit is 1 or more.")
    chosen = np.linspace(0, len(found.entries) - 1, limit).round().astype(int)
    return Stock(found.name, [found.entries[i] for i in chosen])


def from_folder(folder: Path) -> Stock:
    """All pictures below a folder, by name; what lies in a subfolder bears its name as label."""
    if not folder.is_dir():
        raise QuestionError(f"There is no folder “{folder.name or folder}”; give a folder of pictures, or a .zip.")
    root = folder.resolve()
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
    entries = []
    for path in paths:
        inside = path.relative_to(folder)
        label = inside.parts[-2] if len(inside.parts) > 1 else ""
        entries.append(Entry(inside.as_posix(), label, _reader(path, root)))
    if not entries:
        raise QuestionError(f"“{folder.name or folder}” holds no JPEG, PNG or WebP, so there is no gallery to build.")
    return Stock(folder.resolve().name, entries)


def from_zip(path: Path) -> Stock:
    """All pictures in a zip, read without unpacking it to disk; folders in it are labels.

    Refused are archives with names that lead out of them, with files that unpack out of all proportion, and beyond the
    limits on what they unpack to: each with a sentence.
    """
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise QuestionError(f"“{path.name}” is not a zip that can be opened; give a folder or another file.") from error
    infos = [info for info in archive.infolist() if not info.is_dir()]
    for info in infos:
        _check_member(path.name, info)
    total = sum(info.file_size for info in infos)
    if total > MOST_BYTES:
        raise QuestionError(
            f"“{path.name}” unpacks to {total / 1e9:.0f} GB; a zip may unpack to {MOST_BYTES / 1e9:.0f} GB."
        )
    pictures = [i for i in infos if i.filename.lower().endswith(SUFFIXES) and not i.filename.startswith("__MACOSX/")]
    if not pictures:
        raise QuestionError(f"“{path.name}” holds no JPEG, PNG or WebP, so there is no gallery to build.")
    entries = []
    for info in sorted(pictures, key=lambda i: i.filename):
        parts = PurePosixPath(info.filename).parts
        entries.append(Entry(info.filename, parts[-2] if len(parts) > 1 else "", _member(archive, info)))
    return Stock(path.stem, entries)


def from_arrays(name: str, pictures: Sequence[Any], labels: Sequence[str]) -> Stock:
    """Pictures that are here already, each an array or a PIL image, with a label for each."""
    if len(pictures) != len(labels):
        raise QuestionError(f"{len(pictures)} pictures and {len(labels)} labels do not go together.")
    if not len(pictures):
        raise QuestionError("There are no pictures, so there is no gallery to build.")
    each = zip(pictures, labels, strict=True)
    return Stock(name, [Entry(f"{i:05d}", label, _given(picture)) for i, (picture, label) in enumerate(each)])


def from_torchvision(name: str, folder: Path) -> Stock:
    """The test part of MNIST, Fashion-MNIST or CIFAR-10; fetched into `folder` where it is not there yet."""
    sets = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST", "cifar10": "CIFAR10"}
    if name not in sets:
        raise QuestionError(f"Of torchvision's sets there are {', '.join(sets)} here, not “{name[:40]}”.")
    from torchvision import datasets

    try:
        held = getattr(datasets, sets[name])(folder, train=False, download=True)
    except Exception as error:  # urllib, ssl, tarfile and torchvision itself each raise their own
        raise QuestionError(
            f"{sets[name]} is not on this machine and could not be fetched ({_first_line(error)}); "
            f"put its files into {folder.name}/ or give a folder of pictures."
        ) from error
    pixels = np.asarray(held.data)  # (N, h, w) or (N, h, w, 3)
    labels = [str(held.classes[int(target)]) for target in held.targets]
    return from_arrays(sets[name], list(pixels), labels)


def from_hub(name: str) -> Stock:
    """A data set of the hub: its first column of pictures, and its first column of classes as labels.

    Code of a repository is never run.
    """
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?", name) or ".." in name:
        raise QuestionError(f"“{name[:80]}” is not the name of a data set; it has the form owner/name.")
    try:
        import datasets
    except ImportError as error:
        raise QuestionError("Data sets of the hub need one more package: pip install datasets.") from error
    try:
        parts = datasets.load_dataset(name)
        held = parts["test" if "test" in parts else next(iter(parts))]
    except Exception as error:  # the library raises a dozen kinds for absent, gated and offline
        raise QuestionError(f"“{name}” could not be had from the hub ({_first_line(error)}).") from error
    columns = {
        kind: [c for c, f in held.features.items() if type(f).__name__ == kind] for kind in ("Image", "ClassLabel")
    }
    if not columns["Image"]:
        raise QuestionError(f"“{name}” has no column of pictures; it has {', '.join(held.features)}.")
    shown, named = columns["Image"][0], columns["ClassLabel"][0] if columns["ClassLabel"] else None
    targets = held[named] if named else [None] * len(held)
    labels = ["" if t is None else str(held.features[named].names[t]) for t in targets]

    def reading(row: int) -> Callable[[], Picture]:
        return lambda: Picture.read(held[row][shown])

    return Stock(name, [Entry(f"{row:06d}", label, reading(row)) for row, label in enumerate(labels)])


# --- private ---------------------------------------------------------------------------------------------------------


def _reader(path: Path, root: Path) -> Callable[[], Picture]:
    def read() -> Picture:
        if not path.resolve().is_relative_to(root):
            raise PictureError(f"“{path.name}” is a link that leads out of the folder.")
        return Picture.read(path)

    return read


def _given(picture: NDArray[Any] | Any) -> Callable[[], Picture]:
    return lambda: Picture.read(picture)


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Callable[[], Picture]:
    def read() -> Picture:
        try:
            with archive.open(info) as file:
                data = file.read(BYTES_LIMIT + 1)  # whatever size the archive claims
        except (OSError, zipfile.BadZipFile, RuntimeError, EOFError, ValueError) as error:
            raise PictureError(f"“{info.filename}” cannot be unpacked ({_first_line(error)}).") from error
        return Picture.read(data)

    return read


def _check_member(archive: str, info: zipfile.ZipInfo) -> None:
    name = info.filename
    parts = re.split(r"[\\/]", name)
    if name.startswith(("/", "\\")) or ".." in parts or re.match(r"[A-Za-z]:", name) or "\0" in name:
        raise QuestionError(
            f"“{archive}” holds a file whose name leads out of it (“{name[:60]}”), so it is not opened."
        )
    if stat.S_ISLNK(info.external_attr >> 16):
        raise QuestionError(f"“{archive}” holds a link (“{name[:60]}”), so it is not opened.")
    if info.file_size > max(1_000_000, MOST_SQUEEZED * info.compress_size):
        raise QuestionError(
            f"“{archive}” holds a file that unpacks from {info.compress_size:,} to {info.file_size:,} bytes "
            f"(“{name[:60]}”), so it is not opened."
        )


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return (text[0] if text else type(error).__name__)[:120].rstrip(".")
