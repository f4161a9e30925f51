"""The layouts of a gallery, those that were kept and those made now, and what they keep of the vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..network.classifier import Classifier
from .embedding import ReadAt
from .gallery import Gallery
from .layout import PERPLEXITY, Frame, Kind, components, equal, lay_out
from .neighbors import Metric, prepared
from .trustworthiness import NEAREST, accuracy, compared


def laid_out(
    gallery: Gallery,
    model: Classifier,
    kind: Kind = "tsne",
    read_at: ReadAt = "pooled",
    metric: Metric = "cosine",
    perplexity: float = PERPLEXITY,
    seed: int = 0,
    *,
    stop: Callable[[], bool] | None = None,
) -> Iterator[Frame]:
    """The layout with these choices, better and better; at once where it was kept. One with the defaults is kept."""
    vectors = gallery.vectors(model)
    usual = (metric, perplexity, seed) == ("cosine", PERPLEXITY, 0) and kind != "pca"
    if usual and (kept := vectors.layouts.get(f"{read_at}/{kind}")) is not None:
        yield Frame(np.asarray(kept), 1.0)
        return
    for frame in lay_out(vectors.at(read_at), kind, perplexity=perplexity, seed=seed, metric=metric, stop=stop):
        if usual and frame.done >= 1:
            gallery.keep(model, read_at, kind, frame.points)
        yield frame


@dataclass(frozen=True, eq=False)
class Measures:
    """What a layout keeps of the vectors: figures by name, and for each point the share of its neighbors in it."""

    figures: tuple[tuple[str, float], ...]
    kept: NDArray[np.float32] | None
    """(N,); None where not every point was measured."""


def measured(
    vectors: NDArray[np.floating], points: NDArray[np.floating], labels: tuple[str, ...], metric: Metric = "cosine"
) -> Measures:
    """What a layout keeps, with PCA and a layout by chance beside it; nothing where there is no nearer and farther."""
    count = min(NEAREST, (len(vectors) - 1) // 2)
    if count < 1 or equal(vectors) or equal(points):  # among equals nobody is nearer than another
        return Measures((), None)
    chance = np.random.default_rng(0).normal(size=(len(vectors), 2))
    flat = components(prepared(vectors, metric).numpy())[0]
    figures = []
    each = compared(vectors, [points, flat, chance], count, metric)
    for name, found in zip(("", " of PCA", " by chance"), each, strict=True):
        figures += [(f"trustworthiness{name}", found.trustworthiness), (f"continuity{name}", found.continuity)]
        figures += [(f"neighbors kept{name}", found.recall)]
    if len(set(labels)) > 1:
        figures += [
            ("labels right in the vectors", accuracy(vectors, labels, count, metric)),
            ("labels right in the map", accuracy(points, labels, count, "euclidean")),
        ]
    kept = each[0].points
    return Measures(tuple(figures), kept if np.isfinite(kept).all() else None)


def too_good(figures: tuple[tuple[str, float], ...]) -> str:
    """A warning where the layout tells labels apart better than the vectors that it was made of; else empty."""
    known = dict(figures)
    if known.get("labels right in the map", 0) > known.get("labels right in the vectors", 1):
        return "The map tells the labels apart better than the vectors do: it shows more order than there is."
    return ""
