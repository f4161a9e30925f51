"""Charts: the maps of a gallery, those that were kept and those made now, and what they keep of the vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from .classifier import Classifier
from .galleries.embedding import EmbeddedAt
from .galleries.faithful import NEAREST, accuracy, faithfulness
from .galleries.layout import PERPLEXITY, Frame, Kind, components, lay_out
from .galleries.neighbors import Metric, prepared
from .gallery import Gallery


def chart(
    gallery: Gallery,
    model: Classifier,
    kind: Kind = "tsne",
    place: EmbeddedAt = "pooled",
    metric: Metric = "cosine",
    perplexity: float = PERPLEXITY,
    seed: int = 0,
    *,
    stop: Callable[[], bool] | None = None,
) -> Iterator[Frame]:
    """The map with these choices, better and better; at once where it was kept. One with the defaults is kept."""
    vectors = gallery.vectors(model)
    usual = (metric, perplexity, seed) == ("cosine", PERPLEXITY, 0) and kind != "pca"
    if usual and (kept := vectors.layouts.get(f"{place}/{kind}")) is not None:
        yield Frame(np.asarray(kept), 1.0)
        return
    for frame in lay_out(vectors.at(place), kind, perplexity=perplexity, seed=seed, metric=metric, stop=stop):
        if usual and frame.done >= 1:
            gallery.keep(model, place, kind, frame.points)
        yield frame


def measured(
    vectors: NDArray[np.floating], points: NDArray[np.floating], labels: tuple[str, ...], metric: Metric = "cosine"
) -> tuple[tuple[str, float], ...]:
    """What a map keeps, by name: its own figures, and those of PCA and of a map by chance beside them."""
    count = min(NEAREST, (len(vectors) - 1) // 2)
    if count < 1:
        return ()
    chance = np.random.default_rng(0).normal(size=(len(vectors), 2))
    flat = components(prepared(vectors, metric).numpy())[0]
    figures = []
    for name, each in (("", points), (" of PCA", flat), (" by chance", chance)):
        found = faithfulness(vectors, each, count, metric)
        figures += [(f"trustworthiness{name}", found.trustworthiness), (f"continuity{name}", found.continuity)]
        figures += [(f"neighbors kept{name}", found.recall)]
    if len(set(labels)) > 1:
        figures += [
            ("labels right in the vectors", accuracy(vectors, labels, count, metric)),
            ("labels right in the map", accuracy(points, labels, count, "euclidean")),
        ]
    return tuple(figures)


def too_good(figures: tuple[tuple[str, float], ...]) -> str:
    """A warning where the map tells labels apart better than the vectors that it was made of; else empty."""
    known = dict(figures)
    if known.get("labels right in the map", 0) > known.get("labels right in the vectors", 1):
        return "The map tells the labels apart better than the vectors do: it shows more order than there is."
    return ""
