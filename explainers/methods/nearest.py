"""Nearest neighbors where the network compares (Cover and Hart, IEEE Transactions on Information Theory 1967)."""

from typing import Annotated

from pydantic import Field

from ..galleries.among import Distance, Reading, held_against, others
from ..galleries.gallery import Gallery
from ..galleries.neighbors import vote
from ..registry import Family, explainer
from ..results import Neighbor, Neighbors
from ..trace import Trace


@explainer(
    title="Nearest pictures",
    family=Family.GALLERY,
    paper="https://ieeexplore.ieee.org/document/1053964",
    class_specific=False,
    passes=(1, 0),
    classic=True,
    fills="map.nearest",
)
def nearest(
    trace: Trace,
    gallery: Gallery,
    *,
    read_at: Reading = "pooled",
    metric: Distance = "cosine",
    count: Annotated[int, Field(ge=1, le=50, description="How many pictures are shown.")] = 8,
) -> Neighbors:
    """Which pictures does the network hold to be most like this one?

    The network turns each picture into a vector; those of the gallery with the least distance to this one's are shown,
    found by comparing all of them. Their labels vote.
    Read it as: what these pictures share is what the network sees in this one.
    Beware: something is always nearest. The sentence below says whether near is near by the gallery's own measure.
    """
    found = others(trace, gallery, read_at, metric, count)
    rows = [
        Neighbor(gallery.names[i], gallery.labels[i] or gallery.names[i], float(far), gallery.thumbnail(int(i)), int(i))
        for i, far in zip(found.numbers, found.distances, strict=True)
    ]
    votes = vote([gallery.labels[i] for i in found.numbers])
    near = held_against(trace, gallery, read_at, metric, found)
    unit = "cosine distance" if metric == "cosine" else "Euclidean distance"
    return Neighbors(tuple(rows), unit, tuple(votes), near, " ".join([near, *gallery.notes]))
