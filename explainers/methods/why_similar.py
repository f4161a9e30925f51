"""What makes two pictures alike, place by place (Stylianou, Souvenir and Pless, WACV 2019)."""

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..errors import QuestionError
from ..galleries.among import likeness, others
from ..galleries.gallery import Gallery
from ..ingredients.stretching import stretched
from ..registry import Family, Need, explainer
from ..results import Tile, Tiles
from ..shapes import Heat
from ..trace import Trace


@explainer(
    title="Why these two are alike",
    family=Family.GALLERY,
    needs={Need.MAPS, Need.MAP_SLOPES},
    paper="https://arxiv.org/abs/1901.00536",
    class_specific=False,
    passes=(3, 2),
    fills="map.alike",
)
def why_similar(
    trace: Trace,
    gallery: Gallery,
    *,
    neighbor: Annotated[
        int, Field(ge=1, le=50, description="Which of the nearest pictures: 1 is the nearest, or the last there is.")
    ] = 1,
    named: Annotated[
        str,
        Field(max_length=1000, description="Another picture, by its name in the gallery or as #7; else that neighbor."),
    ] = "",
) -> Tiles:
    """Which places of two pictures make the network hold them to be alike?

    Two pictures are alike as the cosine of their vectors says. Where a vector is the average of the last maps, the
    cosine is a sum over places, so each place has its share of it; elsewhere its slope times the map stands for that.
    Read it as: bright places of both pictures are what the two have in common, for the network.
    Beware: a background that both share counts as much as a subject, and is often what decides.
    """
    if named:
        number = gallery.named(named)
    else:
        found = others(trace, gallery, "pooled", "cosine", neighbor)
        if not len(found.numbers):
            raise QuestionError(f"The gallery {gallery.name} has no other picture.")
        number = int(found.numbers[-1])
    theirs = trace.classifier.framing.frame(gallery.picture(number), trace.pixels.dtype).to(trace.pixels)
    alike = likeness(trace, trace.elsewhere(theirs))
    name = gallery.labels[number] or gallery.names[number]
    note = (
        f"Each map adds up to the cosine of the two, {alike.cosine:.2f}."
        if alike.exact
        else f"The cosine of the two is {alike.cosine:.2f}; the maps are its slope times the maps, not a sum."
    )
    facts = {"number": number, "cosine": alike.cosine, "exact": alike.exact}
    tiles = (
        Tile(_lit(trace.pixels.float().cpu().numpy(), alike.here), "this picture", float(alike.here.sum()), key="this"),
        Tile(_lit(theirs.float().cpu().numpy(), alike.there), name, float(alike.there.sum()), key="other"),
        Tile(alike.here.cpu().numpy(), "places here", signed=True, key="here", facts=facts),
        Tile(alike.there.cpu().numpy(), f"places in {name}", signed=True, key="there", facts=facts),
    )
    return Tiles(tiles, unit="of the cosine", columns=2, note=note)


def _lit(pixels: NDArray[np.floating], heat: Heat) -> NDArray[np.uint8]:
    """The picture (3, H, W), dark where a place adds nothing, as colors (H, W, 3)."""
    wide = stretched(heat.relu().cpu(), pixels.shape[1:]).numpy()
    light = 0.2 + 0.8 * wide / max(float(wide.max()), 1e-12)
    return np.clip(pixels.transpose(1, 2, 0) * light[..., None] * 255, 0, 255).astype(np.uint8)
