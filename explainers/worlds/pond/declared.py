"""The pond as a world: its networks, its pictures by name, what each element truly does, its gallery."""

from __future__ import annotations

import re
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from torch import nn

from ..world import Collection, Known, Network, Pair, Pixels, Taken, Truth, World
from . import effects
from .renderer import render
from .scenes import LABELS_A, LABELS_B, MEAN, SIDE, STD, Scene, duet, scene

NAMING = "test:7, test:7+tag, test:7-tag or duet:5"
GALLERY = range(2000, 2900)
"""Test scenes that neither the networks' training nor their measuring used."""


def scene_of(name: str) -> Scene | None:
    """The scene of a name: “test:7”, “test:7+tag”, “duet:5”; None for any other."""
    parts = _parts(name)
    if parts is None:
        return None
    kind, number, tag = parts
    return duet("test", number, tag=tag) if kind == "duet" else scene(kind, number, tag=tag)


# --- private ---------------------------------------------------------------------------------------------------------

_NAME = re.compile(r"(train|val|test|duet):([0-9]{1,6})([+-]tag)?")
_TAG = {"+tag": True, "-tag": False, None: None}


def _parts(name: str) -> tuple[str, int, bool | None] | None:
    match = _NAME.fullmatch(name)
    return None if match is None else (match[1], int(match[2]), _TAG[match[3]])


def _picture(name: str, side: int) -> Known | None:
    drawn, parts = scene_of(name), _parts(name)
    if drawn is None or parts is None:
        return None
    rendering, (kind, number, tag) = render(drawn, side), parts
    made = f'duet("test", {number}' if kind == "duet" else f'scene("{kind}", {number}'
    forced = "" if tag is None else f", tag={tag}"
    return Known(
        name,
        rendering.pixels,
        drawn.description,
        file="pond.png",
        code="from PIL import Image\n\nfrom explainers import pond\n\n"
        f'Image.fromarray(pond.render(pond.{made}{forced}), {side}).pixels).save("pond.png")\n\n',
        evidence=rendering.evidence,
        truth=_truth(drawn),
    )


def _truth(drawn: Scene) -> Truth:
    return Truth(
        elements={name: effects.described(name, drawn) for name in effects.elements(drawn)},
        effects=partial(effects.effects, drawn),
        given=partial(effects.given, scene=drawn),
        asides={**({"tag": "the scale bar"} if drawn.tag else {}), "debris": "debris"},
    )


def _load(name: str) -> nn.Module:
    from . import brains  # timm takes seconds, and only those wait who ask for a network

    return brains.load(name)


@lru_cache(maxsize=2)
def _natural(count: int) -> tuple[Pixels, ...]:
    """Held-out pictures, without scale bars."""
    return tuple(np.array(render(scene("val", i, tag=False), SIDE).pixels) for i in range(count))


def _collection() -> Collection:
    scenes = [scene("test", number) for number in GALLERY]
    return Collection(
        names=tuple(f"test:{number}" for number in GALLERY),
        labels=tuple(LABELS_A[each.class_a] for each in scenes),
        facets={
            "body": tuple(LABELS_B[each.class_b] for each in scenes),
            "scale bar": tuple("without" if each.tag is None else "with" for each in scenes),
        },
        picture=lambda number: render(scenes[number], SIDE).pixels,
        named=True,
        slow=True,
    )


WORLD = World(
    scheme="pond",
    title="Pond creatures",
    knows="pond creatures",
    folder=Path(__file__).parent,
    networks=(
        Network(
            "cnn",
            "Small convolutional network of the built-in world",
            0.50,
            second="vit",
            embedded=("pooled", "late", "middle", "early", "pixels"),
        ),
        Network(
            "vit",
            "Small vision transformer of the built-in world",
            0.86,
            attends=True,
            second="cnn",
            embedded=("pooled", "late", "middle", "early"),
        ),
        Network(
            "cheater",
            "The same convolutional network, trained so that it can cheat",
            0.50,
            second="vit",
            embedded=("pooled", "late"),
        ),
    ),
    taken=Taken(SIDE, MEAN, STD, LABELS_A),
    load=_load,
    natural=_natural,
    order=0,
    covered=True,
    picture=_picture,
    naming=NAMING,
    # One alone, one with a scale bar, two creatures, one more.
    offered=("test:6", "test:42+tag", "duet:8", "test:1"),
    collection=_collection,
    # The honest network and the cheater name it alike, and rightly: one for its parts, the other for its tag.
    pair=Pair("cnn", "cheater", "test:14+tag"),
)
