"""Measures the spectrum of pond pictures: `python -m explainers.imagining.measuring` writes `spectrum.json` again."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch

from ..worlds.pond import render, scene
from .spectrum import FILE, frequencies

PICTURES = 240
SIDE = 384
"""Of the pictures it is measured on: fine enough for every network that takes pictures of up to 384 pixels."""


def measure(count: int = PICTURES, side: int = SIDE) -> dict[str, Any]:
    """The spectrum of training scenes of the pond, as it is written down."""
    pictures = np.stack([render(scene("train", index), side).pixels for index in range(count)])
    pixels = torch.from_numpy(pictures).permute(0, 3, 1, 2).double() / 255
    varied = (pixels - pixels.mean((0, 2, 3), keepdim=True)) / pixels.std((0, 2, 3), keepdim=True)
    values, vectors = torch.linalg.eigh(torch.corrcoef(varied.transpose(0, 1).flatten(1)))
    values, vectors = values.flip(0), vectors.flip(1)
    vectors = vectors * vectors.sum(0).sign()  # a vector has no sign of its own: brighter is positive
    components = torch.einsum("ck,nchw->nkhw", vectors / values.sqrt(), varied)
    magnitude = torch.fft.rfft2(components, norm="forward").abs().mean(0)  # (3, h, w // 2 + 1)
    rings = (frequencies((side, side)) * side).round().long().flatten()
    sums = torch.zeros(3, int(rings.max()) + 1, dtype=torch.double).index_add_(1, rings, magnitude.flatten(1))
    curve = sums / rings.bincount()
    return {
        "of": f"{count} training scenes of the pond at {side} px, cycles per picture from 0",
        "colors": [[round(float(v), 5) for v in row] for row in vectors * values.sqrt()],
        "curve": [[float(f"{v:.4g}") for v in row] for row in curve],
    }


if __name__ == "__main__":
    FILE.write_text(json.dumps(measure()) + "\n", "utf-8")
