"""The network that reads digits: its architecture and its trained weights."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from ...errors import ModelError
from .drawn import CLASSES

NAMES = ("cnn", "untrained")
WEIGHTS = Path(__file__).parent / "weights" / "cnn.safetensors"

_WIDTHS = (16, 32, 64, 64)
_STRIDES = (1, 2, 2, 1)


def build(seed: int = 0, classes: int = CLASSES) -> nn.Module:
    """The untrained network, in eval mode: (N, 3, 32, 32) normalized pixels to (N, classes) logits; 61,000 parameters.

    Four convolutions to maps of 8 × 8, then their plain average and one linear layer. It takes other sizes as well.
    """
    with torch.random.fork_rng(devices=[]):  # PyTorch's initialization knows no generator but the global one
        torch.manual_seed(seed)
        stages: OrderedDict[str, nn.Module] = OrderedDict()
        before = 3
        for number, (width, stride) in enumerate(zip(_WIDTHS, _STRIDES, strict=True), 1):
            stages[f"stage{number}"] = nn.Sequential(
                nn.Conv2d(before, width, 3, stride, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
            )
            before = width
        stages |= {"pool": nn.AdaptiveAvgPool2d(1), "flat": nn.Flatten(), "head": nn.Linear(before, classes)}
        return nn.Sequential(stages).eval()


def load(name: str) -> nn.Module:
    """The network in float32, in eval mode; the trained one's half-precision weights are part of the package."""
    if name not in NAMES:
        raise ModelError(f"There is no network “{name}” of the digits; there are {', '.join(NAMES)}.")
    module = build()
    if name == "untrained":
        return module
    try:
        weights = load_file(WEIGHTS)
        module.load_state_dict({key: v.float() if v.is_floating_point() else v for key, v in weights.items()})
    except (OSError, SafetensorError, RuntimeError) as error:
        raise ModelError(
            "The weights of “digits:cnn” are absent or damaged; install the package again, "
            "or train them with: python -m explainers.worlds.digits.train"
        ) from error
    return module.eval()
