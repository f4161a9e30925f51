"""The parts of the page: each an HTML component of gradio, with template and script from the files of its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from .stubless import Stubless
from .tab import Tab

HERE = Path(__file__).parent

_ARRIVED = "(window.sightglass ??= {{ parts: [] }}).parts.push({{ {told}, element, props, trigger, watch, upload }});"
"""A part tells the page's modules that it is there, whichever of them is there first."""


class Part(gr.HTML, metaclass=Stubless):  # type: ignore[misc]  # gradio has no types
    """An element of the page that draws itself; what it shows comes through the store that all parts share."""

    def __init__(self, **props: Any) -> None:
        name = self._file()
        template = HERE / f"{name}.html"
        super().__init__(
            html_template=template.read_text("utf-8") if template.exists() else "",
            js_on_load=_ARRIVED.format(told=self._told()),
            apply_default_css=False,
            elem_id=props.pop("elem_id", f"part-{Path(name).name}"),
            **props,
        )

    def _file(self) -> str:
        """Where its template and script lie, without ending."""
        return f"static/{type(self).__name__.lower()}"

    def _told(self) -> str:
        """What the modules are told of it beside what gradio hands over: its name."""
        return f'name: "{Path(self._file()).name}"'


class Masthead(Part):
    """Tabs, theme, help and the keys."""


class Rail(Part):
    """Picture, network and class: the question."""


class Viewer(Part):
    """The picture with the heat on it; one pane, or two side by side."""


class Reading(Part):
    """The answer in words, its options, and what to take along."""


class Strip(Part):
    """Small maps of several methods, side by side."""


class Panel(Part):
    """The place of a tab: viewer, reading column and strip taken together. It is in sight while its tab is chosen."""

    def __init__(self, tab: Tab, about: dict[str, Any]) -> None:
        # Gradio sends what a part was made with, by the names of these arguments, and takes a name that the part lacks
        # for an event: without `tab`, a listener would be copied for every visitor, and the server's log fill up.
        self.tab = tab.id
        super().__init__(elem_id=f"tab-{tab.id}", elem_classes="panel", about=about)

    def _file(self) -> str:
        return f"tabs/{self.tab}/{self.tab}"


class Wire(Part):
    """The connection to Python. Its events are questions, its value is the answer so far."""

    def _told(self) -> str:
        """Its name, and its events: gradio takes for an event what stands here in quotes."""
        return f'{super()._told()}, events: ["ask", "open", "stop", "save"]'

    def api_info(self) -> dict[str, Any]:
        """Any JSON."""
        return {}


class Errand(Wire):
    """A connection of its own, with one event: what it brings cannot be overtaken by answers to the question."""

    def __init__(self, name: str) -> None:
        self._name = name
        super().__init__(elem_id=f"part-{name}")

    def _told(self) -> str:
        return f'name: "{self._name}", errand: true'


def read(name: str) -> str:
    """A file below this one."""
    return (HERE / name).read_text("utf-8")
