"""How far the map on the screen can be trusted: its card, its world's truth, a network that learned nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

import explainers as ex

from ... import scores, worlds
from ...engine import RIVAL_PASSES
from ...errors import QuestionError
from ...explanation import COUNTERFACTUAL, Explanation
from ...network import sanity
from ...scores.truth import by_chance, in_order, true_effects
from ...showing.render import percent
from ...trace import Target, Trace
from ...worlds import Truth
from .. import panes, words
from ..shelf import Shelf
from .asked import Asked
from .question import read
from .work import Json, Stop, Tell, failure

AT_ONCE = 8.0
"""Seconds that a map may be judged in unasked: sixty passes of a network like ResNet-50 on two cores."""

UNCHANGED = 0.5
"""A map that agrees so well in rank with that of a network which learned nothing shows little but the picture."""


def judged(given: Json, shelf: Shelf, stop: Stop, tell: Tell) -> Json:
    """The scorecard of the map that the browser shows, or how long it would take; then, in a world, the truth."""
    asked = _or_why_not(_asked, given, shelf)
    if not isinstance(asked, Asked):
        return {"card": asked}
    told: Json = {"card": _or_why_not(_card, asked, given, stop)}
    if told["card"].get("verdict") is None:
        return told
    if _known(asked):
        tell(told | {"truth": {"waiting": True}})  # praise waits for it
    return told | {"truth": _or_why_not(_truth, asked, stop)}


def figures(asked: Asked, answers: Sequence[Explanation], stop: Stop) -> Iterator[Json | None]:
    """For each answer to one question how good its map is: `rank`, `big` as text and `words`; None for a blank one.

    Where the true effects are known, by the pairs of elements that stand in their order; elsewhere by what lies between
    covering the coldest and the warmest cells first, the number that stands beside a map on the stage.
    """
    known = _known(asked)
    true = true_effects(_view(asked, answers[0], stop), known) if known and answers else {}
    for answer in answers:
        if known:
            pairs = None if answer.blank else worlds.pairwise(true, known.given(_speaks_for(answer)))
            yield None if pairs is None else {"rank": pairs, "big": percent(pairs), "words": IN_ORDER}
        else:
            card = scores.judge(asked.view(stop), answer.heatmap, stop=stop)
            yield None if card.gap is None else {"rank": card.gap, "big": card.big, "words": card.between}


def ordered(asked: Asked) -> str:
    """By what maps of this question are put in order, best first."""
    return _BY_TRUTH if _known(asked) else _BY_COVERING


def seconds_of_figures(asked: Asked, count: int) -> float:
    """How long `figures` takes at most for so many maps."""
    if _known(asked):
        return 0.0  # the networks of worlds are small
    return scores.seconds_per_forward(asked.trace) * (scores.PLAN.forwards + (count - 1) * scores.PLAN.curves)


def unlearned(given: Json, shelf: Shelf, stop: Stop, _tell: Tell) -> Json:
    """The same question to a copy of the network that has learned nothing, and how alike the two maps are."""
    asked = _or_why_not(_asked, given, shelf)
    return {"unlearned": _or_why_not(_unlearned, asked, stop) if isinstance(asked, Asked) else asked}


IN_ORDER = "of the pairs of parts stand in the order of their true effects"
_BY_TRUTH = "First the map that puts most pairs of parts in the order of their true effects."
_BY_COVERING = "First the map with most of the score between covering its coldest and its warmest cells first."

# --- private ---------------------------------------------------------------------------------------------------------


def _or_why_not(part: Callable[..., Any], *about: Any) -> Any:
    """What was found, or the sentence that says why not: one part that fails takes no other with it."""
    try:
        return part(*about)
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


def _known(asked: Asked) -> Truth | None:
    """What is known of the picture, where it is one of the network's own world."""
    return asked.shown.known_in(asked.network.world)


def _speaks_for(answer: Explanation) -> NDArray[np.float32]:
    return -answer.native if answer.options.get(COUNTERFACTUAL) else answer.native


def _view(asked: Asked, answer: Explanation, stop: Stop) -> Trace:
    assert answer.prediction is not None
    versus = answer.versus.index if answer.versus else None
    return asked.trace.ask(Target(answer.prediction.index, versus, answer.score), stop=stop)


def _truth(asked: Asked, stop: Stop) -> Json | None:
    """For each element of a picture of the network's own world its true effect, and what the map put there; or None."""
    known = _known(asked)
    if known is None:
        return None
    answer = asked.again()
    view = _view(asked, answer, stop)
    true = true_effects(view, known)
    put_there = known.given(_speaks_for(answer))
    return {
        "elements": [
            {"name": known.elements[name], "effect": effect, "given": put_there[name]} for name, effect in true.items()
        ],
        "rho": in_order(true, put_there),
        "pairs": worlds.pairwise(true, put_there),
        "chance": by_chance(len(true)),
        "asides": [{"on": words, "share": worlds.share_on(kind, put_there)} for kind, words in known.asides.items()],
        "cost": f"{view.spent.forwards} pictures rendered and asked about, {view.spent.seconds:.2f} s",
    }


def _unlearned(asked: Asked, stop: Stop) -> Json:
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
