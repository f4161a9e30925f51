"""A short list of networks worth trying."""

from __future__ import annotations

from dataclasses import dataclass

from ... import worlds
from .packaged import PACKAGED


@dataclass(frozen=True)
class Suggestion:
    """A network for the list on the screen: `millions` of parameters, and its license where that is sure."""

    identifier: str
    line: str
    millions: float
    license: str | None = None
    home: str = ""
    """The page of whoever published it, where its weights are not at the hub."""
    attends: bool = False
    """Whether it has attention that can be read."""
    missing: str = ""
    """The command that brings it here, where it is a package that is not installed."""


def suggested() -> list[Suggestion]:
    """Networks worth trying: of packages, of the built-in worlds, then such as have to be fetched."""
    packaged = [
        Suggestion(
            each.identifier,
            each.line,
            each.millions,
            each.license,
            each.home,
            missing="" if each.located() else each.install,
        )
        for each in PACKAGED
    ]
    own = [
        Suggestion(world.identifier(network.name), network.line, network.millions, attends=network.attends)
        for world in worlds.worlds()
        for network in world.networks
        if network.line
    ]
    return [*packaged, *own, *FETCHED]


# Each is known to carry safetensors on its main revision; licenses of timm's are from its own registry.
FETCHED: tuple[Suggestion, ...] = (
    Suggestion("timm:resnet50.a1_in1k", "ResNet-50, the classic, with a modern training", 25.56, "apache-2.0"),
    Suggestion("timm:convnext_tiny.in12k_ft_in1k", "ConvNeXt-T, a strong convolutional network", 28.59, "apache-2.0"),
    Suggestion("timm:efficientnet_b0.ra_in1k", "EfficientNet-B0, accurate for its size", 5.29, "apache-2.0"),
    Suggestion("timm:mobilenetv3_large_100.ra_in1k", "MobileNetV3, made for phones; fast", 5.48, "apache-2.0"),
    Suggestion(
        "timm:vit_base_patch16_224.augreg2_in21k_ft_in1k", "ViT-B/16, well trained", 86.57, "apache-2.0", attends=True
    ),
    Suggestion(
        "timm:deit_tiny_patch16_224.fb_in1k", "DeiT-Ti/16, a small vision transformer", 5.72, "apache-2.0", attends=True
    ),
    Suggestion(
        "timm:swin_tiny_patch4_window7_224.ms_in1k", "Swin-T, a transformer with windows", 28.29, "mit", attends=True
    ),
    Suggestion(
        "hf:google/vit-base-patch16-224", "ViT-B/16, the first published one", 86.57, "apache-2.0", attends=True
    ),
    Suggestion("hf:microsoft/resnet-50", "ResNet-50 in the layout of transformers", 25.56, "apache-2.0"),
)
