"""How long the vectors of the patches are, and which stand out (Darcet, Oquab, Mairal and Bojanowski, ICLR 2024)."""

from ..registry import Depth, Family, Need, explainer
from ..results import Heatmap
from ..trace import Trace

STANDS_OUT = 3.0
"""Times the median from which on a vector is an outlier; those of the paper are about ten times as long as the rest."""


@explainer(
    title="Outlier patches",
    family=Family.INSIDE,
    needs={Need.MAPS},
    paper="https://arxiv.org/abs/2309.16588",
    class_specific=False,
    passes=(1, 0),
)
def token_norms(trace: Trace, *, depth: Depth = "last") -> Heatmap:
    """Which patches does the network keep something in that is not about them?

    The length of each patch's vector at this depth. Large transformers without registers put notes about the whole
    picture into a few patches of the background, whose vectors grow far longer than the rest.
    Read it as: single patches that stand out in an empty region hold no information about that place.
    Beware: in networks of convolutions a long vector is an active place, and nothing is wrong with it.
    """
    norms = trace.maps(depth).norm(dim=0)  # (h, w)
    limit = STANDS_OUT * float(norms.median())
    out = [(int(row), int(column)) for row, column in (norms > limit).nonzero()]
    named = ", ".join(f"({row}, {column})" for row, column in out[:8]) + (" and more" if len(out) > 8 else "")
    said = f"{len(out)} of {norms.numel()} stand out, at {STANDS_OUT:g} times the median or more"
    return Heatmap(norms, unit="length of the vector", note=f"{said}: {named}." if out else f"None{said[1:]}.")
