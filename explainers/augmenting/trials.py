"""Trials: treated pictures put to a network in batches, and maps of them carried back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..ingredients.stretching import stretched
from ..network.heads import Prediction
from ..pictures import Picture
from ..results import Curve, Curves, Heatmap, Mark
from ..trace import Second, Trace
from ..worlds import pond
from .mapping import carried_back, finest
from .mixing import Mixed
from .pipeline import Recipe
from .steps import Size

NOTHING = Recipe()
"""The control: what does nothing to a picture may change nothing in the answer."""


@dataclass(frozen=True, eq=False)
class Trial:
    """A treated picture and what the network says to it."""

    picture: Tensor
    """(3, H, W), uint8."""
    recipe: Recipe
    logits: Tensor
    score: float

    def predicted(self, trace: Trace) -> Prediction:
        """What the network calls the picture, and how surely; the number in question of a regression."""
        head, labels, outputs = trace.classifier.head, trace.classifier.labels, self.logits
        if not head.probable:
            return head.prediction(labels[trace.class_index], trace.class_index, outputs)
        best, sure = (each.item() for each in head.decided(outputs))
        return Prediction(head.decisions(labels)[int(best)], float(sure), int(best), None)

    def facts(self, trace: Trace) -> dict[str, Any]:
        """What was done and what the network says to it, as JSON."""
        said = self.predicted(trace)
        return {"label": said.label, "share": said.probability, "told": said.told, "recipe": str(self.recipe)}

    @property
    def colors(self) -> NDArray[np.uint8]:
        """The picture as a result shows it, (H, W, 3), or (H, W, 1) where it is gray."""
        return self.picture.permute(1, 2, 0).numpy()


def picture_of(trace: Trace) -> Tensor:
    """What the network sees, as colors (3, H, W) from 0 to 255, on the CPU; from files these are the very numbers."""
    return (trace.pixels.detach().float().cpu() * 255).round().to(torch.uint8)


def colors_of(pixels: Tensor) -> NDArray[np.uint8]:
    """Pixels (3, H, W) in [0, 1] as a result shows them, (H, W, 3)."""
    return (pixels.float().cpu() * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()


def pixels_of(pictures: Sequence[Tensor], trace: Trace) -> Tensor:
    """Pictures (3, H, W), uint8, as pixels (N, 3, H, W) in [0, 1], as the trace has them."""
    return (torch.stack(list(pictures)).float() / 255).to(trace.pixels)


def put(trace: Trace, recipes: Iterable[Recipe]) -> Iterator[list[Trial]]:
    """The picture treated by each recipe and put to the network, a batch at a time."""
    picture, waiting = picture_of(trace), list(recipes)
    for first in range(0, len(waiting), trace.at_once):
        part = waiting[first : first + trace.at_once]
        yield answered(trace, [(recipe.replay(picture), recipe) for recipe in part])


def answered(trace: Trace, treated: Sequence[tuple[Tensor, Recipe]]) -> list[Trial]:
    """What the network says to pictures (3, H, W), uint8, that are treated already."""
    logits = trace.logits_at(pixels_of([picture for picture, _ in treated], trace))
    target = replace(trace.target, index=trace.class_index)
    scores = target.of(logits).tolist()
    return [Trial(*each, z, score) for each, z, score in zip(treated, logits.cpu(), scores, strict=True)]


def pixels_of_second(trace: Trace, second: Second) -> Tensor:
    """The other picture (3, H, W) as the network sees it; a pond creature where nobody gave one."""
    shown = second.picture or Picture.read(pond.render(pond.scene("test", _CREATURE), _SIDE).pixels)
    return trace.classifier.framing.frame(shown, trace.pixels.dtype).to(trace.pixels)


@dataclass(frozen=True, eq=False)
class Back:
    """The heat of a treated picture, laid over the original."""

    heat: Tensor
    """(gh, gw), zero where it is not known."""
    known: Tensor
    agreement: float
    """Spearman's rank correlation with the original's heat, where both are known."""


def compared(found: Heatmap, original: Heatmap, recipe: Recipe, size: Sequence[int]) -> Back:
    """The heat of a treated picture carried back, and how far it agrees with the original's."""
    height, width = size
    grid = finest((height, width))
    heat, known = carried_back(torch.from_numpy(found.heat.copy()), recipe, (height, width), grid)
    own = _laid(original, (height, width))
    return Back(heat, known, agreement(own[known], heat[known]))


def heat_in_box(found: Heatmap, mixed: Mixed) -> float:
    """The share of the heat's size that lies in the box of two pictures in one; none of a blank map."""
    assert mixed.box
    heat = stretched(torch.from_numpy(np.abs(found.heat)), mixed.pixels.shape[-2:])
    x0, y0, x1, y1 = mixed.box
    whole = float(heat.sum())
    return float(heat[y0:y1, x0:x1].sum()) / whole if whole else 0.0


def over_share(
    trace: Trace, rival: int, mixed: Sequence[Mixed], names: Sequence[str], rows: Sequence[Sequence[float]]
) -> Curves:
    """Curves over λ, as far as `rows` go: what `names` say was measured of each mixture, then what the network says.

    A row ends with the readings of the class in question and of the second picture's own class, `rival`.
    """
    labels, reading, told = trace.classifier.labels, trace.classifier.head.reading, mixed[: len(rows)]
    classes = dict.fromkeys((trace.class_index, rival))  # both pictures may be of one
    names = [*names, *(f"{reading} of {labels[index]}" for index in classes)]
    lines = [
        Curve(name, np.array(values, np.float32)) for name, values in zip(names, zip(*rows, strict=True), strict=False)
    ]
    places = sorted({len(rows) * quarter // 4 for quarter in range(4)} | {len(rows) - 1})
    marks = [Mark(told[p].share, f"λ = {told[p].share:.2f}", colors_of(told[p].pixels)) for p in places]
    along, done = np.array([each.share for each in told], np.float32), len(rows) / len(mixed)
    return Curves(along, tuple(lines), "λ, the share of the first picture", "share", tuple(marks), done=done)


def agreement(one: Tensor, other: Tensor) -> float:
    """Spearman's rank correlation; a map that is flat agrees fully with a flat one, and not at all with any other."""
    flat = [bool(each.numel() == 0 or (each == each[0]).all()) for each in (one, other)]
    if any(flat):
        return float(all(flat) and one.numel() > 0)
    ranks = [_ranks(each) for each in (one, other)]
    a, b = (each - each.mean() for each in ranks)
    return float((a @ b) / (a.norm() * b.norm()))


# --- private ---------------------------------------------------------------------------------------------------------

_CREATURE, _SIDE = 42, 384
_STEPS = 2**18


@lru_cache(maxsize=4)
def _laid(original: Heatmap, size: Size) -> Tensor:
    """The original's heat on the grid of comparison; it is asked for once for each variant."""
    return carried_back(torch.from_numpy(original.heat.copy()), NOTHING, size, finest(size))[0]


def _ranks(values: Tensor) -> Tensor:
    """Ranks from 0 in double precision, those of ties averaged; what differs by rounding alone is a tie."""
    steps = np.rint(values.double().numpy().ravel() / float(values.abs().max()) * _STEPS)
    _, places, counts = np.unique(steps, return_inverse=True, return_counts=True)  # five times faster than torch's
    return torch.from_numpy((counts.cumsum() - (counts + 1) / 2)[places])
