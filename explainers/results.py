"""What a method may return: a small closed set of frozen values, NumPy on the CPU."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


class Result(ABC):
    """What all kinds have in common: a caveat, how much of the work is behind it, its numbers, and itself as JSON."""

    kind: ClassVar[str]
    """Its name in a payload."""
    note: str | None
    done: float
    """The share of the work behind this result, for a method that streams better and better ones."""

    @property
    def finite(self) -> bool:
        """Whether every number in it is one."""
        return all(bool(np.isfinite(a).all()) for a in self.arrays().values() if np.issubdtype(a.dtype, np.number))

    @abstractmethod
    def arrays(self) -> dict[str, NDArray[Any]]:
        """All of its numbers, by name."""

    @abstractmethod
    def as_json(self) -> dict[str, Any]:
        """What a program wants to know of it, without large arrays."""


@dataclass(frozen=True)
class Sum:
    """What a map promises to add up to, and what it does add up to, both in units of the score."""

    parts: float
    """The sum of the map, before any rounding."""
    whole: float
    """What the parts are to add up to: for most, the score here minus the score of the baseline."""
    floor: float = 0.0
    """A whole smaller than this is too small to be a measure; the residual is taken against this instead."""

    @property
    def residual(self) -> float:
        """By how much the parts miss the whole, as a share of it."""
        return abs(self.parts - self.whole) / max(abs(self.whole), self.floor, 1e-12)


@dataclass(frozen=True, eq=False, init=False)
class Heatmap(Result):
    """A number for each cell of a grid over what the network saw, at the method's own resolution.

    `heat` may be given as a tensor (h, w); it is kept as float32 on the CPU. `signed` says whether values below zero
    carry meaning ("lowers the score"). `unit` is shown beside the palette, and `note` where the map needs a caveat.
    `adds_up` belongs to a method that promises a sum, `error` (h, w) to one that draws at random: the standard error
    of each cell. `done` is the share of the work behind this map, for a method that streams better and better ones.
    Raises `ValueError` for another shape.
    """

    kind: ClassVar[str] = "heat"

    heat: NDArray[np.float32]
    signed: bool
    unit: str
    note: str | None
    adds_up: Sum | None
    error: NDArray[np.float32] | None
    done: float

    def __init__(
        self,
        values: Tensor | NDArray[Any],
        *,
        unit: str,
        signed: bool = False,
        note: str | None = None,
        adds_up: Sum | None = None,
        error: Tensor | NDArray[Any] | None = None,
        done: float = 1.0,
    ) -> None:
        heat = _as_array(values)
        if heat.ndim != 2 or heat.size == 0:
            raise ValueError(f"a heatmap has two axes and at least one cell, this has shape {heat.shape}")
        spread = None if error is None else _as_array(error)
        if spread is not None and spread.shape != heat.shape:
            raise ValueError(f"a standard error belongs to each cell: {spread.shape} beside {heat.shape}")
        known = {"heat": heat, "signed": signed, "unit": unit, "note": note}
        for name, value in (known | {"adds_up": adds_up, "error": spread, "done": float(done)}).items():
            object.__setattr__(self, name, value)

    @property
    def blank(self) -> bool:
        """Whether every cell is zero: the method found nothing."""
        return not np.any(self.heat)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The map (h, w) at the method's own resolution."""
        return {"native": self.heat}

    def as_json(self) -> dict[str, Any]:
        """Shape, unit, sign and range."""
        return {
            "shape": list(self.heat.shape),
            "unit": self.unit,
            "signed": self.signed,
            "blank": self.blank,
            "minimum": float(self.heat.min()),
            "maximum": float(self.heat.max()),
            "done": self.done,
        }


@dataclass(frozen=True, eq=False)
class Step:
    """One stage of a method's working: a sentence, the map at this stage, and the numbers that go with it."""

    sentence: str
    heat: NDArray[np.float32]
    signed: bool = True
    weight: float | None = None
    """What this map counts for; drawn as a bar beside those of the other steps."""
    total: float | None = None
    """What the steps so far add up to, in units of the score."""


@dataclass(frozen=True, eq=False)
class Tile:
    """One small picture: colors (h, w, 3) or gray (h, w, 1) as uint8, or a map (h, w) as float32 for the palette."""

    values: NDArray[Any]
    caption: str = ""
    value: float | None = None
    """The number that goes with it, in the unit of all tiles."""
    signed: bool = False

    def __post_init__(self) -> None:
        values = np.asarray(self.values)
        if values.ndim == 3 and values.shape[2] == 1:
            values = values.repeat(3, axis=2)
        if values.size == 0 or not (values.ndim == 2 or (values.ndim == 3 and values.shape[2] == 3)):
            raise ValueError(f"a tile is (h, w) or (h, w, 3) and has cells, this has shape {values.shape}")
        object.__setattr__(self, "values", _frozen(values, np.float32 if values.ndim == 2 else np.uint8))


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
        """Captions, numbers and sizes."""
        about = [{"caption": t.caption, "value": t.value, "shape": list(t.values.shape)} for t in self.tiles]
        return {"count": len(self.tiles), "unit": self.unit, "tiles": about, "done": self.done}


@dataclass(frozen=True, eq=False)
class Bars(Result):
    """One number for each of several things that have names."""

    kind: ClassVar[str] = "bars"

    values: NDArray[np.float32]
    labels: tuple[str, ...]
    unit: str
    error: NDArray[np.float32] | None = None
    """The standard error of each."""
    note: str | None = None
    done: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", _as_array(self.values))
        if self.error is not None:
            object.__setattr__(self, "error", _as_array(self.error))
        for numbers in (self.values, self.error):
            if numbers is not None and numbers.shape != (len(self.labels),):
                raise ValueError(f"{len(self.labels)} labels belong to as many numbers, not to {numbers.shape}")

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The numbers, and their errors where there are any."""
        return {"values": self.values} | ({} if self.error is None else {"error": self.error})

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        error = None if self.error is None else self.error.tolist()
        return {"labels": list(self.labels), "values": self.values.tolist(), "error": error, "unit": self.unit,
                "done": self.done}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Curve:
    """One line of `Curves`: a number at each place, with a band where it was measured several times."""

    label: str
    values: NDArray[np.float32]
    low: NDArray[np.float32] | None = None
    high: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        for name in ("values", "low", "high"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, _as_array(getattr(self, name)))


@dataclass(frozen=True, eq=False)
class Mark:
    """A place on the horizontal axis that is worth a word, and perhaps a picture (h, w, 3) as uint8."""

    at: float
    caption: str
    picture: NDArray[np.uint8] | None = None


@dataclass(frozen=True, eq=False)
class Curves(Result):
    """Numbers over a quantity that is swept."""

    kind: ClassVar[str] = "curves"

    along: NDArray[np.float32]
    """The swept quantity (n,), rising."""
    lines: tuple[Curve, ...]
    along_unit: str
    unit: str
    marks: tuple[Mark, ...] = ()
    note: str | None = None
    done: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "along", _as_array(self.along))
        for line in self.lines:
            for values in (line.values, line.low, line.high):
                if values is not None and values.shape != self.along.shape:
                    raise ValueError(f"“{line.label}” has shape {values.shape} over {self.along.shape} places")

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The places, and each line by its label."""
        bands = {
            f"{line.label} {name}": values
            for line in self.lines
            for name, values in (("low", line.low), ("high", line.high))
            if values is not None
        }
        return {"along": self.along} | {line.label: line.values for line in self.lines} | bands

    def as_json(self) -> dict[str, Any]:
        """All numbers; of marks the places and words."""
        lines = [
            {
                "label": line.label,
                "values": line.values.tolist(),
                "low": None if line.low is None else line.low.tolist(),
                "high": None if line.high is None else line.high.tolist(),
            }
            for line in self.lines
        ]
        return {
            "along": self.along.tolist(),
            "along_unit": self.along_unit,
            "unit": self.unit,
            "lines": lines,
            "marks": [{"at": mark.at, "caption": mark.caption} for mark in self.marks],
            "done": self.done,
        }


@dataclass(frozen=True, eq=False)
class Scatter(Result):
    """Points in two dimensions, each a picture."""

    kind: ClassVar[str] = "scatter"

    points: NDArray[np.float32]
    """Coordinates (n, 2)."""
    ids: tuple[str, ...]
    groups: tuple[str, ...]
    """What each point is colored by: its label, or its cluster."""
    here: tuple[float, float] | None = None
    """Where the picture in question lies."""
    measures: tuple[tuple[str, float], ...] = ()
    """How far the map can be trusted: named numbers."""
    note: str | None = None
    done: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "points", _as_array(self.points))
        if self.points.shape != (len(self.ids), 2) or len(self.groups) != len(self.ids):
            raise ValueError(f"{len(self.ids)} points have two coordinates and a group each, not {self.points.shape}")

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The coordinates, and that of the picture in question."""
        return {"points": self.points} | ({} if self.here is None else {"here": np.array(self.here, np.float32)})

    def as_json(self) -> dict[str, Any]:
        """Ids, groups and coordinates."""
        return {
            "ids": list(self.ids),
            "groups": list(self.groups),
            "points": np.round(self.points, 4).tolist(),
            "here": None if self.here is None else [round(float(value), 4) for value in self.here],
            "measures": dict(self.measures),
            "done": self.done,
        }


@dataclass(frozen=True, eq=False)
class Neighbor:
    """A picture of a gallery, and how far it is from the one in question."""

    id: str
    label: str
    distance: float
    thumbnail: NDArray[np.uint8]
    """(h, w, 3)."""


@dataclass(frozen=True, eq=False)
class Neighbors(Result):
    """Pictures of a gallery, the nearest first."""

    kind: ClassVar[str] = "neighbors"

    rows: tuple[Neighbor, ...]
    unit: str
    votes: tuple[tuple[str, float], ...] = ()
    """The share of the vote that each label gets."""
    note: str | None = None
    done: float = 1.0

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The distances."""
        return {"distances": np.array([row.distance for row in self.rows], np.float32)}

    def as_json(self) -> dict[str, Any]:
        """Ids, labels and distances."""
        rows = [{"id": row.id, "label": row.label, "distance": row.distance} for row in self.rows]
        return {"neighbors": rows, "unit": self.unit, "votes": dict(self.votes), "done": self.done}


RESULTS: tuple[type[Result], ...] = (Heatmap, Tiles, Bars, Curves, Scatter, Neighbors)


# --- private ---------------------------------------------------------------------------------------------------------


def _as_array(values: Tensor | NDArray[Any]) -> NDArray[np.float32]:
    if isinstance(values, Tensor):
        values = values.detach().float().cpu().numpy()
    return _frozen(values, np.float32)


def _frozen(values: NDArray[Any], dtype: Any) -> NDArray[Any]:
    array = np.array(values, dtype=dtype, copy=True)
    array.flags.writeable = False
    return array
