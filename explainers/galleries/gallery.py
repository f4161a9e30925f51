"""Gallery: pictures with labels, and where each of several networks puts them; on disk, opened memory-mapped."""

from __future__ import annotations

import io
import json
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import QuestionError
from ..errors.calls import expect
from ..network.classifier import Classifier
from ..pictures import Picture
from . import built_in
from .building import SCHEMA, Progress, build
from .embedding import READ_AT, ReadAt, fingerprint
from .kept import mapped, write
from .stock import Stock, stock

THUMBNAIL = 64
"""Pixels of the longer side of a thumbnail."""

LAYOUTS = "layouts"
"""The folder with what was laid out."""


@dataclass(frozen=True, eq=False)
class Vectors:
    """Where one network puts the pictures of a gallery, what it calls them, and layouts that were made of that."""

    model: str
    fingerprint: str
    labels: tuple[str, ...]
    """The network's classes; empty for a backbone."""
    arrays: dict[str, NDArray[Any]]
    scales: dict[str, float]
    layouts: dict[str, NDArray[np.float32]]
    """Coordinates (N, 2) by where the vectors were read and kind, as “pooled/tsne”."""

    def at(self, read_at: str) -> NDArray[np.float16]:
        """The vectors (N, D) read there, in half precision, memory-mapped; times `scales[read_at]` they are as made."""
        if read_at not in self.arrays or read_at not in READ_AT:
            offer = ", ".join(p for p in READ_AT if p in self.arrays)
            raise QuestionError(f"This gallery has vectors of {self.model} at {offer}, not at “{str(read_at)[:40]}”.")
        return self.arrays[read_at]

    @property
    def read_at(self) -> tuple[ReadAt, ...]:
        """Where there are vectors, from the last to the first."""
        return tuple(each for each in READ_AT if each in self.arrays)

    @property
    def predicted(self) -> NDArray[np.int32]:
        """The number (N,) of the class that each picture is called; −1 for a backbone."""
        return self.arrays["predicted"]

    @property
    def confidence(self) -> NDArray[np.float32]:
        """How probable (N,) that class is called."""
        return self.arrays["confidence"]


@dataclass(frozen=True, eq=False)
class Gallery:
    """Reference pictures, their labels, and vectors by network. Nothing here changes once it is open.

    `open` takes a folder that `build` wrote, or the name of a built-in gallery.
    """

    name: str
    names: tuple[str, ...]
    """What each picture is called: its path in the folder, or its number."""
    labels: tuple[str, ...]
    """One for each picture; empty where there is none."""
    digests: tuple[str, ...]
    skipped: tuple[str, ...] = ()
    """Sentences about files that could not be read."""
    facets: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Other labels, by what they tell apart."""
    folder: Path | None = None
    _picture: Callable[[int], Picture] | None = None
    _thumbnail: Callable[[int], NDArray[np.uint8]] | None = None
    _vectors: tuple[Vectors, ...] = ()

    @staticmethod
    def open(where: str | os.PathLike[str]) -> Gallery:
        """The gallery in a folder, or the built-in or offered one of that name. Raises `QuestionError`."""
        expect(where, (str, os.PathLike), "A gallery is opened by its name or folder", "give one of them")
        if isinstance(where, str) and (where in built_in.names() or where in _offered):
            return _offered[where] if where in _offered else _built_in(where)
        folder = Path(where)
        if not (folder / "gallery.json").is_file():
            unfinished = " It was begun; build it again, and it goes on." if (folder / "plan.json").exists() else ""
            raise QuestionError(
                f"“{folder.name}” is no gallery.{unfinished} There are {', '.join(built_in.names())}, and folders "
                "that were written by: python -m explainers gallery build."
            )
        about = _read_json(folder / "gallery.json")
        if about.get("schema") != SCHEMA:
            raise QuestionError(f"“{folder.name}” was built by another version of Sightglass; build it again.")
        told: dict[str, Any] = {
            name: tuple(map(str, about[name])) for name in ("names", "labels", "digests", "skipped")
        }
        vectors = tuple(_vectors(path) for path in sorted((folder / "vectors").glob("*.safetensors")))
        facets = {str(k): tuple(map(str, v)) for k, v in about.get("facets", {}).items()}
        told["facets"] = facets
        return Gallery(str(about["name"]), folder=folder, _vectors=vectors, **told)

    @staticmethod
    def build(
        source: str | os.PathLike[str] | Stock,
        model: Classifier,
        out: str | os.PathLike[str],
        *,
        limit: int | None = None,
        read_at: Sequence[str] = READ_AT,
        batch: int | None = None,
        stop: Callable[[], bool] | None = None,
        progress: Progress | None = None,
    ) -> Gallery:
        """Read pictures, keep them small, embed them, write all of it into the folder `out`, and open that.

        `source` is a folder, a .zip, torchvision:cifar10, hub:owner/name, or a `Stock`. What is cut off goes on where
        it was when asked again; another network adds its vectors to a gallery that is there. Raises `QuestionError`.
        """
        found = source if isinstance(source, Stock) else stock(source, limit=limit)
        build(found, model, Path(out), read_at=read_at, batch=batch, stop=stop, progress=progress)
        return Gallery.open(out)

    @staticmethod
    def of(found: Stock, model: Classifier) -> Gallery:
        """A small gallery that is gone when the program ends."""
        with tempfile.TemporaryDirectory() as out:
            gallery = Gallery.build(found, model, out)
            for each in gallery._vectors:
                each.arrays.update({name: np.array(array) for name, array in each.arrays.items()})
            pictures = [gallery.picture(i) for i in range(len(gallery))]
        return Gallery(
            gallery.name, gallery.names, gallery.labels, gallery.digests, gallery.skipped,
            _picture=pictures.__getitem__, _vectors=gallery._vectors,
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        return f"<Gallery {self.name}: {len(self)} pictures, vectors of {', '.join(self.models) or 'no network'}>"

    @property
    def where(self) -> str:
        """What `open` takes to open it again; of one that lives in memory only, its name."""
        return str(self.folder) if self.folder is not None else self.name

    @property
    def models(self) -> tuple[str, ...]:
        """The networks that there are vectors of."""
        return tuple(each.model for each in self._vectors)

    def vectors(self, model: Classifier | str) -> Vectors:
        """Where a network puts the pictures. Raises `QuestionError` that says how to get there."""
        name = model if isinstance(model, str) else model.name
        same = [each for each in self._vectors if each.model == name]
        if not isinstance(model, str) and (known := self._of(model)):
            return known
        if not same:
            raise QuestionError(
                f"The gallery {self.name} has vectors of {', '.join(self.models) or 'no network'}, not of {name}; "
                f"add them with: python -m explainers gallery build … --model {name}"
            )
        if isinstance(model, str):
            return same[0]
        raise QuestionError(f"The gallery {self.name} was built with other weights of {name}; build it again.")

    def picture(self, number: int) -> Picture:
        """A picture as it is kept: the whole of a built-in one, a small copy of any other."""
        if not 0 <= number < len(self):
            raise QuestionError(f"The gallery {self.name} has pictures 0 to {len(self) - 1}; {number} is none of them.")
        if self._picture is not None:
            return self._picture(number)
        arrays = self._kept
        begin = int(arrays["ends"][number - 1]) if number else 0
        data = arrays["bytes"][begin : int(arrays["ends"][number])].tobytes()
        return Picture.read(data)

    def named(self, name: str) -> int:
        """The number of the picture of that name, or of #7. Raises `QuestionError`."""
        if name in self.names:
            return self.names.index(name)
        number = int(name[1:]) if name[:1] == "#" and name[1:].isdecimal() and len(name) < _DIGITS else -1
        if not 0 <= number < len(self):
            raise QuestionError(
                f"The gallery {self.name} has pictures 0 to {len(self) - 1}; “{name[:40]}” is the name of none of them."
            )
        return number

    def confused(self, model: Classifier) -> list[tuple[int, float]]:
        """The pictures that a network calls by another class than their label, and how surely: the surest first."""
        vectors = self.vectors(model)
        known, called = set(vectors.labels), vectors.predicted
        wrong = [
            (n, float(vectors.confidence[n]))
            for n, label in enumerate(self.labels)
            if label in known and vectors.labels[called[n]] != label
        ]
        return sorted(wrong, key=lambda each: (-each[1], each[0]))

    def thumbnail(self, number: int, side: int = THUMBNAIL) -> NDArray[np.uint8]:
        """A small picture (h, w, 3) whose longer side is at most `side`."""
        small = self._thumbnail(number) if self._thumbnail is not None else None
        if small is not None and max(small.shape[:2]) <= side:
            return small
        return np.asarray(self.picture(number).thumbnail(side))

    def sheet(self, numbers: Sequence[int], side: int = THUMBNAIL) -> bytes:
        """Thumbnails in rows of 16, each in the middle of a square of `side` pixels, as one WebP."""
        rows = -(-len(numbers) // SHEET_COLUMNS)
        whole = Image.new("RGB", (SHEET_COLUMNS * side, max(1, rows) * side))
        for place, number in enumerate(numbers):
            image = Image.fromarray(self.thumbnail(number, side))
            factor = side / max(image.size)
            image = image.resize((max(1, round(image.width * factor)), max(1, round(image.height * factor))))
            left, top = place % SHEET_COLUMNS * side, place // SHEET_COLUMNS * side
            whole.paste(image, (left + (side - image.width) // 2, top + (side - image.height) // 2))
        data = io.BytesIO()
        whole.save(data, "WEBP", quality=80, method=0)
        return data.getvalue()

    def number(self, picture: Picture) -> int | None:
        """The number of a picture that is in the gallery, by its pixels; None for any other."""
        return self._numbers.get(picture.digest)

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What is worth knowing: files left out, pictures that are there twice."""
        said = []
        if self.skipped:
            said.append(f"{len(self.skipped)} left out, since they cannot be read: {self.skipped[0]}")
        twice = sum(count - 1 for count in Counter(self.digests).values())
        if twice:
            said.append(f"{twice} pictures are there more than once." if twice > 1 else "One picture is there twice.")
        return tuple(said)

    def keep(self, model: Classifier, read_at: str, kind: str, points: NDArray[np.float32]) -> None:
        """Keep a layout of the vectors read there beside them, where the gallery lies on disk."""
        vectors = self.vectors(model)
        vectors.layouts[f"{read_at}/{kind}"] = points
        if self.folder is not None and os.access(self.folder, os.W_OK):
            (self.folder / LAYOUTS).mkdir(exist_ok=True)
            write(self.folder / LAYOUTS / f"{vectors.fingerprint}.safetensors", vectors.layouts, {})

    def has(self, model: Classifier) -> bool:
        """Whether there are vectors of a network with these weights, whatever it is called."""
        return self._of(model) is not None

    # --- private -----------------------------------------------------------------------------------------------------

    def _of(self, model: Classifier) -> Vectors | None:
        mark = fingerprint(model)
        return next((each for each in self._vectors if each.fingerprint == mark), None)

    @cached_property
    def _kept(self) -> dict[str, NDArray[Any]]:
        assert self.folder is not None
        arrays, _ = mapped(self.folder / "pictures.safetensors")
        return arrays

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {digest: number for number, digest in reversed(list(enumerate(self.digests)))}


SHEET_COLUMNS = 16
_DIGITS = 12


def offer(gallery: Gallery) -> None:
    """Let questions find a gallery by its name, and by the networks that it has vectors of, as the built-in ones."""
    _offered[gallery.name] = gallery


def offered() -> tuple[str, ...]:
    """The names of the galleries that questions find: the built-in ones, and those that were offered."""
    own = built_in.names()
    return (*own, *(name for name in _offered if name not in own))


def fitting(model: Classifier) -> Gallery:
    """The gallery on offer that has vectors of a network. Raises `QuestionError` that says how to make one."""
    for name in reversed(offered()):
        gallery = Gallery.open(name)
        if gallery.has(model):
            return gallery
    raise QuestionError(
        f"No gallery here has vectors of {model.name}; make one of your own pictures, with: "
        f"python -m explainers gallery build FOLDER --model {model.name} --out GALLERY, or of a published set, with "
        "torchvision:cifar10 or hub:owner/name in place of FOLDER. Then give it as gallery=, or start the page "
        "with GALLERIES=GALLERY."
    )


def on_offer(name: object, model: Classifier) -> Gallery:
    """The gallery of that name among those on offer; without a name, the one that suits the network.

    For names from outside: never a path. Raises `QuestionError`.
    """
    if not name:
        return fitting(model)
    if not isinstance(name, str) or name not in offered():
        raise QuestionError(f"There are the galleries {', '.join(offered())}, not “{str(name)[:40]}”.")
    return Gallery.open(name)


# --- private ---------------------------------------------------------------------------------------------------------

_offered: dict[str, Gallery] = {}


@cache
def _built_in(name: str) -> Gallery:
    held, folder = built_in.collection(name), built_in.world(name).gallery
    vectors = tuple(_vectors(path) for path in sorted((folder / "vectors").glob("*.safetensors")))
    return Gallery(
        name, held.names, held.labels, built_in.digests(name), facets=dict(held.facets),
        _picture=built_in.picture(name), _thumbnail=built_in.thumbnail(name), _vectors=vectors,
    )  # fmt: skip


def _vectors(path: Path) -> Vectors:
    arrays, about = mapped(path)
    try:
        labels, scales = json.loads(about["labels"]), json.loads(about["scales"])
        mark, model = about["fingerprint"], about["model"]
    except (KeyError, ValueError) as error:
        raise QuestionError(f"“{path.name}” of this gallery is damaged; build the gallery again.") from error
    kept = path.parent.parent / LAYOUTS / f"{mark}.safetensors"
    layouts = mapped(kept)[0] if kept.exists() else {}
    return Vectors(model, mark, tuple(labels), arrays, scales, layouts)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise QuestionError(f"“{path.name}” of this gallery is absent or damaged; build the gallery again.") from error
    return value if isinstance(value, dict) else {}
