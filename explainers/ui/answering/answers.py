"""A question becomes what the screen shows: predictions, an answer, words; in steps, each one the whole so far."""

from __future__ import annotations

from dataclasses import replace

import explainers as ex

from ... import engine
from ...errors import DoesNotApply, QuestionError
from ...explanation import Explanation
from ...trace import Trace
from .. import panes, words
from ..shelf import Shelf
from .asked import Asked
from .question import Question, identifier, read
from .work import Json, Stop, Tell, failure


def answered(given: Json, shelf: Shelf, stop: Stop, tell: Tell) -> Json:
    """The picture, the answer asked for, and the one beside it; or that a network has to be opened first."""
    asked = Asked(read(given, shelf.catalogue), shelf)
    shown = asked.shown
    told: Json = {"picture": shown.as_json() if given.get("knows_picture") != shown.picture.digest else None}
    models = (asked.question.model, asked.question.beside.get("model"))
    if absent := [name for name in models if name and not shelf.networks.get(name)]:
        return told | {"state": "network", "network": absent[0]}
    tell(told)
    told |= _main(asked, stop, lambda news: tell(lambda: told | (news() if callable(news) else news)))
    if given.get("knows_labels") != asked.question.model:
        told["labels"] = list(asked.network.labels)
    if "stopped" in told:
        return told | {"state": "stopped", "sentence": told["stopped"]}
    if not asked.question.beside or (told["refusal"] and told["refusal"]["kind"] == "error"):
        return told
    tell(dict(told))
    return told | _beside(asked, told["panes"], stop)


def opened(given: Json, shelf: Shelf, _stop: Stop, tell: Tell) -> Json:
    """Signs of life while a network is fetched and built, then that it is there."""
    told: Json = {"state": "loading", "network": given.get("network")}
    tell(told)
    shelf.network(identifier(given.get("network")))
    return told | {"state": "loaded"}


def working(given: Json, shelf: Shelf, _stop: Stop, _tell: Tell) -> Json:
    """The steps from the network's numbers to the map on the screen, as the method told them."""
    answer = Asked(read(given, shelf.catalogue), shelf).again()
    return {"steps": [panes.step(each) for each in answer.working], "box": panes.box(answer)}


# --- private ---------------------------------------------------------------------------------------------------------


def _main(asked: Asked, stop: Stop, tell: Tell) -> Json:
    """The answer asked for, with what the rail shows: kept where somebody has asked before."""
    key = (asked.shown.key, replace(asked.question, beside={}).key, "main")
    known = asked.shelf.answers.get(key)
    if known is not None:
        return known
    found = _found(asked, stop, tell)
    if not found["refusal"] and "stopped" not in found:
        asked.shelf.answers.put(key, found)
    return found


def _found(asked: Asked, stop: Stop, tell: Tell) -> Json:
    network, trace, model, shown = asked.network, asked.trace, asked.question.model, asked.shown
    method = asked.method
    about: Json = {
        "network": {
            "id": model,
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
        tell(lambda: about | {"predictions": _predictions(trace), "panes": [panes.pane(answer, model, shown)]})

    try:
        pane = panes.pane(asked.answer(stop, preview), model, shown)
        told: Json = {"panes": [pane]}
        if pane["done"] < 1:
            told["stopped"] = words.stopped(pane["done"])
    except (DoesNotApply, QuestionError) as error:
        # The rail stays right: network and predictions are told although the answer has to be refused.
        told = {"panes": [], "refusal": failure(error) | {"method": method.id}}
        if why := method.why_not(network):  # the screen offers a way out by itself
            told["refusal"]["sentence"] = why
    # Only now, so that the pass counts as what it is: part of the answer's cost.
    about["predictions"] = _predictions(trace)
    trace.release()
    return about | told


def _beside(asked: Asked, first: list[Json], stop: Stop) -> Json:
    """The answer that differs in one thing from the first one, which stays in its place."""
    if not first:
        return {}
    other = Asked(_other(asked, first[0]), asked.shelf)
    try:
        pane = panes.pane(other.answer(stop), other.question.model, other.shown)
    except (DoesNotApply, QuestionError) as error:
        pane = {"refusal": str(error), "method": other.method.id, "title": other.method.title}
    finally:
        other.trace.release()
    return {"panes": [*first, pane]}


def _other(asked: Asked, first: Json) -> Question:
    """The question of the second answer: the first one with one thing changed."""
    question = replace(asked.question, method=first["method"])
    ((what, value),) = question.beside.items()
    if what == "target":
        return replace(question, target=value)
    if what == "method":
        return replace(question, method=str(value), options={})
    return _translated(replace(question, model=str(value)), asked.shelf.network(str(value)), first["target"])


def _translated(question: Question, network: ex.Classifier, target: str) -> Question:
    """The question for another network: the same class where it has it, else the one it prefers."""
    known = target in network.labels
    versus = question.versus if isinstance(question.versus, str) and question.versus in network.labels else None
    return replace(question, target=target if known else None, versus=versus if known else None)


def _fits(network: ex.Classifier) -> list[engine.Fit]:
    return [fit for fit in ex.methods(network) if isinstance(fit, engine.Fit)]


def _predictions(trace: Trace) -> list[Json]:
    if not trace.classifier.has_classes:
        return []
    return [{"label": p.label, "index": p.index, "share": p.probability, "told": p.told} for p in trace.top(5)]
