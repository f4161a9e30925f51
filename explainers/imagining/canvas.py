"""What is turned to change a picture: its pixels, its Fourier coefficients, or only their phases."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from ..baselines import baseline
from ..network.classifier import Classifier
from ..pictures import Framing
from ..shapes import Batch
from .spectrum import Spectrum, spectrum

DARKEST = 1 / 512
"""Black and white lie infinitely far off behind a sigmoid; half a step of 8 bits from them is as good."""


@runtime_checkable
class Canvas(Protocol):
    """Several pictures, as a function of the numbers that are turned."""

    knobs: Tensor

    def pictures(self) -> Batch:
        """The pictures (N, 3, H, W) in [0, 1], attached to the knobs."""
        ...


class Pixels:
    """Each number of each pixel by itself, kept in [0, 1]."""

    def __init__(self, start: Batch) -> None:
        self.knobs = start.detach().clone().requires_grad_()

    @classmethod
    def gray(cls, count: int, model: Classifier, generator: torch.Generator) -> Pixels:
        """The mean color of the training pictures, with a little noise, so that no unit starts without a slope."""
        noise = torch.randn((count, 3, *model.framing.size), generator=generator) * 0.01
        return cls((mean_color(model.framing) + noise).clamp(0, 1).to(model.device))

    def pictures(self) -> Batch:
        """Those numbers; the slope goes through where they would leave [0, 1]."""
        return self.knobs + (self.knobs.clamp(0, 1) - self.knobs).detach()


class Fourier:
    """Coefficients of independent color components, each in units of how strong it is in natural pictures.

    x = sigmoid(logit(mean) + mixing · irfft2(magnitudes · knobs)): a step changes coarse shapes as readily as fine
    detail, and brightness as readily as color (Olah, Mordvintsev & Schubert, Distill 2017).
    """

    def __init__(self, knobs: Tensor, framing: Framing, natural: Spectrum | None = None) -> None:
        self.knobs = knobs.detach().clone().requires_grad_()  # (N, 3, h, w // 2 + 1, 2)
        self._size = framing.size
        self._mean, self._mixing, self._scale = _logistic(framing, natural or spectrum(), knobs)

    @classmethod
    def faint(cls, count: int, model: Classifier, generator: torch.Generator) -> Fourier:
        """A faint random pattern about the mean color."""
        height, width = model.framing.size
        knobs = torch.randn((count, 3, height, width // 2 + 1, 2), generator=generator) * 0.1
        return cls(knobs.to(model.device), model.framing)

    @classmethod
    def of(cls, pictures: Batch, framing: Framing) -> Fourier:
        """Those pictures (N, 3, H, W), to within half a step of 8 bits at black and white."""
        height, width = framing.size
        canvas = cls(pictures.new_zeros(len(pictures), 3, height, width // 2 + 1, 2), framing)
        varied = pictures.clamp(DARKEST, 1 - DARKEST).logit() - canvas._mean
        components = torch.einsum("kc,nchw->nkhw", torch.linalg.inv(canvas._mixing), varied)
        coefficients = torch.fft.rfft2(components, norm="forward") / canvas._scale
        canvas.knobs = torch.view_as_real(coefficients).contiguous().requires_grad_()
        return canvas

    def pictures(self) -> Batch:
        """The pictures that the coefficients make."""
        coefficients = self._scale * torch.view_as_complex(self.knobs)
        components = torch.fft.irfft2(coefficients, s=self._size, norm="forward")
        return torch.sigmoid(self._mean + torch.einsum("ck,nkhw->nchw", self._mixing, components))


class Maco:
    """Only the phases of the coefficients; how strong each frequency is stays as in natural pictures (MACO).

    Nothing can be had by adding high-frequency noise, so no transformation of the picture is needed to keep it out.
    Source: Fel et al., NeurIPS 2023, https://arxiv.org/abs/2306.06805.
    """

    def __init__(self, knobs: Tensor, framing: Framing, natural: Spectrum | None = None) -> None:
        self.knobs = knobs.detach().clone().requires_grad_()  # (N, 3, h, w // 2 + 1)
        self._size = framing.size
        natural = natural or spectrum()
        self._mean = mean_color(framing).to(knobs)
        self._mixing, self.magnitudes = natural.mixing(framing).to(knobs), natural.magnitudes(framing.size).to(knobs)

    @classmethod
    def random(cls, count: int, model: Classifier, generator: torch.Generator) -> Maco:
        """Random phases: a picture with a natural spectrum and nothing in it."""
        height, width = model.framing.size
        phases = torch.rand((count, 3, height, width // 2 + 1), generator=generator) * 2 * torch.pi
        return cls(phases.to(model.device), model.framing)

    def components(self) -> Tensor:
        """The three color components (N, 3, H, W), each of unit variance, whose magnitudes are exactly the given."""
        rest = self.knobs[..., 1:]
        if self._size[1] % 2 == 0:
            rest = torch.cat([rest[..., :-1], self._paired(rest[..., -1:])], -1)
        phases = torch.cat([self._paired(self.knobs[..., :1]), rest], -1)
        spectra = torch.complex(self.magnitudes * phases.cos(), self.magnitudes * phases.sin())
        components: Tensor = torch.fft.irfft2(spectra, s=self._size, norm="forward")
        return components

    def pictures(self) -> Batch:
        """The pictures that the phases make, cut off at black and white; the slope goes through there."""
        free = self._mean + torch.einsum("ck,nkhw->nchw", self._mixing, self.components())
        return free + (free.clamp(0, 1) - free).detach()

    @staticmethod
    def _paired(column: Tensor) -> Tensor:
        """Phases (…, h, 1) of a column that holds its own mirror image: of each pair, one is the other's negative."""
        return column - column.flip(-2).roll(1, -2)


def mean_color(framing: Framing) -> Tensor:
    """(3, 1, 1): the mean color of a network's training pictures, as far as its normalization tells."""
    return baseline("gray", torch.zeros(3, 1, 1), framing).clone()


# --- private ---------------------------------------------------------------------------------------------------------


def _logistic(framing: Framing, natural: Spectrum, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The mean, the mixing and the magnitudes, for colors behind a sigmoid: there a step counts p (1 − p) as much."""
    mean = mean_color(framing).clamp(0.1, 0.9).to(like)
    mixing = natural.mixing(framing).to(like) / (mean * (1 - mean))[..., 0]
    return mean.logit(), mixing, natural.magnitudes(framing.size).clamp(min=1e-5).to(like)
