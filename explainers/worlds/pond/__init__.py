"""The built-in world: pond creatures under a dark-field microscope, with every part's mask known."""

from __future__ import annotations

from .declared import WORLD
from .renderer import Rendering, render
from .scenes import DESCRIPTIONS_A, DESCRIPTIONS_B, LABELS_A, LABELS_B, SCHEMA, Scene, duet, scene

__all__ = [
    "DESCRIPTIONS_A",
    "DESCRIPTIONS_B",
    "LABELS_A",
    "LABELS_B",
    "SCHEMA",
    "WORLD",
    "Rendering",
    "Scene",
    "duet",
    "render",
    "scene",
]
