"""Gradient ascent: knobs turned step by step so that an objective rises, with previews on the way."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..errors import DoesNotApply
from ..network.classifier import Classifier
from ..network.sites import Site
from ..network.taps import Pass, Point
from ..shapes import Batch, Heat, MapsBatch, Scores, full
from ..trace import Billed, Spent
from .canvas import Canvas, mean_color
from .objectives import Objective
from .recipes import Recipe

PREVIEWS = 24
"""Pictures of the film, apart from two early ones."""

CALM = 0.25
"""In the last share of the steps, they shorten and the shaking calms down, so that details settle."""

WANDER = 3.0
"""Steps at once, in a random direction, for a picture in which the unit in question is asleep."""


@dataclass(frozen=True, eq=False)
class Imagined:
    """Where the ascent stands: the pictures, how far the objective has risen, and where the work has gone."""

    pictures: Batch
    """(N, 3, H, W) in [0, 1], on the CPU."""
    scores: Scores
    """(N,): the objective on the pictures as they are, at the first and the last step; between them, shaken."""
    step: int
    steps: int
    curve: tuple[tuple[int, tuple[float, ...]], ...]
    """(step, the objective of each picture) at each step so far, as in `scores`."""
    care: Heat
    """(N, H, W) in [0, 1]: how much of the slopes so far fell on each pixel; what is low was of no account."""

    @property
    def done(self) -> float:
        """The share of the steps that are made."""
        return self.step / self.steps


def imagine(
    model: Classifier,
    objective: Objective,
    recipe: Recipe,
    *,
    count: int = 1,
    steps: int = 128,
    seed: int = 0,
    canvas: Canvas | None = None,
    diversity: float = 0.0,
    spent: Spent | None = None,
    stop: Callable[[], bool] | None = None,
) -> Iterator[Imagined]:
    """Pictures that raise `objective` more and more: after 0, 1 and 4 steps, then at even distances, and the last.

    `count` pictures grow at once from different starts. `diversity` is how strongly those are driven apart, compared
    in the channel means at the objective's site, or else at the last maps. `spent` is the bill. Raises `Stopped` from
    within a pass when `stop` says so. Nothing is written on the model, and no gradient reaches its parameters.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.inference_mode(False):  # whatever mode the caller is in
        canvas = canvas or recipe.canvas(count, model, generator)
    climb = _Climb(Billed(model, spent or Spent(), stop), objective, canvas, diversity)
    turn = _Plain(canvas.knobs, recipe, model) if recipe.plain else _Adam(canvas.knobs)
    previews = _previews(steps)
    curve: list[tuple[int, tuple[float, ...]]] = []
    for step in range(steps + 1):
        scores = climb.look() if step in (0, steps) else climb.scores
        curve.append((step, tuple(scores.tolist())))
        if step in previews:
            yield Imagined(climb.pictures(), scores, step, steps, tuple(curve), climb.care())
        if step == steps:
            return
        calm = min(1.0, (1 - step / steps) / CALM)
        slope = climb.slope(partial(recipe.shaking, generator=generator, strength=calm))
        turn(slope, recipe.rate * calm)
        _wake(canvas.knobs, slope, recipe.rate, generator)


# --- private ---------------------------------------------------------------------------------------------------------


class _Climb:
    """The passes: pictures, shaken, through the network to the objective, and its slope at the knobs."""

    def __init__(self, billed: Billed, objective: Objective, canvas: Canvas, diversity: float) -> None:
        self.billed, self.objective, self.canvas, self.diversity = billed, objective, canvas, diversity
        self.model = billed.classifier
        last = self.model.anatomy.sites.get("last")
        self.apart: Site | None = (objective.site or last) if diversity else None
        self._care: Tensor | None = None
        self.scores = torch.zeros(0)
        self._last = True

    def slope(self, shake: Callable[[Batch], Batch]) -> Tensor:
        """The slope of the sum of all objectives at the knobs."""
        with torch.inference_mode(False), torch.enable_grad():
            pictures = self.canvas.pictures()
            score, alike = self._pass(shake(pictures), graph=True)
            total = score.sum() - self.diversity * alike
            if not total.requires_grad:
                why = self.model.manner.without_slopes or "lets no gradient through"
                raise DoesNotApply(f"{self.model.name} {why}, so nothing can be imagined for it.")
            with self.billed.spent.passing(backwards=len(pictures)):
                found: Any = torch.autograd.grad(total, [self.canvas.knobs, pictures], allow_unused=True)
        knobs, pixels = found
        self.scores = score.detach().cpu()
        if pixels is not None:
            care = pixels.abs().sum(1)
            care = care / care.mean((1, 2), keepdim=True).clamp(min=1e-30)
            self._care = care if self._care is None else self._care + care
        return torch.zeros_like(self.canvas.knobs) if knobs is None else knobs

    def pictures(self) -> Batch:
        """The pictures as they are, in [0, 1], on the CPU."""
        with torch.inference_mode(False), torch.no_grad():
            return self.canvas.pictures().clamp(0, 1).cpu()

    def look(self) -> Scores:
        """The objectives of the pictures as they are, without a graph."""
        with torch.inference_mode(False), torch.no_grad():
            pictures = self.canvas.pictures().clamp(0, 1)
            score, _ = self._pass(pictures, graph=False)
        return score.cpu()

    def care(self) -> Heat:
        """Where the slopes have fallen so far (N, H, W): 1 from the 90th percentile up."""
        if self._care is None:
            size = self.model.framing.size
            return torch.ones(len(self.canvas.knobs), *size)
        smooth = torch.nn.functional.avg_pool2d(self._care[:, None], 5, 1, 2, count_include_pad=False)[:, 0].cpu()
        top = smooth.flatten(1).quantile(0.9, 1)[:, None, None]
        return (smooth / top.clamp(min=1e-30)).clamp(0, 1)

    def _pass(self, pictures: Batch, *, graph: bool) -> tuple[Scores, Tensor]:
        sites = [site for site in (self.objective.site, self.apart) if site is not None]
        points: list[Point] = list(dict.fromkeys(point for site in sites for point in site.points))
        passed = self._run(self.billed.framed(pictures), points, graph=graph)

        def at(site: Site | None) -> MapsBatch | None:
            return None if site is None else site.batch(passed.taps)

        own = at(self.objective.site)
        score = self.objective(full(passed.output), own)
        apart = own if self.apart is self.objective.site else at(self.apart)
        return score, _alike(apart) if apart is not None else score.new_zeros(())

    def _run(self, framed: Batch, points: list[Point], *, graph: bool) -> Pass:
        """With the channels last, convolutions take up to a fifth less on a CPU; a `view` in a network forbids it."""
        run_so = partial(self.billed.run, taps=points, graph=graph)
        if self._last:
            try:
                return run_so(framed.contiguous(memory_format=torch.channels_last))
            except RuntimeError:
                self._last = False
        return run_so(framed)


def _alike(maps: MapsBatch) -> Tensor:
    """How alike several pictures are: the cosine between their channel means, summed over pairs, in score units."""
    means = maps.mean((2, 3))  # (N, K)
    unit = torch.nn.functional.normalize(means - means.mean(1, keepdim=True), dim=1)
    return (unit @ unit.T).triu(1).sum()


class _Adam:
    """Steps of about the same length for every knob (Kingma & Ba, ICLR 2015).

    Written out, since torch's own loads a compiler first, which takes seconds.
    """

    def __init__(self, knobs: Tensor) -> None:
        self.knobs, self.count = knobs, 0
        self.mean, self.square = torch.zeros_like(knobs), torch.zeros_like(knobs)

    def __call__(self, slope: Tensor, rate: float) -> None:
        """Turn the knobs up the slope."""
        self.count += 1
        self.mean.lerp_(slope, 0.1)
        self.square.lerp_(slope.square(), 0.01)
        low, high = 1 - 0.9**self.count, 1 - 0.99**self.count
        with torch.no_grad():
            self.knobs += rate * (self.mean / low) / ((self.square / high).sqrt() + 1e-12)


class _Plain:
    """The slope itself, scaled; then a little back to gray, and into [0, 1]."""

    def __init__(self, knobs: Tensor, recipe: Recipe, model: Classifier) -> None:
        self.knobs, self.fading = knobs, recipe.fading
        self.gray = mean_color(model.framing).to(knobs)

    def __call__(self, slope: Tensor, rate: float) -> None:
        """Turn the knobs up the slope: `rate` is the root mean square of a step."""
        length = slope.square().mean((1, 2, 3), keepdim=True).sqrt().clamp(min=1e-30)
        with torch.no_grad():
            self.knobs += rate * slope / length
            self.knobs.lerp_(self.gray.expand_as(self.knobs), self.fading).clamp_(0, 1)


def _wake(knobs: Tensor, slope: Tensor, rate: float, generator: torch.Generator) -> None:
    """Where a picture has no slope at all, since its unit is rectified away, wander until it has one."""
    asleep = ~slope.flatten(1).any(1)
    if asleep.any():
        wander = torch.randn(knobs[asleep].shape, generator=generator).to(knobs)
        with torch.no_grad():
            knobs[asleep] += WANDER * rate * wander


def _previews(steps: int) -> set[int]:
    return {0, 1, 4, steps} | set(range(0, steps, max(1, math.ceil(steps / PREVIEWS))))
