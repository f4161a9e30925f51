"""The page put together: parts, events and endpoints, and what `launch` has to be told."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from ..errors import QuestionError, SightglassError
from . import endpoints, parts
from .answering import answers, gathering, honest, work
from .answering.question import read
from .catalogue import Catalogue
from .saving import KINDS, written
from .shelf import Shelf
from .tab import Tab, Work, streamed
from .tabs import all_tabs

HEAVY, ASIDE, OPENING, LIGHT = "heavy", "aside", "opening", "light"
AT_ONCE = {HEAVY: 2, ASIDE: 2, OPENING: 2, LIGHT: 8}
"""How many of each kind run at the same moment: as many explanations as a small machine has cores.

What is measured and gathered aside has places of its own, so that no question waits for it.
"""
QUEUE = 64
LARGEST_UPLOAD = "50mb"
STYLES = ("page", "masthead", "rail", "viewer", "working", "reading", "chooser", "honest", "strip")

log = logging.getLogger(__name__)


def build(
    models: Sequence[str] = (),
    device: str | None = None,
    *,
    photographs: Sequence[Path] = (),
    warm: bool = False,
) -> gr.Blocks:
    """The app. `models` are identifiers of further networks for the list, paths allowed; `device` defaults to the best.

    `photographs` are offered beside the pond. With `warm`, the answer that a visitor meets first is made ready in the
    background. Raises `ModelError` for an identifier that names nothing.
    """
    shelf = Shelf(Catalogue(models, photographs), device)
    with gr.Blocks(title="Sightglass", analytics_enabled=False, fill_width=True, delete_cache=(3600, 3600)) as demo:
        with gr.Column(elem_id="bench"):
            parts.Masthead()
            parts.Rail()
            parts.Viewer()
            parts.Reading()
            parts.Strip()
            tabs = [{"id": tab.id, "title": tab.title, "line": tab.line} for tab in all_tabs()]
            wire = parts.Wire(catalogue=shelf.catalogue.as_json() | {"tabs": tabs})
            errands = {name: parts.Errand(name) for name in ("gather", "work", "judge", "unlearn")}
            for tab in all_tabs():
                parts.Panel(tab, tab.about(shelf))
                _add_work(tab, shelf)
        _connect(wire, shelf)
        _run_errands(errands, shelf)
        endpoints.add(shelf, heavy=_limits(HEAVY), light=_limits(LIGHT))
        for tab in all_tabs():
            if tab.endpoints is not None:
                with gr.Column(visible=False):
                    tab.endpoints(shelf, _limits(HEAVY))
    demo.queue(max_size=QUEUE, default_concurrency_limit=AT_ONCE[LIGHT])
    if warm:
        threading.Thread(target=_warm_up, args=(shelf,), daemon=True).start()
    return demo


def launch_options() -> dict[str, Any]:
    """What `launch` has to be told for the page to be itself: look, limits and nothing that calls elsewhere."""
    names = [*(f"static/{name}" for name in STYLES), *(f"tabs/{tab.id}/{tab.id}" for tab in all_tabs())]
    # A tab's place is in sight only while the page says so.
    apart = [f'body:not([data-tab="{tab.id}"]) #tab-{tab.id} {{ display: none !important; }}' for tab in all_tabs()]
    styles = "\n".join([*(parts.read(f"{name}.css") for name in names), *apart])
    return {
        "head": f"<style>{styles}</style>",
        "theme": gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]),
        "favicon_path": str(parts.HERE / "static" / "sign.svg"),
        "footer_links": [],
        "ssr_mode": False,
        "show_error": False,
        "enable_monitoring": False,
        "max_file_size": LARGEST_UPLOAD,
        "state_session_capacity": 200,
    }


# --- private ---------------------------------------------------------------------------------------------------------


def _limits(kind: str) -> dict[str, Any]:
    return {"concurrency_id": kind, "concurrency_limit": AT_ONCE[kind]}


def _connect(wire: gr.HTML, shelf: Shelf) -> None:
    def ask(event: gr.EventData) -> Iterator[dict[str, Any]]:
        yield from answers.stream(event._data, shelf)

    def open_network(event: gr.EventData) -> Iterator[dict[str, Any]]:
        given = event._data if isinstance(event._data, dict) else {}
        yield from answers.open_network(given.get("network"), given.get("token"), shelf)

    def stop(event: gr.EventData) -> None:
        work.stop(event._data.get("token") if isinstance(event._data, dict) else None)

    def save(event: gr.EventData) -> dict[str, Any]:
        return _saved(event._data, shelf, wire)

    for listener, function, kind in (
        (wire.ask, ask, HEAVY),
        (wire.open, open_network, OPENING),
        (wire.save, save, HEAVY),
    ):
        event = listener(function, None, wire, **_limits(kind), **_HIDDEN)
        event.failure(None, None, None, js=_UNREACHABLE)
    wire.stop(stop, None, None, **_limits(LIGHT), **_HIDDEN)


def _run_errands(errands: Mapping[str, gr.HTML], shelf: Shelf) -> None:
    def gathered(event: gr.EventData) -> Iterator[dict[str, Any]]:
        yield from gathering.stream(event._data, shelf)

    def worked(event: gr.EventData) -> Iterator[dict[str, Any]]:
        yield from answers.working(event._data, shelf)

    def judged(event: gr.EventData) -> Iterator[dict[str, Any]]:
        yield from honest.judged(event._data, shelf)

    def unlearned(event: gr.EventData) -> Iterator[dict[str, Any]]:
        yield from honest.unlearned(event._data, shelf)

    runs = {"gather": gathered, "work": worked, "judge": judged, "unlearn": unlearned}
    for name, errand in errands.items():
        event = getattr(errand, name)(runs[name], None, errand, **_limits(ASIDE), **_HIDDEN)
        # A judgment that nobody asked for is no reason to tell of an alarm.
        lost = "() => { window.sightglass.emit('unjudged'); }" if name in ("judge", "unlearn") else _UNREACHABLE
        event.failure(None, None, None, js=lost)


def _add_work(tab: Tab, shelf: Shelf) -> None:
    """A connection of its own for each kind of work, so that none overtakes another."""
    for name, asked in tab.work.items():
        errand = parts.Errand(event := f"{tab.id}_{name}")

        def run(told: gr.EventData, asked: Work = asked) -> Iterator[dict[str, Any]]:
            yield from streamed(told._data, shelf, asked)

        # Gradio looks for the event's place among the annotations themselves, which are strings in this file.
        run.__annotations__ = {"told": gr.EventData}
        answered = getattr(errand, event)(run, None, errand, **_limits(HEAVY), **_HIDDEN)
        answered.failure(None, None, None, js=_UNREACHABLE)


_HIDDEN: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "trigger_mode": "multiple"}
_UNREACHABLE = "() => { window.sightglass.failed(); }"


def _saved(given: object, shelf: Shelf, owner: gr.HTML) -> dict[str, Any]:
    """The answer as a file: its name, and where gradio serves it; or a sentence."""
    kind = given.get("kind") if isinstance(given, dict) else None
    if kind not in KINDS:
        return {"saved": "", **answers.failure(QuestionError(f"An answer is saved as {', '.join(KINDS)}."))}
    try:
        answer = answers.again(read(given, shelf.catalogue), shelf)
        path = written(answer, kind, owner)
    except Exception as error:  # noqa: BLE001 - whatever it was, the visitor gets words
        return {"saved": "", **answers.failure(error)}
    name = f"{answer.method.id}.{kind}"
    return {"saved": name, "file": {"path": path, "orig_name": name, "meta": {"_type": "gradio.FileData"}}}


def _warm_up(shelf: Shelf) -> None:
    """Load what the first visitor meets and answer it once, so that it is served from the shelf."""
    try:
        shelf.network(shelf.catalogue.first)
        for _ in answers.stream({}, shelf):
            pass
        for _ in gathering.stream({}, shelf):
            pass
    except SightglassError:
        log.warning("the first network cannot be loaded; visitors are told when they ask")
