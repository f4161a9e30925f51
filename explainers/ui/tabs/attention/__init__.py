"""The tab “Attention”: every layer and head at once, whose attention a click chooses, and what it is worth."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .... import engine, registry, scores
from ....errors import QuestionError
from ....explanation import Explanation
from ....ingredients.attending import asked, whole
from ....network.rules.attended import Row
from ....registry import Family, Method
from ....results import Heatmap
from ....scores.truth import in_order, true_effects
from ....trace import Query, Trace
from ....trace.attention import drop
from ....worlds import Truth
from ... import panes
from ...pictures import Shown, data_url
from ...shelf import Shelf
from ...tab import Json, Stop, Tab, Tell
from ...tab import asked as shared

HELD = 4
"""Traces whose queries and keys are kept, so that a click takes no pass; about 20 MB each for a ViT-B/16 at 224."""

BESIDE = (Family.ATTENTION, Family.CLASS_ACTIVATION)
"""What attention is held against: the classic of each that applies and knows the class."""


def rows(given: Json, shelf: Shelf, stop: Stop, _tell: Tell) -> Json:
    """What one query attends to, in every layer and head; or why there is no attention, and what there is instead."""
    _, trace = _about(given, shelf, stop)
    model = trace.classifier
    if not model.anatomy.attention:
        instead = [m for m in registry.all_methods() if m.lays_heat and m.classic and not m.why_not(model)]
        why = f"{model.name} {model.anatomy.without_attention or model.anatomy.without_maps}."
        return {
            "why_not": why,
            "instead": [{"id": m.id, "title": m.title, "question": m.question} for m in instead[:3]],
        }
    cell = _cell(given.get("cell"))
    _hold(trace)
    layers = model.anatomy.attention
    queries = {index: asked(trace, index, cell) for index in range(len(layers))}
    found = trace.attention(query=queries)
    trace.release()
    return {
        "layers": [
            {
                "grid": list(layer.key_grid),
                "heads": layer.heads,
                "windows": layer.windows,
                "least": [float(each) for each in row.maps.amin((1, 2))],
                "heat": panes.packed(_above_least(row)),
                "rest": [round(1 - float(share), 4) for share in whole(row)],
                "asks": _asking(trace, index, queries[index]),
            }
            for index, (layer, row) in enumerate(zip(layers, found, strict=True))
        ],
        "cell": cell,
        "grid": next((list(layer.grid) for layer in layers[::-1] if layer.grid), None),
        "box": [round(edge, 3) for edge in model.framing.box(trace.picture.size)],
        "cost": f"{trace.spent.forwards} forward, {trace.spent.seconds:.2f} s" if trace.spent.forwards else "no pass",
    }


def worth(given: Json, shelf: Shelf, stop: Stop, tell: Tell) -> Json:
    """The map on the stage beside the classics that know the class, each with its score; in a world, the truth."""
    shown, trace = _about(given, shelf, stop)
    model = trace.classifier
    if not model.has_classes:
        raise QuestionError(f"{model.name} is a backbone: it has no score that attention could matter for.")
    told: Json = {"maps": []}
    chosen = {"weights": _flat(given.get("weights"), trace), "query": _cell(given.get("cell"))}
    found = [("Attention, as above", "", "", _answer(trace, registry.filling("attention.weighted"), stop, **chosen))]
    beside = filter(None, (_classic(family, trace) for family in BESIDE))
    found += [(method.title, method.id, method.question, _answer(trace, method.id, stop)) for method in beside]
    truth = shown.known_in(model.world)
    true = None if truth is None else true_effects(trace, truth)
    for title, method_id, asks, answer in found:
        heat = answer.heatmap
        card = scores.judge(trace, heat, stop=stop)
        told["maps"].append(
            {
                "title": title,
                "method": method_id,
                "question": asks.replace("the chosen class", model.labels[trace.class_index]),
                "heat": panes.packed(heat.heat),
                "signed": heat.signed,
                "verdict": card.verdict,
                "big": card.big,
                "between": card.between,
                "reaches": card.reaches,
                "says": card.says,
                "truth": _given(heat, truth, true),
            }
        )
        tell(told)
    trace.release()
    elements = []
    if truth and true:
        elements = [{"name": truth.elements[name], "effect": effect} for name, effect in true.items()]
    return told | {"elements": elements, "label": model.labels[trace.class_index], "box": _box(trace)}


def more(given: Json, shelf: Shelf, stop: Stop, tell: Tell) -> Json:
    """What else there is to know of the heads, drawn: all methods about attention that lay no heat over the picture."""
    _, trace = _about(given, shelf, stop)
    told: Json = {"drawn": []}
    layer = given.get("layer")
    for method in registry.all_methods():
        if method.family is not Family.ATTENTION or method.lays_heat or method.why_not(trace.classifier):
            continue
        options = {"layer": layer} if isinstance(layer, int) and any(o.name == "layer" for o in method.options) else {}
        answer = _answer(trace, method.id, stop, **options)
        told["drawn"].append(
            {
                "title": method.title,
                "question": answer.question,
                "read_it_as": method.read_it_as,
                "cost": answer.cost,
                "picture": data_url(answer.picture()),
                "alt": answer.alt,
            }
        )
        tell(told)
    return told


TAB = Tab(
    id="attention",
    title="Attention",
    line="What does each head of a transformer attend to, and does it matter?",
    order=10,
    work={"rows": rows, "worth": worth, "more": more},
)


# --- private ---------------------------------------------------------------------------------------------------------

_held: deque[Trace] = deque()
_lock = threading.Lock()


def _about(given: Json, shelf: Shelf, stop: Stop) -> tuple[Shown, Trace]:
    """Picture and trace of the question on the screen, asked about its class."""
    about = shared(given, shelf)
    return about.shown, about.view(stop)


def _above_least(row: Row) -> NDArray[np.float32]:
    """All heads below each other, each without its least value, so that near-even attention keeps its digits."""
    above: NDArray[np.float32] = (row.maps - row.maps.amin((1, 2), keepdim=True)).flatten(0, 1).float().cpu().numpy()
    return above


def _answer(trace: Trace, method: str, stop: Stop, **options: Any) -> Explanation:
    """What a method answers to the question on the screen."""
    about = trace.target
    return engine.explain(
        trace, method, target=about.index, versus=about.versus, score=about.score, stop=stop, **options
    )


def _hold(trace: Trace) -> None:
    """Keep what every row is made from, for the latest few traces."""
    trace.hold_attention()
    with _lock:
        kept = [each for each in _held if each.memory is not trace.memory]
        _held.clear()
        _held.extend([*kept, trace])
        while len(_held) > HELD:
            drop(_held.popleft())


def _cell(value: object) -> tuple[int, int] | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 2 or not all(type(each) is int and each >= 0 for each in value):
        raise QuestionError("A patch is a row and a column, two whole numbers from 0 on.")
    return value[0], value[1]


def _asking(trace: Trace, index: int, query: Query) -> str:
    """Whose attention it is, in words."""
    anatomy = trace.classifier.anatomy
    layer = anatomy.attention[index]
    if isinstance(query, tuple):
        return f"patch ({query[0]}, {query[1]})"
    if layer.grid is None or (layer.prefix and anatomy.pooled):
        return "the tokens that the scores are read from" if len(anatomy.pooled) > 1 else "the class token"
    return "the mean patch"


def _flat(weights: object, trace: Trace) -> list[Any]:
    """The weights of all heads, layer after layer, from a list of them for each layer."""
    heads = [layer.heads for layer in trace.classifier.anatomy.attention]
    if not isinstance(weights, list) or [isinstance(each, list) and len(each) for each in weights] != heads:
        raise QuestionError("Each layer has a weight for each of its heads; load the page again.")
    return [weight for layer in weights for weight in layer]


def _classic(family: Family, trace: Trace) -> Method | None:
    """The method of a family that papers hold others against, knows the class, and applies."""
    wanted = (m for m in registry.laying_heat() if m.family is family and m.classic and m.class_specific)
    return next((m for m in wanted if not m.why_not(trace.classifier)), None)


def _box(trace: Trace) -> list[float]:
    return [round(edge, 3) for edge in trace.classifier.framing.box(trace.picture.size)]


def _given(heat: Heatmap, truth: Truth | None, true: dict[str, float] | None) -> Json | None:
    """What a map puts on each element, as a share of all it puts anywhere, and how well the order agrees."""
    if truth is None or true is None:
        return None
    put = truth.given(heat.heat)
    total = sum(abs(value) for value in put.values()) or 1.0
    return {"shares": [put[name] / total for name in true], "rho": in_order(true, put)}
