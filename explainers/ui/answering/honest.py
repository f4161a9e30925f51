"""How far the map on the screen can be trusted: its scorecard, the pond's truth, and a network that learned nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import explainers as ex

from ... import registry, scores
from ...engine import RIVAL_PASSES
from ...errors import QuestionError
from ...explanation import COUNTERFACTUAL, Explanation
from ...network import sanity
from ...pictures import Picture
from ...trace import Target, Trace
from ...worlds.pond import effects
from .. import panes, pictures, words
from ..pictures import Shown
from ..shelf import Shelf, shelf_of
from . import answers
from .question import Question, find_picture, read
from .work import GPU_IS_LENT, Job, on_gpu

Json = dict[str, Any]
Stop = Callable[[], bool]

AT_ONCE = 3.0
"""Seconds that a map may be judged in without being asked for."""

UNCHANGED = 0.5
"""A map that agrees so well in rank with that of a network which learned nothing shows little but the picture."""


def judged(given: object, shelf: Shelf) -> Iterator[Json]:
    """The scorecard of the map that the browser shows, or how long it would take; then, in the pond, the truth."""
    last: Json = {}
    for last in _told("card", given, shelf):
        yield last
    if last.get("card", {}).get("verdict") is not None:
        for each in _told("truth", given, shelf):
            yield last | each


def unlearned(given: object, shelf: Shelf) -> Iterator[Json]:
    """The same question to a copy of the network that has learned nothing, and how alike the two maps are."""
    yield from _told("unlearned", given, shelf)


# --- private ---------------------------------------------------------------------------------------------------------


def _told(what: str, given: object, shelf: Shelf) -> Iterator[Json]:
    """What was found, under its name; every mishap is a sentence in the same place."""
    given = given if isinstance(given, dict) else {}
    token = given["token"] if isinstance(given.get("token"), str) else ""
    answer: Json = {"honest": token}
    try:
        job = Job(lambda stop: _found(what, given, shelf, stop), token)
        for _ in job.ticks():
            yield answer  # a sign of life, so that a page that is gone is noticed
        yield answer | {what: job.result()}
    except Exception as error:  # noqa: BLE001 - whatever it was, the visitor gets words
        yield answer | {what: answers.failure(error)}


def _found(what: str, given: Json, shelf: Shelf, stop: Stop) -> Json | None:
    if GPU_IS_LENT:
        return _found_apart(what, given, shelf.number)
    return _PARTS[what](given, shelf, stop)


@on_gpu
def _found_apart(what: str, given: Json, number: int) -> Json | None:
    """In a process of its own, so all that comes and goes can be pickled, and nobody can stop it on the way."""
    return _PARTS[what](given, shelf_of(number), lambda: False)


def _card(given: Json, shelf: Shelf, stop: Stop) -> Json:
    """The scorecard; where nobody asked for it and it would take long, only for how long."""
    question, shown, trace = _about(given, shelf)
    answer = _kept(question, shown, shelf)
    if given.get("unasked") is True:
        takes = _seconds(question, trace)
        if takes > AT_ONCE or (answer is None and not _is_quick(question)):
            return {"takes": words.seconds(takes)}
    answer = answer or answers.again(question, shelf)
    try:
        return ex.judge(trace, answer, stop=stop).payload()
    finally:
        trace.release()


def _truth(given: Json, shelf: Shelf, stop: Stop) -> Json | None:
    """For each element of a pond scene its true effect, and what the map put there; None elsewhere."""
    question, shown, trace = _about(given, shelf)
    if shown.rendering is None or not question.model.startswith("pond:"):
        return None
    answer = _kept(question, shown, shelf) or answers.again(question, shelf)
    assert answer.prediction is not None
    versus = answer.versus.index if answer.versus else None
    view = trace.ask(Target(answer.prediction.index, versus, answer.score), stop=stop)

    def score(rendered: NDArray[np.uint8]) -> NDArray[np.float32]:
        framing = trace.classifier.framing
        batch = torch.stack([framing.frame(Picture.read(each), view.pixels.dtype) for each in rendered]).to(view.pixels)
        return np.asarray(view.score(batch).cpu().numpy())

    scene = pictures.scene(shown.scene)
    true = effects.effects(scene, score)
    speaks_for = -answer.native if answer.options.get(COUNTERFACTUAL) else answer.native
    put_there = effects.given(speaks_for, scene)
    order = sorted(true, key=lambda name: -abs(true[name]))
    return {
        "elements": [
            {"name": effects.described(name, scene), "effect": true[name], "given": put_there[name]} for name in order
        ],
        "rho": scores.spearman(np.array(list(true.values())), np.array(list(put_there.values()))),
        "pairs": effects.pairwise(true, put_there),
        "tag": effects.share_on("tag", put_there) if scene.tag else None,
        "debris": effects.share_on("debris", put_there),
        "cost": f"{view.spent.forwards} pictures rendered and asked about, {view.spent.seconds:.2f} s",
    }


def _unlearned(given: Json, shelf: Shelf, stop: Stop) -> Json:
    question, shown, trace = _about(given, shelf)
    learned = _kept(question, shown, shelf) or answers.again(question, shelf)
    key = f"{question.model} with its weights drawn anew"
    copy = shelf.networks.get(key) or shelf.networks.put(key, sanity.randomized(trace.classifier))
    random = ex.explain(
        ex.look(copy, shown.picture),
        learned.method.id,
        target=None if learned.prediction is None else learned.prediction.index,
        versus=None if learned.versus is None else learned.versus.index,
        score=learned.score,
        stop=stop,
        **learned.options,
    )
    alike = scores.spearman(learned.native, random.native)
    return {
        "maps": [
            {
                "heat": panes.packed(each.native),
                "box": panes.box(each),
                "signed": each.heatmap.signed,
                "alt": each.alt,
            }
            for each in (learned, random)
        ],
        "alike": alike,
        "cost": random.cost,
        "unchanged": alike is not None and abs(alike) >= UNCHANGED,
    }


_PARTS = {"card": _card, "truth": _truth, "unlearned": _unlearned}


def _about(given: Json, shelf: Shelf) -> tuple[Question, Shown, Trace]:
    question = read(given, shelf.catalogue)
    if question.method is None:
        raise QuestionError("There is no map to judge yet.")
    shown = find_picture(question, shelf.pictures, shelf.catalogue)
    return question, shown, shelf.trace(question.model, shown)


def _kept(question: Question, shown: Shown, shelf: Shelf) -> Explanation | None:
    """The very answer on the screen, unless it has left the memory."""
    return shelf.explanations.get(question.about(shown))


def _is_quick(question: Question) -> bool:
    return sum(registry.find(question.method or "").passes) <= RIVAL_PASSES


def _seconds(question: Question, trace: Trace) -> float:
    """How long judging takes at most: the covered pictures, and the map for the rival where there is one."""
    forwards, backwards = registry.find(question.method or "").passes
    again = forwards + 2 * backwards if _is_quick(question) else 0
    return scores.seconds_per_forward(trace) * (scores.plan_for(trace).forwards + again)
