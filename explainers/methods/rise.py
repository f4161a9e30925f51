"""RISE (Petsiuk, Das and Saenko, BMVC 2018)."""

from collections.abc import Iterator
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as fn

from ..baselines import Baseline
from ..covering import Covered
from ..registry import Family, explainer
from ..results import Heatmap
from ..trace import Trace

TOLD = 6
"""How many masks the working shows."""


@explainer(title="RISE", family=Family.PERTURBATION, paper="https://arxiv.org/abs/1806.07421", passes=(1001, 0))
def rise(
    trace: Trace,
    *,
    samples: Annotated[int, Field(ge=32, le=8000, description="How many random masks are tried.")] = 1000,
    cells: Annotated[int, Field(ge=3, le=16, description="Cells of a mask along each side.")] = 7,
    shown: Annotated[float, Field(ge=0.1, le=0.9, description="Share of the cells that a mask shows.")] = 0.5,
    cover: Baseline = "gray",
    seed: Annotated[int, Field(ge=0, le=1000, description="Another seed, other masks.")] = 0,
) -> Iterator[Heatmap]:
    """Which places go along with a high score of the chosen class, when random parts of the picture are shown?

    Show random parts of the picture, take down the score for each, and give every pixel the mean score of the pictures
    in which it was shown, less the mean of all.
    Read it as: seeing a warm place goes with a score above the mean; the error says how sure that is.
    Beware: with few masks the map is mostly chance.
    """
    covered = Covered(trace, cover)
    height, width = (int(side) for side in covered.pixels.shape[1:])
    generator = torch.Generator().manual_seed(seed)
    size = (height, width)
    shown_sum, score_sum, square_sum = (torch.zeros(size, dtype=torch.float64) for _ in range(3))
    scores: list[float] = []
    while len(scores) < samples:
        masks = _masks(min(trace.at_once, samples - len(scores)), cells, shown, size, generator)
        found = covered.scores(masks.to(covered.pixels)).double().cpu()
        scores += found.tolist()
        shown_sum += masks.double().sum(0)
        score_sum += torch.einsum("n,nhw->hw", found, masks.double())
        square_sum += torch.einsum("n,nhw->hw", found.square(), masks.double())
        mean = score_sum / shown_sum.clamp_min(1e-9)
        spread = (square_sum / shown_sum.clamp_min(1e-9) - mean.square()).clamp_min(0)
        heat = mean - sum(scores) / len(scores)
        for mask, score in list(zip(masks, found.tolist(), strict=True))[: max(0, TOLD - len(scores) + len(found))]:
            trace.step(
                f"With only this part of the picture shown, the score is {score:.2f}.", mask, signed=False, weight=score
            )
        done = len(scores) / samples
        yield Heatmap(
            heat,
            signed=True,
            unit="logit points above the mean",
            error=(spread / shown_sum.clamp_min(1)).sqrt(),
            done=done,
        )
    trace.step("The mean score of the pictures that showed a place, less the mean of all of them.", heat)


def _masks(count: int, cells: int, shown: float, size: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Soft masks (N, H, W): random cells, enlarged between their centers and shifted by less than a cell."""
    step = [-(-side // cells) for side in size]
    coarse = (torch.rand(count, 1, cells + 1, cells + 1, generator=generator) < shown).float()
    large = fn.interpolate(coarse, [(cells + 1) * each for each in step], mode="bilinear", align_corners=False)[:, 0]
    tops, lefts = (torch.randint(each, (count,), generator=generator).tolist() for each in step)
    cut = [each[top : top + size[0], left : left + size[1]] for each, top, left in zip(large, tops, lefts, strict=True)]
    return torch.stack(cut)
