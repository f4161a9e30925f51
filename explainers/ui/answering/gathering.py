"""The same question to several methods: small maps, told as they come."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import explainers as ex

from ... import registry, scores
from ...errors import QuestionError, SightglassError, Stopped
from ...explanation import Explanation
from ...network.anatomy import DEPTHS
from ...registry import Method
from ...trace import PIXELS, Trace
from .. import panes, presets
from ..catalogue import default_method
from ..presets import takes
from ..shelf import Shelf, shelf_of
from . import answers
from .question import Question, find_picture, read
from .work import GPU_IS_LENT, Job, on_gpu

Json = dict[str, Any]
Stop = Callable[[], bool]
Tell = Callable[[Json], object]


def stream(given: object, shelf: Shelf) -> Iterator[Json]:
    """The small maps so far, one more with every step; `methods` or a `preset` say whose."""
    given = given if isinstance(given, dict) else {}
    token = given["token"] if isinstance(given.get("token"), str) else ""
    told: Json = {"token": token, "state": "working", "maps": [], "waiting": []}
    try:
        question, wanted = read(given, shelf.catalogue), _wanted(given)
        news: deque[Json] = deque(maxlen=1)
        job = Job(lambda stop: _found(question, wanted, shelf, stop, news.append), token)
        for _ in job.ticks():
            told |= news.pop() if news else {}
            yield told
        yield told | job.result()
    except Exception as error:  # noqa: BLE001 - whatever it was, the visitor gets words
        yield told | answers.failure(error)


# --- private ---------------------------------------------------------------------------------------------------------


def _wanted(given: Json) -> str | tuple[str, ...]:
    """A preset's name, or the methods that somebody picked. Raises `QuestionError`."""
    picked = given.get("methods") or []
    if not isinstance(picked, list) or len(picked) > presets.MOST:
        raise QuestionError(f"At most {presets.MOST} methods are compared at once.")
    if picked:
        return tuple(registry.find(name).id for name in picked)
    name = given.get("preset") or presets.QUICK.id
    if name not in [preset.id for preset in presets.PRESETS]:
        raise QuestionError("This choice of methods is not known; load the page again.")
    return str(name)


def _found(question: Question, wanted: str | tuple[str, ...], shelf: Shelf, stop: Stop, tell: Tell) -> Json:
    if GPU_IS_LENT:
        return _found_apart(question, wanted, shelf.number)
    return _gathered(question, wanted, shelf, stop, tell)


@on_gpu
def _found_apart(question: Question, wanted: str | tuple[str, ...], number: int) -> Json:
    """In a process of its own, so all that comes and goes can be pickled, and nobody can stop it on the way."""
    return _gathered(question, wanted, shelf_of(number), lambda: False, lambda _: None)


def _gathered(question: Question, wanted: str | tuple[str, ...], shelf: Shelf, stop: Stop, tell: Tell) -> Json:
    shown = find_picture(question, shelf.pictures, shelf.catalogue)
    asked = replace(question, options={}, beside={}, method=None)
    key = (shown.key, asked.key, wanted)
    if known := shelf.answers.get(key):
        return known
    network = shelf.network(question.model)
    trace = shelf.trace(question.model, shown)
    pace = scores.seconds_per_forward(trace)
    methods = _methods(network, wanted, pace)
    # What somebody picked is run however long it takes.
    quick = [m for m in methods if not isinstance(wanted, str) or takes(m) * pace <= presets.LONG]
    told: Json = {
        "state": "working",
        "pace": pace,
        "maps": [],
        "waiting": [_named(method) for method in quick],
        "on_request": [_named(method) for method in methods if method not in quick],
        "failed": [],
        "cost": "",
    }
    tell(dict(told))
    found: list[Explanation] = []
    try:
        _share(trace, quick, asked, shelf, shown.key, stop)
        for method in quick:
            about = replace(asked, method=method.id).about(shown)
            try:
                answer = answers.kept_or_asked(trace, replace(asked, method=method.id), method, about, shelf, stop)
            except Stopped:
                raise
            except SightglassError as error:
                told["failed"] = [*told["failed"], {**_named(method), "why": str(error)}]
            else:
                found.append(answer)
                told["maps"] = [*told["maps"], panes.small(answer, question.model, shown)]
            told["waiting"] = told["waiting"][1:]
            told["cost"] = _cost(found)
            tell(dict(told))
    except Stopped:
        return told | {"state": "stopped"}
    finally:
        trace.release()
    return shelf.answers.put(key, told | {"state": "done"})


def _methods(network: ex.Classifier, wanted: str | tuple[str, ...], pace: float) -> list[Method]:
    fitting = [method for method in registry.maps() if not method.why_not(network)]
    if isinstance(wanted, str):
        return presets.chosen(wanted, fitting, default_method(network), pace)
    return sorted((method for method in fitting if method.id in wanted), key=takes)


def _share(
    trace: Trace, methods: list[Method], asked: Question, shelf: Shelf, picture: tuple[str, ...], stop: Stop
) -> None:
    """Run the one pass that all of them read, if two or more still have to run."""
    absent = [m for m in methods if shelf.explanations.get((picture, replace(asked, method=m.id).key)) is None]
    if len(absent) > 1:
        starts = {method.start(method.check({})) for method in absent}
        trace.ask(trace.target, stop=stop).prepare(sorted(starts, key=[PIXELS, *DEPTHS].index))


def _named(method: Method) -> Json:
    return {"method": method.id, "title": method.title}


def _cost(found: list[Explanation]) -> str:
    forwards = sum(answer.spent.forwards for answer in found)
    took = sum(answer.spent.seconds for answer in found)
    maps = "1 map" if len(found) == 1 else f"{len(found)} maps"
    return f"{maps}, {forwards:,} forward {'pass' if forwards == 1 else 'passes'}, {took:.2f} s"
