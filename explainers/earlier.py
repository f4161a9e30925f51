"""Where modules were before they got their rooms: their earlier paths go on working for one release."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

PATHS = {
    "digits": "worlds.digits",
    "gallery": "galleries.gallery",
    "heads": "network.heads",
    "images": "pictures",
    "outputs": "network.outputs",
    "pond": "worlds.pond",
}
"""From what the README has named to what it is now, both below `explainers`."""


class Earlier(MetaPathFinder, Loader):
    """Gives a module under its earlier path: the very same module, so that its classes are the same, too."""

    def find_spec(
        self, fullname: str, _path: Iterable[str] | None = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """A spec for the earlier paths; none for any other."""
        return ModuleSpec(fullname, self) if _now(fullname) else None

    def create_module(self, spec: ModuleSpec) -> None:
        """One that is thrown away: importlib writes on what it gets here, and the module itself is not to change."""

    def exec_module(self, module: ModuleType) -> None:
        """Put the module itself in its place."""
        sys.modules[module.__name__] = import_module(_now(module.__name__))


# --- private ---------------------------------------------------------------------------------------------------------


def _now(name: str) -> str:
    top, _, rest = name.partition(".")
    part, dot, below = rest.partition(".")
    return f"{top}.{PATHS[part]}{dot}{below}" if top == __package__ and part in PATHS else ""


sys.meta_path.insert(0, Earlier())  # before what looks for files, which would load a second copy
