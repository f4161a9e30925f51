"""Steadiness of a layout: what t-SNE keeps from one random start to another (Wattenberg et al., Distill 2016)."""

from collections.abc import Iterator

import numpy as np

from ..errors import QuestionError
from ..galleries.among import Reading
from ..galleries.gallery import Gallery
from ..galleries.layout import equal, lay_out
from ..galleries.trustworthiness import NEAREST, agreement
from ..network.classifier import Classifier
from ..registry import Family, explainer
from ..results import Bars
from ..trace import Asked

STARTS = 3
"""Layouts that are held against each other; of three there are three pairs."""


@explainer(
    title="Steadiness of the map",
    family=Family.GALLERY,
    paper="https://distill.pub/2016/misread-tsne/",
    class_specific=False,
    passes=(0, 0),
    fills="map.steady",
)
def steadiness(model: Classifier, gallery: Gallery, asked: Asked, *, read_at: Reading = "pooled") -> Iterator[Bars]:
    """How much of the map of pictures is chance?

    The network's vectors are laid out by t-SNE three times, each time from another random start. A bar is the share of
    its ten nearest that a point keeps from one map to another, averaged over the points.
    Read it as: near 1 the neighborhoods are in the vectors; what is missing to 1 is in one map alone.
    Beware: what all three agree on can still be wrong; whether a map keeps the vectors' neighbors is another number.
    """
    vectors = gallery.vectors(model).at(read_at)
    if equal(vectors):
        raise QuestionError(f"{model.name} makes no difference between any two pictures of {gallery.name}.")
    layouts, shares = [], dict[tuple[int, int], float]()
    for seed in range(STARTS):
        *_, frame = lay_out(vectors, "tsne", seed=seed, start="random", stop=asked.stop)
        layouts.append(frame.points)
        shares |= {(before, seed): agreement(layouts[before], frame.points) for before in range(seed)}
        if not shares:
            continue
        percent, done = 100 * np.mean([*shares.values()]), len(layouts) / STARTS
        note = f"{len(layouts)} maps that begin at random share {percent:.0f} % of each point's {NEAREST} neighbors."
        labels = tuple(f"starts {one + 1} and {other + 1}" for one, other in shares)
        yield Bars(np.array([*shares.values()], np.float32), labels, "of neighbors shared", note=note, done=done)
