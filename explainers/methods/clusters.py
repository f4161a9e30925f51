"""Groups of pictures: k-means, agglomerative clustering, or HDBSCAN (Campello, Moulavi and Sander, PAKDD 2013)."""

from typing import Annotated, Any, Literal

from pydantic import Field

from ..galleries.among import Reading
from ..galleries.gallery import Gallery
from ..galleries.groups import Group, found, in_words
from ..network.classifier import Classifier
from ..registry import Family, explainer
from ..results import Tile, Tiles


@explainer(
    title="Groups of pictures",
    family=Family.GALLERY,
    paper="https://link.springer.com/chapter/10.1007/978-3-642-37456-2_14",
    class_specific=False,
    passes=(0, 0),
    fills="map.groups",
)
def clusters(
    model: Classifier,
    gallery: Gallery,
    *,
    by: Annotated[
        Literal["kmeans", "agglomerative", "hdbscan"],
        Field(description="k-means and agglomerative make as many groups as asked for; HDBSCAN finds dense ones."),
    ] = "kmeans",
    count: Annotated[
        int, Field(ge=0, le=30, description="How many groups; with 0, the number whose groups lie best apart.")
    ] = 0,
    read_at: Reading = "pooled",
    shown: Annotated[int, Field(ge=1, le=12, description="How many pictures of each group are shown.")] = 4,
) -> Tiles:
    """Into which groups do the network's vectors of the pictures fall?

    Groups are made of the vectors themselves, not of a map of them. Each is shown by the pictures in its middle, with
    the labels in it and the channels that set it apart.
    Read it as: what the pictures of one group share is a concept that the network sorts by.
    Beware: k-means makes groups of anything. A silhouette near 0 says that there are none.
    """
    groups = found(gallery.vectors(model).at(read_at), gallery.labels, by, count)
    tiles = [
        _tile(gallery, group, number, first=rank == 0)
        for group in groups.groups
        for rank, number in enumerate(group.middle[:shown])
    ]
    if not tiles:
        tiles = [Tile(gallery.thumbnail(0), "no group")]
    return Tiles(tuple(tiles), unit="pictures", columns=shown, note=groups.sentence)


def _tile(gallery: Gallery, group: Group, number: int, *, first: bool) -> Tile:
    """A picture of a group; beside the first of them stands what the group is, with all its pictures."""
    facts: dict[str, Any] = {"number": number, "group": group.number}
    if not first:
        return Tile(gallery.thumbnail(number), key=gallery.names[number], facts=facts)
    facts |= {
        "words": in_words(group),
        "size": group.size,
        "labels": [list(each) for each in group.labels],
        "channels": [list(each) for each in group.channels],
        "pictures": list(group.middle),  # from the middle outward
    }
    return Tile(gallery.thumbnail(number), in_words(group), float(group.size), key=gallery.names[number], facts=facts)
