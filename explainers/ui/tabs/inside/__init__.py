"""The tab “Inside”: the network as a strip of depths, its channels, and what is imagined for them and for the class."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import gradio as gr
import numpy as np
import torch
from PIL import Image

from .... import engine
from ....errors import DoesNotApply, QuestionError, Stopped
from ....imagining import RECIPES, Channel, ClassScore, Imagined, RecipeName, imagine
from ....imagining.canvas import mean_color
from ....imagining.exemplars import Exemplar, cut, exemplars, receptive_field
from ....imagining.measures import scores_of
from ....imagining.showing import Natural, colors, worth
from ....imagining.worlds import any_pictures, framed, natural_pictures
from ....network.anatomy import DEPTHS
from ....network.classifier import Classifier
from ....network.sites import Site
from ....registry import filling
from ....results import Tile, Tiles
from ....shapes import Batch
from ....showing.kinds.tiles import colored
from ....trace import Spent, Target, Trace
from ... import endpoints as endpoint
from ... import panes
from ...given import Given
from ...pictures import colors_url
from ...shelf import Shelf
from ...tab import Json, Stop, Tab, Tell, asked

MOST_MAPS = 256
"""Channels of one depth on the screen; the endpoint gives all."""
SPEAKING = 12
EXEMPLARS = 8
STEPS = {"quick": 48, "clear": 128, "long": 256}
CHANNEL_STEPS = 64
REDRAWN = ("dream", "caricature", "inversion")


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
        "speaking": [_numbered(tile, heat=True) for tile in _tiles(speaking)],
        "speaking_note": speaking.result.note,
        "unit": speaking.head.points(speaking.score),
        "maps": [_numbered(tile) for tile in _tiles(maps)],
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
    return {"where": where, "filters": [_numbered(tile) for tile in _tiles(answer)], "note": answer.result.note}


def channel(given: Json, shelf: Shelf, stop: Stop, tell: Tell) -> Json:
    """One channel: natural pictures that excite it most, then a picture that is grown for it."""
    trace = _trace(given, shelf, stop)
    model, site = trace.classifier, trace.site(_site(given, trace))
    number = _whole(given, "channel", 0, site.channels - 1)
    pictures, whose = _natural(trace, shelf)
    (found,) = exemplars(model, site, pictures, [number], count=EXEMPLARS, stop=stop)
    field = receptive_field(model, site)
    own = trace.maps(site)[number]
    told: Json = {
        "channel": number,
        "own": panes.packed(own.cpu().numpy()),
        "signed": bool((own < 0).any()),
        "peak": float(own.max()),
        "exemplars": [_exemplar(pictures, one, field.of(one.cell), model) for one in found],
        "field": list(field.size),
        "whose": whose,
        "imagined": [],
    }
    tell(told)
    objective = Channel(site, number)
    recipe = RECIPES[_how(given)]
    for state in _until_stopped(imagine(model, objective, recipe, count=2, steps=CHANNEL_STEPS, stop=stop)):
        told = told | {"imagined": _frames(state), "step": state.step, "steps": state.steps}
        tell(told)
    return told


def grow(given: Json, shelf: Shelf, stop: Stop, tell: Tell) -> Json:
    """The class, imagined in several ways side by side; each a film with its score. A stop keeps what there is."""
    trace = _trace(given, shelf, stop)
    model, objective = trace.classifier, ClassScore(replace(trace.target, index=trace.class_index))
    ways = _ways(given)
    steps = STEPS.get(str(given.get("steps")), STEPS["quick"])
    count, seed = _whole(given, "pictures", 1, 4, 1), _whole(given, "seed", 0, 9999)
    natural, whose = _natural(trace, shelf)
    beside = Natural(natural, scores_of(model, objective, natural, stop=stop))
    told: Json = {
        "label": model.labels[trace.class_index],
        "unit": trace.target.points,
        "steps": steps,
        "natural": [
            {"picture": colors_url(colors(natural[i])), "score": float(beside.scores[i])} for i in beside.best(3)
        ],
        "whose": whose,
        "ways": [{"how": how, "pictures": [], "curve": [], "step": 0} for how in ways],
    }
    tell(told)
    growing = [imagine(model, objective, RECIPES[how], count=count, steps=steps, seed=seed, stop=stop) for how in ways]
    films: list[list[Imagined]] = [[] for _ in ways]
    for states in _until_stopped(zip(*growing, strict=True)):
        for film, state in zip(films, states, strict=True):
            film.append(state)
        told = told | {
            "ways": [
                {"how": how, "pictures": _frames(state), "curve": _curve(state), "step": state.step}
                for how, state in zip(ways, states, strict=True)
            ]
        }
        tell(told)
    shown = [
        way | {"film": _film(film) if film else None, "worth": _worth(trace, objective, film, beside, stop)}
        for way, film in zip(told["ways"], films, strict=True)
    ]
    return told | {"ways": shown, "whole": all(film and film[-1].done == 1 for film in films)}


def redraw(given: Json, shelf: Shelf, stop: Stop, tell: Tell) -> Json:
    """The picture as a depth sees it: dreamed on, exaggerated, or drawn again from the maps alone."""
    trace = _trace(given, shelf, stop)
    site = _site(given, trace)
    kind = given.get("kind") if given.get("kind") in REDRAWN else "inversion"
    told: Json = {"kind": kind, "chosen": site, "picture": colors_url(colors(trace.pixels))}
    try:
        for answer in engine.stream(trace, filling(f"inside.{kind}"), depth=site, stop=stop):
            told = told | {
                "pictures": [_numbered(tile) for tile in _tiles(answer)[:-1]],
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
    """How many steps each word means."""
    return {"steps": STEPS, "ways": list(RECIPES)}


def endpoints(shelf: Shelf, limits: Mapping[str, Any]) -> None:
    """Add `imagined`: a class imagined in one way, streamed picture by picture to who submits it."""

    def imagined(model: Any, target: Any, how: Any, steps: Any, seed: Any) -> Iterator[Any]:
        network = shelf.network(endpoint.model_of(model, shelf))
        objective = ClassScore(Target(network.index(_label(target)), head=network.head))
        count, start = _whole({"steps": steps}, "steps", 8, 512), _whole({"seed": seed}, "seed", 0, 9999)
        for state in imagine(network, objective, RECIPES[_how({"how": how})], steps=count, seed=start):
            told = {"step": state.step, "steps": state.steps, "score": float(state.scores[0]), "curve": _curve(state)}
            yield Image.fromarray(colors(state.pictures[0])), told

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
    place=20,
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


def _natural(trace: Trace, shelf: Shelf) -> tuple[Batch, str]:
    """Natural pictures for this network, and whose they are: its own world's, the app's photographs, or the pond's."""
    model = trace.classifier
    own = natural_pictures(model)
    if own:
        return framed(model, own), "its own world"
    named = list(shelf.catalogue.photographs)
    pictures = tuple(shelf.pictures.setdefault(name, shelf.catalogue.picture(name)).picture for name in named)
    if pictures:
        mine = () if any(each.digest == trace.picture.digest for each in pictures) else (trace.picture,)
        return framed(model, (*mine, *pictures)), "the photographs here" + (" and your picture" if mine else "")
    return torch.cat([trace.pixels[None], framed(model, any_pictures(24))]), "your picture and the pond"


def _until_stopped(states: Any) -> Iterator[Any]:
    """What there is until somebody stops it, which is an answer, too."""
    try:
        yield from states
    except Stopped:
        return


def _worth(trace: Trace, objective: ClassScore, film: Sequence[Imagined], natural: Natural, stop: Stop) -> str:
    if not film or stop():
        return ""
    try:
        return worth(trace.classifier, objective, film[-1].pictures, natural, spent=Spent(), stop=stop)
    except Stopped:
        return ""


def _exemplar(pictures: Batch, one: Exemplar, box: tuple[int, int, int, int], model: Classifier) -> Json:
    picture = pictures[one.picture].cpu()
    height, width = model.framing.size
    top, left, bottom, right = box
    within = [max(0, left) / width, max(0, top) / height, min(width, right) / width, min(height, bottom) / height]
    part = cut(picture, box, mean_color(model.framing))
    return {
        "picture": colors_url(colors(picture)),
        "cut": colors_url(colors(part)),
        "activation": one.activation,
        "box": within,
    }


def _frames(state: Imagined) -> list[Json]:
    scores = state.scores.tolist()
    return [
        {"picture": colors_url(colors(picture)), "score": score}
        for picture, score in zip(state.pictures, scores, strict=True)
    ]


def _curve(state: Imagined) -> list[list[float]]:
    """(step, mean score) so far."""
    return [[step, round(sum(scores) / len(scores), 3)] for step, scores in state.curve]


def _film(film: Sequence[Imagined]) -> str:
    """The frames as an animated WebP, the pictures side by side; the last one stays for a while."""
    frames = [
        Image.fromarray(np.concatenate([colors(picture) for picture in state.pictures], axis=1)) for state in film
    ]
    file = io.BytesIO()
    durations = [120] * (len(frames) - 1) + [2400]
    frames[0].save(
        file, "WEBP", save_all=True, append_images=frames[1:], duration=durations, loop=0, quality=88, method=2
    )
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"


def _tiles(answer: Any) -> tuple[Tile, ...]:
    assert isinstance(answer.result, Tiles)
    return answer.result.tiles


def _numbered(tile: Tile, *, heat: bool = False) -> Json:
    told: Json = {"caption": tile.caption, "value": tile.value, "signed": tile.signed}
    number = tile.caption.partition(":")[0].partition(",")[0]
    told["number"] = int(number) if number.isdecimal() else None
    if heat:
        return told | {"heat": panes.packed(tile.values)}
    return told | {"picture": colors_url(colored(tile)), "silent": tile.caption.endswith("silent")}


def _how(given: Json) -> RecipeName:
    how = given.get("how", "fourier")
    if how not in RECIPES:
        raise QuestionError(f"“how” is one of {', '.join(RECIPES)}.")
    found: RecipeName = how
    return found


def _ways(given: Json) -> list[RecipeName]:
    ways = given.get("ways") or ["fourier"]
    if not isinstance(ways, list) or not all(isinstance(how, str) for how in ways):
        raise QuestionError(f"“ways” are some of {', '.join(RECIPES)}.")
    return [_how({"how": how}) for how in list(dict.fromkeys(ways))[: len(RECIPES)]]


def _label(value: Any) -> str | int:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise QuestionError("A class is given by its label or its number.")
    return value


def _whole(given: Json, name: str, low: int, high: int, default: int = 0) -> int:
    value = given.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise QuestionError(f"“{name}” is a whole number from {low} to {high}.")
    return value
