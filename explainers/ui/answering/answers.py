"""A question becomes what the screen shows: predictions, maps, words; in steps, each one the whole so far."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import explainers as ex

from ... import engine, registry
from ...errors import DoesNotApply, QuestionError, SightglassError, Stopped
from ...explanation import Explanation
from ...registry import Method
from ...trace import Trace
from .. import panes, words
from ..catalogue import default_method
from ..pictures import Shown
from ..shelf import Shelf, shelf_of
from .question import Question, find_picture, read
from .question import identifier as checked
from .work import GPU_IS_LENT, Job, on_gpu

Json = dict[str, Any]
Stop = Callable[[], bool]

log = logging.getLogger(__name__)


def stream(given: object, shelf: Shelf) -> Iterator[Json]:
    """Answers to what the browser sent, better and better; every mishap is a sentence in the same place."""
    given = given if isinstance(given, dict) else {}
    token = given.get("token")
    answer: Json = {"token": token, "state": "working", "seconds": 0}
    try:
        question = read(given, shelf.catalogue)
        for step in _steps(question, given, shelf):
            previews: deque[Later] = deque(maxlen=1)
            job = Job(partial(_run, step, previews), token if isinstance(token, str) else "")
            for passed in job.ticks():
                answer |= previews.pop()() if previews else {}
                yield {**answer, "seconds": round(passed, 1)}
            answer |= job.result()
            if "stopped" in answer:
                yield answer | {"state": "stopped", "sentence": answer["stopped"]}
                return
            if answer["state"] == "network":
                yield answer
                return
            if answer.get("refusal") and answer["refusal"]["kind"] == "error":
                break
            yield answer
        yield answer | {"state": "done"}
    except Exception as error:  # noqa: BLE001 - whatever it was, the visitor gets words
        yield answer | failure(error)


def open_network(identifier: object, token: object, shelf: Shelf) -> Iterator[Json]:
    """Signs of life while a network is fetched and built, then that it is there."""
    told: Json = {"token": token, "state": "loading", "network": identifier, "seconds": 0}
    try:
        name = checked(identifier)
        yield told
        job = Job(lambda _stop: shelf.network(name))
        for passed in job.ticks():
            yield {**told, "seconds": round(passed, 1)}
        job.result()
        yield {**told, "state": "loaded"}
    except Exception as error:  # noqa: BLE001 - whatever it was, the visitor gets words
        yield told | failure(error)


def failure(error: Exception) -> Json:
    """An error as the screen shows it: our own sentences as they are, anything else in general words."""
    if isinstance(error, Stopped):
        return {"state": "stopped", "sentence": "Stopped. The last answer is still here."}
    if isinstance(error, SightglassError):
        kind = "does not apply" if isinstance(error, DoesNotApply) else "error"
        return {"state": "error", "kind": kind, "sentence": str(error)}
    log.exception("a question failed", exc_info=error)
    return {"state": "error", "kind": "unexpected", "sentence": words.UNEXPECTED}


def again(question: Question, shelf: Shelf) -> Explanation:
    """The answer on the screen itself, for saving; asked again where it has left the memory. Raises in words."""
    shown = find_picture(question, shelf.pictures, shelf.catalogue)
    method = _method(question, shelf.network(question.model))
    about = replace(question, method=method.id).about(shown)
    if (kept := shelf.explanations.get(about)) is not None:
        return kept
    trace = shelf.trace(question.model, shown)
    try:
        return kept_or_asked(trace, question, method, about, shelf, None)
    finally:
        trace.release()


def kept_or_asked(
    trace: Trace,
    question: Question,
    method: Method,
    about: Hashable,
    shelf: Shelf,
    stop: Stop | None,
    tell: Preview = lambda _: None,
) -> Explanation:
    """The whole answer, if it is kept under `about`, or else a new one, which `tell` hears of on the way.

    One that was stopped on the way is kept, too, since it is on somebody's screen; but a whole one is not lost for it.
    """
    kept = shelf.explanations.get(about)
    if kept is not None and kept.result.done >= 1:
        return kept
    answer = _explain(trace, question, method, stop, tell)
    return shelf.explanations.put(about, answer)


def working(given: object, shelf: Shelf) -> Iterator[Json]:
    """The steps from the network's numbers to the map on the screen, as the method told them."""
    given = given if isinstance(given, dict) else {}
    told: Json = {"token": given.get("token"), "state": "working"}
    try:
        question = read(given, shelf.catalogue)
        job = Job(lambda _stop: again(question, shelf), str(told["token"] or ""))
        for _ in job.ticks():
            yield told
        answer = job.result()
        yield told | {"state": "done", "steps": [panes.step(each) for each in answer.working], "box": panes.box(answer)}
    except Exception as error:  # noqa: BLE001 - whatever it was, the visitor gets words
        yield told | failure(error)


# --- private ---------------------------------------------------------------------------------------------------------

Later = Callable[[], Json]
Tell = Callable[[Later], object]
Step = Callable[[Stop, Tell], Json]
Preview = Callable[[Explanation], object]


def _run(step: Step, previews: deque[Later], stop: Stop) -> Json:
    return step(stop, previews.append)


def _nobody(_: object) -> None:
    """Hears of no preview."""


def _steps(question: Question, given: Json, shelf: Shelf) -> Iterator[Step]:
    """One after the other: the picture, the map asked about, and the one beside it."""
    yield lambda _stop, _tell: _seen(question, given, shelf)
    yield lambda stop, tell: _main(question, given, shelf, stop, tell)
    if question.beside:
        yield lambda stop, _tell: _beside(question, shelf, stop)


def _seen(question: Question, given: Json, shelf: Shelf) -> Json:
    """The picture, where the browser has another one; and whether a network has to be opened first."""
    shown = find_picture(question, shelf.pictures, shelf.catalogue)
    told: Json = {"picture": shown.as_json() if given.get("knows_picture") != shown.picture.digest else None}
    absent = [name for name in (question.model, question.beside.get("model")) if name and not shelf.networks.get(name)]
    return told | ({"state": "network", "network": absent[0]} if absent else {})


def _main(question: Question, given: Json, shelf: Shelf, stop: Stop, tell: Tell) -> Json:
    shown = find_picture(question, shelf.pictures, shelf.catalogue)
    network = shelf.network(question.model)
    key = (shown.key, replace(question, beside={}).key, "main")
    known = shelf.answers.get(key)
    if known is None:
        known = _answered(question, shown, shelf, stop, tell)
        if not known["refusal"] and "stopped" not in known:
            shelf.answers.put(key, known)
    if given.get("knows_labels") == question.model:
        return known
    return known | {"labels": list(network.labels)}


def _answered(question: Question, shown: Shown, shelf: Shelf, stop: Stop, tell: Tell) -> Json:
    network = shelf.network(question.model)
    trace = shelf.trace(question.model, shown)
    method = _method(question, network)
    about: Json = {
        "network": {
            "id": question.model,
            "classes": len(network.labels),
            "parameters": network.parameters,
            "random": network.random_weights,
            "notes": list(network.notes),
            "scores": list(network.head.scores),
            "no_rival": network.head.no_rival(),
        },
        "predictions": [],
        "refusal": None,
        "fits": [{"id": fit.method.id, "title": fit.method.title, "why_not": fit.why_not} for fit in _fits(network)],
    }

    def preview(answer: Explanation) -> None:
        # The network has run by now, so that this takes no pass; and only what is sent is packed.
        seen = about | {"predictions": _predictions(trace)}
        tell(lambda: seen | {"panes": [panes.pane(answer, question.model, shown)]})

    try:
        pane = _explained(question.model, shelf, shown, question, method, stop, preview)
        told: Json = {"panes": [pane]}
        if pane["done"] < 1:
            told["stopped"] = words.stopped(pane["done"])
    except (DoesNotApply, QuestionError) as error:
        # The rail stays right: network and predictions are told although the map has to be refused.
        told = {"panes": [], "refusal": failure(error) | {"method": method.id}}
        if why := method.why_not(network):  # the screen offers a way out by itself
            told["refusal"]["sentence"] = why
    # Only now, so that the pass counts as what it is: part of the answer's cost.
    about["predictions"] = _predictions(trace)
    trace.release()
    return about | told


def _beside(question: Question, shelf: Shelf, stop: Stop) -> Json:
    shown = find_picture(question, shelf.pictures, shelf.catalogue)
    first = _main(question, {}, shelf, stop, _nobody)["panes"]
    if not first:
        return {}
    asked = _other(replace(question, method=first[0]["method"]), first[0]["target"], shelf)
    method = registry.find(asked.method or "")
    try:
        pane = _explained(asked.model, shelf, shown, asked, method, stop, _nobody)
    except (DoesNotApply, QuestionError) as error:
        return {"panes": [*first, {"refusal": str(error), "method": method.id, "title": method.title}]}
    finally:
        shelf.trace(asked.model, shown).release()
    return {"panes": [*first, pane]}


def _other(question: Question, target: str, shelf: Shelf) -> Question:
    """The question of the second map: the first one with one thing changed."""
    ((what, value),) = question.beside.items()
    if what == "target":
        return replace(question, target=value)
    if what == "method":
        return replace(question, method=str(value), options={})
    return _translated(replace(question, model=str(value)), shelf.network(str(value)), target)


def _translated(question: Question, network: ex.Classifier, target: str) -> Question:
    """The question for another network: the same class where it has it, else the one it prefers."""
    known = target in network.labels
    versus = question.versus if isinstance(question.versus, str) and question.versus in network.labels else None
    return replace(question, target=target if known else None, versus=versus if known else None)


def _method(question: Question, network: ex.Classifier) -> Method:
    method = registry.find(question.method) if question.method else default_method(network)
    if method is not None and not method.maps:
        raise QuestionError(f"{method.title} lays no heat over the picture; it has its own place on the page.")
    if method is None:
        raise DoesNotApply(f"No method here applies to {network.name}.")
    return method


def _explain(trace: Trace, question: Question, method: Method, stop: Stop | None, tell: Preview) -> Explanation:
    """The last answer of the method; or, where somebody stops it on the way, the last that there was."""
    options = method.check(question.options, named_depths_only=True)
    last: Explanation | None = None
    try:
        for answer in engine.stream(
            trace,
            method.id,
            target=question.target,
            versus=question.versus,
            score=question.score,
            stop=stop,
            working=True,
            **options,
        ):
            if last is not None:
                tell(last)
            last = answer
    except Stopped:
        if last is None:
            raise
    if last is None:
        raise SightglassError(f"{method.title} ended without an answer.")
    return last


def _explained(
    model: str, shelf: Shelf, shown: Shown, question: Question, method: Method, stop: Stop, tell: Preview
) -> Json:
    if GPU_IS_LENT:
        return _explained_apart(shelf.number, model, shown, question, method.id)
    about = replace(question, method=method.id).about(shown)
    answer = kept_or_asked(shelf.trace(model, shown), question, method, about, shelf, stop, tell)
    return panes.pane(answer, model, shown)


@on_gpu
def _explained_apart(number: int, model: str, shown: Shown, question: Question, method: str) -> Json:
    """In a process of its own, so all that comes and goes can be pickled, and nobody can stop it on the way."""
    answer = _explain(shelf_of(number).trace(model, shown), question, registry.find(method), None, _nobody)
    return panes.pane(answer, model, shown)


def _fits(network: ex.Classifier) -> list[Any]:
    return [fit for fit in ex.methods(network) if isinstance(fit, engine.Fit) and fit.method.maps]


def _predictions(trace: Trace) -> list[Json]:
    if not trace.classifier.has_classes:
        return []
    return [{"label": p.label, "index": p.index, "share": p.probability, "told": p.told} for p in trace.top(5)]
