"""Tiles: small pictures beside each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .result import Result, frozen


@dataclass(frozen=True, eq=False)
class Tile:
    """One small picture: colors (h, w, 3) or gray (h, w, 1) as uint8, or a map (h, w) as float32 for the palette."""

    values: NDArray[Any]
    caption: str = ""
    value: float | None = None
    """The number that goes with it, in the unit of all tiles."""
    signed: bool = False
    key: str = ""
    """Which one it is, among those that one method gives: “channel 7”, or what else a program asks for it by."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What a program may want to know of it, as JSON; nobody has to read it out of the caption."""

    def __post_init__(self) -> None:
        values = np.asarray(self.values)
        if values.ndim == 3 and values.shape[2] == 1:
            values = values.repeat(3, axis=2)
        if values.size == 0 or not (values.ndim == 2 or (values.ndim == 3 and values.shape[2] == 3)):
            raise ValueError(f"a tile is (h, w) or (h, w, 3) and has cells, this has shape {values.shape}")
        object.__setattr__(self, "values", frozen(values, np.float32 if values.ndim == 2 else np.uint8))


@dataclass(frozen=True, eq=False)
class Tiles(Result):
    """Small pictures beside each other, in reading order."""

    kind: ClassVar[str] = "tiles"

    tiles: tuple[Tile, ...]
    unit: str = ""
    """Of the tiles' numbers."""
    columns: int | None = None
    """How many stand in a row; as many as look well by default."""
    over_picture: bool = False
    """Whether maps are to be laid over the picture rather than shown by themselves."""
    note: str | None = None
    done: float = 1.0

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Each tile by its place, from tile_0 on, and the numbers of all where each has one."""
        numbers = [tile.value for tile in self.tiles if tile.value is not None]
        all_have = bool(numbers) and len(numbers) == len(self.tiles)
        values = {"values": np.array(numbers, np.float32)} if all_have else {}
        return {f"tile_{place}": tile.values for place, tile in enumerate(self.tiles)} | values

    def as_json(self) -> dict[str, Any]:
        """Captions, numbers, sizes, and the facts of each."""
        about = [
            {
                "caption": t.caption,
                "value": t.value,
                "shape": list(t.values.shape),
                "signed": t.signed,
                "key": t.key,
                "facts": dict(t.facts),
            }
            for t in self.tiles
        ]
        return {
            "count": len(self.tiles),
            "unit": self.unit,
            "columns": self.columns,
            "over_picture": self.over_picture,
            "tiles": about,
            "done": self.done,
        }
