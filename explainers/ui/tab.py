"""What a tab declares: its words, its order, and the work that the browser can ask of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .answering.asked import Asked
from .answering.question import read
from .answering.work import Json, Stop, Tell, Work
from .shelf import Shelf

__all__ = ["Json", "Stop", "Tab", "Tell", "Work", "asked"]


@dataclass(frozen=True)
class Tab:
    """A tab of the page, as a value that the page is built from.

    Beside its file lie `<id>.html`, `<id>.js` and `<id>.css`, and whatever other scripts `<id>.js` imports. A script
    gets `element` and `props.about` by `await part(id)`, refreshes by `sightglass.whileShown(id, refresh)`, and sends
    work by `sightglass.run(id, …)`.
    """

    id: str
    title: str
    line: str
    """What it answers, in a few words, shown as a hint."""
    order: int = 0
    """Tabs stand from left to right by this number."""
    work: Mapping[str, Work] = field(default_factory=dict)
    """What the browser can ask for, by name."""
    about: Callable[[Shelf], Json] = lambda _: {}
    """What its script is told when the page is built."""
    endpoints: Callable[[Shelf, Mapping[str, Any]], None] | None = None
    """Adds endpoints that are no methods; within the app's blocks, with the arguments that say how many run at once."""


def asked(given: Json, shelf: Shelf) -> Asked:
    """The question on the screen, without the options of the method that stands there."""
    return Asked(read({name: value for name, value in given.items() if name != "options"}, shelf.catalogue), shelf)
