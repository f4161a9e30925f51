"""Two pictures in one, by CutMix (Yun et al., ICCV 2019) or MixUp (Zhang et al., ICLR 2018), explained."""

from typing import Annotated

from pydantic import Field

from ..augmenting import Mixing, colors_of, heat_in_box, mixed, pixels_of_second
from ..augmenting.options import Across, Down, ExplainedBy
from ..registry import Family, Need, explainer, heat_method, heat_of
from ..results import Tile, Tiles
from ..trace import Second, Trace


@explainer(
    title="Two pictures in one",
    family=Family.AUGMENTATION,
    needs={Need.NO_BANDS},
    paper="https://arxiv.org/abs/1905.04899",
    passes=(3, 1),
    fills="augment.mixture",
)
def mixture(
    trace: Trace,
    second: Second,
    *,
    kind: Annotated[
        Mixing, Field(description="CutMix pastes a box of the second picture, MixUp blends both.")
    ] = "cutmix",
    share: Annotated[float, Field(ge=0, le=1, description="λ: how much of the first picture is left.")] = 0.5,
    across: Across = 0.5,
    down: Down = 0.5,
    explained_by: ExplainedBy = "",
) -> Tiles:
    """What does the network say to two pictures in one, and where does the heat for the chosen class lie?

    Paste a box of the second picture into this one, or blend both, put the mixture to the network, and explain it.
    Beside it stands the label that training would give it: λ of the first picture's class, the rest of the second's.
    Read it as: heat beyond the box's share of the area says that the class is seen in what was pasted.
    Beware: training takes λ for the label, whatever the box covers; a box over the background changes little.
    """
    by, other = heat_method(explained_by, trace.classifier), pixels_of_second(trace, second)
    made = mixed(kind, trace.pixels, other, share=share, center=(across, down))
    labels, rival = trace.classifier.labels, int(trace.classifier.head.winner(trace.logits_at(other[None])[0]))
    (view,) = trace.all_elsewhere(made.pixels[None], by.start(by.check({})))
    found = heat_of(view, by)
    about = {
        "share": made.share,
        "box": list(made.box) if made.box else None,
        "label": [[labels[trace.class_index], made.share], [labels[rival], 1 - made.share]],
        "says": [{"label": p.label, "probability": p.probability, "told": p.told} for p in view.top(5)],
    }
    inside = heat_in_box(found, made) if made.box else None
    said = "" if inside is None else f", {inside:.0%} of it in the box"
    facts = {"by": by.id, "title": by.title, "heat_in_box": inside}
    tiles = (
        Tile(colors_of(made.pixels), str(made), key="mixture", facts=about),
        Tile(found.heat, f"{by.title}{said}", inside, found.signed, "heat", facts),
        Tile(colors_of(other), "the second picture", key="second"),
    )
    return Tiles(tiles, unit="of the heat in the box" if made.box else "")
