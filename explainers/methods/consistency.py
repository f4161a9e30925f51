"""Consistency of a map under augmentation (after Crabbé & van der Schaar, NeurIPS 2023)."""

from collections.abc import Iterator
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from ..augmenting import NOTHING, Back, Pipeline, Recipe, compared, invertible, picture_of, pixels_of
from ..registry import Family, Need, explainer, heat_of, map_method
from ..results import Tile, Tiles
from ..trace import Trace


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
    pipeline: Annotated[
        str,
        Field(max_length=2000, description="Transforms such as rotation(degrees=15), posterize(bits=5), or a preset."),
    ] = "classic",
    explained_by: Annotated[
        str, Field(max_length=60, description="The method whose maps are compared, by its id; empty for a quick one.")
    ] = "",
    samples: Annotated[int, Field(ge=2, le=64, description="How many variants are drawn.")] = 16,
    seed: Annotated[int, Field(ge=0, le=9999, description="Another number draws other variants.")] = 0,
) -> Iterator[Tiles]:
    """Does the reason for the chosen class survive augmentation?

    Explain each variant, carry its map back onto the original through the inverse of what was done to the picture, and
    compare: rank correlation with the original's map where the variant still shows the place. Also the mean of all
    maps, and how far they drift apart.
    Read it as: 1 says that the map moved with the picture; near 0, the reason is another one.
    Beware: a map with coarse cells cannot turn exactly, so a few hundredths are lost to interpolation alone.
    """
    ready, picture = Pipeline.parse(pipeline).at(trace.pixels.shape[-2:]), picture_of(trace)
    by = map_method(explained_by, trace.classifier)
    drawn = [ready.sample(picture, seed + number) for number in range(samples)]
    moved = [(variant, recipe) for variant, recipe in drawn if invertible(recipe)]
    asked = [(picture, NOTHING), *moved]  # first the control, which does nothing
    original = heat_of(trace, by)
    backs = [(NOTHING, compared(original, original, NOTHING, picture.shape[-2:]))]
    views = trace.all_elsewhere(pixels_of([variant for variant, _ in asked], trace), by.start(by.check({})))
    for number, ((_, recipe), view) in enumerate(zip(asked, views, strict=True)):
        backs.append((recipe, compared(heat_of(view, by), original, recipe, picture.shape[-2:])))
        if number and (number % trace.at_once == 0 or number == len(asked) - 1):
            yield _tiles(by.title, original.signed, backs, (number + 1) / len(asked), len(drawn) - len(moved))
    if not moved:
        yield _tiles(by.title, original.signed, backs, 1.0, len(drawn))


def _tiles(title: str, signed: bool, backs: list[tuple[Recipe, Back]], done: float, left_out: int) -> Tiles:
    (_, original), control, *variants = backs
    own, known = original.heat, torch.stack([back.known for _, back in backs[1:]])
    heats = torch.stack([_alike(back.heat) for _, back in backs[1:]])  # (N, gh, gw), zero where not known
    seen = known.sum(0)  # the control knows every place
    mean = heats.sum(0) / seen
    drift = (((heats - mean) * known).square().sum(0) / seen).sqrt()
    agreements = [back.agreement for _, back in variants]
    agreed = float(np.mean(agreements)) if agreements else 1.0
    spread = float(drift.mean() / heats.abs().mean().clamp(min=1e-12))
    maps = [
        Tile(own.numpy(), f"{title} of the original", 1.0, signed),
        Tile(mean.numpy(), f"mean of all, agreeing {agreed:.3f} on average", agreed, signed),
        Tile(drift.numpy(), "drift: standard deviation at each place", spread),
    ]
    maps += [Tile(b.heat.numpy(), f"{b.agreement:.3f}: {r}", b.agreement, signed) for r, b in (control, *variants)]
    note = (
        f"{left_out} variants were mixed of moved copies and have no way back; they are left out." if left_out else None
    )
    return Tiles(tuple(maps), unit="agreement", over_picture=True, note=note, done=done)


def _alike(heat: Tensor) -> Tensor:
    """A map brought to one scale, so that no variant counts more for having a higher score."""
    return heat / heat.abs().max().clamp(min=1e-12)
