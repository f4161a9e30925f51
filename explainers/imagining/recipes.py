"""Three ways to imagine a picture: the naive one of lectures, Fourier coefficients, and MACO."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch

from ..network.classifier import Classifier
from .canvas import Canvas, Fourier, Maco, Pixels
from .shaking import Shaking

RecipeName = Literal["naive", "fourier", "maco"]

GENTLE = Shaking(shift=0.03, turn=1, noise=0.02)


@dataclass(frozen=True)
class Recipe:
    """Where it starts, what is turned, how fast, and what the picture has to withstand meanwhile."""

    title: str
    line: str
    """What it does, in a sentence."""
    canvas: Callable[[int, Classifier, torch.Generator], Canvas]
    rate: float
    """How far a knob moves in a step, about."""
    shaking: Shaking
    plain: bool = False
    """Steps along the slope itself, scaled to `rate` for the mean knob; otherwise Adam's."""
    fading: float = 0.0
    """The share of its distance to gray that a picture loses in each step: L2 regularization."""

    def gentle(self) -> Recipe:
        """The same with little shaking: for what is about places, which must stay where they are."""
        return replace(self, shaking=GENTLE if self.shaking.shift else self.shaking)


RECIPES: dict[RecipeName, Recipe] = {
    "naive": Recipe(
        "Naive",
        "Follow the slope at the pixels, as lectures show it.",
        Pixels.gray,
        rate=0.01,
        shaking=Shaking(),
        plain=True,
        fading=0.01,
    ),
    "fourier": Recipe(
        "Fourier",
        "Turn frequencies, and shake the picture at every step.",
        Fourier.faint,
        rate=0.08,
        shaking=Shaking(shift=0.07, turn=12, closest=0.7, widest=1.35, noise=0.2),
    ),
    "maco": Recipe(
        "MACO",
        "Turn phases only: the spectrum stays natural.",
        Maco.random,
        rate=0.5,
        shaking=Shaking(shift=0.06, turn=20, closest=0.6, widest=1.2, noise=0.2),
    ),
}
