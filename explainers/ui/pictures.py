"""Where pictures come from: pond scenes by name, uploads by path, both by digest once they were seen."""

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

from ..errors import PictureError, QuestionError
from ..galleries import gallery as galleries
from ..galleries.gallery import Gallery
from ..pictures import BYTES_LIMIT, Picture
from ..showing.render import PNG, within
from ..worlds import pond

Mask = NDArray[np.bool_]

SIDE = 384
"""Pixels of a pond picture on the screen: the networks see it at 96, and people at four times that."""
LOSSLESS = 160
"""Pixels up to which a picture is sent without loss."""
THUMBNAIL = 88

WELCOME = "test:6"
SCENES = ("test:6", "test:42+tag", "duet:8", "test:1")
"""The pond pictures offered at once: one alone, one with a scale bar, two creatures, one more."""
CHEATER = "test:14+tag"
"""A scene that the honest network and the cheater name alike, and rightly: one for its parts, the other for its tag."""

PHOTO = "photo:"
"""How the name of a photograph begins that comes with the app."""
AMONG = "gallery:"
"""How the name of a picture of a gallery begins: gallery:digits:17."""

_SCENE = re.compile(r"(train|val|test|duet):([0-9]{1,6})([+-]tag)?")
_TAG = {"+tag": True, "-tag": False, None: None}


@dataclass(frozen=True, eq=False)
class Shown:
    """A picture on the screen; `scene` names it where it comes from the pond, and then the truth is known."""

    picture: Picture
    scene: str = ""
    rendering: pond.Rendering | None = None

    @property
    def key(self) -> tuple[str, ...]:
        """What an answer about it depends on: the same pixels may come with a truth, or with notes of their own."""
        return (self.picture.digest, self.scene, *self.picture.notes)

    @property
    def file(self) -> str:
        """What the picture is called in code."""
        return "pond.png" if self.rendering is not None else "picture.png"

    @property
    def code(self) -> str:
        """Lines of Python that make `file` again, where it comes from the pond."""
        if self.rendering is None:
            return ""
        match = _SCENE.fullmatch(self.scene)
        assert match is not None
        kind, number, tag = match.groups()
        made = f'duet("test", {number}' if kind == "duet" else f'scene("{kind}", {number}'
        forced = "" if _TAG[tag] is None else f", tag={_TAG[tag]}"
        return (
            "from PIL import Image\n\nfrom explainers import pond\n\n"
            f'Image.fromarray(pond.render(pond.{made}{forced}), {SIDE}).pixels).save("{self.file}")\n\n'
        )

    def truth(self, network: str) -> Mask | None:
        """Which pixels (H, W) decide for a network of the pond; None where nobody knows."""
        kind, _, brain = network.partition(":")
        if self.rendering is None or kind != "pond":
            return None
        return self.rendering.evidence(brain)

    def as_json(self) -> dict[str, Any]:
        """The picture as the browser shows it."""
        lossless = self.rendering is not None or max(self.picture.size) <= SIDE
        # The network gets all pixels, and the browser as many as are drawn.
        small = Image.fromarray(self.picture.reduced(within(self.picture.size)))
        return {
            "key": self.picture.digest,
            "scene": self.scene,
            "width": self.picture.width,
            "height": self.picture.height,
            "about": describe(self.scene) if self.rendering else "",
            "src": data_url(small, "PNG" if lossless else "JPEG"),
        }


def from_scene(name: str) -> Shown:
    """The pond picture of that name: “test:7”, “test:7+tag”, “duet:5”. Raises `QuestionError`."""
    rendering = pond.render(scene(name), SIDE)
    return Shown(Picture.read(rendering.pixels), name, rendering)


def from_gallery(name: str) -> Shown:
    """A picture of a gallery on offer: “gallery:digits:17”. Raises `QuestionError`."""
    gallery, _, number = name.removeprefix(AMONG).rpartition(":")
    if gallery not in galleries.offered() or not re.fullmatch("[0-9]{1,6}", number):
        raise QuestionError(f"“{name[:40]}” is no picture of a gallery; write gallery:digits:17.")
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


def scene(name: object) -> pond.Scene:
    """The pond scene of that name. Raises `QuestionError`."""
    match = _SCENE.fullmatch(name) if isinstance(name, str) else None
    if match is None:
        raise QuestionError(
            f"“{str(name)[:40]}” is no pond scene; write test:7, test:7+tag, test:7-tag or duet:5. "
            "Numbers have at most six digits."
        )
    kind, number, tag = match.groups()
    if kind == "duet":
        return pond.duet("test", int(number), tag=_TAG[tag])
    return pond.scene(kind, int(number), tag=_TAG[tag])


def describe(name: str) -> str:
    """What a pond picture shows, in plain words."""
    return scene(name).description


def from_photograph(path: Path) -> Shown:
    """A photograph that comes with the app, named by its file."""
    return Shown(Picture.read(path), f"{PHOTO}{path.stem}")


@cache
def thumbnail(name: str) -> str:
    """A small pond picture, as an address that holds it."""
    return data_url(Picture.read(pond.render(scene(name), THUMBNAIL).pixels).image(), "PNG")


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
