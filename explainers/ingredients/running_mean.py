"""RunningMean: a mean over what was drawn at random, and how sure it is by now."""

from __future__ import annotations

import torch
from torch import Tensor


class RunningMean:
    """The running mean of samples of one shape, and its standard error; nothing of a single sample is kept."""

    def __init__(self) -> None:
        self.count = 0
        self._mean = torch.zeros(())
        self._squares = torch.zeros(())  # of deviations from the mean

    def add(self, samples: Tensor) -> None:
        """Take in samples (N, …), in double precision (Chan, Golub & LeVeque 1979)."""
        samples = samples.detach().double()
        mean, count = samples.mean(0), len(samples)
        squares = (samples - mean).square().sum(0)
        if self.count:
            apart, total = mean - self._mean, self.count + count
            self._mean = self._mean + apart * (count / total)
            self._squares = self._squares + squares + apart.square() * (self.count * count / total)
        else:
            self._mean, self._squares = mean, squares
        self.count += count

    @property
    def mean(self) -> Tensor:
        """The mean (…) of all samples so far."""
        return self._mean

    @property
    def variance(self) -> Tensor:
        """The unbiased variance (…) of the samples; zero where there is only one."""
        return self._squares / max(1, self.count - 1)

    @property
    def error(self) -> Tensor | None:
        """The standard error (…) of the mean; None where one sample cannot tell."""
        return (self.variance / self.count).sqrt() if self.count > 1 else None
