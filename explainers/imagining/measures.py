"""How good an imagined picture is: beside natural ones, shaken, before another network, and by its spectrum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..network.classifier import Classifier
from ..network.heads import Prediction
from ..network.sites import Site
from ..shapes import Batch, Scores
from ..trace import Billed, Spent
from .objectives import Objective
from .shaking import Shaking
from .spectrum import frequencies, spectrum

ROBUST = Shaking(shift=0.05, turn=5, closest=0.8, widest=1.1, noise=0.1)
"""What a picture is put through to see what its score is worth: noise as in MACO's own training."""

SHAKEN = 32
"""How often."""


@dataclass(frozen=True)
class Standing:
    """How one imagined picture stands beside natural ones."""

    score: float
    best: float | None
    """The highest score of a natural picture; None where there are none."""
    percentile: float | None
    """The share of natural pictures that it scores above."""
    robust: float
    """Its mean score under shaking."""
    spectrum: float
    """How far the strength of its frequencies is from natural, in factors of ten (root mean square)."""


def scores_of(
    model: Classifier,
    objective: Objective,
    pictures: Batch,
    *,
    spent: Spent | None = None,
    stop: Callable[[], bool] | None = None,
) -> Scores:
    """The objective (N,) for pictures (N, 3, H, W) in [0, 1], without a graph, in batches that fit."""
    billed = Billed(model, spent or Spent(), stop)
    parts = torch.split(pictures, billed.at_once)
    return torch.cat([objective(*billed.peek(part, objective.site)).cpu() for part in parts])


def standing(
    model: Classifier,
    objective: Objective,
    pictures: Batch,
    natural: Scores,
    *,
    seed: int = 0,
    spent: Spent | None = None,
    stop: Callable[[], bool] | None = None,
) -> list[Standing]:
    """How imagined pictures (N, 3, H, W) stand beside the scores of natural ones."""
    plain = scores_of(model, objective, pictures, spent=spent, stop=stop)
    generator = torch.Generator().manual_seed(seed)
    sums = torch.zeros(len(pictures))
    for _ in range(SHAKEN):
        shaken = ROBUST(pictures, generator)
        sums += scores_of(model, objective, shaken, spent=spent, stop=stop)
    apart = spectrum_distance(pictures)
    best = float(natural.max()) if len(natural) else None
    return [
        Standing(score, best, float((natural < score).float().mean()) if len(natural) else None, robust, distance)
        for score, robust, distance in zip(plain.tolist(), (sums / SHAKEN).tolist(), apart.tolist(), strict=True)
    ]


def spectrum_distance(pictures: Batch) -> Scores:
    """How far the brightness spectrum (N,) of pictures is from natural, in factors of ten, whatever the contrast."""
    size = (pictures.shape[2], pictures.shape[3])
    gray = pictures.mean(1)
    magnitude = torch.fft.rfft2(gray - gray.mean((1, 2), keepdim=True), norm="forward").abs()
    rings = (frequencies(size) * min(size)).round().long().flatten()
    count = min(size) // 2
    wanted = (rings >= 1) & (rings <= count)

    def curve(values: Tensor) -> Tensor:
        sums = torch.zeros(len(values), count + 1).index_add_(1, rings[wanted], values.flatten(1)[:, wanted])
        return (sums[:, 1:] / rings[wanted].bincount()[1:]).clamp(min=1e-9).log10()

    apart = curve(magnitude) - curve(spectrum().magnitudes(size)[:1])
    return (apart - apart.mean(1, keepdim=True)).square().mean(1).sqrt()


def predictions(model: Classifier, pictures: Batch, *, spent: Spent | None = None) -> list[Prediction]:
    """What a network calls each picture (N, 3, H, W) in [0, 1]; sizes that it does not take are resized."""
    if pictures.shape[2:] != model.framing.size:
        pictures = torch.nn.functional.interpolate(pictures, model.framing.size, mode="bilinear", antialias=True)
    billed = Billed(model, spent or Spent())
    logits = torch.cat([billed.peek(part)[0] for part in torch.split(pictures, 8)]).cpu()
    best = model.head.winner(logits).tolist()
    return [model.head.prediction(model.labels[i], i, z) for i, z in zip(best, logits, strict=True)]


def apartness(model: Classifier, pictures: Batch, site: Site | None = None, *, spent: Spent | None = None) -> float:
    """How different several pictures are to the network: mean of 1 − cosine of their channel means, over pairs."""
    site = site or model.anatomy.sites.get("last")
    if site is None or len(pictures) < 2:
        return 0.0
    _, maps = Billed(model, spent or Spent()).peek(pictures, site)
    assert maps is not None
    unit = torch.nn.functional.normalize(maps.mean((2, 3)), dim=1)
    rows, columns = torch.triu_indices(len(unit), len(unit), 1)
    return float((1 - (unit @ unit.T)[rows, columns]).mean())
