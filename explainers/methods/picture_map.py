"""A map of pictures: t-SNE (van der Maaten and Hinton, JMLR 2008), PCA, or UMAP."""

from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from ..errors import QuestionError
from ..galleries.among import Distance, Reading, vector
from ..galleries.gallery import Gallery
from ..galleries.laid_out import Measures, laid_out, measured, too_good
from ..galleries.layout import FEWEST, PERPLEXITY, caveats, position
from ..galleries.trustworthiness import aligned
from ..registry import Family, explainer
from ..results import Scatter
from ..trace import Trace


@explainer(
    title="Map of pictures",
    family=Family.GALLERY,
    paper="https://www.jmlr.org/papers/v9/vandermaaten08a.html",
    class_specific=False,
    passes=(1, 0),
    fills="map.chart",
)
def picture_map(
    trace: Trace,
    gallery: Gallery,
    *,
    kind: Annotated[
        Literal["tsne", "pca", "umap"],
        Field(description="t-SNE and UMAP keep who is beside whom; PCA is a plain projection, and keeps distances."),
    ] = "tsne",
    read_at: Reading = "pooled",
    metric: Distance = "cosine",
    perplexity: Annotated[
        float, Field(ge=2, le=100, description="How many neighbors each picture attends to: small shows detail.")
    ] = PERPLEXITY,
    seed: Annotated[int, Field(ge=0, le=9999, description="Where chance begins; the start is by PCA in any case.")] = 0,
    turned: Annotated[
        bool,
        Field(description="Whether the whole map is turned and scaled to lie as that of the last layer does."),
    ] = False,
    measure: Annotated[bool, Field(description="Whether it is measured what the map keeps of the vectors.")] = True,
) -> Iterator[Scatter]:
    """Where does this picture lie among the others, as the network sees them?

    The network's vectors of all pictures are laid out in two dimensions, so that who is near stays near. This picture
    is placed into that map, which does not move for it.
    Read it as: pictures beside each other are alike to the network.
    Beware: two dimensions cannot hold it all. The measures say how much of the vectors' neighborhoods the map keeps.
    """
    if len(gallery) < FEWEST:
        raise QuestionError(f"A map takes {FEWEST} pictures at least; the gallery {gallery.name} has {len(gallery)}.")
    vectors, asked = gallery.vectors(trace.classifier), (metric, perplexity, seed)
    stored, last = vectors.at(read_at), vectors.read_at[0]
    new, own = vector(trace, gallery, read_at), gallery.number(trace.picture)
    onto = None
    if turned and read_at != last:
        *_, whole = laid_out(gallery, trace.classifier, kind, last, *asked, stop=trace.stop)
        onto = whole.points
    for frame in laid_out(gallery, trace.classifier, kind, read_at, *asked, stop=trace.stop):
        if own is not None:
            here = frame.points[own]
        else:
            here = position(stored, frame.points, new, kind, perplexity=perplexity, metric=metric)
        points = np.vstack([frame.points, here])
        points = points if onto is None else aligned(points, onto)
        ended = measure and frame.done >= 1
        made = measured(stored, frame.points, gallery.labels, metric) if ended else Measures((), None)
        said = [*caveats(stored, kind, perplexity), *filter(None, [too_good(made.figures)])]
        yield Scatter(
            points[:-1],
            gallery.names,
            gallery.labels,
            here=(float(points[-1, 0]), float(points[-1, 1])),
            measures=made.figures,
            note=" ".join([*said, *gallery.notes]) or None,
            done=frame.done,
            own=own,
            kept=made.kept,
            caveats=tuple(said),
        )
