"""Neighbors through the depths: where in a network the labels fall apart (Cohen, Sapiro and Giryes, 2018)."""

import numpy as np

from ..errors import QuestionError
from ..galleries.embedding import READ_AT
from ..galleries.gallery import Gallery
from ..galleries.layout import equal
from ..galleries.trustworthiness import accuracy
from ..network.classifier import Classifier
from ..registry import Family, explainer
from ..results import Bars

FEWEST = 3
"""Of two pictures, each has the other for its only neighbor."""


@explainer(
    title="Labels by depth",
    family=Family.GALLERY,
    paper="https://arxiv.org/abs/1805.06822",
    class_specific=False,
    passes=(0, 0),
    fills="map.depths",
)
def through_depths(model: Classifier, gallery: Gallery) -> Bars:
    """At which depth do pictures of one label come to lie beside each other?

    At each depth the ten nearest pictures vote for a picture's label; the bar is how often they are right.
    Read it as: where the bars rise is where the network makes the difference between the labels.
    Beware: vectors are averages over the picture, so what an early layer knows of places is not counted.
    """
    vectors = gallery.vectors(model)
    if len(set(gallery.labels)) < 2:
        raise QuestionError(f"The gallery {gallery.name} has no two labels, so nothing can fall apart by label.")
    if len(gallery) < FEWEST:
        raise QuestionError(f"Labels fall apart among {FEWEST} pictures at least; {gallery.name} has {len(gallery)}.")
    depths = [each for each in reversed(READ_AT) if each in vectors.read_at]
    if all(equal(vectors.at(each)) for each in depths):
        raise QuestionError(f"{model.name} makes no difference between any two pictures of {gallery.name}.")
    shares = [accuracy(vectors.at(each), gallery.labels) for each in depths]
    counts = [gallery.labels.count(label) for label in set(gallery.labels)]
    note = f"Always naming the most frequent label would be right for {100 * max(counts) / len(gallery):.0f} %."
    return Bars(np.array(shares, np.float32), tuple(depths), "of pictures named rightly by their neighbors", note=note)
