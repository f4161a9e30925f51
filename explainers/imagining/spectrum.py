"""How strong each fineness of detail is in a picture, and how its colors go together; measured on pond pictures."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from ..pictures import Framing

MOST_CONTRAST = 0.29
"""The standard deviation of brightnesses that are all equally frequent."""

FILE = Path(__file__).with_name("spectrum.json")


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Colors as three components that vary independently, brightness first, and how strong each is by frequency."""

    colors: Tensor
    """(3 rgb, 3 components): mixes components of unit variance into colors of unit variance."""
    curve: Tensor
    """(3 components, cycles per picture from 0): mean magnitude, whatever the direction."""

    def mixing(self, framing: Framing) -> Tensor:
        """(3 rgb, 3 components): components of unit variance into colors that vary as a network's training pictures.

        Their deviation is the one the network divides by; some divide by a made-up one, which no picture has.
        """
        deviation = torch.tensor(framing.std).clamp(max=MOST_CONTRAST)
        return (deviation.flip(0) if framing.channels == "bgr" else deviation)[:, None] * self.colors

    def magnitudes(self, size: tuple[int, int]) -> Tensor:
        """(3 components, h, w // 2 + 1): magnitudes for `irfft2(norm="forward")`, each component of unit variance.

        Pictures look alike at every scale, so a frequency counts in cycles per shorter side; finer than was measured,
        the magnitude falls with the frequency. The mean is left out: zero.
        """
        width = size[1]
        cycles = frequencies(size) * min(size)
        last = self.curve.shape[1] - 1
        low = cycles.clamp(max=last).floor().long().clamp(max=last - 1)
        share = cycles.clamp(max=last) - low
        found = self.curve[:, low] * (1 - share) + self.curve[:, low + 1] * share
        found = found * (last / cycles.clamp(min=last))
        found[:, 0, 0] = 0
        twice = torch.full((width // 2 + 1,), 2.0)  # each stands for its mirror image, too
        twice[0] = 1
        if width % 2 == 0:
            twice[-1] = 1
        return found / (found.square() * twice).sum((1, 2), keepdim=True).sqrt()


def frequencies(size: tuple[int, int]) -> Tensor:
    """(h, w // 2 + 1): how fine the detail is that each coefficient of a real transform stands for, in cycles/pixel."""
    height, width = size
    rows, columns = torch.fft.fftfreq(height), torch.fft.rfftfreq(width)
    return torch.hypot(rows[:, None], columns[None])


@cache
def spectrum() -> Spectrum:
    """The one that was measured on pond pictures. That of photographs is close: both fall as about 1 / frequency."""
    known = json.loads(FILE.read_text("utf-8"))
    return Spectrum(torch.tensor(known["colors"]), torch.tensor(known["curve"]))
