"""Every method as an endpoint with a typed, documented signature, built from the registry."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import gradio as gr

import explainers as ex

from .. import registry
from ..engine import Fit
from ..errors import PictureError, QuestionError, SightglassError
from ..explanation import Explanation
from ..galleries import gallery as galleries
from ..galleries.gallery import Gallery
from ..network.heads import DEFAULT_SCORE, SCORES, Prediction
from ..pictures import Picture
from ..registry import Method, Option
from ..trace import Second, Trace
from . import words
from .answering import question
from .answering.asked import Asked
from .answering.question import Question
from .answering.work import on_gpu
from .catalogue import method_as_json
from .given import Given, PictureFile
from .pictures import Shown
from .saving import written
from .shelf import Shelf

Schema = dict[str, Any]

ABOUT_PICTURE = (
    "a JPEG, PNG or WebP file, sent with handle_file; addresses are refused, since the server fetches nothing"
)
ABOUT_SCENE = "instead of a picture, a pond scene by name, such as test:7, test:7+tag or duet:5"
ABOUT_SECOND = "the other picture, as a file; a pond creature by default"
ABOUT_GALLERY = "among which pictures; by default, those that have vectors of the network"
ABOUT_TARGET = "the class in question, by label or number; the winning one by default"
ABOUT_VERSUS = "rather than which class; by default, rather than all others"
MOST_CLASSES = 100

log = logging.getLogger(__name__)


def add(shelf: Shelf, heavy: Mapping[str, Any], light: Mapping[str, Any]) -> None:
    """Add one endpoint for each method, and those of the network and of any map; within the app's blocks.

    `heavy` and `light` are the arguments that say how many run at once.
    """
    with gr.Column(visible=False):
        parts = _Parts(shelf)
        for method in registry.all_methods():
            _add_method(method, shelf, parts, heavy)
        _add_predict(shelf, parts, heavy)
        _add_judge(shelf, parts, heavy)
        _add_lists(shelf, parts, light)


def endpoint(function: Callable[..., Any], name: str, inputs: Mapping[str, Any]) -> Callable[..., Any]:
    """The function under its final name and signature, which say what clients read; errors leave it as sentences."""
    lent = on_gpu(function)

    def once(*values: Any) -> Any:
        with _in_words(name):
            return lent(*values)

    def streamed(*values: Any) -> Any:
        with _in_words(name):
            yield from lent(*values)

    call = streamed if inspect.isgeneratorfunction(function) else once
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [
        inspect.Parameter(given, kind, default=getattr(component, "value", None)) for given, component in inputs.items()
    ]
    call.__name__ = call.__qualname__ = name
    vars(call)["__signature__"] = inspect.Signature(parameters)
    return call


@contextmanager
def _in_words(name: str) -> Iterator[None]:
    """What goes wrong within leaves as a sentence."""
    try:
        yield
    except SightglassError as error:
        raise gr.Error(str(error), print_exception=False) from None
    except Exception as error:  # the caller gets general words, the log all of it
        log.exception("the endpoint %s failed", name, exc_info=error)
        raise gr.Error(words.UNEXPECTED, print_exception=False) from None


def about_picture(shelf: Shelf) -> list[Any]:
    """What says which picture and which network an endpoint is about."""
    listed = ", ".join(network.identifier for network in shelf.catalogue.networks)
    about_model = (
        f"a network: one of {listed}, or any timm:, torchvision: or hf: identifier; by default "
        f"{shelf.catalogue.first}, and for a scene the first network of its world"
    )
    return [
        PictureFile(label="picture", about=ABOUT_PICTURE),
        Given(None, {"type": "string"}, "scene", ABOUT_SCENE),
        Given(None, {"type": "string"}, "model", about_model),
    ]


def model_of(given: object, shelf: Shelf, scene: object = None) -> str:
    """The identifier that an endpoint was given; by default, of the network that goes with the picture of that name."""
    usual = shelf.catalogue.usual(scene if isinstance(scene, str) else "")
    return question.identifier(usual if given is None else given)


def shown_of(picture: object, scene: object, shelf: Shelf) -> Shown:
    """The picture that an endpoint was given, as bytes or by name. Raises in words."""
    if scene is not None and picture is None:
        if not isinstance(scene, str):
            raise QuestionError("A pond scene is named by a short text, such as test:7.")
        return shelf.pictures.get(scene) or shelf.pictures.put(scene, shelf.catalogue.picture(scene))
    if not isinstance(picture, bytes):
        raise PictureError("There is no picture to explain. Send a JPEG, PNG or WebP file, or name a pond scene.")
    shown = Shown(Picture.read(picture))
    return shelf.pictures.setdefault(shown.picture.digest, shown)


# --- private ---------------------------------------------------------------------------------------------------------


class _Parts:
    """What endpoints take and give: one component for all that take or give the same, since every page loads all."""

    def __init__(self, shelf: Shelf) -> None:
        self.picture = about_picture(shelf)
        self.second = [
            PictureFile(label="second", about=ABOUT_SECOND),
            Given(None, {"type": "string"}, "second_scene", ABOUT_SCENE),
        ]
        listed = ", ".join(galleries.offered())
        self.gallery = Given(None, {"type": "string"}, "gallery", f"{ABOUT_GALLERY}: one of {listed}")
        self.target = _about_class()
        self.overlay = gr.Image(label="overlay", format="png", type="pil")
        self.payload = gr.JSON(label="payload")
        self.heat = gr.File(label="heat")
        self._options: dict[str, Given] = {}

    def question(self, method: Method) -> dict[str, Any]:
        """What a method is asked about: a picture through a network, or the network alone; and which class."""
        picture, scene, model = self.picture
        about = {"picture": picture, "scene": scene} if Trace in method.given else {}
        about |= {"gallery": self.gallery} if Gallery in method.given else {}
        about |= {"second": self.second[0], "second_scene": self.second[1]} if Second in method.given else {}
        return about | {"model": model} | dict(zip(("target", "versus", "score"), self.target, strict=True))

    def told(self, found: Explanation, *, full: bool = False) -> tuple[str, dict[str, Any], str]:
        """An answer as endpoints give it: the overlay's file, the words, the numbers' file."""
        return (
            written(found, "png", self.overlay, full=full),
            found.payload(),
            written(found, "npz", self.heat, full=full),
        )

    def option(self, option: Option) -> Given:
        """The control of an option; options that are alike in all share theirs."""
        if repr(option) not in self._options:
            self._options[repr(option)] = _control(option)
        return self._options[repr(option)]


def _add_method(method: Method, shelf: Shelf, parts: _Parts, limits: Mapping[str, Any]) -> None:
    inputs = parts.question(method) | {option.name: parts.option(option) for option in method.options}

    def answer(*values: Any) -> Any:
        given = dict(zip(inputs, values, strict=True))
        chosen = {option.name: given[option.name] for option in method.options}
        asked = _asked(given, shelf, method, chosen, alone="picture" not in inputs)
        try:
            return parts.told(asked.answer())
        finally:
            asked.release()

    gr.on(
        [],
        endpoint(answer, method.id, inputs),
        list(inputs.values()),
        [parts.overlay, parts.payload, parts.heat],
        api_name=method.id,
        api_description=_described(method),
        **limits,
    )


def _add_predict(shelf: Shelf, parts: _Parts, limits: Mapping[str, Any]) -> None:
    def predict(picture: Any, scene: Any, model: Any, count: Any) -> Any:
        if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MOST_CLASSES:
            raise QuestionError(f"“count” is a whole number from 1 to {MOST_CLASSES}.")
        trace = shelf.trace(model_of(model, shelf, scene), shown_of(picture, scene, shelf))
        return [_told(each) for each in trace.top(count)]

    count = Given(5, {"type": "integer", "minimum": 1, "maximum": MOST_CLASSES}, "count", f"1 to {MOST_CLASSES}")
    inputs = [*parts.picture, count]
    gr.on(
        [],
        endpoint(predict, "predict", dict(zip(["picture", "scene", "model", "count"], inputs, strict=True))),
        inputs,
        [gr.JSON(label="predictions")],
        api_name="predict",
        api_description="The most probable classes of a picture, first the winning one.",
        **limits,
    )


def _add_judge(shelf: Shelf, parts: _Parts, limits: Mapping[str, Any]) -> None:
    """What takes any method by name: the scorecard of its map, and the map in full size."""

    def judge(asked: Asked) -> Any:
        return ex.judge(asked.trace, asked.answer()).payload()

    def full_size(asked: Asked) -> Any:
        return parts.told(asked.answer(), full=True)

    listed = [method.id for method in registry.laying_heat()]
    method = Given(listed[0], {"enum": listed}, "method", "the method whose map it is about")
    options = Given({}, {"type": "object"}, "options", "the method's own options by name; the defaults for the rest")
    inputs = [*parts.picture, *parts.target, method, options]
    names = ["picture", "scene", "model", "target", "versus", "score", "method", "options"]
    given = dict(zip(names, inputs, strict=True))
    about_judge = (
        "How far the map of a method can be trusted: the share of the score that lies between covering its coldest and "
        "its warmest cells first, beside random maps."
    )
    about_full = (
        "What the method's own endpoint gives, for pictures of more pixels than 1920 x 1080: the overlay as large as "
        "the picture, and among the numbers `heat`, as large."
    )
    files = [parts.overlay, parts.payload, parts.heat]
    for give, outputs, about in ((judge, [gr.JSON(label="scorecard")], about_judge), (full_size, files, about_full)):
        name = give.__name__
        call = endpoint(partial(_of_a_map, shelf, names, give), name, given)
        gr.on([], call, inputs, outputs, api_name=name, api_description=about, **limits)


def _of_a_map(shelf: Shelf, names: Sequence[str], give: Callable[[Asked], Any], *values: Any) -> Any:
    """What is given for a method's map of a picture."""
    given = dict(zip(names, values, strict=True))
    if not isinstance(given["options"], dict):
        raise QuestionError('“options” are named values, such as {"depth": "late"}.')
    asked = _asked(given, shelf, registry.find(given["method"]), given["options"])
    try:
        return give(asked)
    finally:
        asked.release()


def _asked(
    given: Mapping[str, Any], shelf: Shelf, method: Method, options: dict[str, Any], *, alone: bool = False
) -> Asked:
    """The question in what an endpoint was given; the network alone is asked about where no picture is taken."""
    shown = None if alone else shown_of(given["picture"], given["scene"], shelf)
    two = given.get("second") is not None or given.get("second_scene") is not None
    other = shown_of(given["second"], given["second_scene"], shelf) if two else None
    gallery = given.get("gallery")
    return Asked(
        Question(
            model=model_of(given["model"], shelf, given.get("scene")),
            scene=shown.scene if shown else "",
            digest=shown.picture.digest if shown else "",
            method=method.id,
            target=_label(given.get("target")),
            versus=_label(given.get("versus")),
            score=question.score(given.get("score")),
            options=method.check(options, named_depths_only=True),
            gallery="" if gallery is None else str(gallery),
            second=(other.scene or other.picture.digest) if other else "",
            alone=alone,
        ),
        shelf,
    )


def _add_lists(shelf: Shelf, parts: _Parts, limits: Mapping[str, Any]) -> None:
    def models() -> Any:
        return shelf.catalogue.as_json()["networks"]

    def methods(model: Any) -> Any:
        fits = ex.methods(shelf.network(model_of(model, shelf)))
        return [{**_summary(fit.method), "why_not": fit.why_not} for fit in fits if isinstance(fit, Fit)]

    gr.on(
        [],
        endpoint(models, "models", {}),
        [],
        [gr.JSON(label="models")],
        api_name="models",
        api_description="Networks worth starting with; any other identifier does as well.",
        **limits,
    )
    named = parts.picture[2]
    gr.on(
        [],
        endpoint(methods, "methods", {"model": named}),
        [named],
        [gr.JSON(label="methods")],
        api_name="methods",
        api_description="Every method with its options, and for this network why one does not apply.",
        **limits,
    )


def _told(said: Prediction) -> dict[str, Any]:
    """A class with its probability; a regression has a number with its unit instead."""
    number = {} if said.probability is not None else {"value": said.logit, "unit": said.unit or None}
    return {"label": said.label, "index": said.index, "probability": said.probability} | number


def _about_class() -> list[Given]:
    label = {"anyOf": [{"type": "string"}, {"type": "integer"}]}
    about_score = "; ".join(f"{score}: {meaning}" for score, meaning in words.SCORE_WORDS.items())
    return [
        Given(None, label, "target", ABOUT_TARGET),
        Given(None, label, "versus", ABOUT_VERSUS),
        Given(DEFAULT_SCORE, {"enum": list(SCORES)}, "score", about_score),
    ]


def _control(option: Option) -> Given:
    return Given(option.default, _schema(option), option.name, f"{option.description}{_bounds(option)}")


def _schema(option: Option) -> Schema:
    match option.kind:
        case "choice":
            return {"enum": list(option.choices)}
        case "switch":
            return {"type": "boolean"}
        case "integer":
            return {"type": "integer", "minimum": option.minimum, "maximum": option.maximum}
        case "cell":
            cell = {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2}
            return {"anyOf": [cell, {"type": "null"}]}
        case "text":
            return {"type": "string", "maxLength": option.longest}
        case "numbers":
            number = {"type": "number", "minimum": option.minimum, "maximum": option.maximum}
            return {"type": "array", "items": number, "maxItems": option.longest}
        case _:
            return {"type": "number", "minimum": option.minimum, "maximum": option.maximum}


def _bounds(option: Option) -> str:
    return "" if option.minimum is None else f" From {option.minimum:g} to {option.maximum:g}."


def _described(method: Method) -> str:
    lines = [f"    {o.name}: {o.description}{_bounds(o)}" for o in method.options]
    options = "\n".join(["", "Args:", *lines]) if lines else ""
    return (
        f"{method.question} {method.how} Read it as: {method.read_it_as} Beware: {method.beware} "
        f"Source: {method.paper}{options}"
    )


def _summary(method: Method) -> dict[str, Any]:
    return method_as_json(method) | {"read_it_as": method.read_it_as, "beware": method.beware, "paper": method.paper}


def _label(given: object) -> str | int | None:
    return question.label(given)
