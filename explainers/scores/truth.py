"""What truly decides in a picture of a world, asked of the very network that a heat is about; and a heat beside it."""

from __future__ import annotations

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
