"""Among others: where the picture of a trace lies among those of a gallery, and what makes it like one of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from ..errors import QuestionError
from ..network.sites import Outputs, Site
from ..shapes import Heat, Maps
from ..trace import Trace
from .embedding import ReadAt, averages, embed
from .gallery import Gallery
from .neighbors import Metric, distances, graph, nearest

Reading = Annotated[
    ReadAt,
    Field(
        description="Where in the network pictures are compared: pooled is what its last layer is fed with, late, "
        "middle and early are averages of maps, and pixels the picture itself, reduced to 8 × 8 colors."
    ),
]
"""An option of the methods that compare pictures."""

Distance = Annotated[
    Metric, Field(description="Cosine compares directions whatever the lengths of the vectors; Euclidean both.")
]
"""An option of the methods that compare pictures."""

_PAIRS = 20_000
_PICTURES = 400
_FAR = 0.99
"""A picture whose nearest lies farther than that of so many of the gallery's own is unlike anything there."""


@dataclass(frozen=True, eq=False)
class Others:
    """The nearest pictures of a gallery, without the picture itself."""

    numbers: NDArray[np.int64]
    distances: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Likeness:
    """What makes two pictures alike: their cosine, and how much of it each place of either picture carries."""

    cosine: float
    here: Heat
    there: Heat
    exact: bool
    """Whether each map adds up to the cosine, as it does where the network averages its last maps."""


def vector(trace: Trace, gallery: Gallery, read_at: ReadAt) -> NDArray[np.float16]:
    """The picture as the gallery would hold it (D,); its own row where it is in there. At most one forward pass."""
    known = gallery.vectors(trace.classifier)
    stored, number = known.at(read_at), gallery.number(trace.picture)
    if number is not None:
        return np.asarray(stored[number])
    made = embed(trace.classifier, trace.pixels[None], (read_at,), spent=trace.spent, stop=trace.stop)
    return np.asarray(made.vectors[read_at][0].numpy() / known.scales[read_at], np.float16)


def others(trace: Trace, gallery: Gallery, read_at: ReadAt, metric: Metric, count: int) -> Others:
    """The `count` pictures of the gallery that are nearest to this one."""
    if len(gallery) < 2:
        raise QuestionError(f"The gallery {gallery.name} has one picture; neighbors take two at least.")
    stored, own = gallery.vectors(trace.classifier).at(read_at), gallery.number(trace.picture)
    found, far = nearest(stored, vector(trace, gallery, read_at), count + (own is not None), metric)
    kept = (found != own)[: len(found)] if own is not None else np.ones(len(found), bool)
    return Others(found[kept][:count], far[kept][:count])


def held_against(trace: Trace, gallery: Gallery, read_at: ReadAt, metric: Metric, found: Others) -> str:
    """How near the nearest is, by the gallery's own measure, as a sentence."""
    stored, own = gallery.vectors(trace.classifier).at(read_at), gallery.number(trace.picture)
    rows = np.random.default_rng(0).permutation(len(gallery))[:_PICTURES]
    rows = np.sort(rows[rows != own]) if own is not None else np.sort(rows)
    _, apart = graph(stored, 1, metric, rows=rows)
    first = float(found.distances[0])
    usual = np.square(apart[:, 0], dtype=np.float64) / 2 if metric == "cosine" else apart[:, 0].astype(np.float64)
    farther = float((usual < first).mean())
    if farther >= _FAR and first > 0:
        return (
            f"Unlike anything here: its nearest lies farther from it than the nearest of {100 * farther:.0f} % of the "
            "gallery's own pictures do from them."
        )
    pairs = _same_label(stored, gallery.labels, metric)
    if not len(pairs):
        return f"Its nearest is farther than that of {100 * farther:.0f} % of the gallery's own pictures."
    return f"The nearest is nearer than {100 * (pairs > first).mean():.0f} % of pairs with one label are to each other."


def likeness(trace: Trace, other: Trace) -> Likeness:
    """What makes two pictures alike where the network's last layer reads them, place by place.

    Where it reads the plain average of the last maps, the cosine of the two averages is a sum over places, exactly:
    ⟨a_p, b̄⟩ / (places · ‖ā‖ ‖b̄‖). Elsewhere, as with a class token, it is the slope of the cosine times the map.
    """
    site, other_site = trace.site("last"), other.site("last")
    if averages(trace.classifier):
        a, b = trace.maps("last"), other.maps("last")  # (K, h, w)
        mean_a, mean_b = a.mean((1, 2)), b.mean((1, 2))
        norm = (mean_a.norm() * mean_b.norm()).clamp_min(1e-30)
        cosine = float(mean_a @ mean_b / norm)
        here = torch.einsum("khw,k->hw", a, mean_b) / (norm * a[0].numel())
        there = torch.einsum("khw,k->hw", b, mean_a) / (norm * b[0].numel())
        return Likeness(cosine, here, there, exact=True)
    a, leaves_a, b, leaves_b = *_embedded(trace, site), *_embedded(other, other_site)
    with torch.enable_grad():
        cosine_here = torch.nn.functional.cosine_similarity(a, b.detach(), dim=0)
        cosine_there = torch.nn.functional.cosine_similarity(a.detach(), b, dim=0)
    here, there = _carried(trace, site, cosine_here, leaves_a), _carried(other, other_site, cosine_there, leaves_b)
    return Likeness(float(cosine_here.detach()), here.float(), there.float(), exact=False)


# --- private ---------------------------------------------------------------------------------------------------------


def _carried(trace: Trace, site: Site, cosine: Tensor, leaves: Outputs) -> Heat:
    """Slope times map (h, w), added up over channels."""
    maps: Maps = site.maps(leaves).detach()
    return (site.slopes(trace.backward(cosine, leaves))[0] * maps).sum(0)


def _embedded(trace: Trace, site: Site) -> tuple[Tensor, Outputs]:
    """What the head is fed with (D,), and the leaves of the graph from the last maps to it."""
    head = trace.classifier.anatomy.embedding
    assert head is not None
    passed = trace.run(start=site.points, fed=[head])
    return passed.fed[head].flatten(), {point: passed.taps[point] for point in site.points}


def _same_label(vectors: NDArray[np.float16], labels: tuple[str, ...], metric: Metric) -> NDArray[np.float64]:
    """Distances of pairs of pictures with one label: some for each label, drawn with a fixed seed."""
    draw = np.random.default_rng(0)
    names, numbers = np.unique(np.array(labels), return_inverse=True)
    found = []
    for number, name in enumerate(names):
        rows = np.flatnonzero(numbers == number)
        if not name or len(rows) < 2:
            continue
        rows = draw.permutation(rows)[: max(2, min(len(rows), _PAIRS // (20 * len(names)) + 20))]
        for at, row in enumerate(rows[:20]):
            found.append(distances(vectors[np.delete(rows, at)], vectors[row], metric))
    return np.concatenate(found) if found else np.zeros(0)
