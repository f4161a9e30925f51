"""How what was imagined is shown: tiles with their scores, natural pictures beside them, and what it is worth."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from ..errors import QuestionError
from ..network.classifier import Classifier
from ..network.sites import Site
from ..results import Tile, Tiles
from ..shapes import Batch, Scores
from ..trace import Spent
from .ascent import Imagined
from .measures import apartness, predictions, scores_of, standing
from .objectives import ClassScore, Objective
from .recipes import RecipeName
from .worlds import framed, natural_pictures, second_opinion, whose

How = Annotated[
    RecipeName,
    Field(
        description="What is turned: Fourier coefficients under random shaking; only their phases, so that the "
        "spectrum stays natural (MACO); or, naive, the pixels themselves, which shows why the others are needed."
    ),
]
Steps = Annotated[int, Field(ge=8, le=512, description="Steps of the ascent: more of them make a clearer picture.")]
Count = Annotated[int, Field(ge=1, le=6, description="How many pictures grow side by side, from other starts.")]
Channel = Annotated[
    int, Field(ge=0, le=4095, description="Which channel, from 0; past the last one, it counts on from the first.")
]

IMAGINED, NATURAL = "imagined", "natural"
"""Which of the tiles are which, by their keys."""

EXEMPLARS = 3
"""Natural pictures beside an imagined one: people learn more from them."""

TENTH = 10
"""The best tenth of the natural pictures says how far apart pictures of one thing usually are."""


def shown(
    states: Iterator[Imagined],
    captions: Callable[[Imagined], Sequence[str]],
    *,
    unit: str,
    beside: Sequence[Tile] = (),
    note: Callable[[Imagined], str | None] = lambda _: None,
) -> Iterator[Tiles]:
    """Each state as tiles; those of the last with a note on what they are worth."""
    for state in states:
        if state.step:
            scores = state.scores.tolist()
            tiles = [
                Tile(colors(picture), caption, score, key=IMAGINED, facts=_how_far(state))
                for picture, caption, score in zip(state.pictures, captions(state), scores, strict=True)
            ]
            told = note(state) if state.done == 1 else None
            yield Tiles((*tiles, *beside), unit=unit, columns=len(tiles) + len(beside), note=told,
                        done=state.done)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Natural:
    """Natural pictures (N, 3, H, W) as the network sees them, and the objective (N,) of each; none without a world."""

    pictures: Batch
    scores: Scores

    def best(self, count: int) -> list[int]:
        """The numbers of those that raise the objective most, the best first."""
        order: list[int] = self.scores.argsort(descending=True, stable=True)[:count].tolist()
        return order


def natural_best(
    model: Classifier, objective: Objective, *, spent: Spent, stop: Callable[[], bool] | None
) -> tuple[list[Tile], Natural]:
    """The natural pictures that raise the objective most, as tiles, and all of them with their scores."""
    pictures = natural_pictures(model)
    batch = framed(model, pictures)
    if not pictures:
        return [], Natural(batch, torch.zeros(0))
    natural = Natural(batch, scores_of(model, objective, batch, spent=spent, stop=stop))
    best = [(i, float(natural.scores[i])) for i in natural.best(EXEMPLARS)]
    told = {"whose": whose(model)}
    return [
        Tile(pictures[i].array, f"natural, {score:.1f}", score, key=NATURAL, facts=told) for i, score in best
    ], natural


def worth(
    model: Classifier,
    objective: Objective,
    pictures: Batch,
    natural: Natural,
    *,
    spent: Spent,
    stop: Callable[[], bool] | None,
) -> str:
    """What imagined pictures are worth, in sentences; figures are means over them."""
    found = standing(model, objective, pictures, natural.scores, spent=spent, stop=stop)
    one = len(found) == 1
    it, scores, keeps = ("It", "scores", "keeps") if one else ("They", "score", "keep")
    sentences = []
    if count := len(natural.scores):
        above = round(_mean([each.percentile or 0.0 for each in found]) * count)
        sentences.append(f"{it} {scores} above {'all' if above == count else above} of {count} natural ones.")
    plain, robust = _mean([each.score for each in found]), _mean([each.robust for each in found])
    if plain > 0:
        sentences.append(f"Shaken and under noise, {it.lower()} {keeps} {max(0.0, robust / plain):.0%} of the score.")
    apart = 10 ** _mean([each.spectrum for each in found])
    sentences.append(
        f"Fine and coarse detail stand in a proportion that is off the natural one by a factor of {apart:.1f}."
    )
    if not one and count >= 2 * TENTH:
        usual = natural.pictures[natural.best(count // TENTH)]
        own, far = (apartness(model, each, spent=spent) for each in (pictures, usual))
        if far > 0:
            sentences.append(
                f"In the features at the last maps they are {own / far:.1f} times as far apart "
                f"as the {len(usual)} best natural ones."
            )
    other = second_opinion(model)
    if other is not None and isinstance(objective, ClassScore):
        said = predictions(other, pictures, spent=spent)
        label = model.labels[objective.target.index or 0]
        right = sum(each.index == objective.target.index for each in said)
        if len(said) > 1:
            sentences.append(f"{other.name}, trained apart from it, calls {right} of {len(said)} {label}.")
        else:
            calls = f"calls it {label}, too" if right else f"calls it {said[0].label} instead"
            sentences.append(f"{other.name}, trained apart from it, {calls}.")
    return " ".join(sentences).replace("%", "\u00a0%")


def site_of(model: Classifier, depth: str) -> Site:
    """Where the maps at a depth are read. Raises `QuestionError` in words for no depth of this network."""
    try:
        return model.anatomy.site(depth)
    except LookupError as error:
        raise QuestionError(str(error)) from error


def faded(state: Imagined) -> Batch:
    """The pictures (N, 3, H, W), laid on gray wherever the slopes hardly ever fell."""
    care = state.care[:, None]
    return state.pictures * care + 0.5 * (1 - care)


def colors(picture: Tensor) -> NDArray[np.uint8]:
    """A picture (3, H, W) in [0, 1] as a tile has it: uint8 (H, W, 3)."""
    values: NDArray[np.uint8] = (picture * 255).round().clamp(0, 255).byte().permute(1, 2, 0).cpu().numpy()
    return values


# --- private ---------------------------------------------------------------------------------------------------------


def _how_far(state: Imagined) -> dict[str, Any]:
    """The step, of how many, and the mean objective at each so far, as (step, mean)."""
    curve = [[step, round(_mean(scores), 3)] for step, scores in state.curve]
    return {"step": state.step, "steps": state.steps, "curve": curve}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
