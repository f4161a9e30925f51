"""How good an imagined picture is: beside natural ones, shaken, before another network, and by its spectrum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from ..anatomy import Site
from ..classifier import Classifier
from ..errors import QuestionError
from ..images import Picture
from ..pond import LABELS_A, render, scene
from ..shapes import Batch, MapsBatch, Scores
from ..taps import run
from ..trace import MOST_AT_ONCE, PIXELS_AT_ONCE, Prediction, Spent
from .objectives import Objective, batch_of_maps
from .shaking import Shaking
from .spectrum import frequencies, spectrum

ROBUST = Shaking(shift=0.05, turn=5, closest=0.8, widest=1.1, noise=0.1)
"""What a picture is put through to see what its score is worth: noise as in MACO's own training."""

SHAKEN = 32
"""How often."""

NATURAL = 90
"""Pond pictures that stand for natural ones: ten of each class, about."""


@dataclass(frozen=True)
class Standing:
    """How one imagined picture stands beside natural ones."""

    score: float
    best: float
    """The highest score of a natural picture."""
    percentile: float
    """The share of natural pictures that it scores above."""
    robust: float
    """Its mean score under shaking."""
    spectrum: float
    """How far the strength of its frequencies is from natural, in factors of ten (root mean square)."""

    @property
    def kept(self) -> float:
        """The share of the score, above that of the median natural picture at least zero, that shaking leaves."""
        return self.robust / self.score if self.score > 0 else 0.0


def scores_of(
    model: Classifier,
    objective: Objective,
    pictures: Batch,
    *,
    spent: Spent | None = None,
    stop: Callable[[], bool] | None = None,
) -> Scores:
    """The objective (N,) for pictures (N, 3, H, W) in [0, 1], without a graph, in batches that fit."""
    found = []
    for part in torch.split(pictures, _at_once(model)):
        logits, maps = _pass(model, objective.site, part.to(model.device), stop)
        found.append(objective(logits, maps).cpu())
        if spent is not None:
            spent.forwards += len(part)
    return torch.cat(found)


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
    return [
        Standing(score, float(natural.max()), float((natural < score).float().mean()), robust, distance)
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


def predictions(model: Classifier, pictures: Batch) -> list[Prediction]:
    """What a network calls each picture (N, 3, H, W) in [0, 1]; sizes that it does not take are resized."""
    if pictures.shape[2:] != model.framing.size:
        pictures = torch.nn.functional.interpolate(pictures, model.framing.size, mode="bilinear", antialias=True)
    logits = torch.cat([_pass(model, None, part.to(model.device))[0] for part in torch.split(pictures, 8)]).cpu()
    best, odds = logits.argmax(1).tolist(), logits.softmax(1)
    return [
        Prediction(model.labels[i], float(p[i]), i, float(z[i])) for i, p, z in zip(best, odds, logits, strict=True)
    ]


def apartness(model: Classifier, pictures: Batch, site: Site | None = None) -> float:
    """How different several pictures are to the network: mean of 1 − cosine of their channel means, over pairs."""
    site = site or model.anatomy.sites.get("last")
    if site is None or len(pictures) < 2:
        return 0.0
    _, maps = _pass(model, site, pictures.to(model.device))
    assert maps is not None
    unit = torch.nn.functional.normalize(maps.mean((2, 3)), dim=1)
    rows, columns = torch.triu_indices(len(unit), len(unit), 1)
    return float((1 - (unit @ unit.T)[rows, columns]).mean())


def of_the_pond(model: Classifier) -> bool:
    """Whether natural pictures for this network are pond pictures: it tells the pond's creatures apart."""
    return model.labels == LABELS_A


@lru_cache(maxsize=2)
def pond_pictures(count: int = NATURAL, side: int = 96) -> tuple[Picture, ...]:
    """Validation scenes of the pond, without tags, `count` of them in the order of the world."""
    return tuple(Picture.read(np.array(render(scene("val", i, tag=False), side).pixels)) for i in range(count))


def framed(model: Classifier, pictures: tuple[Picture, ...]) -> Batch:
    """Pictures as a network sees them: (N, 3, H, W) in [0, 1]."""
    if not pictures:
        raise QuestionError("There is no picture to compare with; give at least one.")
    return torch.stack([model.framing.frame(picture) for picture in pictures])


# --- private ---------------------------------------------------------------------------------------------------------


def _at_once(model: Classifier) -> int:
    height, width = model.framing.size
    kind = model.device.type if model.device.type in PIXELS_AT_ONCE else "cpu"
    return max(2, min(MOST_AT_ONCE[kind], PIXELS_AT_ONCE[kind] // (height * width)))


def _pass(
    model: Classifier, site: Site | None, pictures: Batch, stop: Callable[[], bool] | None = None
) -> tuple[Tensor, MapsBatch | None]:
    with torch.inference_mode(False), torch.no_grad():
        inputs = model.framing.normalize(pictures).to(model.dtype)
        passed = run(model.module, inputs, taps=[site.point] if site else [], graph=False, stop=stop)
        maps = batch_of_maps(site, passed.taps[site.point]).float() if site else None
        return passed.output.float(), maps
