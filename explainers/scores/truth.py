"""What truly decides in a picture of a world, asked of the very network that a heat is about; and a heat beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from ..pictures import Picture
from ..trace import Trace
from ..worlds import Truth
from .statistics import spearman


def true_effects(view: Trace, truth: Truth) -> dict[str, float]:
    """By how much each element raises the score that `view` asks about, strongest first."""

    def score(rendered: NDArray[np.uint8]) -> NDArray[np.float32]:
        framing, like = view.classifier.framing, view.pixels
        batch = torch.stack([framing.frame(Picture.read(each), like.dtype) for each in rendered]).to(like)
        return np.asarray(view.score(batch).cpu().numpy())

    return dict(sorted(truth.effects(score).items(), key=lambda each: -abs(each[1])))


def in_order(true: Mapping[str, float], put: Mapping[str, float]) -> float | None:
    """Rank correlation of what a heat puts on each element with its true effect; None where either is all the same."""
    return spearman(np.array([*true.values()]), np.array([put[name] for name in true]))


def by_chance(count: int) -> float:
    """The share of pairs in order that one of twenty random orders of so many elements exceeds.

    By the normal approximation of Kendall's τ, whose variance is 2 (2n + 5) / (9n (n − 1)) without ties; a share of
    pairs is (τ + 1) / 2.
    """
    return 0.5 + _ONE_IN_TWENTY * math.sqrt(2 * (2 * count + 5) / (9 * count * (count - 1))) / 2 if count > 1 else 1.0


_ONE_IN_TWENTY = 1.645
"""95th percentile of the normal distribution."""
