"""Augmentation: transforms and their pipelines, what was really done, and the way back for what a map shows."""

from __future__ import annotations

from .actions import Action
from .mapping import carried_back, finest, invertible, whereto
from .mixing import Box, Mixed, Mixing, box_of, cut_mix, mix_up, mixed
from .pipeline import MOST_STEPS, PRESETS, Pipeline, Ready, Recipe, Step
from .snippets import mixing_code, timm_arguments, timm_code, torchvision_code
from .steps import TRANSFORMS, Setting, Transform, find_transform
from .sweeps import SWEEPS, Sweep, find_sweep
from .trials import (
    NOTHING,
    Back,
    Trial,
    agreement,
    answered,
    colors_of,
    compared,
    heat_in_box,
    over_share,
    picture_of,
    pixels_of,
    pixels_of_second,
    put,
)

__all__ = [
    "MOST_STEPS",
    "NOTHING",
    "PRESETS",
    "SWEEPS",
    "TRANSFORMS",
    "Action",
    "Back",
    "Box",
    "Mixed",
    "Mixing",
    "Pipeline",
    "Ready",
    "Recipe",
    "Setting",
    "Step",
    "Sweep",
    "Transform",
    "Trial",
    "agreement",
    "answered",
    "box_of",
    "carried_back",
    "colors_of",
    "compared",
    "cut_mix",
    "find_sweep",
    "find_transform",
    "finest",
    "heat_in_box",
    "invertible",
    "mix_up",
    "mixed",
    "mixing_code",
    "over_share",
    "picture_of",
    "pixels_of",
    "pixels_of_second",
    "put",
    "timm_arguments",
    "timm_code",
    "torchvision_code",
    "whereto",
]
