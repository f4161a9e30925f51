"""What is on offer: networks, methods with their options, scores, palettes and scenes, as the browser is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import explainers as ex

from .. import registry, worlds
from ..network.heads import DEFAULT_SCORE, SCORES
from ..network.sources import SCHEME, parse
from ..registry import Method
from ..showing import render
from ..worlds import World
from . import pictures
from .pictures import Shown
from .presets import MOST, PRESETS, takes
from .words import SCORE_WORDS, humanized


@dataclass(frozen=True)
class Network:
    """An entry of the list: `identifier` is what visitors see and send, `source` what `load` gets."""

    identifier: str
    line: str
    size: str
    source: str
    attends: bool = False
    """Whether it is known to have attention before it is loaded."""
    license: str = ""
    home: str = ""
    """The page of whoever published it."""
    missing: str = ""
    """The command that brings it here, where that has to be done first."""


class Catalogue:
    """The networks that can be chosen from a list, and the pictures that are offered; visitors meet the first of both.

    With photographs, that is the first of them and a network of photographs that is always here; without such a
    network, or without photographs, the home of the built-in worlds.
    """

    def __init__(self, extra: Sequence[str] = (), photographs: Sequence[Path] = ()) -> None:
        self.photographs = {f"{pictures.PHOTO}{path.stem}": path for path in photographs}
        own: list[Network] = []
        for text in extra:
            title = parse(text).title
            same = sum(network.identifier.partition(" ")[0] == title for network in own)
            own.append(Network(f"{title} ({same + 1})" if same else title, "", "", text))
        listed = [
            Network(
                s.identifier, s.line, f"{s.millions:.2g} M", s.identifier, s.attends, s.license or "", s.home, s.missing
            )
            for s in ex.models()
        ]  # fmt: skip
        at_home = [network for network in listed if worlds.of(network.identifier) is worlds.home()]
        at_hand = [network for network in listed if parse(network.identifier).kind == SCHEME and not network.missing]
        opening = (at_hand if photographs else []) or at_home
        rest = [network for network in listed if network not in opening]
        mine = {network.identifier for network in own}
        self.networks = (*opening, *own, *(network for network in rest if network.identifier not in mine))

    @property
    def first(self) -> str:
        """The identifier of the network that is asked when none is named."""
        return self.networks[0].identifier

    def usual(self, scene: str) -> str:
        """The identifier of the network that is asked about a picture when none is named: that of its own world."""
        if not scene or scene in self.photographs or scene.startswith(pictures.AMONG):
            return self.first
        found = worlds.picture(scene, _GLANCE)
        return self.first if found is None else found[0].first

    def welcome(self, identifier: str) -> str:
        """The name of the picture that a network is asked about when none is named."""
        world = worlds.of(identifier)
        photograph = next(iter(self.photographs), "")
        return world.offered[0] if world and world.offered else photograph or worlds.home().offered[0]

    def network(self, identifier: str) -> Network | None:
        """The entry of that name, None for any other network."""
        return next((network for network in self.networks if network.identifier == identifier), None)

    def picture(self, name: str) -> Shown:
        """The picture of a world, the photograph or the picture of a gallery of that name. Raises `QuestionError`."""
        if name.startswith(pictures.AMONG):
            return pictures.from_gallery(name)
        path = self.photographs.get(name)
        return pictures.from_world(name) if path is None else pictures.from_photograph(path)

    def as_json(self) -> dict[str, Any]:
        """All of it, for the browser."""
        return {
            "networks": [
                {
                    "id": n.identifier,
                    "line": n.line,
                    "size": n.size,
                    "attends": n.attends,
                    "world": _scheme(n),
                    "license": n.license,
                    "home": n.home,
                    "missing": n.missing,
                }
                for n in self.networks
            ],
            "worlds": {world.scheme: _world_as_json(world) for world in worlds.worlds()},
            "methods": [method_as_json(method) for method in registry.all_methods()],
            "presets": [{"id": p.id, "words": p.words, "line": p.line} for p in PRESETS],
            "most": MOST,
            "scores": [{"id": score, "words": SCORE_WORDS[score]} for score in SCORES],
            "score": DEFAULT_SCORE,
            "palettes": {
                name: "".join(f"{r:02x}{g:02x}{b:02x}" for r, g, b in render.palette(name).tolist())
                for name in (*render.SEQUENTIAL, render.DIVERGING)
            },
            "sequential": list(render.SEQUENTIAL),
            "diverging": render.DIVERGING,
            "fade": render.FADE,
            "shown": render.SHOWN,
            "scenes": self._thumbnails(),
            "welcome": self.welcome(self.first),
            "home": worlds.home().scheme,
            "for_photographs": next((n.identifier for n in self.networks if not _scheme(n) and not n.missing), ""),
        }

    def _thumbnails(self) -> list[dict[str, str]]:
        offered = [(world, pictures.from_world(name)) for world in worlds.worlds() for name in world.offered]
        drawn = [
            {"scene": one.scene, "about": one.known.about, "src": pictures.thumbnail(one.scene), "world": world.scheme}
            for world, one in offered
            if one.known
        ]
        photographs = [
            {"scene": name, "about": f"photograph: {path.stem}", "src": pictures.small(path), "world": ""}
            for name, path in self.photographs.items()
        ]
        return photographs + drawn


_GLANCE = 8
"""Pixels of a picture that is drawn only to know whether a world has one of that name."""


def method_as_json(method: Method) -> dict[str, Any]:
    """A method and its controls, as the browser draws them."""
    return {
        "id": method.id,
        "title": method.title,
        "family": str(method.family),
        "question": method.question,
        "kind": method.gives.kind,
        "class_specific": method.class_specific,
        "classic": method.classic,
        "sums": method.sums,
        "streams": method.streams,
        "passes": list(method.passes),
        "takes": takes(method),
        "options": [
            {
                "name": option.name,
                "words": humanized(option.name),
                "kind": option.kind,
                "default": option.default,
                "description": option.description,
                "choices": list(option.choices),
                "minimum": option.minimum,
                "maximum": option.maximum,
                "longest": option.longest,
            }
            for option in method.options
        ],
    }


def _scheme(network: Network) -> str:
    """The world of a network, whose networks know nothing of photographs; empty for one that comes from outside."""
    world = worlds.of(network.source)
    return world.scheme if world else ""


def _world_as_json(world: World) -> dict[str, Any]:
    pair = world.pair
    return {
        "knows": world.knows,
        "title": world.title,
        "first": world.first,
        "gallery": world.collection is not None,
        "example": world.example,
        "truth": world.picture is not None,
        "pair": pair and [world.identifier(pair.honest), world.identifier(pair.cheater)],
        "scene": pair.picture if pair else "",
    }
