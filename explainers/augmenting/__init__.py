"""Augmentation: transforms and their pipelines, what was really done, and the way back for what a map shows."""

from __future__ import annotations

from .actions import Action
from .mapping import carried_back, finest, invertible, whereto
from .mixing import Box, Mixed, box_of, cut_mix, mix_up
from .pipeline import PRESETS, Pipeline, Ready, Recipe, Step
from .snippets import timm_arguments, timm_code, torchvision_code
from .steps import TRANSFORMS, Setting, Transform, find_transform
from .sweeps import SWEEPS, Sweep

__all__ = [
    "PRESETS",
    "SWEEPS",
    "TRANSFORMS",
    "Action",
    "Box",
    "Mixed",
    "Pipeline",
    "Ready",
    "Recipe",
    "Setting",
    "Step",
    "Sweep",
    "Transform",
    "box_of",
    "carried_back",
    "cut_mix",
    "find_transform",
    "finest",
    "invertible",
    "mix_up",
    "timm_arguments",
    "timm_code",
    "torchvision_code",
    "whereto",
]
