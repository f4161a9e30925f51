"""The parts of the page: each an HTML component of gradio, with template and script from the files of its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from .stubless import Stubless
from .tab import Tab

HERE = Path(__file__).parent

_WHEN_WIRED = """
const begin = () => {{
{script}
}};
if (sightglass.wired) begin(); else sightglass.on("wired", begin);
"""


class Part(gr.HTML, metaclass=Stubless):  # type: ignore[misc]  # gradio has no types
    """An element of the page that draws itself; what it shows comes through the store that all parts share."""

    scripts: tuple[str, ...] = ()

    def __init__(self, **props: Any) -> None:
        name = self._file()
        template = HERE / f"{name}.html"
        super().__init__(
            html_template=template.read_text("utf-8") if template.exists() else "",
            js_on_load=self._script(*(f"static/{each}" for each in self.scripts), name),
            apply_default_css=False,
            elem_id=props.pop("elem_id", f"part-{Path(name).name}"),
            **props,
        )

    def _file(self) -> str:
        """Where its template and script lie, without ending."""
        return f"static/{type(self).__name__.lower()}"

    def _script(self, *names: str) -> str:
        scripts = "\n".join(f"{{\n{read(f'{name}.js')}\n}}" for name in names)
        return read("static/store.js") + _WHEN_WIRED.format(script=scripts)


class Masthead(Part):
    """Tabs, theme, help and the keys."""


class Rail(Part):
    """Picture, network and class: the question."""


class Viewer(Part):
    """The picture with the heat on it; one pane, or two side by side."""

    scripts = ("heat", "compare", "working")


class Reading(Part):
    """The answer in words, its options, and what to take along."""

    scripts = ("address", "heat", "chooser", "honest")


class Strip(Part):
    """Small maps of several methods, side by side."""

    scripts = ("heat",)


class Panel(Part):
    """The place of a tab: viewer, reading column and strip taken together. It is in sight while its tab is chosen."""

    def __init__(self, tab: Tab, about: dict[str, Any]) -> None:
        # Gradio sends what a part was made with, by the names of these arguments, and takes a name that the part lacks
        # for an event: without `tab`, a listener would be copied for every visitor, and the server's log fill up.
        self.tab, self._scripts = tab.id, tab.scripts
        super().__init__(elem_id=f"tab-{tab.id}", elem_classes="panel", about=about)

    def _file(self) -> str:
        return f"tabs/{self.tab}/{self.tab}"

    def _script(self, *_names: str) -> str:
        return str(super()._script(*(f"static/{each}" for each in self._scripts), self._file()))


class Wire(Part):
    """The connection to Python. Its events are questions, its value is the answer so far."""

    def _script(self, *names: str) -> str:
        return read("static/store.js") + "".join(read(f"{name}.js") for name in names)

    def api_info(self) -> dict[str, Any]:
        """Any JSON."""
        return {}


class Errand(Wire):
    """A connection of its own, with one event: what it brings cannot be overtaken by answers to the question."""

    def __init__(self, name: str) -> None:
        self._name = name
        super().__init__(elem_id=f"part-{name}")

    def _script(self, *_names: str) -> str:
        return read("static/errand.js").replace("NAME", f'"{self._name}"')


def read(name: str) -> str:
    """A file below this one."""
    return (HERE / name).read_text("utf-8")
