"""What truly decides in a picture of a world, asked of the very network that a heat is about."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from ..pictures import Picture
from ..trace import Trace
from ..worlds import Truth


def true_effects(view: Trace, truth: Truth) -> dict[str, float]:
    """By how much each element raises the score that `view` asks about, strongest first."""

    def score(rendered: NDArray[np.uint8]) -> NDArray[np.float32]:
        framing, like = view.classifier.framing, view.pixels
        batch = torch.stack([framing.frame(Picture.read(each), like.dtype) for each in rendered]).to(like)
        return np.asarray(view.score(batch).cpu().numpy())

    return dict(sorted(truth.effects(score).items(), key=lambda each: -abs(each[1])))
