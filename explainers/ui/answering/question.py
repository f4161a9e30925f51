"""A question as the browser sends it, checked: whatever arrives, it is a `Question` or a sentence."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ...errors import ModelError, QuestionError
from ...network.heads import DEFAULT_SCORE, SCORES, ScoreName
from ...network.sources import HERE
from .. import pictures
from ..catalogue import Catalogue
from ..pictures import Shown
from ..words import GONE

Given = dict[str, Any]

LONGEST_NAME = 1000
"""Characters of an identifier or a label; the longest label of ImageNet has 121."""

BESIDE = ("method", "target", "model")
"""What a second map may differ in."""


@dataclass(frozen=True)
class Question:
    """Picture, network, class, method and options; `beside` is what differs in the second map of a comparison."""

    model: str
    scene: str = ""
    upload: str = ""
    digest: str = ""
    method: str | None = None
    target: str | int | None = None
    versus: str | int | None = None
    score: ScoreName | None = None
    """None for the head's own default, which the page and its links call by the name of the commonest."""
    options: dict[str, Any] = field(default_factory=dict)
    beside: dict[str, Any] = field(default_factory=dict)
    gallery: str = ""
    """Among which pictures, for a method that is given a gallery; empty for one on offer."""
    second: str = ""
    """The other picture, by name or digest, for a method that is given two."""
    alone: bool = False
    """Whether the network alone is asked about, without a picture."""

    @property
    def key(self) -> str:
        """The same for the same question about a picture that is known."""
        parts = (
            self.model,
            self.method,
            self.target,
            self.versus,
            self.score,
            sorted(self.options.items()),
            sorted(self.beside.items()),
            self.gallery,
            self.second,
            self.alone,
        )
        return repr(parts)


def read(given: object, catalogue: Catalogue) -> Question:
    """The question in what the browser sent. Raises `QuestionError` or `ModelError` in words."""
    if not isinstance(given, dict):
        raise QuestionError("A question is a set of named values; load the page again.")
    options, beside = given.get("options") or {}, given.get("beside") or {}
    if not isinstance(options, dict) or not isinstance(beside, dict):
        raise QuestionError("Options are named values; load the page again.")
    if any(name not in BESIDE for name in beside) or len(beside) > 1:
        raise QuestionError(f"A comparison differs in one of {', '.join(BESIDE)}.")
    if "model" in beside:
        beside = {"model": identifier(beside["model"])}
    scene = _text(given, "scene")
    return Question(
        model=identifier(given.get("model") or catalogue.usual(scene)),
        scene=scene,
        upload=_text(given, "upload"),
        digest=_text(given, "picture"),
        method=_text(given, "method") or None,
        target=_class(given.get("target")),
        versus=_class(given.get("versus")),
        score=score(given.get("score")),
        options=options,
        beside={name: _class(value) if name == "target" else value for name, value in beside.items()},
        gallery=_text(given, "gallery"),
    )


def identifier(value: object) -> str:
    """A network's identifier, trimmed. Raises `ModelError`; its pattern is checked by `load`."""
    if not isinstance(value, str) or not value.strip() or len(value) > LONGEST_NAME:
        raise ModelError(f"A network is named by a short text, such as {HERE} or timm:resnet50.")
    return value.strip()


def label(value: object) -> str | int | None:
    """A class by label or number; None for the winning one. Raises `QuestionError`."""
    return _class(value)


def score(value: object) -> ScoreName | None:
    """Which number is explained; None for the head's own default. Raises `QuestionError`."""
    if value in (None, "", DEFAULT_SCORE):
        return None
    known = next((each for each in SCORES if each == value), None)
    if known is None:
        raise QuestionError(f"The score is one of {', '.join(SCORES)}, not “{str(value)[:40]}”.")
    return known


def find_picture(question: Question, known: Any, catalogue: Catalogue) -> Shown:
    """The picture in question: one that is `known` by name or digest, else the named one, else the upload.

    Raises in words.
    """
    found: Shown | None = known.get(question.scene or question.digest)
    if found is not None:
        return found
    if question.scene:
        return _keep(known, question.scene, catalogue.picture(question.scene))
    if question.upload:
        shown = pictures.from_upload(question.upload)
        return _keep(known, shown.picture.digest, shown)
    if question.digest:
        raise QuestionError(GONE)
    welcome = catalogue.welcome(question.model)
    return _keep(known, welcome, catalogue.picture(welcome))


# --- private ---------------------------------------------------------------------------------------------------------


def _keep(known: Any, key: str, shown: Shown) -> Shown:
    kept: Shown = known.setdefault(key, shown)
    return kept


def _text(given: Given, name: str) -> str:
    value = given.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > LONGEST_NAME:
        raise QuestionError(f"“{name}” is a short text.")
    return value


def _class(value: object) -> str | int | None:
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int) or len(str(value)) > LONGEST_NAME:
        raise QuestionError("A class is given by its label or its number.")
    return value
