"""What a tab declares, and how its long work is streamed to the browser and stopped."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..trace import Target, Trace
from .answering import answers
from .answering.question import Question, find_picture, read
from .answering.work import Job
from .pictures import Shown
from .shelf import Shelf

Json = dict[str, Any]
Stop = Callable[[], bool]
Tell = Callable[[Json], object]
Work = Callable[[Json, Shelf, Stop, Tell], Json]
"""Given what the browser sent: the answer, with `tell` for what there is so far."""


@dataclass(frozen=True)
class Tab:
    """A tab of the page, as a value that the page is built from.

    Beside its file lie `<id>.html`, `<id>.js` and `<id>.css`. The script finds `element`, `props.about` and
    `sightglass.whileShown(id, refresh)`, and sends work by `sightglass.run(id, name, data, tell)`.
    """

    id: str
    title: str
    line: str
    """What it answers, in a few words, shown as a hint."""
    place: int = 0
    """Tabs stand from left to right by this number."""
    work: Mapping[str, Work] = field(default_factory=dict)
    """What the browser can ask for, by name."""
    about: Callable[[Shelf], Json] = lambda _: {}
    """What its script is told when the page is built."""
    scripts: tuple[str, ...] = ("heat",)
    """Scripts of the page that its own relies on."""
    endpoints: Callable[[Shelf, Mapping[str, Any]], None] | None = None
    """Adds endpoints that are no methods; within the app's blocks, with the arguments that say how many run at once."""


def streamed(given: object, shelf: Shelf, work: Work) -> Iterator[Json]:
    """What the work tells, better and better, then its answer; every mishap is a sentence in the same place.

    Each message carries the browser's token and a state: working, done, stopped or error. Leaving early, or the stop of
    that token, ends the work.
    """
    given = given if isinstance(given, dict) else {}
    token = given["token"] if isinstance(given.get("token"), str) else ""
    told: Json = {"token": token, "state": "working"}
    try:
        news: deque[Json] = deque(maxlen=1)
        job = Job(lambda stop: work(given, shelf, stop, news.append), token)
        for passed in job.ticks():
            told |= news.pop() if news else {}
            yield told | {"seconds": round(passed, 1)}
        yield {**told, "state": "done", **job.result()}
    except Exception as error:  # noqa: BLE001 - whatever it was, the visitor gets words
        yield told | answers.failure(error)


def about_class(given: Json, shelf: Shelf, stop: Stop | None) -> tuple[Question, Shown, Trace]:
    """The question on the screen without a method's options, its picture, and the trace asked about its class.

    Raises in words.
    """
    asked = read({name: value for name, value in given.items() if name != "options"}, shelf.catalogue)
    shown = find_picture(asked, shelf.pictures, shelf.catalogue)
    trace = shelf.trace(asked.model, shown)
    index = trace.classifier.index
    target = None if asked.target is None else index(asked.target)
    versus = None if asked.versus is None else index(asked.versus)
    return asked, shown, trace.ask(Target(target, versus), stop=stop)
