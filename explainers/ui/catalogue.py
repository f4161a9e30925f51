"""What is on offer: networks, methods with their options, scores, palettes and scenes, as the browser is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import explainers as ex

from .. import registry
from ..network.heads import DEFAULT_SCORE, SCORES
from ..network.sources import parse
from ..registry import Method, Need
from ..showing import render
from ..worlds.pond.brains import CARDS
from . import pictures
from .pictures import Shown
from .presets import MOST, PRESETS, takes
from .words import SCORE_WORDS, humanized

_DRAWN = ("pond:", "digits:")
"""Networks of a built-in world know nothing of photographs."""


@dataclass(frozen=True)
class Network:
    """An entry of the list: `identifier` is what visitors see and send, `source` what `load` gets."""

    identifier: str
    line: str
    size: str
    source: str
    attends: bool = False
    """Whether it is known to have attention before it is loaded."""


class Catalogue:
    """The networks that can be chosen from a list, the first being what a visitor meets."""

    def __init__(self, extra: Sequence[str] = (), photographs: Sequence[Path] = ()) -> None:
        self.photographs = {f"{pictures.PHOTO}{path.stem}": path for path in photographs}
        built_in = [s for s in ex.models() if not s.identifier.startswith("pond:") or _trained(s.identifier)]
        own: list[Network] = []
        for text in extra:
            title = parse(text).title
            same = sum(network.identifier.partition(" ")[0] == title for network in own)
            own.append(Network(f"{title} ({same + 1})" if same else title, "", "", text))
        listed = [Network(s.identifier, s.line, f"{s.millions:.2g} M", s.identifier, s.attends) for s in built_in]
        pond = [network for network in listed if network.identifier.startswith("pond:")]
        rest = [network for network in listed if not network.identifier.startswith("pond:")]
        mine = {network.identifier for network in own}
        self.networks = (*pond, *own, *(network for network in rest if network.identifier not in mine))

    @property
    def first(self) -> str:
        """The identifier of the network that is asked when none is named."""
        return self.networks[0].identifier

    def network(self, identifier: str) -> Network | None:
        """The entry of that name, None for any other network."""
        return next((network for network in self.networks if network.identifier == identifier), None)

    def picture(self, name: str) -> Shown:
        """The pond picture, the photograph or the picture of a gallery of that name. Raises `QuestionError`."""
        if name.startswith(pictures.AMONG):
            return pictures.from_gallery(name)
        path = self.photographs.get(name)
        return pictures.from_scene(name) if path is None else pictures.from_photograph(path)

    def as_json(self) -> dict[str, Any]:
        """All of it, for the browser."""
        return {
            "networks": [
                {"id": n.identifier, "line": n.line, "size": n.size, "attends": n.attends} for n in self.networks
            ],
            "methods": [method_as_json(method) for method in registry.maps()],
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
            "welcome": pictures.WELCOME,
            "cheater": pictures.CHEATER,
            "for_photographs": next((n.identifier for n in self.networks if not n.identifier.startswith(_DRAWN)), ""),
        }

    def _thumbnails(self) -> list[dict[str, str]]:
        ponds = [
            {"scene": name, "about": pictures.describe(name), "src": pictures.thumbnail(name)}
            for name in pictures.SCENES
        ]
        photographs = [
            {"scene": name, "about": f"photograph: {path.stem}", "src": pictures.small(path)}
            for name, path in self.photographs.items()
        ]
        return ponds + photographs


def default_method(model: ex.Classifier) -> Method | None:
    """What is asked when no method is named: a classic that needs maps and little else, else the first that applies."""
    fitting = [method for method in registry.maps() if not method.why_not(model)]
    mapped = [method for method in fitting if Need.MAPS in method.needs and method.class_specific]
    least = min(mapped, key=lambda m: (not m.classic, m.demands, takes(m)), default=None)
    return least or (fitting[0] if fitting else None)


def method_as_json(method: Method) -> dict[str, Any]:
    """A method and its controls, as the browser draws them."""
    return {
        "id": method.id,
        "title": method.title,
        "family": str(method.family),
        "question": method.question,
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


def _trained(identifier: str) -> bool:
    card = CARDS.get(identifier.removeprefix("pond:"))
    return card is not None and card.with_suffix(".safetensors").exists()
