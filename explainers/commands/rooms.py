"""The rooms of the house: what each knows, on which level it stands, and who imports whom, read from the code."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[1]

LEVELS: tuple[dict[str, str], ...] = (
    {
        "errors": "what goes wrong, in sentences; calls that do not fit; spelling",
        "shapes": "the vocabulary of tensor shapes",
        "earlier": "the paths that modules had before",
        "version": "which release this is",
    },
    {
        "pictures": "decoding within limits, framing and its way back",
        "results": "the kinds of result that a method may give",
        "worlds": "places where the truth is known; one folder each",
    },
    {
        "network": "opening a network: sources, labels, head, anatomy, taps, rules",
        "baselines": "pictures that stand for nothing",
    },
    {"trace": "one picture through one network; each pass run once and billed"},
    {
        "scores": "how far a heat can be trusted on this very network",
        "ingredients": "what several methods share",
        "galleries": "reference pictures: vectors, neighbors, layouts",
        "options": "what can be chosen of a method: form and schema, read off its signature",
    },
    {
        "registry": "what a method is, read off its function",
        "imagining": "pictures that are made for a network",
        "showing": "results as pictures; palettes",
    },
    {
        "augmenting": "what augmentation does to pictures, heat and training",
        "explanation": "an answer: result, target, options, cost, versions",
    },
    {"methods": "one file for each method"},
    {"engine": "look, explain, compare, judge: checked, run, told"},
    {"__init__": "the public names"},
    {
        "ui": "the page: questions, streams, endpoints, tabs; alone knows Gradio",
        "commands": "the command line, and the tables of the documents",
    },
    {"__main__": "python -m explainers"},
)
"""Rooms by level, lowest first: a room imports from levels below its own only."""

LEVEL = {room: number for number, rooms in enumerate(LEVELS) for room in rooms}

MOST_ROOMS, MOST_ARROWS = 25, 120

Graph = dict[str, set[str]]
"""From a name to the names that it imports."""


def files() -> list[Path]:
    """Every file of Python in the package."""
    return sorted(PACKAGE.rglob("*.py"))


def room(path: Path) -> str:
    """The room that a file belongs to: its folder below the package, or itself."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported(path: Path) -> Iterator[str]:
    """The dotted name of everything that a file imports, inside functions too."""
    here = (PACKAGE.name, *path.relative_to(PACKAGE).parent.parts)
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level + 1] if node.level else ()
            source = ".".join((*base, *([node.module] if node.module else [])))
            yield from (f"{source}.{alias.name}" for alias in node.names)


def rooms_of(path: Path) -> Iterator[str]:
    """The rooms that a file imports from; `__init__` is the public surface."""
    for name in imported(path):
        top, _, rest = name.partition(".")
        if top == PACKAGE.name:
            part = rest.split(".")[0]
            yield part if part in LEVEL else "__init__"


def arrows() -> Graph:
    """Who imports from whom, room by room."""
    found: Graph = {name: set() for name in LEVEL}
    for path in files():
        found[room(path)] |= set(rooms_of(path)) - {room(path)}
    return found


def between_files() -> Graph:
    """Who imports whom, file by file, by dotted names."""
    names = {_dotted(path): path for path in files()}
    return {
        name: {found for each in imported(path) if (found := _file(each, names)) and found != name}
        for name, path in names.items()
    }


def circles(graph: Graph) -> list[list[str]]:
    """Names that import each other, directly or around corners; none where all arrows point one way."""
    reached = {name: _reached(name, graph) for name in graph}
    found = {tuple(sorted(other for other in reached[name] if name in reached.get(other, ()))) for name in graph}
    return [list(each) for each in sorted(found) if each]


def table() -> str:
    """One row for each room, from the top of the house down, in Markdown."""
    graph = arrows()
    count = sum(map(len, graph.values()))
    rows = [
        f"{len(graph)} rooms on {len(LEVELS)} levels, {count} arrows between them, all pointing downward; no circle,",
        "neither between rooms nor between the files of one.",
        "",
        "| level | room | knows | imports from |",
        "|---:|---|---|---|",
    ]
    for number, names in reversed(list(enumerate(LEVELS))):
        for name, knows in names.items():
            below = ", ".join(sorted(graph[name], key=lambda each: (-LEVEL[each], each)))
            rows.append(f"| {number} | `{name}` | {knows} | {below or '–'} |")
    return "\n".join(rows)


# --- private ---------------------------------------------------------------------------------------------------------


def _dotted(path: Path) -> str:
    parts = (PACKAGE.name, *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _file(name: str, known: dict[str, Path]) -> str:
    """The file that an imported name comes from; empty for what is not ours."""
    while name and name not in known:
        name = name.rpartition(".")[0]
    return name


def _reached(start: str, graph: Graph) -> set[str]:
    """Everything that can be come to from a name along the arrows."""
    waiting, found = list(graph[start]), set[str]()
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += graph.get(name, ())
    return found
