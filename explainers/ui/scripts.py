"""The page's scripts: ES modules, sent once with the page in the order in which they need each other."""

from __future__ import annotations

import json
import re
from graphlib import TopologicalSorter
from pathlib import Path, PurePosixPath
from posixpath import normpath

HERE = Path(__file__).parent
_IMPORTED = re.compile(r'^((?:import .*|\} )from "|import ")([^"]+)(?=";$)', re.MULTILINE)
"""The last line of an import: all that stands before the name, and the name."""


def head() -> str:
    """An element for the page's head that runs all modules.

    They travel within the page, so that there is nothing to find below a proxy's path and nothing to go stale in a
    cache; `loader.js` gives each an address of its own. Raises `CycleError` for modules that need each other.
    """
    paths = [*(HERE / "static").glob("**/*.js"), *(HERE / "tabs").glob("*/*.js")]
    names = sorted(path.relative_to(HERE).as_posix() for path in paths if path.name != "loader.js")
    texts = {name: _with_names(name) for name in names}
    order = TopologicalSorter({name: _needed(text) for name, text in texts.items()}).static_order()
    # Within a script element, nothing may look like its end.
    modules = json.dumps([[name, texts[name]] for name in order], ensure_ascii=False).replace("</", "<\\/")
    loader = (HERE / "static" / "loader.js").read_text("utf-8")
    return f"<script>{{\n{loader}\nload({modules});\n}}</script>"


# --- private ---------------------------------------------------------------------------------------------------------


def _with_names(name: str) -> str:
    """The text of a module, in which others are named from this folder on instead of from its own."""
    folder = PurePosixPath(name).parent
    return _IMPORTED.sub(lambda found: found[1] + normpath(folder / found[2]), (HERE / name).read_text("utf-8"))


def _needed(text: str) -> list[str]:
    return [found[2] for found in _IMPORTED.finditer(text)]
