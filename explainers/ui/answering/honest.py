"""How far the map on the screen can be trusted: its card, its world's truth, a network that learned nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import explainers as ex

from ... import scores, worlds
from ...engine import RIVAL_PASSES
from ...errors import QuestionError
from ...explanation import COUNTERFACTUAL
from ...network import sanity
from ...scores.truth import in_order, true_effects
from ...trace import Target
from .. import panes, words
from ..shelf import Shelf
from .asked import Asked
from .question import read
from .work import Json, Stop, Tell, failure

AT_ONCE = 3.0
"""Seconds that a map may be judged in without being asked for."""

UNCHANGED = 0.5
"""A map that agrees so well in rank with that of a network which learned nothing shows little but the picture."""


def judged(given: Json, shelf: Shelf, stop: Stop, tell: Tell) -> Json:
    """The scorecard of the map that the browser shows, or how long it would take; then, in a world, the truth."""
    told: Json = {"card": _or_why_not(_card, given, shelf, stop)}
    if told["card"].get("verdict") is None:
        return told
    tell(dict(told))
    return told | {"truth": _or_why_not(_truth, given, shelf, stop)}


def unlearned(given: Json, shelf: Shelf, stop: Stop, _tell: Tell) -> Json:
    """The same question to a copy of the network that has learned nothing, and how alike the two maps are."""
    return {"unlearned": _or_why_not(_unlearned, given, shelf, stop)}


# --- private ---------------------------------------------------------------------------------------------------------


def _or_why_not(part: Callable[[Asked, Json, Stop], Json | None], given: Json, shelf: Shelf, stop: Stop) -> Any:
    """What was found, or the sentence that says why not: one part that fails takes no other with it."""
    try:
        return part(_asked(given, shelf), given, stop)
    except Exception as error:  # noqa: BLE001 - whatever it was, the visitor gets words
        return failure(error)


def _asked(given: Json, shelf: Shelf) -> Asked:
    question = read(given, shelf.catalogue)
    if question.method is None:
        raise QuestionError("There is no map to judge yet.")
    return Asked(question, shelf)


def _card(asked: Asked, given: Json, stop: Stop) -> Json:
    """The scorecard; where nobody asked for it and it would take long, only for how long."""
    if not asked.method.lays_heat:
        raise QuestionError(f"{asked.method.title} lays no heat over the picture, so there is no map to judge.")
    if given.get("unasked") is True:
        takes = _seconds(asked)
        if takes > AT_ONCE or (asked.kept is None and not _is_quick(asked)):
            return {"takes": words.seconds(takes)}
    answer = asked.again()
    try:
        return ex.judge(asked.trace, answer, stop=stop).payload()
    finally:
        asked.trace.release()


def _truth(asked: Asked, _given: Json, stop: Stop) -> Json | None:
    """For each element of a picture of the network's own world its true effect, and what the map put there; or None."""
    shown, trace = asked.shown, asked.trace
    if shown.known is None or shown.world is not asked.network.world:
        return None
    answer = asked.again()
    assert answer.prediction is not None
    versus = answer.versus.index if answer.versus else None
    view = trace.ask(Target(answer.prediction.index, versus, answer.score), stop=stop)
    known = shown.known.truth
    true = true_effects(view, known)
    speaks_for = -answer.native if answer.options.get(COUNTERFACTUAL) else answer.native
    put_there = known.given(speaks_for)
    return {
        "elements": [
            {"name": known.elements[name], "effect": effect, "given": put_there[name]} for name, effect in true.items()
        ],
        "rho": in_order(true, put_there),
        "pairs": worlds.pairwise(true, put_there),
        "asides": [{"on": words, "share": worlds.share_on(kind, put_there)} for kind, words in known.asides.items()],
        "cost": f"{view.spent.forwards} pictures rendered and asked about, {view.spent.seconds:.2f} s",
    }


def _unlearned(asked: Asked, _given: Json, stop: Stop) -> Json:
    learned, networks = asked.again(), asked.shelf.networks
    key = f"{asked.question.model} with its weights drawn anew"
    copy = networks.get(key) or networks.put(key, sanity.randomized(asked.network))
    random = ex.explain(
        ex.look(copy, asked.shown.picture),
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


def _is_quick(asked: Asked) -> bool:
    return sum(asked.method.passes) <= RIVAL_PASSES


def _seconds(asked: Asked) -> float:
    """How long judging takes at most: the covered pictures, and the map for the rival where there is one."""
    forwards, backwards = asked.method.passes
    again = forwards + 2 * backwards if _is_quick(asked) else 0
    return scores.seconds_per_forward(asked.trace) * (scores.PLAN.forwards + again)
