"""Where pictures come from: those of worlds by name, uploads by path, both by digest once they were seen."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from gradio.utils import get_upload_folder
from numpy.typing import NDArray
from PIL import Image

from .. import worlds
from ..errors import PictureError, QuestionError
from ..galleries import gallery as galleries
from ..galleries.gallery import Gallery
from ..pictures import BYTES_LIMIT, Picture
from ..showing.render import PNG, within
from ..worlds import Known, Truth, World

Mask = NDArray[np.bool_]

SIDE = 384
"""Pixels of a world's picture on the screen; the pond's networks see it at 96, and people at four times that."""
LOSSLESS = 160
"""Pixels up to which a picture is sent without loss."""
THUMBNAIL = 88

PHOTO = "photo:"
"""How the name of a photograph begins that comes with the app."""
AMONG = "gallery:"
"""How the name of a picture of a gallery begins: gallery, its name, and a number, with colons between them."""


@dataclass(frozen=True, eq=False)
class Shown:
    """A picture on the screen; `scene` names it, and where a world knows it by that name, the truth is `known`."""

    picture: Picture
    scene: str = ""
    known: Known | None = None
    world: World | None = None

    @property
    def key(self) -> tuple[str, ...]:
        """What an answer about it depends on: the same pixels may come with a truth, or with notes of their own."""
        return (self.picture.digest, self.scene, *self.picture.notes)

    @property
    def file(self) -> str:
        """What the picture is called in code."""
        return "picture.png" if self.known is None else self.known.file

    @property
    def code(self) -> str:
        """Lines of Python that make `file` again, where it comes from a world."""
        return "" if self.known is None else self.known.code

    def known_in(self, world: World | None) -> Truth | None:
        """What is known of what decides, for a network of that world; None where it is not the picture's own."""
        return self.known.truth if self.known and self.world is world else None

    def truth(self, identifier: str) -> Mask | None:
        """Which pixels (H, W) decide for a network of the picture's own world; None where nobody knows."""
        network = None if self.world is None else self.world.network(identifier)
        return self.known.evidence(network.name) if self.known and network else None

    def as_json(self) -> dict[str, Any]:
        """The picture as the browser shows it."""
        lossless = self.known is not None or max(self.picture.size) <= SIDE
        # The network gets all pixels, and the browser as many as are drawn.
        small = Image.fromarray(self.picture.reduced(within(self.picture.size)))
        return {
            "key": self.picture.digest,
            "scene": self.scene,
            "width": self.picture.width,
            "height": self.picture.height,
            "about": self.known.about if self.known else "",
            "src": data_url(small, "PNG" if lossless else "JPEG"),
        }


def from_world(name: str, side: int = SIDE) -> Shown:
    """The picture that a world knows by that name. Raises `QuestionError`."""
    found = worlds.picture(name, side)
    if found is None:
        ways = "; ".join(world.naming for world in worlds.worlds() if world.naming)
        raise QuestionError(
            f"“{name[:40]}” is no picture of a built-in world; write {ways}. Numbers have at most six digits."
        )
    world, known = found
    return Shown(Picture.read(known.pixels), name, known, world)


def from_gallery(name: str) -> Shown:
    """A picture of a gallery on offer: “gallery:NAME:17”. Raises `QuestionError`."""
    gallery, _, number = name.removeprefix(AMONG).rpartition(":")
    if gallery not in galleries.offered() or not re.fullmatch("[0-9]{1,6}", number):
        raise QuestionError(f"“{name[:40]}” is no picture of a gallery; write {AMONG}{galleries.offered()[-1]}:17.")
    return Shown(Gallery.open(gallery).picture(int(number)), name)


def from_upload(path: object) -> Shown:
    """The picture in a file that the browser sent here before. Raises `PictureError`; other files are out of reach."""
    folder = Path(get_upload_folder()).resolve()
    file = Path(path).resolve() if isinstance(path, str) and "\0" not in path else None
    if file is None or not file.is_relative_to(folder) or not file.is_file():
        raise PictureError("This file was not uploaded here. Upload a JPEG, PNG or WebP file.")
    if file.stat().st_size > BYTES_LIMIT:
        raise PictureError(f"This file is larger than {BYTES_LIMIT // 1_000_000} MB. Save it smaller and try again.")
    return Shown(Picture.read(file.read_bytes()))


def from_photograph(path: Path) -> Shown:
    """A photograph that comes with the app, named by its file."""
    return Shown(Picture.read(path), f"{PHOTO}{path.stem}")


@cache
def thumbnail(name: str) -> str:
    """A small picture of a world, as an address that holds it."""
    return data_url(from_world(name, THUMBNAIL).picture.image(), "PNG")


def small(path: Path) -> str:
    """A small photograph, as an address that holds it."""
    image = Picture.read(path).image()
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.crop((left, top, left + side, top + side)).resize((THUMBNAIL, THUMBNAIL))
    return data_url(square, "JPEG")


def data_url(image: Any, kind: str = "PNG") -> str:
    """An image of PIL's as an address that holds it."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **({"quality": 90} if kind == "JPEG" else PNG))
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def colors_url(colors: NDArray[np.uint8]) -> str:
    """A picture (h, w, 3) as an address that holds it; without loss where it is small."""
    lossless = max(colors.shape[:2]) <= LOSSLESS
    return data_url(Image.fromarray(np.ascontiguousarray(colors)), "PNG" if lossless else "JPEG")
