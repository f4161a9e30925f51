"""A question becomes what the screen shows: predictions, maps, words; in steps, each one the whole so far."""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

import explainers as ex

from .. import registry
from ..errors import DoesNotApply, QuestionError, SightglassError, Stopped
from ..explanation import Explanation
from ..registry import Method
from ..trace import Trace
from . import words
from .catalogue import default_method, method_as_json
from .pictures import Mask, Shown
from .question import Question, find_picture, read
from .question import identifier as checked
from .shelf import Shelf, shelf_of
from .work import GPU_IS_LENT, Job, on_gpu

Json = dict[str, Any]
Stop = Callable[[], bool]

STRIP_PASSES = 24
"""A method that may take more passes than this waits in the strip until it is asked for."""
STRIP_SIDE = 56
"""Cells of the longer side of a small map; the strip shows them at about twice that."""

log = logging.getLogger(__name__)


def stream(given: object, shelf: Shelf) -> Iterator[Json]:
    """Answers to what the browser sent, better and better; every mishap is a sentence in the same place."""
    given = given if isinstance(given, dict) else {}
    token = given.get("token")
    answer: Json = {"token": token, "state": "working", "seconds": 0}
    try:
        question = read(given, shelf.catalogue)
        for step in _steps(question, given, shelf):
            job = Job(step, token if isinstance(token, str) else "")
            for passed in job.ticks():
                yield {**answer, "seconds": round(passed, 1)}
            answer |= job.result()
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
    """The answer itself, for saving; its passes are mostly still there. Raises in words."""
    shown = find_picture(question, shelf.pictures, shelf.catalogue)
    method = _method(question, shelf.network(question.model))
    trace = shelf.trace(question.model, shown)
    try:
        return _explain(trace, question, method, None)
    finally:
        trace.release()


# --- private ---------------------------------------------------------------------------------------------------------

Step = Callable[[Stop], Json]


def _steps(question: Question, given: Json, shelf: Shelf) -> Iterator[Step]:
    """One after the other: the picture, the map asked about, the one beside it, and the strip of the others."""
    yield lambda _stop: _seen(question, given, shelf)
    yield lambda stop: _main(question, given, shelf, stop)
    if question.beside:
        yield lambda stop: _beside(question, shelf, stop)
    if question.strip:
        yield lambda stop: _strip(question, shelf, stop)


def _seen(question: Question, given: Json, shelf: Shelf) -> Json:
    """The picture, where the browser has another one; and whether a network has to be opened first."""
    shown = find_picture(question, shelf.pictures, shelf.catalogue)
    told: Json = {"picture": shown.as_json() if given.get("knows_picture") != shown.picture.digest else None}
    absent = [name for name in (question.model, question.beside.get("model")) if name and not shelf.networks.get(name)]
    return told | ({"state": "network", "network": absent[0]} if absent else {})


def _main(question: Question, given: Json, shelf: Shelf, stop: Stop) -> Json:
    shown = find_picture(question, shelf.pictures, shelf.catalogue)
    network = shelf.network(question.model)
    key = (shown.key, replace(question, beside={}, strip=True).key, "main")
    known = shelf.answers.get(key)
    if known is None:
        known = _answered(question, shown, shelf, stop)
        if not known["refusal"]:
            shelf.answers.put(key, known)
    if given.get("knows_labels") == question.model:
        return known
    return known | {"labels": list(network.labels)}


def _answered(question: Question, shown: Shown, shelf: Shelf, stop: Stop) -> Json:
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
        },
        "predictions": [],
        "fits": [{"id": fit.method.id, "title": fit.method.title, "why_not": fit.why_not} for fit in _fits(network)],
    }
    try:
        pane = _explained(question.model, shelf, shown, question, method, stop)
        told: Json = {"panes": [pane], "refusal": None}
    except (DoesNotApply, QuestionError) as error:
        # The rail stays right: network and predictions are told although the map has to be refused.
        told = {"panes": [], "refusal": failure(error) | {"method": method.id}}
    # Only now, so that the pass counts as what it is: part of the answer's cost.
    about["predictions"] = _predictions(trace)
    trace.release()
    return about | told


def _beside(question: Question, shelf: Shelf, stop: Stop) -> Json:
    shown = find_picture(question, shelf.pictures, shelf.catalogue)
    first = _main(question, {}, shelf, stop)["panes"]
    if not first:
        return {}
    asked = _other(replace(question, method=first[0]["method"]), first[0]["target"], shelf)
    method = registry.find(asked.method or "")
    try:
        pane = _explained(asked.model, shelf, shown, asked, method, stop)
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


def _strip(question: Question, shelf: Shelf, stop: Stop) -> Json:
    shown = find_picture(question, shelf.pictures, shelf.catalogue)
    network = shelf.network(question.model)
    trace = shelf.trace(question.model, shown)
    key = (shown.key, replace(question, options={}, beside={}, method=None).key, "strip")
    found = shelf.answers.get(key)
    if found is not None:
        return {"strip": found}
    fits = [fit.method for fit in _fits(network) if fit.applies]
    quick = [method for method in fits if sum(method.passes) <= STRIP_PASSES]
    try:
        answers = _compared(trace, quick, question, stop)
    finally:
        trace.release()
    strip: Json = {
        "maps": [
            {
                "method": answer.method.id,
                "title": answer.method.title,
                "alt": answer.alt,
                "blank": answer.blank,
                "signed": answer.result.signed,
                "heat": _packed(_reduced(answer.native)),
                "box": _box(answer),
                "figure": words.figure(answer, shown.truth(question.model)),
            }
            for answer in answers
        ],
        "on_request": [{"method": m.id, "title": m.title} for m in fits if m not in quick],
        "not_here": [
            {"method": fit.method.id, "title": fit.method.title, "why": fit.why_not}
            for fit in _fits(network)
            if not fit.applies
        ],
        "cost": _total_cost(answers),
    }
    return {"strip": shelf.answers.put(key, strip)}


def _compared(trace: Trace, methods: list[Method], question: Question, stop: Stop) -> list[Explanation]:
    """`compare` of those methods, which looks at `stop` as it goes."""
    if stop():
        raise Stopped("Stopped.")
    return ex.compare(
        trace,
        [method.id for method in methods],
        target=question.target,
        versus=question.versus,
        score=question.score,  # type: ignore[arg-type]
        stop=stop,
    )


def _method(question: Question, network: ex.Classifier) -> Method:
    method = registry.find(question.method) if question.method else default_method(network)
    if method is None:
        raise DoesNotApply(f"No method here applies to {network.name}.")
    return method


def _explain(trace: Trace, question: Question, method: Method, stop: Stop | None) -> Explanation:
    options = method.check(question.options, named_depths_only=True)
    return ex.explain(
        trace,
        method.id,
        target=question.target,
        versus=question.versus,
        score=question.score,  # type: ignore[arg-type]
        stop=stop,
        **options,
    )


def _explained(model: str, shelf: Shelf, shown: Shown, question: Question, method: Method, stop: Stop | None) -> Json:
    if GPU_IS_LENT:
        return _explained_apart(shelf.number, model, shown, question, method.id)
    answer = _explain(shelf.trace(model, shown), question, method, stop)
    shelf.explanations.put(replace(question, method=method.id).about(shown), answer)
    return _pane(answer, model, shown)


@on_gpu
def _explained_apart(number: int, model: str, shown: Shown, question: Question, method: str) -> Json:
    """In a process of its own, so all that comes and goes can be pickled, and nobody can stop it on the way."""
    answer = _explain(shelf_of(number).trace(model, shown), question, registry.find(method), None)
    return _pane(answer, model, shown)


def _pane(answer: Explanation, model: str, shown: Shown) -> Json:
    truth = shown.truth(model)
    before, _, after = answer.method.question.partition("the chosen class")
    return {
        "model": model,
        "method": answer.method.id,
        "title": answer.method.title,
        "target": answer.prediction.label if answer.prediction else "",
        "share": answer.prediction.probability if answer.prediction else None,
        "versus": answer.versus.label if answer.versus else "",
        "question": [before, answer.subject if "the chosen class" in answer.method.question else "", after],
        "how": answer.method.how,
        "read_it_as": answer.method.read_it_as,
        "beware": answer.method.beware,
        "paper": answer.method.paper,
        "options": answer.options,
        "controls": method_as_json(answer.method)["options"],
        "notes": list(answer.notes),
        "cost": answer.cost,
        "cells": words.resolution(answer),
        "unit": answer.result.unit,
        "signed": answer.result.signed,
        "blank": answer.blank,
        "alt": answer.alt,
        "code": shown.code + answer.code(shown.file),
        "figure": words.figure(answer, truth),
        "heat": _packed(answer.native),
        "box": _box(answer),
        "truth": None if truth is None else _bits(truth),
    }


def _fits(network: ex.Classifier) -> list[Any]:
    return list(ex.methods(network))


def _predictions(trace: Trace) -> list[Json]:
    if not trace.classifier.has_classes:
        return []
    return [{"label": p.label, "index": p.index, "share": p.probability} for p in trace.top(5)]


def _total_cost(answers: list[Explanation]) -> str:
    forwards = sum(answer.spent.forwards for answer in answers)
    took = sum(answer.spent.seconds for answer in answers)
    passes = {0: "no further forward pass", 1: "one further forward pass"}.get(
        forwards, f"{forwards} further forward passes"
    )
    return f"{len(answers)} maps, {passes}, {took:.2f} s"


def _box(answer: Explanation) -> list[float]:
    return [round(edge, 3) for edge in answer.framing.box(answer.source.size)]


def _packed(heat: NDArray[np.float32]) -> Json:
    """A heat (h, w) as base64 of float16, divided by its largest size so that no range is lost."""
    scale = float(np.abs(heat).max()) or 1.0
    data = (heat / scale).astype("<f2").tobytes()
    return {"height": heat.shape[0], "width": heat.shape[1], "scale": scale, "data": base64.b64encode(data).decode()}


def _bits(mask: Mask) -> Json:
    data = base64.b64encode(np.packbits(mask).tobytes()).decode()
    return {"height": mask.shape[0], "width": mask.shape[1], "data": data}


def _reduced(heat: NDArray[np.float32]) -> NDArray[np.float32]:
    """A heat averaged over blocks until its longer side fits a small map."""
    block = -(-max(heat.shape) // STRIP_SIDE)
    if block == 1:
        return heat
    height, width = (side // block * block for side in heat.shape)
    blocks = heat[:height, :width].reshape(height // block, block, width // block, block)
    reduced: NDArray[np.float32] = blocks.mean((1, 3))
    return reduced
