"""What truly decides in a pond picture: each element is taken out or drawn anew, and the picture rendered again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..world import Floats, Mask, Score
from .renderer import Rendering, render
from .scenes import APPENDAGES, NUCLEI, SHAPES, TEXTURES, VARIANTS, Scene

SIZE = 96
DRAWS = 3
"""How often what cannot be taken out is drawn anew; its effect is the mean."""
REACH = 2
"""Pixels beyond its mask that an element's heat is looked for, since maps are soft."""

HUES = ("red", "blue", "golden")


def effects(scene: Scene, score: Score, size: int = SIZE) -> dict[str, float]:
    """By how much each element raises the score: that of the picture less that without the element.

    Nucleus, appendage, debris and tag are taken out; the body gets another shape and texture and the background
    another ground, `DRAWS` times. Shape and texture count as one element, since they share their pixels.
    """
    variants = {name: _without(scene, name) for name in elements(scene)}
    scenes = [scene, *(each for changed in variants.values() for each in changed)]
    scores = np.asarray(score(np.stack([render(each, size).pixels for each in scenes])), np.float64)
    found, at = {}, 1
    for name, changed in variants.items():
        found[name] = float(scores[0] - scores[at : at + len(changed)].mean())
        at += len(changed)
    return found


def elements(scene: Scene) -> list[str]:
    """What a scene holds, by the names of its masks: "nucleus", "appendage", "body", …, "background"."""
    names = []
    for number, creature in enumerate(scene.creatures):
        ending = f":{number}" if number else ""
        present = {"nucleus": creature.nucleus, "appendage": creature.appendage, "body": creature.shape}
        names += [name + ending for name, kind in present.items() if kind is not None]
    names += [f"debris:{number}" for number, bit in enumerate(scene.debris) if bit is not None]
    return [*names, *(["tag"] if scene.tag else []), "background"]


def given(heat: Floats, scene: Scene, size: int = SIZE) -> dict[str, float]:
    """What a map (h, w) of the whole picture puts on each element: its sum over the element and `REACH` pixels around.

    A pixel in the mask of an element belongs to it; what lies around is taken from the background, and for a nucleus
    from its body. So every pixel counts once, and the values add up to the sum of the map, scaled to `size` pixels.
    """
    regions = places(render(scene, size), elements(scene))
    laid = _laid(heat.astype(np.float64), size)
    return {name: float(laid[mask].sum()) for name, mask in regions.items()}


def places(rendering: Rendering, names: Sequence[str]) -> dict[str, Mask]:
    """The pixels (S, S) that count for each element: disjoint, and together the whole picture."""
    masks = {name: mask.copy() for name, mask in rendering.masks.items()}
    nothing = np.zeros_like(masks["background"])
    for name in sorted(names, key=lambda name: not name.startswith("nucleus")):  # these first: they lie in a body
        kind, _, number = name.partition(":")
        own = rendering.masks.get(name, nothing)  # absent where it is hidden wholly under something else
        if kind == "background":
            continue
        around = _grown(own, REACH)
        body = "body" + (f":{number}" if number else "")
        for below in ("background", body) if kind == "nucleus" else ("background",):
            claimed = around & masks.get(below, nothing)
            masks[name] = masks.get(name, nothing) | claimed
            if below in masks:
                masks[below] &= ~masks[name]
    return {name: masks.get(name, nothing) for name in names}


def described(name: str, scene: Scene) -> str:
    """An element in words: “blue ring nucleus”, “debris 2”."""
    kind, _, number = name.partition(":")
    which = int(number or 0)
    if kind == "debris":
        return f"debris {which + 1}"
    if kind in ("tag", "background"):
        return {"tag": "scale bar", "background": "background"}[kind]
    creature = scene.creatures[which]
    words = {
        "nucleus": lambda: f"{HUES[creature.nucleus or 0]} {NUCLEI[creature.nucleus or 0]} nucleus",
        "appendage": lambda: APPENDAGES[creature.appendage or 0],
        "body": lambda: f"{TEXTURES[creature.texture]} {SHAPES[creature.shape]} body",
    }[kind]()
    return f"{words}, {('first', 'second')[which]} creature" if len(scene.creatures) > 1 else words


# --- private ---------------------------------------------------------------------------------------------------------


def _without(scene: Scene, name: str) -> list[Scene]:
    kind, _, number = name.partition(":")
    if kind == "background":
        seeds = np.random.default_rng([scene.ground, 1]).integers(1 << 32, size=DRAWS)
        return [replace(scene, ground=int(seed)) for seed in seeds]
    if kind == "body":
        return [_other_body(scene, int(number or 0), draw) for draw in range(DRAWS)]
    return [scene.without(name)]


def _other_body(scene: Scene, which: int, draw: int) -> Scene:
    """The scene with another shape and another texture on one creature, both in details of their own."""
    creature = scene.creatures[which]
    rng = np.random.default_rng([creature.seeds[0], draw])
    changed = replace(
        creature,
        shape=(creature.shape + 1 + draw % (VARIANTS - 1)) % VARIANTS,
        texture=(creature.texture + 1 + draw % (VARIANTS - 1)) % VARIANTS,
        seeds=(int(rng.integers(1 << 32)), int(rng.integers(1 << 32)), *creature.seeds[2:]),
    )
    creatures = list(scene.creatures)
    creatures[which] = changed
    return replace(scene, creatures=tuple(creatures))


def _grown(mask: Mask, reach: int) -> Mask:
    """A mask and all within `reach` pixels of it, by straight distance."""
    height, width = mask.shape
    padded = np.pad(mask, reach)
    grown = np.zeros_like(mask)
    for y in range(-reach, reach + 1):
        for x in range(-reach, reach + 1):
            if x * x + y * y <= reach * reach:
                grown |= padded[reach + y : reach + y + height, reach + x : reach + x + width]
    return grown


def _laid(heat: Floats, size: int) -> Floats:
    """A map (h, w) on size × size pixels: linear between the middles of its cells, or averaged where it is finer."""
    return _weights(heat.shape[0], size) @ heat @ _weights(heat.shape[1], size).T


def _weights(cells: int, size: int) -> Floats:
    """What each of `cells` counts for in each of `size` pixels: (size, cells), each row adding up to one."""
    at = (np.arange(size) + 0.5) * cells / size - 0.5
    reach = max(1.0, cells / size)
    weights = (1 - np.abs(at.clip(0, cells - 1)[:, None] - np.arange(cells)) / reach).clip(0)
    return np.asarray(weights / weights.sum(1, keepdims=True))
