"""The tab “Inside”: the network as a strip of depths, its channels, and what is imagined for them and for the class."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from .... import engine
from ....errors import DoesNotApply, QuestionError, Stopped
from ....explanation import Explanation
from ....imagining import RECIPES
from ....imagining.showing import IMAGINED, NATURAL, colors
from ....imagining.worlds import any_pictures, framed, natural_pictures
from ....network.anatomy import DEPTHS
from ....network.classifier import Classifier
from ....network.sites import Site
from ....registry import filling
from ....results import Tile, Tiles
from ....showing.kinds.tiles import colored
from ....trace import Trace
from ... import endpoints as endpoint
from ... import panes
from ...answering.question import label
from ...given import Given
from ...pictures import colors_url
from ...shelf import Shelf
from ...tab import Json, Stop, Tab, Tell, asked
from ...words import humanized

MOST_MAPS = 256
"""Channels of one depth on the screen; the endpoint gives all."""
SPEAKING = 12
EXEMPLARS = 8
STEPS = {"quick": 48, "clear": 128, "long": 256}
CHANNEL_STEPS = 64
REDRAWN = {
    "inversion": "Draw it again from the maps",
    "caricature": "Exaggerate what is kept",
    "dream": "Dream on",
}
"""The ways to redraw a picture, in words; the first is shown first."""


def look(given: Json, shelf: Shelf, stop: Stop, _tell: Tell) -> Json:
    """One depth: which channels speak for the class here, what all of them put out, and the filters before them."""
    trace = _trace(given, shelf, stop)
    site, model = _site(given, trace), trace.classifier
    speaking = engine.explain(
        trace, filling("inside.speaking"), target=trace.target.index, versus=trace.target.versus, stop=stop,
        depth=site, most=SPEAKING,
    )  # fmt: skip
    maps = engine.explain(trace, filling("inside.maps"), depth=site, most=MOST_MAPS, stop=stop)
    return {
        "depths": [_depth(name, trace) for name in DEPTHS],
        "size": list(model.framing.size),
        "parameters": model.parameters,
        "chosen": site,
        "target": model.labels[trace.class_index],
        "picture": colors_url(colors(trace.pixels)),
        "speaking": [_numbered(tile) | {"heat": panes.packed(tile.values)} for tile in _tiles(speaking)],
        "speaking_note": speaking.result.note,
        "unit": speaking.head.points(speaking.score),
        "maps": [_shown(tile) for tile in _tiles(maps)],
        "maps_note": maps.result.note,
    }


def filters(given: Json, shelf: Shelf, stop: Stop, _tell: Tell) -> Json:
    """The kernels of the first convolution, or of the last one up to a depth."""
    trace = _trace(given, shelf, stop)
    where = given.get("where") if given.get("where") in DEPTHS else "first"
    answer = engine.explain(
        trace.classifier, filling("inside.filters"), where=where, order="likeness" if where == "first" else "strength",
        frequencies=given.get("frequencies") is True, stop=stop,
    )  # fmt: skip
    return {"where": where, "filters": [_shown(tile) for tile in _tiles(answer)], "note": answer.result.note}


def channel(given: Json, shelf: Shelf, stop: Stop, tell: Tell) -> Json:
    """One channel: natural pictures that excite it most, then a picture that is grown for it."""
    trace = _trace(given, shelf, stop)
    about: Json = {"depth": _site(given, trace), "channel": given.get("channel", 0), "stop": stop}
    excited = engine.explain(trace, filling("inside.exemplars"), count=EXEMPLARS, crops=True, **about)
    (own,) = _tiles(engine.explain(trace, filling("inside.maps"), **about))
    told: Json = {
        "channel": about["channel"],
        "own": panes.packed(own.values),
        "signed": own.signed,
        "imagined": [],
    } | _exemplars(_tiles(excited), trace.classifier)
    tell(told)
    growing = engine.stream(
        trace, filling("inside.channel"), how=given.get("how", "fourier"), steps=CHANNEL_STEPS, **about
    )
    for answer in _until_stopped(growing):
        frames = _imagined(answer)
        told = told | {"imagined": _pictures(frames), **_progress(frames)}
        tell(told)
    return told


def grow(given: Json, shelf: Shelf, stop: Stop, tell: Tell) -> Json:
    """The class, imagined in several ways side by side; each a film with its score. A stop keeps what there is."""
    trace = _trace(given, shelf, stop)
    about = trace.target
    steps = STEPS.get(str(given.get("steps")), STEPS["quick"])
    told: Json = {
        "label": trace.classifier.labels[trace.class_index],
        "unit": about.points,
        "steps": steps,
        "natural": [],
        "whose": "",
        "ways": [{"how": how, "pictures": [], "curve": [], "step": 0} for how in _ways(given)],
    }
    tell(told)
    growing = [
        engine.stream(
            trace, filling("inside.class"), target=about.index, versus=about.versus, score=about.score, stop=stop,
            how=way["how"], steps=steps, pictures=given.get("pictures", 1), seed=given.get("seed", 0),
        )
        for way in told["ways"]
    ]  # fmt: skip
    films: list[list[Explanation]] = [[] for _ in growing]
    for answers in _until_stopped(zip(*growing, strict=True)):
        for film, answer in zip(films, answers, strict=True):
            film.append(answer)
        told = told | _natural(answers[0]) | {"ways": [_way(film) for film in films]}
        tell(told)
    ways = [
        way | ({"film": _film(film), "worth": film[-1].result.note or ""} if film else {"film": None, "worth": ""})
        for way, film in zip(told["ways"], films, strict=True)
    ]
    return told | {"ways": ways, "whole": all(film and film[-1].result.done == 1 for film in films)}


def redraw(given: Json, shelf: Shelf, stop: Stop, tell: Tell) -> Json:
    """The picture as a depth sees it: dreamed on, exaggerated, or drawn again from the maps alone."""
    trace = _trace(given, shelf, stop)
    site = _site(given, trace)
    kind = given.get("kind") if given.get("kind") in REDRAWN else "inversion"
    told: Json = {"kind": kind, "chosen": site, "picture": colors_url(colors(trace.pixels))}
    try:
        for answer in engine.stream(trace, filling(f"inside.{kind}"), depth=site, stop=stop):
            told = told | {
                "pictures": [_shown(tile) for tile in _imagined(answer)],
                "done": answer.result.done,
                "question": answer.question,
                "read_it_as": answer.method.read_it_as,
                "beware": answer.method.beware,
            }
            tell(told)
    except Stopped:
        if "pictures" not in told:
            raise
    return told


def about(_shelf: Shelf) -> Json:
    """The depths, the ways to imagine and to redraw, in words; and how many steps each word means."""
    return {
        "depths": {name: humanized(name) for name in DEPTHS},
        "ways": {name: [recipe.title, recipe.line] for name, recipe in RECIPES.items()},
        "redrawn": REDRAWN,
        "steps": STEPS,
    }


def endpoints(shelf: Shelf, limits: Mapping[str, Any]) -> None:
    """Add `imagined`: a class imagined in one way, streamed picture by picture to who submits it."""

    def imagined(model: Any, target: Any, how: Any, steps: Any, seed: Any) -> Iterator[Any]:
        network = shelf.network(endpoint.model_of(model, shelf))
        chosen = {"how": how, "steps": steps, "seed": seed}
        for answer in engine.stream(network, filling("inside.class"), target=label(target), pictures=1, **chosen):
            (frame,) = _imagined(answer)
            yield Image.fromarray(frame.values), {**frame.facts, "score": frame.value}

    inputs = {
        "model": endpoint.about_picture(shelf)[2],
        "target": Given(0, {}, "target", "the class, by label or number"),
        "how": Given("fourier", {"enum": list(RECIPES)}, "how", "what is turned"),
        "steps": Given(96, {"type": "integer", "minimum": 8, "maximum": 512}, "steps", "more make it clearer"),
        "seed": Given(0, {"type": "integer", "minimum": 0, "maximum": 9999}, "seed", "another start"),
    }
    gr.on(
        [],
        endpoint.endpoint(imagined, "imagined", inputs),
        list(inputs.values()),
        [gr.Image(label="picture", format="png", type="pil"), gr.JSON(label="told")],
        api_name="imagined",
        api_description="A picture that raises a class more and more, with its score; submit it to stream.",
        **limits,
    )


TAB = Tab(
    id="inside",
    title="Inside",
    line="What are its filters, what does each depth keep, and what raises a class or a channel?",
    order=20,
    work={"look": look, "filters": filters, "channel": channel, "grow": grow, "redraw": redraw},
    about=about,
    endpoints=endpoints,
)


# --- private ---------------------------------------------------------------------------------------------------------


def _trace(given: Json, shelf: Shelf, stop: Stop | None) -> Trace:
    """The trace of the question on the screen, asked about its class."""
    trace = asked(given, shelf).view(stop)
    model = trace.classifier
    if not model.anatomy.sites:
        raise DoesNotApply(f"{model.name}: {model.anatomy.without_maps}")
    return trace


def _site(given: Json, trace: Trace) -> str:
    depth = given.get("depth")
    return depth if isinstance(depth, str) and depth in trace.classifier.anatomy.sites else "last"


def _depth(name: str, trace: Trace) -> Json:
    site: Site = trace.site(name)
    height, width = site.grid
    return {"id": name, "channels": site.channels, "height": height, "width": width, "path": str(site.point)}


def _until_stopped(states: Any) -> Iterator[Any]:
    """What there is until somebody stops it, which is an answer, too."""
    try:
        yield from states
    except Stopped:
        return


def _exemplars(tiles: Sequence[Tile], model: Classifier) -> Json:
    """What excites the channel: each picture, the part of it that the channel sees, and how strongly it answers."""
    pictures = natural_pictures(model) or any_pictures()
    return {
        "exemplars": [
            {
                "picture": colors_url(colors(framed(model, (pictures[tile.facts["picture"]],))[0])),
                "cut": colors_url(tile.values),
                "activation": tile.value,
                "box": tile.facts["box"],
            }
            for tile in tiles
        ],
        "field": tiles[0].facts["field"],
        "whose": tiles[0].facts["whose"],
    }


def _imagined(answer: Explanation) -> list[Tile]:
    """The pictures that grow, without those that stand beside them."""
    return [tile for tile in _tiles(answer) if tile.key == IMAGINED]


def _natural(answer: Explanation) -> Json:
    """The natural pictures beside them, and whose they are."""
    beside = [tile for tile in _tiles(answer) if tile.key == NATURAL]
    return {"natural": _pictures(beside), "whose": beside[0].facts["whose"] if beside else ""}


def _way(film: Sequence[Explanation]) -> Json:
    frames = _imagined(film[-1])
    return {
        "how": film[-1].options["how"],
        "pictures": _pictures(frames),
        "curve": frames[0].facts["curve"],
        "step": frames[0].facts["step"],
    }


def _progress(frames: Sequence[Tile]) -> Json:
    return {"step": frames[0].facts["step"], "steps": frames[0].facts["steps"]}


def _pictures(frames: Sequence[Tile]) -> list[Json]:
    return [{"picture": colors_url(frame.values), "score": frame.value} for frame in frames]


def _film(film: Sequence[Explanation]) -> str:
    """The frames as an animated WebP, the pictures side by side; the last one stays for a while."""
    frames = [Image.fromarray(np.concatenate([tile.values for tile in _imagined(answer)], axis=1)) for answer in film]
    file = io.BytesIO()
    durations = [120] * (len(frames) - 1) + [2400]
    frames[0].save(
        file, "WEBP", save_all=True, append_images=frames[1:], duration=durations, loop=0, quality=88, method=2
    )
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"


def _tiles(answer: Any) -> tuple[Tile, ...]:
    assert isinstance(answer.result, Tiles)
    return answer.result.tiles


def _numbered(tile: Tile) -> Json:
    return {"caption": tile.caption, "value": tile.value, "signed": tile.signed, "number": tile.facts.get("channel")}


def _shown(tile: Tile) -> Json:
    """A tile as a picture."""
    return _numbered(tile) | {"picture": colors_url(colored(tile)), "silent": tile.facts.get("silent", False)}


def _ways(given: Json) -> list[str]:
    """Each way once; which there are, the method knows."""
    ways = given.get("ways") or ["fourier"]
    if not isinstance(ways, list) or not all(isinstance(how, str) for how in ways):
        raise QuestionError(f"“ways” are some of {', '.join(RECIPES)}.")
    return list(dict.fromkeys(ways))
