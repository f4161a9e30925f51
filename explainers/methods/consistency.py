"""Consistency of a map under augmentation (after Crabbé & van der Schaar, NeurIPS 2023)."""

from collections.abc import Iterator
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from ..augmenting import NOTHING, Back, Pipeline, Recipe, compared, invertible, picture_of, pixels_of
from ..augmenting.options import ExplainedBy, Transforms
from ..registry import Family, Need, Seed, explainer, heat_method, heat_of
from ..results import Tile, Tiles
from ..trace import Trace

_Named = tuple[str, Recipe, Back]
"""What a variant is called, what was done to it, and its heat carried back."""


@explainer(
    title="Consistency",
    family=Family.AUGMENTATION,
    needs={Need.NO_BANDS},
    paper="https://arxiv.org/abs/2304.06715",
    passes=(18, 18),
    fills="augment.agreement",
)
def consistency(
    trace: Trace,
    *,
    pipeline: Transforms = "classic",
    explained_by: ExplainedBy = "",
    samples: Annotated[int, Field(ge=2, le=64, description="How many variants are drawn.")] = 16,
    seed: Seed = 0,
) -> Iterator[Tiles]:
    """Does the reason for the chosen class survive augmentation?

    Explain each variant, carry its map back onto the original through the inverse of what was done to the picture, and
    compare: rank correlation with the original's map where the variant still shows the place. Also the mean of all
    maps, and how far they drift apart.
    Read it as: 1 says that the map moved with the picture; near 0, the reason is another one.
    Beware: a map with coarse cells cannot turn exactly, so a few hundredths are lost to interpolation alone.
    """
    ready, picture = Pipeline.parse(pipeline).at(trace.pixels.shape[-2:]), picture_of(trace)
    by = heat_method(explained_by, trace.classifier)
    drawn = [(f"variant {each}", *ready.sample(picture, each)) for each in range(seed, seed + samples)]
    moved = [each for each in drawn if invertible(each[2])]
    asked = [("control", picture, NOTHING), *moved]  # what does nothing comes first
    original, size = heat_of(trace, by), picture.shape[-2:]
    own = compared(original, original, NOTHING, size)
    views = trace.all_elsewhere(pixels_of([variant for _, variant, _ in asked], trace), by.start(by.check({})))
    backs: list[_Named] = []
    for number, ((key, _, recipe), view) in enumerate(zip(asked, views, strict=True)):
        backs.append((key, recipe, compared(heat_of(view, by), original, recipe, size)))
        if number and (number % trace.at_once == 0 or number == len(asked) - 1):
            yield _tiles(by.title, original.signed, own, backs, (number + 1) / len(asked), len(drawn) - len(moved))
    if not moved:
        yield _tiles(by.title, original.signed, own, backs, 1.0, len(drawn))


def _tiles(title: str, signed: bool, own: Back, backs: list[_Named], done: float, left_out: int) -> Tiles:
    known = torch.stack([back.known for _, _, back in backs])
    heats = torch.stack([_alike(back.heat) for _, _, back in backs])  # (N, gh, gw), zero where not known
    seen = known.sum(0)  # the control knows every place
    mean = heats.sum(0) / seen
    drift = (((heats - mean) * known).square().sum(0) / seen).sqrt()
    agreements = [back.agreement for _, _, back in backs[1:]]
    agreed = float(np.mean(agreements)) if agreements else 1.0
    spread = float(drift.mean() / heats.abs().mean().clamp(min=1e-12))
    maps = [
        Tile(own.heat.numpy(), f"{title} of the original", 1.0, signed, "original"),
        Tile(mean.numpy(), f"mean of all, agreeing {agreed:.3f} on average", agreed, signed, "mean"),
        Tile(drift.numpy(), "drift: standard deviation at each place", spread, key="drift"),
    ]
    maps += [
        Tile(back.heat.numpy(), f"{back.agreement:.3f}: {recipe}", back.agreement, signed, key, {"recipe": str(recipe)})
        for key, recipe, back in backs
    ]
    note = (
        f"{left_out} variants were mixed of moved copies and have no way back; they are left out." if left_out else None
    )
    return Tiles(tuple(maps), unit="agreement", over_picture=True, note=note, done=done)


def _alike(heat: Tensor) -> Tensor:
    """A map brought to one scale, so that no variant counts more for having a higher score."""
    return heat / heat.abs().max().clamp(min=1e-12)
