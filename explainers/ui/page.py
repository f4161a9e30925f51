"""The page put together: parts, events and endpoints, and what `launch` has to be told."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from ..errors import QuestionError, SightglassError
from ..imagining.worlds import have_at_hand
from ..showing.pen import COLORS, ON_DARK
from . import endpoints, parts, scripts
from .answering import answers, gathering, honest, work
from .answering.asked import Asked
from .answering.question import read
from .answering.work import Json, Work, failure
from .catalogue import Catalogue
from .saving import KINDS, written
from .shelf import Shelf
from .tabs import all_tabs

HEAVY, ASIDE, OPENING, LIGHT = "heavy", "aside", "opening", "light"
AT_ONCE = {HEAVY: 2, ASIDE: 2, OPENING: 2, LIGHT: 8}
"""How many of each kind run at the same moment: as many explanations as a small machine has cores.

What is measured and gathered aside has places of its own, so that no question waits for it.
"""
QUEUE = 64
LARGEST_UPLOAD = "50mb"
STYLES = ("page", "masthead", "rail", "viewer", "working", "charts", "reading", "chooser", "honest", "strip")

ASIDES: Mapping[str, Work] = {
    "gather": gathering.gathered,
    "work": answers.working,
    "judge": honest.judged,
    "unlearn": honest.unlearned,
}
"""What is asked beside the question, by the name of its connection."""
UNASKED = ("judge", "unlearn")

log = logging.getLogger(__name__)


def build(
    models: Sequence[str] = (),
    device: str | None = None,
    *,
    photographs: Sequence[Path] = (),
    warm: bool = False,
) -> gr.Blocks:
    """The app. `models` are identifiers of further networks for the list, paths allowed; `device` defaults to the best.

    With `photographs`, the page opens on the first of them, explained by a network that knows photographs, where one is
    installed; else on the pond. With `warm`, the answer that a visitor meets first is made ready in the
    background. Raises `ModelError` for an identifier that names nothing.
    """
    shelf = Shelf(Catalogue(models, photographs), device)
    have_at_hand(photographs)
    with gr.Blocks(title="Sightglass", analytics_enabled=False, fill_width=True, delete_cache=(3600, 3600)) as demo:
        with gr.Column(elem_id="bench"):
            parts.Masthead()
            parts.Rail()
            parts.Viewer()
            parts.Reading()
            parts.Strip()
            tabs = [{"id": tab.id, "title": tab.title, "line": tab.line} for tab in all_tabs()]
            wire = parts.Wire(catalogue=shelf.catalogue.as_json() | {"tabs": tabs})
            for name, asked in ASIDES.items():
                _add_errand(name, asked, shelf, ASIDE)
            for tab in all_tabs():
                parts.Panel(tab, tab.about(shelf))
                for name, asked in tab.work.items():
                    _add_errand(f"{tab.id}_{name}", asked, shelf, HEAVY)
        _connect(wire, shelf)
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
    styles = "\n".join([*(parts.read(f"{name}.css") for name in names), *_hues(), *apart])
    return {
        "head": f"<style>{styles}</style>{scripts.head()}",
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


def _hues() -> list[str]:
    """The colors of groups and lines as the styles and scripts of the page know them."""
    named = [" ".join(f"--group-{n}: {hue};" for n, hue in enumerate(hues)) for hues in (COLORS, ON_DARK)]
    return [f":root {{ {named[0]} }}", f".dark {{ {named[1]} }}"]


def _limits(kind: str) -> dict[str, Any]:
    return {"concurrency_id": kind, "concurrency_limit": AT_ONCE[kind]}


def _connect(wire: gr.HTML, shelf: Shelf) -> None:
    def stop(event: gr.EventData) -> None:
        work.stop(event._data.get("token") if isinstance(event._data, dict) else None)

    def save(event: gr.EventData) -> Json:
        return _saved(event._data, shelf, wire)

    _wired(wire.ask, wire, answers.answered, shelf, HEAVY)
    _wired(wire.open, wire, answers.opened, shelf, OPENING)
    wire.save(save, None, wire, **_limits(HEAVY), **_HIDDEN).failure(None, None, None, js=_UNREACHABLE)
    wire.stop(stop, None, None, **_limits(LIGHT), **_HIDDEN)


def _add_errand(name: str, asked: Work, shelf: Shelf, kind: str) -> None:
    """A connection of its own for each kind of work, so that none overtakes another."""
    errand = parts.Errand(name)
    _wired(getattr(errand, name), errand, asked, shelf, kind, unasked=name in UNASKED)


def _wired(
    listener: Callable[..., Any], owner: gr.HTML, asked: Work, shelf: Shelf, kind: str, *, unasked: bool = False
) -> None:
    def run(told: gr.EventData) -> Iterator[Json]:
        yield from work.streamed(told._data, shelf, asked)

    # Gradio looks for the event's place among the annotations themselves, which are strings in this file.
    run.__annotations__ = {"told": gr.EventData}
    event = listener(run, None, owner, **_limits(kind), **_HIDDEN)
    # A judgment that nobody asked for is no reason to tell of an alarm.
    lost = "() => { window.sightglass.emit('unjudged'); }" if unasked else _UNREACHABLE
    event.failure(None, None, None, js=lost)


_HIDDEN: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "trigger_mode": "multiple"}
_UNREACHABLE = "() => { window.sightglass.failed(); }"


def _saved(given: object, shelf: Shelf, owner: gr.HTML) -> Json:
    """The answer as a file: its name, and where gradio serves it; or a sentence."""
    kind = given.get("kind") if isinstance(given, dict) else None
    if kind not in KINDS:
        return {"saved": "", **failure(QuestionError(f"An answer is saved as {', '.join(KINDS)}."))}
    try:
        answer = Asked(read(given, shelf.catalogue), shelf).again()
        path = written(answer, kind, owner)
    except Exception as error:  # noqa: BLE001 - whatever it was, the visitor gets words
        return {"saved": "", **failure(error)}
    name = f"{answer.method.id}.{kind}"
    return {"saved": name, "file": {"path": path, "orig_name": name, "meta": {"_type": "gradio.FileData"}}}


def _warm_up(shelf: Shelf) -> None:
    """Load what the first visitor meets and answer it once, so that it is served from the shelf."""
    try:
        shelf.network(shelf.catalogue.first)
        for first in (answers.answered, gathering.gathered):
            for _ in work.streamed({}, shelf, first):
                pass
    except SightglassError:
        log.warning("the first network cannot be loaded; visitors are told when they ask")
