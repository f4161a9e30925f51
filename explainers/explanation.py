"""Explanation: an answer together with its question, its cost and what made it; frozen, NumPy, on the CPU."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache, cached_property, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from .errors import QuestionError, calls
from .network.heads import DEFAULT_SCORE, NO_SLOPE, POINTS, Head, Prediction, ScoreName
from .network.outputs import OwnTarget
from .pictures import Framing, Picture
from .registry import Method
from .results import Heatmap, Result, Step, Sum
from .showing import kinds, render
from .showing.render import PaletteName
from .trace import Spent
from .version import NAME, release

SCHEMA = 1
"""The version of `payload`: raised when a field changes its meaning or goes."""

COUNTERFACTUAL = "counterfactual"
"""The option under which a method's map is warm where it speaks against the class, whatever the method."""

IN_WORDS = 512 * 512
"""Pixels on which the map is put into words: enough for percents."""

ADDS_UP_WITHIN = 0.01
"""A map whose parts miss the whole by less than this share of it adds up, as far as a picture can show."""


@dataclass(frozen=True, eq=False)
class Explanation:
    """Why the network gave this picture this score for this class, according to one method.

    Where the method gives something else than a heat over the picture, `result` is that, and what belongs to a heat
    (`heat`, `native`, `blank`) raises `QuestionError`.
    """

    result: Result
    source: Picture | None
    """None where the network alone was asked about."""
    framing: Framing
    model: str
    prediction: Prediction | None
    """The class in question, as the network sees it; None for a backbone."""
    versus: Prediction | None
    score: ScoreName
    method: Method
    options: dict[str, Any]
    spent: Spent
    head: Head = field(default_factory=Head)
    """What the network's outputs mean."""
    own: OwnTarget | None = None
    """The function that was asked about, in place of a class."""
    said: tuple[str, ...] = ()
    """What has to be said of the score that is explained."""
    random_weights: bool = False
    caveats: tuple[str, ...] = ()
    """What the method cannot see in this network, each a sentence."""
    second: Picture | None = None
    """The other picture, where two were mixed and somebody gave one."""
    gallery: str = ""
    """Among which pictures, as `gallery=` takes it; empty where the method asks for none."""
    working: tuple[Step, ...] = ()
    """The steps from the network's numbers to the map, where they were asked for and the method tells them."""

    def __repr__(self) -> str:
        size = " × ".join(map(str, self.native.shape)) if isinstance(self.result, Heatmap) else self.result.kind
        return f"<{self.method.title} of {self.model} for {self.subject}: {size}, {self.cost}>"

    @property
    def heatmap(self) -> Heatmap:
        """The result of a method that lays a heat over the picture. Raises `QuestionError` for another kind."""
        if not isinstance(self.result, Heatmap):
            raise QuestionError(f"{self.method.title} gives {self.result.kind}, not a heat; read `result`.")
        return self.result

    @property
    def picture_asked(self) -> Picture:
        """The picture in question. Raises `QuestionError` where the network alone was asked about."""
        if self.source is None:
            raise QuestionError(f"{self.method.title} was asked about the network alone; there is no picture.")
        return self.source

    @property
    def native(self) -> NDArray[np.float32]:
        """The heat at the method's own resolution (h, w), signed where the method is."""
        return self.heatmap.heat

    @cached_property
    def heat(self) -> NDArray[np.float32]:
        """The heat on the original picture, float32 (H, W), zero where the network's crop did not look."""
        heat = self.framing.unframe(self.native, self.picture_asked.size)
        heat.flags.writeable = False
        return heat

    def laid(self, pixels: int) -> NDArray[np.float32]:
        """The heat on the picture reduced to so many pixels: what `heat` is, where a large photograph needs less."""
        size = self.picture_asked.size
        return self.framing.unframe(self.native, size, at=render.within(size, pixels))

    @property
    def unit(self) -> str:
        """What the heat is counted in, under the score that was asked about."""
        return self.heatmap.unit.replace(POINTS[DEFAULT_SCORE], self.head.points(self.score))

    @property
    def blank(self) -> bool:
        """Whether the map is zero everywhere."""
        return self.heatmap.blank

    @property
    def question(self) -> str:
        """The method's question, about this class: “Which regions raise tabby rather than Egyptian cat?”."""
        return self.method.question.replace("the chosen class", self.subject)

    @property
    def subject(self) -> str:
        """What is asked about: “tabby”, or “tabby rather than Egyptian cat”."""
        if self.prediction is None:
            return "the network" if self.source is None else "the picture"
        if self.own is not None:
            return self.own.name
        return self.head.subject(self.prediction.label, self.versus.label if self.versus else None)

    @property
    def notes(self) -> tuple[str, ...]:
        """What has to be known before believing the map, each a sentence."""
        notes = []
        if self.random_weights:
            notes.append("The network has random weights: it has learned nothing, so the map means nothing.")
        notes += self.caveats
        if isinstance(self.result, Heatmap):
            notes += self._notes_on(self.result)
        notes += self.said
        if self.result.note:
            notes.append(self.result.note)
        return (*notes, *(self.source.notes if self.source else ()))

    @property
    def cost(self) -> str:
        """What it took: “1 forward, 1 backward, 0.11 s”."""
        if not self.spent.forwards + self.spent.backwards:
            return "no pass of its own; it was all there already"
        return f"{self.spent.forwards} forward, {self.spent.backwards} backward, {self.spent.seconds:.2f} s"

    @cached_property
    def alt(self) -> str:
        """The map in words."""
        heated = isinstance(self.result, Heatmap)
        words = render.whereabouts(self.laid(IN_WORDS)) if heated else kinds.in_words(self.result)
        return f"{self.method.title} for {self.subject}. {words}"

    def picture(
        self,
        *,
        opacity: float = 0.85,
        colors: PaletteName | None = None,
        scale: float | None = None,
        full: bool = False,
    ) -> Image.Image:
        """The original, uncropped picture with the heat laid over it; `scale` makes several maps comparable.

        A picture of more pixels than 1920 × 1080 is drawn with so many, unless it is to be `full`. For a result of
        another kind, that drawn: tiles as a sheet, numbers as bars or lines.
        """
        calls.number("opacity", opacity, 0, 1)
        calls.switch("full", full)
        if scale is not None:
            calls.number("scale", scale, 0)
        if colors is not None and colors not in render.PALETTES:
            raise QuestionError(f"`colors` is one of {', '.join(render.PALETTES)}, not {str(colors)[:40]!r}.")
        if not isinstance(self.result, Heatmap):
            return kinds.drawn(self.result, self.source, self.framing, colors=colors)
        heat = self.heat if full else self.laid(render.DRAWN)
        return render.overlay(
            self.picture_asked, heat, signed=self.result.signed, opacity=opacity, colors=colors, scale=scale
        )

    def payload(self) -> dict[str, Any]:
        """The answer as JSON: what was asked, of what, what came out, and what it took."""
        return {
            "schema": SCHEMA,
            "method": self.method.id,
            "model": self.model,
            "target": _as_json(self.prediction),
            "versus": _as_json(self.versus),
            "score": self.score,
            "gallery": self.gallery or None,
            "options": {n: list(v) if isinstance(v, tuple) else v for n, v in self.options.items()},
            "question": self.question,
            self.result.kind: self._result_as_json(),
            "adds_up": _sum_as_json(self.result.adds_up if isinstance(self.result, Heatmap) else None),
            "picture": None if self.source is None else _about(self.source),
            "second": None if self.second is None else _about(self.second),
            "seen": None if self.source is None else list(self.framing.box(self.source.size)),
            "alt": self.alt,
            "notes": list(self.notes),
            "spent": {
                "forwards": self.spent.forwards,
                "backwards": self.spent.backwards,
                "seconds": round(self.spent.seconds, 4),
            },
            "versions": versions(),
        }

    def code(self, picture: str = "picture.png") -> str:
        """Lines of Python that give this answer again; classes by number, since two may bear one label."""
        choices = f", target={self._function}" if self.own else ""
        choices += "".join(f", {name}={value!r}" for name, value in self._chosen().items())
        choices += "" if self.second is None else ', second="second.png"'
        about = " ".join(self.subject.split())  # on one line, whatever the label
        asked = f"trace = ex.look(ex.load({self.model!r}), {picture!r})"
        if self.source is None:
            asked = f"model = ex.load({self.model!r})"
        return (
            "import explainers as ex\n\n"
            f"{asked}\n"
            f'ex.explain({asked.split()[0]}, "{self.method.id}"{choices}).picture().save("why.png")  # {about}\n'
        )

    def save(self, path: str | Path, *, full: bool = False) -> None:
        """Keep it: .png for the overlay, .npz for the numbers, .json for everything but them.

        The numbers of a map are its own, `native`, with `frame` and `size`, from which `explainers.pictures.laid` makes
        `heat` on the original picture; with `full`, that is in the file, too, and the overlay is as large as the
        picture. Raises `QuestionError` for another ending, and where nothing can be written.
        """
        calls.switch("full", full)
        calls.written(path, partial(self._write, full=full), (".png", ".npz", ".json"))

    def _write(self, path: Path, *, full: bool) -> None:
        about = json.dumps(self.payload(), ensure_ascii=False)
        match path.suffix.lower():
            case ".png":
                beside = PngInfo()
                beside.add_itxt("Sightglass", about)
                self.picture(full=full).save(path, pnginfo=beside, **render.PNG)
            case ".npz":
                arrays: dict[str, Any] = self.result.arrays() | {"payload": np.array(about)}
                if isinstance(self.result, Heatmap):
                    size = self.picture_asked.size
                    arrays |= {"frame": np.array(self.framing.extent(size)), "size": np.array(size)}
                    arrays |= {"heat": self.heat} if full else {}
                np.savez_compressed(path, **arrays)
            case _:
                path.write_text(json.dumps(self.payload(), ensure_ascii=False, indent=1) + "\n", "utf-8")

    @property
    def _function(self) -> str:
        """The name of the target function, where it has one that can be written."""
        name = getattr(self.own and self.own.function, "__name__", "")
        return name if name.isidentifier() else "…"

    def _result_as_json(self) -> dict[str, Any]:
        told = self.result.as_json()
        return told | {"unit": self.unit} if isinstance(self.result, Heatmap) else told

    def _notes_on(self, result: Heatmap) -> list[str]:
        notes = []
        if result.blank and any(NO_SLOPE in each for each in self.said):
            notes.append("The map is zero everywhere, which says nothing where no slope comes through.")
        elif result.blank:
            one_way = "lowers" if self.options.get(COUNTERFACTUAL) else "raises"
            what = "Nothing here raises or lowers" if result.signed else f"Nothing here {one_way}"
            notes.append(f"{what} {self.subject}: the map is zero everywhere.")
        if not self.method.class_specific:
            notes.append("This map does not depend on the class.")
        if result.adds_up and result.adds_up.residual > ADDS_UP_WITHIN:
            notes.append(f"The parts miss the whole by {render.percent(result.adds_up.residual)}.")
        return notes

    def _chosen(self) -> dict[str, Any]:
        """The part of the question that is not a default."""
        asked: dict[str, Any] = {}
        if self.prediction is not None and self.own is None:
            asked["target"] = self.prediction.index
        if self.versus is not None:
            asked["versus"] = self.versus.index
        if self.score != self.head.default:
            asked["score"] = self.score
        if self.gallery:
            asked["gallery"] = self.gallery
        defaults = {option.name: option.default for option in self.method.options}
        return asked | {name: value for name, value in self.options.items() if value != defaults[name]}


def versions() -> dict[str, str]:
    """The releases that a number depends on."""
    return dict(_releases())


# --- private ---------------------------------------------------------------------------------------------------------


@cache
def _releases() -> tuple[tuple[str, str], ...]:
    """Looked up once: each is a search through folders."""
    names = ("torch", "torchvision", "timm", "transformers", "numpy", "pillow")
    found = {NAME: release()}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # not needed here
            continue
    return tuple(found.items())


def _sum_as_json(adds_up: Sum | None) -> dict[str, float] | None:
    """What the map promised to add up to; None where the method makes no such promise."""
    if adds_up is None:
        return None
    return {"parts": adds_up.parts, "whole": adds_up.whole, "residual": adds_up.residual}


def _about(picture: Picture) -> dict[str, Any]:
    return {"width": picture.width, "height": picture.height, "digest": picture.digest}


def _as_json(prediction: Prediction | None) -> dict[str, Any] | None:
    if prediction is None:
        return None
    return {
        "label": prediction.label,
        "index": prediction.index,
        "probability": prediction.probability,
        "logit": prediction.logit,
        "unit": prediction.unit or None,
    }
