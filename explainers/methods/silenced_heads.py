"""What a head is worth: the score with the head silenced (Michel, Levy and Neubig, NeurIPS 2019)."""

from collections.abc import Iterator

import numpy as np

from ..ingredients.attending import MOST_HEADS, Layer, layer_at, notes
from ..registry import Family, Need, explainer
from ..results import Bars
from ..trace import Trace
from ..trace.attention import silenced


@explainer(
    title="Heads silenced",
    family=Family.ATTENTION,
    needs={Need.ATTENTION},
    paper="https://arxiv.org/abs/1905.10650",
    passes=(MOST_HEADS + 1, 0),
)
def silenced_heads(trace: Trace, *, layer: Layer = -1) -> Iterator[Bars]:
    """What happens to the chosen class when a head puts out nothing?

    One head after another puts out zeros, and the network runs again; a bar is the score as it is minus that score.
    Read it as: a long bar to the right is a head that the class leans on; to the left, one that speaks against it.
    Beware: zero is nothing that a head ever puts out, and other heads may carry the same, so that none is missed.
    """
    index, said = layer_at(trace, layer)
    heads = trace.classifier.anatomy.attention[index].heads
    score = float(trace.asked.of(trace.logits))
    worth = np.zeros(heads, np.float32)
    for head in range(heads):
        without = trace.run(graph=False, under=silenced(trace, index, head)).output[0]
        worth[head] = score - float(trace.asked.of(without))
        labels = tuple(f"head {number}" for number in range(heads))
        yield Bars(worth, labels, unit=trace.target.points, note=notes(said), done=(head + 1) / heads)
