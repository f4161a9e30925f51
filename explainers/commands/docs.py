"""Tables of the documents: of methods from the registry, of rooms from the imports; written, or checked.

python -m explainers.commands.docs [--check]
"""

from __future__ import annotations

import sys
from pathlib import Path

from .. import registry
from . import rooms

README = Path(__file__).parents[2] / "README.md"
ARCHITECTURE = README.with_name("ARCHITECTURE.md")
BEGIN, END = "<!-- methods: begin -->", "<!-- methods: end -->"


def table() -> str:
    """One row for each registered method, in Markdown."""
    rows = ["| method | question | needs | options | source |", "|---|---|---|---|---|"]
    for method in registry.all_methods():
        needs = ", ".join(sorted(need.value for need in method.needs))
        options = ", ".join(f"`{option.name}={option.default!r}`" for option in method.options)
        rows.append(
            f"| <a id='{method.id}'></a>`{method.id}` {method.title} | {method.question} | {needs} | {options or '–'} "
            f"| [paper]({method.paper}) |"
        )
    return "\n".join(rows)


def main(arguments: list[str]) -> int:
    """Write the tables into their documents, or, with --check, say whether they are true already."""
    stale = 0
    for path, begin, end, made in (
        (README, BEGIN, END, table()),
        (ARCHITECTURE, "<!-- rooms: begin -->", "<!-- rooms: end -->", rooms.table()),
    ):
        text = path.read_text("utf-8")
        head, _, rest = text.partition(begin)
        _, _, tail = rest.partition(end)
        new = f"{head}{begin}\n{made}\n{end}{tail}"
        if "--check" not in arguments:
            path.write_text(new, "utf-8")
        elif new != text:
            print(f"{path.name}: its table is not what the code says; run `make format`.")
            stale = 1
    return stale


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
