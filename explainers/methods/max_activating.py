"""Maximally activating pictures of a channel, with what it can see outlined (Zeiler & Fergus, ECCV 2014)."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from ..imagining.canvas import mean_color
from ..imagining.exemplars import cut, exemplars, receptive_field
from ..imagining.showing import Channel, colors, site_of
from ..imagining.worlds import any_pictures, framed, natural_pictures, whose
from ..network.classifier import Classifier
from ..registry import Depth, Family, Need, explainer
from ..results import Tile, Tiles
from ..trace import Asked

LINE = torch.tensor([1.0, 0.75, 0.1])[:, None]


@explainer(
    title="What excites a channel",
    family=Family.INSIDE,
    needs={Need.MAPS, Need.NO_BANDS},
    paper="https://arxiv.org/abs/1311.2901",
    class_specific=False,
    passes=(140, 0),
    fills="inside.exemplars",
)
def max_activating(
    model: Classifier,
    asked: Asked,
    *,
    depth: Depth = "middle",
    channel: Channel = 0,
    count: Annotated[int, Field(ge=1, le=24, description="How many pictures are shown.")] = 6,
    crops: Annotated[bool, Field(description="Cut out what the channel can see there.")] = False,
) -> Tiles:
    """Which natural pictures excite a channel most, and what part of them can it see?

    Pictures of the network's own world, or of a gallery that was built for it, go through it; those with the highest
    activation anywhere are shown, with the field of that place outlined: the pixels that it can depend on at all.
    Read it as: what these pictures have in common within the outline is what the channel responds to.
    Beware: the best of a few pictures; and the outline is what can matter, of which the middle mostly does.
    """
    site = site_of(model, depth)
    number = channel % site.channels
    own = natural_pictures(model)
    pictures, theirs = framed(model, own or any_pictures()), whose(model) or "another world"
    (found,) = exemplars(model, site, pictures, [number], count=count, spent=asked.spent, stop=asked.stop)
    field = receptive_field(model, site, spent=asked.spent)
    ground = mean_color(model.framing)
    tiles = []
    for one in found:
        picture, box = pictures[one.picture].cpu(), field.of(one.cell)
        shown = cut(picture, box, ground) if crops else _outlined(picture, box)
        facts = {"picture": one.picture, "box": _within(box, picture), "field": list(field.size), "whose": theirs}
        tiles.append(Tile(colors(shown), f"{one.activation:.2g}", one.activation, facts=facts))
    height, width = field.size
    note = f"Channel {number} of {site.channels}; each place sees {height} × {width} pixels"
    whole = height >= model.framing.size[0] and width >= model.framing.size[1]
    note += ", the whole picture." if whole else f" of {' × '.join(map(str, model.framing.size))}."
    if not own:
        note += " They are pond pictures: a gallery of this network's own world would bring better ones."
    return Tiles(tuple(tiles), unit="activation", note=note)


def _within(box: tuple[int, int, int, int], picture: Tensor) -> list[float]:
    """A box as shares of the picture's sides, as far as it lies within: left, top, right, bottom."""
    (top, left, bottom, right), (height, width) = box, picture.shape[1:]
    return [max(0, left) / width, max(0, top) / height, min(width, right) / width, min(height, bottom) / height]


def _outlined(picture: Tensor, box: tuple[int, int, int, int]) -> Tensor:
    """The picture (3, H, W) with a thin frame around a box, as far as it lies within."""
    top, left, bottom, right = box
    height, width = picture.shape[1:]
    if top <= 0 and left <= 0 and bottom >= height and right >= width:
        return picture
    outlined, line = picture.expand(3, -1, -1).clone(), max(1, round(min(height, width) / 112))
    rows, columns = slice(max(0, top), max(0, bottom)), slice(max(0, left), max(0, right))
    for at in range(line):
        for row in (top + at, bottom - 1 - at):
            if 0 <= row < height:
                outlined[:, row, columns] = LINE
        for column in (left + at, right - 1 - at):
            if 0 <= column < width:
                outlined[:, rows, column] = LINE
    return outlined
