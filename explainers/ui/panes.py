"""An answer as the browser draws it: numbers packed, and the words beside them."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..explanation import Explanation
from ..results import Heatmap, Step
from . import words
from .catalogue import method_as_json
from .pictures import Mask, Shown, colors_url

Json = dict[str, Any]

SMALL = 56
"""Cells of the longer side of a small map; it is shown at about three times that."""


def pane(answer: Explanation, model: str, shown: Shown) -> Json:
    """All that the stage and the reading column show of an answer, of whatever kind."""
    truth = shown.truth(model) if answer.method.lays_heat else None
    before, _, after = answer.method.question.partition("the chosen class")
    return {
        "model": model,
        "method": answer.method.id,
        "title": answer.method.title,
        "target": answer.prediction.label if answer.prediction else "",
        "share": answer.prediction.probability if answer.prediction else None,
        "told": answer.prediction.told if answer.prediction else "",
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
        "done": answer.result.done,
        "unsure": words.unsure(answer),
        "steps": len(answer.working),
        "alt": answer.alt,
        "code": shown.code + answer.code(shown.file),
        "box": box(answer),
        "result": result(answer),
    } | (_heated(answer, truth) if isinstance(answer.result, Heatmap) else {})


def result(answer: Explanation) -> Json:
    """What came out, of any kind, as the renderer of its kind in the browser takes it: words, and arrays by name."""
    told = answer.result.as_json()
    arrays = {name: _packed(array) for name, array in answer.result.arrays().items()}
    return {"kind": answer.result.kind, **told, "arrays": arrays}


def small(answer: Explanation) -> Json:
    """What a small map among others shows of an answer."""
    return {
        "method": answer.method.id,
        "title": answer.method.title,
        "alt": answer.alt,
        "blank": answer.blank,
        "signed": answer.heatmap.signed,
        "unit": answer.unit,
        "heat": packed(_reduced(answer.native)),
        "box": box(answer),
        "figure": None,
    }


def step(told: Step) -> Json:
    """One stage of a method's working."""
    return {
        "sentence": told.sentence,
        "heat": packed(told.heat),
        "signed": told.signed,
        "blank": not np.any(told.heat),
        "weight": told.weight,
        "total": told.total,
    }


def box(answer: Explanation) -> list[float]:
    """What the network saw, in pixels of the picture: left, top, right, bottom."""
    return [round(edge, 3) for edge in answer.framing.box(answer.picture_asked.size)]


def packed(heat: NDArray[np.float32]) -> Json:
    """A heat (h, w) as base64 of float16, divided by its largest size so that no range is lost."""
    scale = float(np.abs(heat).max()) or 1.0
    data = (heat / scale).astype("<f2").tobytes()
    return {"height": heat.shape[0], "width": heat.shape[1], "scale": scale, "data": base64.b64encode(data).decode()}


# --- private ---------------------------------------------------------------------------------------------------------


def _heated(answer: Explanation, truth: Mask | None) -> Json:
    """What is said of a heat alone."""
    return {
        "cells": words.resolution(answer),
        "unit": answer.unit,
        "signed": answer.heatmap.signed,
        "blank": answer.blank,
        "decides": "" if truth is None else words.on_what_decides(answer, truth),
        "truth": None if truth is None else _bits(truth),
    }


def _packed(array: NDArray[Any]) -> Json:
    """Any array: colors (h, w, 3) as a picture, a map (h, w) as `packed`, all else as base64 of float32."""
    if array.dtype == np.uint8 and array.ndim == 3:
        return {"src": colors_url(array), "height": array.shape[0], "width": array.shape[1]}
    if array.ndim == 2 and min(array.shape):
        return packed(array)
    data = base64.b64encode(array.astype("<f4").tobytes()).decode()
    return {"shape": list(array.shape), "data": data}


def _bits(mask: Mask) -> Json:
    data = base64.b64encode(np.packbits(mask).tobytes()).decode()
    return {"height": mask.shape[0], "width": mask.shape[1], "data": data}


def _reduced(heat: NDArray[np.float32]) -> NDArray[np.float32]:
    """A heat averaged over blocks until its longer side fits a small map."""
    block = -(-max(heat.shape) // SMALL)
    if block == 1:
        return heat
    height, width = (side // block * block for side in heat.shape)
    blocks = heat[:height, :width].reshape(height // block, block, width // block, block)
    reduced: NDArray[np.float32] = blocks.mean((1, 3))
    return reduced
