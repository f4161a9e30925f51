"""RISE (Petsiuk, Das & Saenko, BMVC 2018), with the mean taken out and a standard error."""

from collections.abc import Iterator
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from ..ingredients.covering import Cover, Covered
from ..registry import Family, Seed, explainer
from ..results import Heatmap
from ..trace import Trace

TOLD = 4
"""How many masks the working shows one by one."""


@explainer(
    title="RISE",
    family=Family.PERTURBATION,
    paper="https://arxiv.org/abs/1806.07421",
    passes=(1001, 0),
    classic=True,
)
def rise(
    trace: Trace,
    *,
    samples: Annotated[int, Field(ge=32, le=8000, description="How many random masks are tried.")] = 1000,
    cells: Annotated[int, Field(ge=2, le=16, description="Cells of a mask along each side.")] = 7,
    shown: Annotated[float, Field(ge=0.1, le=0.9, description="How likely a cell of a mask is to be shown.")] = 0.5,
    cover: Cover = "gray",
    seed: Seed = 0,
) -> Iterator[Heatmap]:
    """Which places are shown when the score of the chosen class stands above its mean?

    Show random parts of the picture, softly cut out, and take down the score for each. A place gets the mean, over all
    masks, of how much of it was shown times how far the score stood above the mean score.
    Read it as: pictures that show a warm place score above the mean of all, by so much.
    Beware: it is a mean over random masks, so a map that is no larger than its standard error says nothing.
    """
    covered = Covered(trace, cover)
    generator = torch.Generator().manual_seed(seed)
    sums: _Sums | None = None
    first: list[tuple[Tensor, float]] = []
    stages: list[tuple[int, Tensor]] = []
    while sums is None or sums.count < samples:
        left = samples - (sums.count if sums else 0)
        masks = _masks(min(trace.at_once, left), cells, shown, covered, generator)  # (N, H, W)
        scores = covered.scores(masks)
        sums = sums or _Sums(scores.double().mean())
        sums.add(masks, scores)
        heat, error = sums.heat() / shown, sums.error() / shown
        if trace.working is not None:
            first += zip(masks[: TOLD - len(first)], scores.tolist(), strict=False)
            if sums.count >= min(samples, 8 * (stages[-1][0] if stages else 0)):
                stages.append((sums.count, heat))
            if sums.count == samples:
                _tell(trace, first, stages, float(sums.score), shown)
        yield Heatmap(heat, signed=True, unit="logit points above the mean", error=error, done=sums.count / samples)


class _Sums:
    """Running sums over masks M (H, W) and scores s: the mean of (s − mean s) M, and how sure it is.

    Scores are counted from `about`, so that little is lost to rounding, and nothing where they are all the same.
    """

    def __init__(self, about: Tensor) -> None:
        self.about, self.count = about, 0
        self._none = self._once = self._twice = torch.zeros((), dtype=torch.float64)

    @property
    def score(self) -> Tensor:
        """The mean score."""
        return self.about + self._none[1] / self.count

    def add(self, masks: Tensor, scores: Tensor) -> None:
        """Take in masks (N, H, W) and their scores (N,)."""
        gained = scores.double() - self.about
        powers = torch.stack([gained**0, gained, gained**2])  # (3, N)
        self._none = self._none + powers.sum(1)
        self._once = self._once + torch.einsum("kn,nhw->khw", powers.to(masks), masks).double()
        self._twice = self._twice + torch.einsum("kn,nhw->khw", powers.to(masks), masks.square()).double()
        self.count += len(masks)

    def heat(self) -> Tensor:
        """The mean (H, W) of (s − mean s) M."""
        return (self._once[1] - self._none[1] / self.count * self._once[0]) / self.count

    def error(self) -> Tensor:
        """The standard error (H, W) of that mean: of (s − mean s) (M − mean M), for that is how it moves."""
        seen = self._once[0] / self.count
        # (s − mean s)² times 1, M and M², each summed
        none, once, twice = (self._squared(sums) for sums in (self._none, self._once, self._twice))
        squares = (twice - 2 * seen * once + seen.square() * none) / self.count
        return ((squares - self.heat().square()).clamp(min=0) / max(1, self.count - 1)).sqrt()

    def _squared(self, sums: Tensor) -> Tensor:
        mean = self._none[1] / self.count
        return sums[2] - 2 * mean * sums[1] + mean**2 * sums[0]


def _masks(count: int, cells: int, shown: float, covered: Covered, generator: torch.Generator) -> Tensor:
    """Soft masks (N, H, W): random cells, blended between their centers, the whole shifted by less than a cell.

    There is a cell more than is seen on either side, so that a pixel at the edge is treated as any other.
    """
    rows, columns = (min(cells, side) for side in covered.size)
    on = (torch.rand(count, rows + 2, columns + 2, generator=generator) < shown).to(covered.pixels)
    shifts = torch.rand(count, 2, generator=generator).to(covered.pixels)
    return _blend(covered.size[0], rows, shifts[:, 0]) @ on @ _blend(covered.size[1], columns, shifts[:, 1]).mT


def _blend(side: int, cells: int, shifts: Tensor) -> Tensor:
    """How much each pixel along a side has of each cell (N, side, cells + 2), for N shifts in shares of a cell."""
    places = (torch.arange(side).to(shifts) + 0.5) / side * cells + shifts[:, None]  # (N, side)
    return (1 - (places[..., None] - torch.arange(cells + 2).to(shifts)).abs()).clamp(min=0)


def _tell(
    trace: Trace, first: list[tuple[Tensor, float]], stages: list[tuple[int, Tensor]], mean: float, shown: float
) -> None:
    running = torch.zeros_like(first[0][0])
    for number, (mask, score) in enumerate(first, 1):
        trace.step(
            f"Random mask {number} shows these parts. The score is then {score:.2f}: {_beside(score - mean)} the mean "
            "of all masks.",
            mask, signed=False, weight=score - mean,
        )  # fmt: skip
        running = running + (score - mean) * mask / shown
        trace.step(f"The masks so far, each times that difference, averaged over {number}.", running / number)
    for count, heat in stages:
        trace.step(f"The same after {count} masks: what was chance averages out, and what matters stays.", heat)


def _beside(gained: float) -> str:
    return f"{abs(gained):.2f} {'above' if gained >= 0 else 'below'}"
