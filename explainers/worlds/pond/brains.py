"""The networks that live in the pond: their architectures, trained weights, labels and cards."""

from __future__ import annotations

from pathlib import Path

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ...errors import ModelError
from .scenes import DESCRIPTIONS_A, LABELS_A, MEAN, NUCLEI, SIDE, STD

__all__ = ["CARDS", "DESCRIPTIONS_A", "LABELS_A", "MEAN", "NAMES", "SIZE", "STD", "HandWired", "build", "card", "load"]

NAMES = ("cnn", "vit", "cheater")
SIZE = SIDE

WEIGHTS = Path(__file__).parent / "weights"
CARDS = {name: WEIGHTS / f"{name}.md" for name in NAMES}
"""Where each network's card lies; `card` reads one."""


def build(name: str) -> nn.Module:
    """The untrained network, in eval mode: (B, 3, 96, 96) normalised pixels to (B, 9) logits."""
    _known(name)
    module: nn.Module
    if name == "vit":  # 8 × 8 tokens; 0.86 M parameters
        module = timm.create_model(
            "vit_tiny_patch16_224",
            img_size=SIZE,
            patch_size=12,
            embed_dim=128,
            depth=6,
            num_heads=4,
            mlp_ratio=2,
            num_classes=len(LABELS_A),
        )
    else:  # total stride 8, so a last map of 12 × 12; 0.50 M parameters
        module = timm.create_model(
            "resnet10t", channels=[32, 64, 96, 128], output_stride=8, stem_width=16, num_classes=len(LABELS_A)
        )
    return module.eval()


def load(name: str) -> nn.Module:
    """The trained network in float32, in eval mode; its half-precision weights are part of the package."""
    module = build(name)
    try:
        weights = load_file(WEIGHTS / f"{name}.safetensors")
        module.load_state_dict(
            {key: value.float() if value.is_floating_point() else value for key, value in weights.items()}
        )
    except (OSError, SafetensorError, RuntimeError) as error:
        raise ModelError(
            f"The weights of the pond's “{name}” are absent or damaged; install the package again, "
            f"or train them with: python -m explainers.worlds.pond.train {name}"
        ) from error
    return module.eval()


def card(name: str) -> str:
    """What the training run measured about a network, as Markdown."""
    _known(name)
    try:
        return CARDS[name].read_text(encoding="utf-8")
    except OSError as error:
        raise ModelError(
            f"The card of the pond's “{name}” is absent; install the package again, "
            f"or write it with: python -m explainers.worlds.pond.train {name}"
        ) from error


class HandWired(nn.Module):
    """Reads the hue of the nucleus and nothing else: colour filter → ReLU → mean over the picture → linear.

    (B, 3, H, W) pixels normalised with MEAN and STD to (B, 3) logits: red disc, blue ring, golden double. Nothing is
    trained, so what each pixel contributes is known: exactly zero wherever the filter stays below its threshold.
    """

    labels = tuple(f"{colour} {nucleus}" for colour, nucleus in zip(("red", "blue", "golden"), NUCLEI, strict=True))

    def __init__(self) -> None:
        super().__init__()
        self.filter = nn.Conv2d(3, 3, 1)
        self.rectifier = nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(3, 3)
        weight = torch.tensor(_FILTERS)
        std, mean = torch.tensor(STD), torch.tensor(MEAN)
        with torch.no_grad():
            self.filter.weight.copy_((weight * std)[:, :, None, None])
            self.filter.bias.copy_(weight @ mean - torch.tensor(_THRESHOLDS))  # type: ignore[union-attr]
            self.head.weight.copy_(torch.eye(3) * _GAIN)
            self.head.bias.zero_()
        self.eval()

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits (B, 3) of normalised pixels (B, 3, H, W)."""
        maps: Tensor = self.rectifier(self.filter(pixels))
        pooled: Tensor = self.pool(maps).flatten(1)
        logits: Tensor = self.head(pooled)
        return logits


# Per row what a hue has and the others lack, in RGB; and how much of it counts as seen.
_FILTERS = ((1.0, -1.2, -0.2), (-1.0, -0.2, 1.0), (0.2, 0.8, -1.0))
_THRESHOLDS = (0.25, 0.4, 0.3)
_GAIN = 400.0


def _known(name: str) -> None:
    if name not in NAMES:
        raise ModelError(f"The pond has no network “{name}”; it has {', '.join(NAMES)}.")
