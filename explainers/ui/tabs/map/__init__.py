"""The tab “Map”: a gallery as points, the visitor's picture among them, and why its neighbors are its neighbors."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

import explainers as ex

from .... import engine, worlds
from ....errors import QuestionError
from ....explanation import Explanation
from ....galleries import built_in
from ....galleries import gallery as galleries
from ....galleries.embedding import READ_AT, ReadAt
from ....galleries.gallery import Gallery
from ....galleries.groups import WAYS, By
from ....galleries.layout import KINDS, Kind
from ....network.classifier import Classifier
from ....pictures import Picture
from ....registry import filling
from ....results import Bars, Neighbors, Scatter, Tile, Tiles
from ...panes import packed
from ...pictures import data_url
from ...shelf import Shelf
from ...tab import Json, Stop, Tab, Tell, asked

NEIGHBORS, CONFUSED, SHOWN = 12, 60, 300
"""How many neighbors, wrong predictions and thumbnails are told at once."""

THUMBNAIL, PICTURE = 48, 192
READ_AT_WORDS = {"pixels": "pixels", "early": "early", "middle": "middle", "late": "late", "pooled": "last"}
KIND_WORDS: dict[Kind, str] = {"tsne": "t-SNE", "pca": "PCA", "umap": "UMAP"}
WAY_WORDS: dict[By, str] = {"kmeans": "k-means", "agglomerative": "agglomerative", "hdbscan": "HDBSCAN"}


def _open(given: Json, shelf: Shelf, stop: Stop, tell: Tell) -> Json:
    """The map of a gallery: its points, as they come to lie, then everything that is told about them."""
    question = asked(given, shelf)
    gallery = _gallery(given, question.network)
    chosen = {"gallery": gallery, "read_at": _read_at(given, gallery.vectors(question.network).read_at)}
    about: Json = {}
    for answer in question.put("map.chart", stop, **chosen, kind=given.get("kind") or KINDS[0]):
        scatter = _scatter(answer)
        if not about:  # who the pictures are comes with the first map of them, so that it has its colors
            about = _about(gallery, question.network, answer.options["read_at"], answer.options["kind"])
            tell(about | _points(scatter))
        elif scatter.done < 1:
            tell(_points(scatter))
    (answer,) = question.put("map.nearest", stop, **chosen, count=NEIGHBORS)
    near = answer.result
    assert isinstance(near, Neighbors)
    return about | _points(scatter) | {
        "here": list(scatter.here or ()),
        "own": scatter.own,
        "neighbors": [{"number": row.number, "distance": row.distance} for row in near.rows],
        "votes": list(near.votes),
        "near": near.near,
        "figures": dict(scatter.measures),
        "kept": None if scatter.kept is None else _packed((scatter.kept * 255).astype(np.uint8)),
        "caveats": list(scatter.caveats),
        "confused": [
            {"number": number, "sure": sure} for number, sure in gallery.confused(question.network)[:CONFUSED]
        ],
    }  # fmt: skip


def _alike(given: Json, shelf: Shelf, stop: Stop, _tell: Tell) -> Json:
    """What makes the visitor's picture and one of the gallery alike, on both."""
    question = asked(given, shelf)
    gallery = _gallery(given, question.network)
    number = _number(given.get("number"), len(gallery))
    (answer,) = question.put("map.alike", stop, gallery=gallery, named=f"#{number}")
    tiles = {tile.key: tile for tile in _tiles(answer)}
    pictures = {"here": question.shown.picture, "there": gallery.picture(number)}
    box = question.network.framing.box
    heats = {key: _heated(seen, box(seen.size), tiles[key].values) for key, seen in pictures.items()}
    return dict(tiles["here"].facts) | heats


def _thumbs(given: Json, shelf: Shelf, _stop: Stop, _tell: Tell) -> Json:
    """Thumbnails of some pictures, in one."""
    gallery = _gallery(given, asked(given, shelf).network)
    numbers = given.get("numbers")
    if not isinstance(numbers, list) or len(numbers) > SHOWN:
        raise QuestionError(f"Thumbnails are told of up to {SHOWN} pictures at once.")
    numbers = [_number(number, len(gallery)) for number in numbers]
    data = base64.b64encode(gallery.sheet(numbers, THUMBNAIL)).decode()
    return {"numbers": numbers, "side": THUMBNAIL, "sheet": f"data:image/webp;base64,{data}"}


def _groups(given: Json, shelf: Shelf, stop: Stop, _tell: Tell) -> Json:
    """Groups of the vectors: which picture is in which, and what each is made of."""
    question = asked(given, shelf)
    gallery = _gallery(given, question.network)
    read_at = _read_at(given, gallery.vectors(question.network).read_at)
    by, count = given.get("by") or WAYS[0], given.get("count", 0)
    (answer,) = question.put("map.groups", stop, gallery=gallery, read_at=read_at, by=by, count=count, shown=1)
    groups = [tile.facts for tile in _tiles(answer) if "pictures" in tile.facts]
    of = np.full(len(gallery), -1, np.int16)
    for group in groups:
        of[group["pictures"]] = group["group"]
    return {
        "of": _packed(of),
        "sentence": answer.result.note,
        "groups": [
            {"words": each["words"], "size": each["size"], "middle": each["pictures"][:4], "labels": each["labels"][:3]}
            for each in groups
        ],
    }


def _depths(given: Json, shelf: Shelf, stop: Stop, tell: Tell) -> Json:
    """A layout for each depth of the network, from the pixels on, turned onto the last one: the frames of a film."""
    question = asked(given, shelf)
    gallery = _gallery(given, question.network)
    depths = gallery.vectors(question.network).read_at
    right = _right(question.put("map.depths", stop, gallery=gallery)) if len(set(gallery.labels)) > 1 else {}
    frames: list[Json] = []
    for where in depths:  # from the last on, since the others are turned onto it
        *_, answer = question.put("map.chart", stop, gallery=gallery, read_at=where, turned=True, measure=False)
        points = _packed(_scatter(answer).points)
        frames.insert(0, {"place": where, "words": READ_AT_WORDS[where], "points": points, "right": right.get(where)})
        tell({"share": len(frames) / len(depths)})
    return {"frames": frames}


def _steady(given: Json, shelf: Shelf, stop: Stop, tell: Tell) -> Json:
    """How much maps that begin at random agree, in a sentence."""
    question = asked(given, shelf)
    gallery = _gallery(given, question.network)
    read_at = _read_at(given, gallery.vectors(question.network).read_at)
    for answer in question.put("map.steady", stop, gallery=gallery, read_at=read_at):
        tell({"share": answer.result.done})
    return {"sentence": answer.result.note}


def _digits(_given: Json, shelf: Shelf, stop: Stop, _tell: Tell) -> Json:
    """The classic picture: digits from their pixels, from a network before training, and after it."""
    world = next(world for world in worlds.worlds() if world.ways)
    gallery = Gallery.open(world.scheme)
    maps = []
    for way in world.ways:
        trace = ex.look(shelf.network(world.identifier(way.network)), gallery.picture(0))
        given: Json = {"gallery": gallery, "stop": stop}
        drawn = engine.explain(trace, filling("map.chart"), read_at=way.read_at, measure=False, **given)
        right = _right(engine.stream(trace, filling("map.depths"), **given))[way.read_at]
        maps.append({"words": way.words, "points": _packed(_scatter(drawn).points), "right": right})
    return {"maps": maps, **_named("label", gallery.labels)}


def _about_tab(_shelf: Shelf) -> Json:
    return {
        "galleries": list(galleries.offered()),
        "kinds": {kind: KIND_WORDS[kind] for kind in KINDS},
        "ways": {way: WAY_WORDS[way] for way in WAYS},
        "built_in": {world.scheme: world.title for world in worlds.worlds()},
    }


TAB = Tab(
    id="map",
    title="Map",
    line="Where does this picture lie among others, as the network sees them?",
    order=30,
    work={
        "open": _open,
        "alike": _alike,
        "thumbs": _thumbs,
        "groups": _groups,
        "depths": _depths,
        "steady": _steady,
        "digits": _digits,
    },
    about=_about_tab,
)


# --- private ---------------------------------------------------------------------------------------------------------


def _gallery(given: Json, model: Classifier) -> Gallery:
    return galleries.on_offer(given.get("gallery"), model)


def _read_at(given: Json, known: tuple[str, ...]) -> ReadAt:
    asked = given.get("place")
    chosen = next((each for each in READ_AT if each == asked and each in known), None)
    return chosen or READ_AT[0]


def _number(value: object, count: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < count:
        raise QuestionError(f"The gallery has pictures 0 to {count - 1}.")
    return value


def _packed(array: NDArray[Any]) -> str:
    """Numbers as base64, little-endian."""
    return base64.b64encode(np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes()).decode()


def _scatter(answer: Explanation) -> Scatter:
    assert isinstance(answer.result, Scatter)
    return answer.result


def _tiles(answer: Explanation) -> tuple[Tile, ...]:
    assert isinstance(answer.result, Tiles)
    return answer.result.tiles


def _right(answers: Iterator[Explanation]) -> dict[str, float]:
    """How often neighbors name a picture rightly, by where the vectors were read."""
    (answer,) = answers
    assert isinstance(answer.result, Bars)
    return dict(zip(answer.result.labels, answer.result.values.tolist(), strict=True))


def _points(scatter: Scatter) -> Json:
    return {"points": _packed(scatter.points), "share": scatter.done}


def _named(name: str, values: tuple[str, ...]) -> Json:
    """Words and, for each picture, the number of its word."""
    names = sorted(set(values))
    numbers = {word: number for number, word in enumerate(names)}
    return {f"{name}s": names, name: _packed(np.array([numbers[value] for value in values], np.int16))}


def _about(gallery: Gallery, model: Classifier, where: str, kind: str) -> Json:
    vectors = gallery.vectors(model)
    told: Json = {
        "gallery": gallery.name,
        "count": len(gallery),
        "places": [{"id": each, "words": READ_AT_WORDS[each]} for each in reversed(vectors.read_at)],
        "place": where,
        "kind": kind,
        "names": "\n".join(gallery.names),
        "facets": {name: _named("value", values) for name, values in gallery.facets.items()},
        "notes": list(gallery.notes),
        "scenes": gallery.name in built_in.names() and built_in.collection(gallery.name).named,
    }
    if any(gallery.labels):
        told |= _named("label", gallery.labels)
    if vectors.labels:
        words = tuple(vectors.labels[number] for number in vectors.predicted)
        told |= _named("call", words) | {"sure": _packed((vectors.confidence * 255).astype(np.uint8))}
    return told


def _heated(picture: Picture, box: tuple[float, float, float, float], heat: NDArray[np.float32]) -> Json:
    small = picture.thumbnail(PICTURE)
    share = small.width / picture.width
    return {
        "src": data_url(small),
        "width": small.width,
        "height": small.height,
        "box": [edge * share for edge in box],
        "heat": packed(heat),
    }
