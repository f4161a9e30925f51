"""A map of pictures: t-SNE (van der Maaten and Hinton, JMLR 2008), PCA, or UMAP."""

from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from ..errors import QuestionError
from ..galleries.among import Distance, Place, vector
from ..galleries.charts import chart, measured, too_good
from ..galleries.gallery import Gallery
from ..galleries.layout import FEWEST, PERPLEXITY, caveats
from ..galleries.layout import place as put
from ..registry import Family, explainer
from ..results import Scatter
from ..trace import Trace


@explainer(
    title="Map of pictures",
    family=Family.GALLERY,
    paper="https://www.jmlr.org/papers/v9/vandermaaten08a.html",
    class_specific=False,
    passes=(1, 0),
)
def picture_map(
    trace: Trace,
    gallery: Gallery,
    *,
    kind: Annotated[
        Literal["tsne", "pca", "umap"],
        Field(description="t-SNE and UMAP keep who is beside whom; PCA is a plain projection, and keeps distances."),
    ] = "tsne",
    place: Place = "pooled",
    metric: Distance = "cosine",
    perplexity: Annotated[
        float, Field(ge=2, le=100, description="How many neighbors each picture attends to: small shows detail.")
    ] = PERPLEXITY,
    seed: Annotated[int, Field(ge=0, le=9999, description="Where chance begins; the start is by PCA in any case.")] = 0,
) -> Iterator[Scatter]:
    """Where does this picture lie among the others, as the network sees them?

    The network's vectors of all pictures are laid out in two dimensions, so that who is near stays near. This picture
    is placed into that map, which does not move for it.
    Read it as: pictures beside each other are alike to the network.
    Beware: two dimensions cannot hold it all. The measures say how much of the vectors' neighborhoods the map keeps.
    """
    if len(gallery) < FEWEST:
        raise QuestionError(f"A map takes {FEWEST} pictures at least; the gallery {gallery.name} has {len(gallery)}.")
    stored = gallery.vectors(trace.classifier).at(place)
    new, own = vector(trace, gallery, place), gallery.number(trace.picture)
    for frame in chart(gallery, trace.classifier, kind, place, metric, perplexity, seed, stop=trace.stop):
        ended = frame.done >= 1
        if own is not None:
            here = frame.points[own]
        else:
            here = put(stored, frame.points, new, kind, perplexity=perplexity, metric=metric)
        figures = measured(stored, frame.points, gallery.labels, metric).figures if ended else ()
        yield Scatter(
            np.asarray(frame.points),
            gallery.names,
            gallery.labels,
            here=(float(here[0]), float(here[1])),
            measures=figures,
            note=" ".join(filter(None, [*caveats(stored, kind, perplexity), too_good(figures), *gallery.notes]))
            or None,
            done=frame.done,
        )
