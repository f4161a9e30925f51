"""Pictures imagined by gradient ascent: what raises a class, a channel, a layer or a direction, in any network."""

from __future__ import annotations

from .ascent import Imagined, imagine
from .canvas import Canvas, Fourier, Maco, Pixels
from .objectives import Channel, ClassScore, Direction, Layer, Likeness, Neuron, Objective
from .recipes import RECIPES, Recipe, RecipeName
from .shaking import Shaking
from .spectrum import Spectrum, spectrum

__all__ = [
    "RECIPES",
    "Canvas",
    "Channel",
    "ClassScore",
    "Direction",
    "Fourier",
    "Imagined",
    "Layer",
    "Likeness",
    "Maco",
    "Neuron",
    "Objective",
    "Pixels",
    "Recipe",
    "RecipeName",
    "Shaking",
    "Spectrum",
    "imagine",
    "spectrum",
]
