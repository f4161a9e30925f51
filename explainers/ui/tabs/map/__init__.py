"""The tab “Map”: a gallery as points, the visitor's picture among them, and why its neighbors are its neighbors."""

from __future__ import annotations

import base64
from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .... import worlds
from ....errors import QuestionError
from ....galleries import built_in
from ....galleries import gallery as galleries
from ....galleries.among import held_against, likeness, others, vector
from ....galleries.charts import chart, measured, too_good
from ....galleries.embedding import PLACES, EmbeddedAt
from ....galleries.gallery import Gallery
from ....galleries.groups import WAYS, By, found, in_words
from ....galleries.layout import KINDS, PERPLEXITY, Frame, Kind, caveats, lay_out, place
from ....galleries.neighbors import vote
from ....galleries.trustworthiness import NEAREST, accuracy, agreement, aligned
from ....network.classifier import Classifier
from ....pictures import Picture
from ....trace import Trace
from ...panes import packed
from ...pictures import data_url
from ...shelf import Shelf
from ...tab import Json, Stop, Tab, Tell, asked

NEIGHBORS, CONFUSED, SHOWN = 12, 60, 300
"""How many neighbors, wrong predictions and thumbnails are told at once."""

THUMBNAIL, PICTURE = 48, 192
PLACE_WORDS = {"pixels": "pixels", "early": "early", "middle": "middle", "late": "late", "pooled": "last"}
KIND_WORDS = {"tsne": "t-SNE", "pca": "PCA", "umap": "UMAP"}


def _open(given: Json, shelf: Shelf, stop: Stop, tell: Tell) -> Json:
    """The map of a gallery: its points, as they come to lie, then everything that is told about them."""
    trace = _trace(given, shelf, stop)
    model = trace.classifier
    gallery = _gallery(given, model)
    vectors = gallery.vectors(model)
    where, kind = _place(given, vectors.places), _one_of(given, "kind", KINDS, "tsne")
    steps: deque[Frame] = deque(maxlen=1)
    for frame in chart(gallery, model, kind, where, stop=stop):
        if not steps:  # who the pictures are comes with the first map of them, so that it has its colors
            tell(_about(gallery, model, where, kind) | _points(frame))
        elif frame.done < 1:
            tell(_points(frame))
        steps.append(frame)
    points = steps[-1].points
    return (
        _about(gallery, model, where, kind)
        | _points(steps[-1])
        | _here(trace, gallery, where, kind, points)
        | _trusted(gallery, model, where, kind, points)
        | {"confused": _confused(gallery, model)}
    )


def _alike(given: Json, shelf: Shelf, stop: Stop, _tell: Tell) -> Json:
    """What makes the visitor's picture and one of the gallery alike, on both."""
    trace = _trace(given, shelf, stop)
    gallery = _gallery(given, trace.classifier)
    number = _number(given.get("number"), len(gallery))
    theirs = gallery.picture(number)
    if (other := given.get("other")) is not None:  # two pictures of the gallery
        trace = Trace(trace.classifier, gallery.picture(_number(other, len(gallery))), stop=stop)
    framing, seen = trace.classifier.framing, trace.picture
    told = likeness(trace, trace.elsewhere(framing.frame(theirs, trace.pixels.dtype).to(trace.pixels)))
    return {
        "number": number,
        "cosine": told.cosine,
        "exact": told.exact,
        "here": _heated(seen, framing.box(seen.size), told.here.cpu().numpy()),
        "there": _heated(theirs, framing.box(theirs.size), told.there.cpu().numpy()),
    }


def _thumbs(given: Json, shelf: Shelf, stop: Stop, _tell: Tell) -> Json:
    """Thumbnails of some pictures, in one."""
    gallery = _gallery(given, _trace(given, shelf, stop).classifier)
    numbers = given.get("numbers")
    if not isinstance(numbers, list) or len(numbers) > SHOWN:
        raise QuestionError(f"Thumbnails are told of up to {SHOWN} pictures at once.")
    numbers = [_number(number, len(gallery)) for number in numbers]
    data = base64.b64encode(gallery.sheet(numbers, THUMBNAIL)).decode()
    return {"numbers": numbers, "side": THUMBNAIL, "sheet": f"data:image/webp;base64,{data}"}


def _groups(given: Json, shelf: Shelf, stop: Stop, _tell: Tell) -> Json:
    """Groups of the vectors: which picture is in which, and what each is made of."""
    model = _trace(given, shelf, stop).classifier
    gallery = _gallery(given, model)
    where = _place(given, gallery.vectors(model).places)
    by: By = _one_of(given, "by", WAYS, "kmeans")
    count = given.get("count", 0)
    if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= 30:
        raise QuestionError("The number of groups is a whole number from 0 to 30; with 0, the best one is found.")
    made = found(gallery.vectors(model).at(where), gallery.labels, by, count)
    return {
        "of": _packed(made.of.astype(np.int16)),
        "sentence": made.sentence,
        "groups": [
            {"words": in_words(each), "size": each.size, "middle": list(each.middle[:4]), "labels": each.labels[:3]}
            for each in made.groups
        ],
    }


def _depths(given: Json, shelf: Shelf, stop: Stop, tell: Tell) -> Json:
    """A map for each place in the network, from the pixels on, turned onto the last one: the frames of a film."""
    model = _trace(given, shelf, stop).classifier
    gallery = _gallery(given, model)
    vectors = gallery.vectors(model)
    frames: list[Json] = []
    onto: NDArray[np.float32] | None = None
    for where in (
        each for each in PLACES if each in vectors.places
    ):  # from the last on, since the others are turned onto it
        *_, frame = chart(gallery, model, "tsne", where, stop=stop)
        points = frame.points if onto is None else aligned(frame.points, onto)
        onto = points if onto is None else onto
        right = accuracy(vectors.at(where), gallery.labels) if len(set(gallery.labels)) > 1 else None
        frames.insert(0, {"place": where, "words": PLACE_WORDS[where], "points": _packed(points), "right": right})
        tell({"share": len(frames) / len(vectors.places)})
    return {"frames": frames}


def _steady(given: Json, shelf: Shelf, stop: Stop, tell: Tell) -> Json:
    """How much maps from three seeds agree, each begun at random numbers' hands."""
    model = _trace(given, shelf, stop).classifier
    gallery = _gallery(given, model)
    where = _place(given, gallery.vectors(model).places)
    maps = []
    for seed in range(3):
        *_, frame = lay_out(gallery.vectors(model).at(where), "tsne", seed=seed, start="random", stop=stop)
        maps.append(frame.points)
        tell({"share": len(maps) / 3})
    pairs = [agreement(maps[a], maps[b]) for a, b in ((0, 1), (0, 2), (1, 2))]
    return {"agreement": float(np.mean(pairs)), "of": NEAREST}


def _digits(_given: Json, shelf: Shelf, _stop: Stop, _tell: Tell) -> Json:
    """The classic picture: digits from their pixels, from a network before training, and after it."""
    world = next(world for world in worlds.worlds() if world.ways)
    gallery = Gallery.open(world.scheme)
    maps = []
    for way in world.ways:
        model, where = shelf.network(world.identifier(way.network)), _place({"place": way.place}, PLACES)
        vectors = gallery.vectors(model)
        *_, frame = chart(gallery, model, "tsne", where)
        right = accuracy(vectors.at(where), gallery.labels)
        maps.append({"words": way.words, "points": _packed(frame.points), "right": right})
    return {"maps": maps, **_named("label", gallery.labels)}


def _about_tab(_shelf: Shelf) -> Json:
    return {
        "galleries": list(galleries.offered()),
        "kinds": KIND_WORDS,
        "ways": list(WAYS),
        "built_in": {world.scheme: world.title for world in worlds.worlds()},
    }


TAB = Tab(
    id="map",
    title="Map",
    line="Where does this picture lie among others, as the network sees them?",
    place=30,
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


def _trace(given: Json, shelf: Shelf, stop: Stop) -> Trace:
    return asked(given, shelf).view(stop)


def _gallery(given: Json, model: Classifier) -> Gallery:
    return galleries.on_offer(given.get("gallery"), model)


def _place(given: Json, places: tuple[str, ...]) -> EmbeddedAt:
    asked = given.get("place")
    chosen = next((each for each in PLACES if each == asked and each in places), None)
    return chosen or PLACES[0]


def _one_of(given: Json, name: str, choices: tuple[Any, ...], default: str) -> Any:
    value = given.get(name) or default
    if value not in choices:
        raise QuestionError(f"“{name}” is one of {', '.join(choices)}, not “{str(value)[:40]}”.")
    return value


def _number(value: object, count: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < count:
        raise QuestionError(f"The gallery has pictures 0 to {count - 1}.")
    return value


def _packed(array: NDArray[Any]) -> str:
    """Numbers as base64, little-endian."""
    return base64.b64encode(np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes()).decode()


def _points(frame: Frame) -> Json:
    return {"points": _packed(frame.points.astype(np.float32)), "share": frame.done}


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
        "places": [{"id": p, "words": PLACE_WORDS[p]} for p in reversed(vectors.places)],
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


def _here(trace: Trace, gallery: Gallery, where: EmbeddedAt, kind: Kind, points: NDArray[np.float32]) -> Json:
    """Where the visitor's picture lies, and beside whom."""
    stored, own = gallery.vectors(trace.classifier).at(where), gallery.number(trace.picture)
    at = points[own] if own is not None else place(stored, points, vector(trace, gallery, where), kind)
    near = others(trace, gallery, where, "cosine", NEIGHBORS)
    return {
        "here": [float(at[0]), float(at[1])],
        "own": own,
        "neighbors": [
            {"number": int(number), "distance": float(far)}
            for number, far in zip(near.numbers, near.distances, strict=True)
        ],
        "votes": vote([gallery.labels[number] for number in near.numbers]),
        "near": held_against(trace, gallery, where, "cosine", near),
    }


def _trusted(gallery: Gallery, model: Classifier, where: str, kind: Kind, points: NDArray[np.float32]) -> Json:
    stored = gallery.vectors(model).at(where)
    made = measured(stored, points, gallery.labels)
    kept = None if made.kept is None else _packed((made.kept * 255).astype(np.uint8))
    caveat = [*caveats(stored, kind, PERPLEXITY), *filter(None, [too_good(made.figures)])]
    return {"figures": dict(made.figures), "kept": kept, "caveats": caveat}


def _confused(gallery: Gallery, model: Classifier) -> list[Json]:
    """The pictures that the network calls by another class than their label, the surest first."""
    vectors = gallery.vectors(model)
    known = set(vectors.labels)
    wrong = [
        (float(vectors.confidence[i]), i)
        for i, label in enumerate(gallery.labels)
        if label in known and vectors.labels[vectors.predicted[i]] != label
    ]
    return [{"number": i, "sure": sure} for sure, i in sorted(wrong, key=lambda each: (-each[0], each[1]))[:CONFUSED]]


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
