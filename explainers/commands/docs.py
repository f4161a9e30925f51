"""The README's table of methods: written from the registry, or checked against it.

python -m explainers.commands.docs [--check]
"""

from __future__ import annotations

import sys
from pathlib import Path

from .. import registry

README = Path(__file__).parents[2] / "README.md"
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
    """Write the table into the README, or, with --check, say whether it is true already."""
    text = README.read_text("utf-8")
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    new = f"{head}{BEGIN}\n{table()}\n{END}{tail}"
    if "--check" in arguments:
        if new != text:
            print("README.md: the table of methods is not what the registry says; run `make format`.")
        return int(new != text)
    README.write_text(new, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
