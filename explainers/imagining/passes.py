"""Passes without a graph: logits and maps of several pictures at once."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..network.classifier import Classifier
from ..network.sites import Site
from ..network.taps import run
from ..shapes import Batch, MapsBatch
from ..trace import MOST_AT_ONCE, PIXELS_AT_ONCE


def peek(
    model: Classifier, site: Site | None, pictures: Batch, stop: Callable[[], bool] | None = None
) -> tuple[Tensor, MapsBatch | None]:
    """Logits (N, C) and, at a site, maps (N, K, h, w) for pictures (N, 3, H, W) in [0, 1], in single precision."""
    with torch.inference_mode(False), torch.no_grad():
        inputs = model.framing.normalize(pictures.to(model.device)).to(model.dtype)
        passed = run(model.module, inputs, taps=site.points if site else (), graph=False, stop=stop)
        maps = site.batch(passed.taps).float() if site else None
        return passed.output.float(), maps


def at_once(model: Classifier) -> int:
    """How many pictures run as one batch, as in a trace."""
    height, width = model.framing.size
    kind = model.device.type if model.device.type in PIXELS_AT_ONCE else "cpu"
    return max(2, min(MOST_AT_ONCE[kind], PIXELS_AT_ONCE[kind] // (height * width)))
