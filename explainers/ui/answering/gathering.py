"""The same question to several methods: small maps, told as they come."""

from __future__ import annotations

from dataclasses import replace

import explainers as ex

from ... import registry, scores
from ...errors import QuestionError, SightglassError, Stopped
from ...explanation import Explanation
from ...network.anatomy import DEPTHS
from ...registry import Method
from ...trace import PIXELS
from .. import panes, presets, words
from ..presets import takes
from ..shelf import Shelf
from . import honest
from .asked import Asked
from .question import read
from .work import Json, Stop, Tell


def gathered(given: Json, shelf: Shelf, stop: Stop, tell: Tell) -> Json:
    """The small maps so far, one more with every step; `methods` or a `preset` say whose."""
    question, wanted = read(given, shelf.catalogue), _wanted(given)
    asked = Asked(replace(question, options={}, beside={}, method=None), shelf)
    key = (asked.shown.key, asked.question.key, wanted, given.get("measured") is True)
    if known := shelf.answers.get(key):
        return known
    trace = asked.trace
    pace = scores.seconds_per_forward(trace)
    methods = _methods(asked.network, wanted, pace)
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
        "order": "",
    }
    tell(dict(told))
    found: list[Explanation] = []
    try:
        _share([asked.using(method) for method in quick], stop)
        for method in quick:
            try:
                answer = asked.using(method).answer(stop)
            except Stopped:
                raise
            except SightglassError as error:
                told["failed"] = [*told["failed"], {**_named(method), "why": str(error)}]
            else:
                found.append(answer)
                told["maps"] = [*told["maps"], panes.small(answer)]
            told["waiting"] = told["waiting"][1:]
            told["cost"] = _cost(found)
            tell(dict(told))
        told |= _measured(asked, found, given, told["maps"], stop, tell)
    except Stopped:
        return told | {"state": "stopped"}
    finally:
        trace.release()
    return shelf.answers.put(key, told | {"state": "done"})


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


def _methods(network: ex.Classifier, wanted: str | tuple[str, ...], pace: float) -> list[Method]:
    fitting = [method for method in registry.laying_heat() if not method.why_not(network)]
    if isinstance(wanted, str):
        return presets.chosen(wanted, fitting, registry.usual(network), pace)
    return sorted((method for method in fitting if method.id in wanted), key=takes)


def _share(asked: list[Asked], stop: Stop) -> None:
    """Run the one pass that all of them read, if two or more still have to run."""
    absent = [each for each in asked if each.kept is None]
    if len(absent) > 1:
        starts = {each.method.start(each.method.check({})) for each in absent}
        absent[0].view(stop).prepare(sorted(starts, key=[PIXELS, *DEPTHS].index))


def _measured(asked: Asked, found: list[Explanation], given: Json, maps: list[Json], stop: Stop, tell: Tell) -> Json:
    """The maps with the figures that put them in order, told as they come; or how long that would take."""
    takes = honest.seconds_of_figures(asked, len(found))
    if takes > honest.AT_ONCE and given.get("measured") is not True:
        return {"measuring": words.seconds(takes)}
    maps = list(maps)
    for place, figure in enumerate(honest.figures(asked, found, stop)):
        maps[place] = {**maps[place], "figure": figure}
        tell({"maps": list(maps)})
    return {"maps": maps, "order": honest.ordered(asked)}


def _named(method: Method) -> Json:
    return {"method": method.id, "title": method.title}


def _cost(found: list[Explanation]) -> str:
    forwards = sum(answer.spent.forwards for answer in found)
    took = sum(answer.spent.seconds for answer in found)
    maps = "1 map" if len(found) == 1 else f"{len(found)} maps"
    return f"{maps}, {forwards:,} forward {'pass' if forwards == 1 else 'passes'}, {took:.2f} s"
