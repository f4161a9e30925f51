"""One augmented variant, and its map carried back onto the original (after Crabbé & van der Schaar, NeurIPS 2023)."""

from ..augmenting import Pipeline, colors_of, compared, invertible, picture_of, pixels_of
from ..augmenting.options import ExplainedBy, Transforms
from ..registry import Family, Need, Seed, explainer, heat_method, heat_of
from ..results import Tile, Tiles
from ..trace import Trace


@explainer(
    title="Map of a variant",
    family=Family.AUGMENTATION,
    needs={Need.NO_BANDS},
    paper="https://arxiv.org/abs/2304.06715",
    passes=(2, 2),
    fills="augment.variant",
)
def variant(
    trace: Trace,
    *,
    pipeline: Transforms = "classic",
    seed: Seed = 0,
    explained_by: ExplainedBy = "",
) -> Tiles:
    """Where does one augmented variant show the reason for the chosen class?

    Draw the variant that training would with this seed, explain it, and carry its map back onto the original through
    the inverse of what was done to the picture. Where the variant does not show the original, nothing is known.
    Read it as: a map that lies where the original's does says that the reason moved with the picture.
    Beware: this is one variant; the method Consistency draws many, and holds a control beside them.
    """
    by, size = heat_method(explained_by, trace.classifier), trace.pixels.shape[-2:]
    picture, recipe = Pipeline.parse(pipeline).sample(picture_of(trace), seed)
    pixels = pixels_of([picture], trace)[0]
    original, found = heat_of(trace, by), heat_of(trace.elsewhere(pixels), by)
    about = {"by": by.id, "title": by.title}
    tiles = [
        Tile(colors_of(pixels), str(recipe), key="variant", facts={"seed": seed, "recipe": str(recipe)}),
        Tile(found.heat, f"{by.title} of the variant", signed=found.signed, key="heat", facts=about),
        Tile(original.heat, f"{by.title} of the original", signed=original.signed, key="original", facts=about),
    ]
    if not invertible(recipe):
        why = "Several moved copies lie over each other here: no place of the map belongs to one of the original."
        return Tiles(tuple(tiles), note=why)
    back = compared(found, original, recipe, size)
    lost = (~back.known).float()
    said = f"carried back, agreeing {back.agreement:.3f} with the original's"
    facts = {"agreement": back.agreement, "share_lost": float(lost.mean())}
    tiles += [
        Tile(back.heat.numpy(), said, back.agreement, found.signed, "back", facts),
        Tile(lost.numpy(), f"what the variant does not show: {float(lost.mean()):.0%}", key="lost"),
    ]
    return Tiles(tuple(tiles), unit="agreement")
