"""Neighbors as a picture, and in words."""

from __future__ import annotations

from PIL import Image

from ...pictures import Framing, Picture
from ...results import Neighbors, Tile, Tiles
from ..render import PaletteName, figure, percent
from . import tiles


def drawn(neighbors: Neighbors, _source: Picture | None, framing: Framing, colors: PaletteName | None) -> Image.Image:
    """Their thumbnails beside each other, each with its label and distance."""
    row = [Tile(each.thumbnail, f"{each.label}, {figure(each.distance)}") for each in neighbors.rows]
    return tiles.drawn(Tiles(tuple(row)), None, framing, colors)


def in_words(neighbors: Neighbors) -> str:
    """The same in a sentence, for those who cannot see it."""
    if not neighbors.rows:
        return "No picture is near."
    nearest, votes = neighbors.rows[0], neighbors.votes
    vote = f" {percent(votes[0][1])} of the vote is for {votes[0][0]}." if votes else ""
    return f"The nearest is {nearest.label}, {figure(nearest.distance)} {neighbors.unit} away.{vote}"
